"""The files in .deploy/ are right without being run: they parse, and each command in them is one that exists, with its options."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workbench.config import ENV_PREFIX, setting_names

INSTRUCTIONS = {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}  # no ADD, no ARG
SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD(?!_FILE)", re.IGNORECASE)


@pytest.fixture(scope="module")
def folder(root):
    return root / ".deploy"


@pytest.fixture(scope="module")
def compose(folder):
    return yaml.safe_load((folder / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def dockerfile(folder):
    """[(instruction, argument)] with lines joined and comments gone."""
    text = re.sub(r"^#.*\n", "", (folder / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


# -- commands ---------------------------------------------------------------------------------------------------------------


def check_workbench(words):
    """Parse a command as the CLI does, without running it."""
    import typer

    from workbench.cli.main import app

    command, name = typer.main.get_command(app), "workbench"
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"{name}: no command {words[:1]}"
        name, command, words = words[0], command.commands[words[0]], words[1:]
    command.make_context(name, list(words))


def check_panel(words):
    from panel.command.serve import Serve

    assert words[0] == "serve"
    parser = argparse.ArgumentParser()
    Serve(parser)
    return parser.parse_args(words[1:])


def check_command(words):
    name = Path(words[0]).name
    if name == "workbench":
        check_workbench(words[1:])
    elif name == "panel":
        check_panel(words[1:])
    else:
        assert name == "python"
        compile(words[words.index("-c") + 1], "healthcheck", "exec")


def commands_in(text):
    """Every `workbench …` that a line of text runs."""
    found = re.findall(r"(?:^|[\s=;/])workbench ((?:hub|serve|doctor|record|door|data|bars|soak)\b[^|;>\n#]*)", text, re.MULTILINE)
    return [["workbench", *shlex.split(re.sub(r" 2$", "", words))] for words in found]


def test_a_command_that_does_not_exist_is_found_out():
    for wrong in (
        ["workbench", "hubb"],
        ["workbench", "hub", "--nothing"],
        ["workbench", "data", "audit"],
        ["workbench", "door", "add"],
    ):
        with pytest.raises(Exception):
            check_command(wrong)
    with pytest.raises(SystemExit):
        check_panel(["serve", "apps/desk.py", "--nothing"])


def test_every_command_of_compose_and_dockerfile_exists(compose, dockerfile):
    commands = [service["command"] for service in compose["services"].values() if "command" in service]
    commands += [service["healthcheck"]["test"][1:] for service in compose["services"].values() if "test" in service.get("healthcheck", {})]
    commands += [yaml.safe_load(argument) for name, argument in dockerfile if name == "CMD"]
    commands += [yaml.safe_load(argument.split("CMD", 1)[1]) for name, argument in dockerfile if name == "HEALTHCHECK"]
    assert len(commands) >= 6
    for words in commands:
        check_command(words)


@pytest.mark.parametrize("name", ["crontab", "workbench-hub.service", "workbench-desk.service", "compose.yaml", "env.example"])
def test_every_command_of_the_other_files_exists(folder, name):
    commands = commands_in((folder / name).read_text())
    assert commands
    for words in commands:
        check_command(words)


def test_every_setting_that_is_named_exists(folder):
    known = {ENV_PREFIX + name.upper() for name in setting_names()}
    for path in folder.iterdir():
        named = set(re.findall(r"WORKBENCH_[A-Z_]+", path.read_text()))
        assert named <= known, (path.name, named - known)


# -- Docker -----------------------------------------------------------------------------------------------------------------


def test_the_image_is_slim_unprivileged_and_watched(dockerfile):
    names = [name for name, _ in dockerfile]
    assert set(names) <= INSTRUCTIONS
    assert names[0] == "FROM"
    assert re.fullmatch(r"python:3\.\d+-slim", dockerfile[0][1])
    assert [argument for name, argument in dockerfile if name == "USER"][-1] == "workbench"
    assert names.index("USER") > max(i for i, name in enumerate(names) if name in ("RUN", "COPY"))
    assert names.count("CMD") == names.count("HEALTHCHECK") == 1
    (check,) = [argument for name, argument in dockerfile if name == "HEALTHCHECK"]
    assert "/livez" in check


def test_no_secret_can_enter_a_layer(dockerfile, folder):
    assert [line for line in dockerfile if line[0] in ("ENV", "COPY", "RUN") and SECRET_NAME.search(line[1])] == []
    rules = [line for line in (folder / "Dockerfile.dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "nothing enters that is not named"
    copied = {word for name, argument in dockerfile if name == "COPY" for word in argument.split()[:-1]}
    assert {f"!{name.removeprefix('./')}" for name in copied} == {rule for rule in rules if rule.startswith("!")}


def test_what_the_image_copies_is_there(dockerfile, root):
    for name, argument in dockerfile:
        if name == "COPY":
            assert all((root / word).exists() for word in argument.split()[:-1]), argument


def test_the_image_holds_the_python_that_the_package_needs(dockerfile, root):
    bound = re.search(r'requires-python = ">=3\.(\d+)"', (root / "pyproject.toml").read_text()).group(1)
    assert int(re.search(r"3\.(\d+)", dockerfile[0][1]).group(1)) >= int(bound)


# -- compose ----------------------------------------------------------------------------------------------------------------


def ours(compose):
    return {name: service for name, service in compose["services"].items() if service["image"] == "workbench"}


def test_hub_dashboards_and_jobs_run_and_only_the_proxy_has_a_port(compose):
    assert set(ours(compose)) == {"hub", "dashboards", "doctor"}
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["proxy"]
    assert compose["services"]["dashboards"]["environment"]["WORKBENCH_SOURCE"] == "hub://hub:5007"
    assert compose["services"]["doctor"]["profiles"] == ["jobs"]


def test_our_containers_have_no_more_rights_than_they_need(compose):
    for name, service in ours(compose).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_no_secret_is_written_into_compose(compose, folder):
    for name, service in compose["services"].items():
        assert [key for key in service.get("environment", {}) if SECRET_NAME.search(key)] == [], name
    filled = [
        line
        for line in (folder / "env.example").read_text().splitlines()
        if SECRET_NAME.search(line.split("=")[0]) and not line.startswith("#")
    ]
    assert filled
    assert [line for line in filled if not line.endswith("=")] == []


def test_the_settings_of_compose_pass_the_door(compose, tmp_path, monkeypatch):
    from tests.door.conftest import PASSWORD, SECRET
    from workbench.config import Settings
    from workbench.door import users
    from workbench.door.address import check_address
    from workbench.door.gate import Ask, Gate
    from workbench.door.guests import GuestBook
    from workbench.door.roles import NOBODY, Role

    path = tmp_path / "users.json"
    with users.changing(path) as held:
        held[0] = held[0].with_user("ann", Role.VIEWER, PASSWORD)
    for service in ("hub", "dashboards"):
        for name, value in compose["services"][service]["environment"].items():
            if name.startswith(ENV_PREFIX):
                monkeypatch.setenv(
                    name, re.sub(r"\$\{DESK_NAME[^}]*\}", "desk.example.org", value).replace("/data/door/users.json", str(path))
                )
        monkeypatch.setenv("WORKBENCH_COOKIE_SECRET", SECRET)
        settings = Settings()
        check_address(settings)
        gate = Gate(settings, 5007, GuestBook(settings))
        for host in ("desk.example.org", "hub:5007", "127.0.0.1:5007"):
            assert gate.judge(Ask("GET", "/livez", "", (("host", host),), "172.18.0.2")) == NOBODY


def test_dashboards_are_served_through_our_log_in(compose, root):
    chosen = check_panel(compose["services"]["dashboards"]["command"][1:])
    assert (root / chosen.auth_module).is_file()
    assert all((root / name).is_file() for name in chosen.files)
    assert chosen.enable_xsrf_cookies
    assert "workbench_session" in chosen.exclude_cookies


# -- systemd and cron -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("name", ["workbench-hub.service", "workbench-desk.service"])
def test_systemd_takes_the_units(folder, tmp_path, name):
    here = Path(sys.executable).parent
    for unit in folder.glob("*.service"):
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/workbench/.venv/bin", str(here)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "workbench" in line]
    assert done.returncode == 0, done.stderr
    assert said == []


def test_units_and_cron_keep_what_they_write_private(folder):
    for name in ("workbench-hub.service", "workbench-desk.service"):
        text = (folder / name).read_text()
        assert "UMask=0077" in text
        assert "NoNewPrivileges=yes" in text
    writing = [line for line in (folder / "crontab").read_text().splitlines() if "tar " in line or "2>>" in line]
    assert len(writing) == 2
    assert all("umask 077" in line for line in writing)


def test_cron_starts_the_hub_before_the_window_and_never_twice(folder):
    text = (folder / "crontab").read_text()
    assert "CRON_TZ=America/New_York" in text
    (line,) = [line for line in text.splitlines() if " hub " in line and not line.startswith("#")]
    minute, hour, _, _, days = line.split()[:5]
    assert (int(hour), int(minute)) < (3, 50)  # the window of extended hours begins at 03:50
    assert days == "1-5"
    assert "flock -n" in line
