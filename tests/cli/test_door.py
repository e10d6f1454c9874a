"""`workbench door`: people and programs come and go by command; secrets are typed or printed once, never arguments."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from workbench.cli import door as commands
from workbench.cli.main import main
from workbench.config import Settings
from workbench.door.guests import GuestBook
from workbench.door.roles import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def path(tmp_path, monkeypatch):
    path = tmp_path / "users.json"
    monkeypatch.setenv("WORKBENCH_PASSWORD_FILE", str(path))
    return path


def run(capsys, *arguments, stdin=""):
    sys.stdin = io.StringIO(stdin)
    try:
        with pytest.raises(SystemExit) as left:
            main(["door", *arguments])
    finally:
        sys.stdin = sys.__stdin__
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def test_a_person_is_added_by_a_password_from_standard_input(capsys, path):
    code, out, _ = run(capsys, "add", "ann", "--role", "trader", stdin=PASSWORD + "\n")
    assert code == 0
    assert PASSWORD not in out
    book = GuestBook(Settings())
    assert book.by_cookie(book.log_in("ann", PASSWORD, "127.0.0.1")).role is Role.TRADER


def test_a_password_typed_twice_differently_is_refused(path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    typed = iter(["correct horse battery", "correct horse batterz"])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(commands.getpass, "getpass", lambda _: next(typed))
    with pytest.raises(commands.ConfigError, match="two different ones"):
        commands.ask_password()


def test_a_token_is_printed_once_alone_on_standard_output(capsys, path):
    code, out, err = run(capsys, "token", "bot", "--role", "viewer")
    assert code == 0
    token = out.strip()
    assert GuestBook(Settings()).by_token(token).role is Role.VIEWER
    assert token not in err
    assert token not in run(capsys, "list")[1] + path.read_text()


def test_the_list_shows_people_programs_and_what_has_expired(capsys, path):
    run(capsys, "add", "ann", "--role", "risk", stdin=PASSWORD)
    run(capsys, "token", "bot", "--role", "viewer", "--days", "3")
    run(capsys, "token", "eternal", "--role", "admin", "--days", "0")
    lines = [line.split() for line in run(capsys, "list")[1].splitlines()]
    assert lines == [
        ["ann", "person", "risk"],
        ["bot", "program", "viewer", "3", "days", "left"],
        ["eternal", "program", "admin", "until", "removed"],
    ]


def test_a_person_is_removed(capsys, path):
    run(capsys, "add", "ann", "--role", "risk", stdin=PASSWORD)
    assert run(capsys, "remove", "ann")[0] == 0
    code, _, err = run(capsys, "remove", "ann")
    assert code == 2
    assert "nobody is in the file" in err


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("add", "ann", "--role", "king"), PASSWORD, "allowed: viewer, trader, risk, admin"),
        (("add", "a b", "--role", "viewer"), PASSWORD, "name: received"),
        (("add", "ann", "--role", "viewer"), "short", "allowed: 12 to 1024"),
        (("list",), "", "does not exist"),
    ],
)
def test_what_is_not_allowed_is_one_sentence_and_exit_code_2(capsys, path, arguments, stdin, says):
    code, _, err = run(capsys, *arguments, stdin=stdin)
    assert code == 2
    assert says in err


def test_a_password_is_no_argument(capsys, path):
    code, _, err = run(capsys, "add", "ann", PASSWORD, "--role", "viewer")
    assert code == 2
    assert "unexpected extra argument" in err.lower()


def test_without_a_setting_the_file_lies_in_the_data_folder_and_the_command_says_how_to_switch_it_on(tmp_path):
    environ = {**os.environ, "WORKBENCH_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "workbench.cli.main", "door", "add", "ann", "--role", "admin"]
    done = subprocess.run(command, input=PASSWORD, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    assert f"WORKBENCH_PASSWORD_FILE={tmp_path / 'door' / 'users.json'}" in done.stdout


def test_a_secret_is_strong_enough_for_the_door(capsys):
    from workbench.door.address import check_cookie_secret

    secrets = {run(capsys, "secret")[1].strip() for _ in range(3)}
    assert len(secrets) == 3
    for secret in secrets:
        check_cookie_secret(secret)
