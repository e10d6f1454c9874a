"""README.md says what is true: its commands exist, its example runs, its tables are the code's own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


def blocks(readme, language):
    return [text.strip() for text in re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)]


def table(readme, heading):
    """Return the cells of the first table under a heading, header row left out."""
    section = readme.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def plain(cell):
    return cell.strip("`")


def test_two_commands_do_all_the_set_up(readme):
    desk, test = blocks(readme, "bash")
    assert desk.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert desk.endswith("workbench serve")
    assert test.endswith(".ci/test.py")


def test_ci_runs_the_test_command_of_the_readme_word_for_word(root, readme):
    commands = [line for line in (root / ".ci" / "run").read_text().splitlines() if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == [blocks(readme, "bash")[1]]


def test_the_example_runs(readme, tmp_path):
    (example,) = blocks(readme, "python")
    environment = {**os.environ, "WORKBENCH_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


GROUPS = ("bars", "data", "door", "screen")  # commands of two words


def commands(readme):
    """Return every `workbench …` that the README shows, as word lists without variables, values and placeholders."""
    shown = re.findall(r"`([^`\n]*?\bworkbench (?!COMMAND)[a-z][^`\n]*)`", readme)
    return sorted({found[found.index("workbench") :] for found in shown if re.match(r"(\w+=\S+ )*workbench ", found)})


def test_every_command_shown_exists_with_its_options(readme):
    shown = commands(readme)
    assert any(text.startswith("workbench serve --source polygon") for text in shown)
    assert any(text.startswith("workbench data audit") for text in shown)
    for text in shown:
        words = shlex.split(text)[1:]
        names = words[:2] if words[0] in GROUPS else words[:1]
        help_text = said(*names, "--help")
        for option in re.findall(r"--[a-z-]+", text):
            assert option in help_text, f"`{text}`: no {option}"


def test_every_command_that_exists_is_shown(readme):
    listed = {tuple(words[:2] if words[0] in GROUPS else words[:1]) for words in (text.split()[1:] for text in commands(readme))}
    for group in ((), *((name,) for name in GROUPS)):
        section = said(*group, "--help").split("Commands:")[1]
        for name in re.findall(r"^  ([a-z-]+) {2,}", section, re.MULTILINE):
            assert name in GROUPS or (*group, name) in listed


def said(*arguments):
    done = subprocess.run([sys.executable, "-m", "workbench.cli.main", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_settings_table_is_the_settings(readme):
    from workbench.config import Settings, is_secret

    shown = {plain(name): (plain(default), meaning) for name, default, meaning in table(readme, "Settings")}
    fields = {name: field for name, field in Settings.model_fields.items() if not is_secret(name)}
    assert list(shown) == list(fields)
    for name, field in fields.items():
        default, meaning = shown[name]
        assert meaning == field.description
        if name != "data_dir":
            known = "none" if field.default in (None, ()) else ",".join(field.default) if name == "symbols" else str(field.default)
            assert default == known


def test_the_health_table_names_every_mode(readme):
    from workbench.hub.health import Mode

    assert [plain(row[0]) for row in table(readme, "Health modes and what to do")] == [mode.value for mode in Mode]


def test_the_file_schemas_are_the_readers_own(readme):
    from workbench.history import chains, schema

    for kind, columns in table(readme.replace("### File schemas", "## File schemas"), "File schemas"):
        for column in re.findall(r"`(\w+)`", columns):
            described = chains.__doc__ if kind == "options" else schema.__doc__
            assert re.search(rf"\b{column}\b", described), f"{kind}: {column}"


def test_every_file_and_picture_linked_is_there(root, readme):
    for target in re.findall(r"\]\(([^)#]+)\)", readme) + re.findall(r'src="([^"]+)"', readme):
        if not target.startswith("http"):
            assert (root / target).is_file(), target


def test_every_file_of_the_package_named_is_there(root, readme):
    folders = "hub|views|sources|history|indicators|cli|tests|notebooks|apps"
    named = set(re.findall(rf"`((?:{folders})/[\w/]+\.(?:py|ipynb))`", readme))
    assert named
    gone = {path for path in named if not any((base / path).is_file() for base in (root, root / "workbench"))}
    assert gone == set()


def test_the_house_has_a_picture_of_the_desk(root, readme):
    assert ".assets/desk.png" in readme
    assert (root / ".assets" / "desk.png").stat().st_size > 10_000
