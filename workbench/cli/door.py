"""`workbench door …`: who may log in, which programs hold a token, and the secret that signs sessions.

A password is asked for twice, or read from standard input; it is never an argument, because arguments are seen by every user of the
machine and stay in the shell's history.

Floor 9.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.clock import NS_PER_S, WallClock
from workbench.config import Settings
from workbench.door import users
from workbench.door.chance import secret_text
from workbench.door.roles import Role
from workbench.errors import ConfigError

door_app = typer.Typer(no_args_is_help=True, help="Who may come in: people with passwords, programs with tokens, and their roles.")

DAY_S = 86_400
Name = Annotated[str, typer.Argument(help="1 to 64 letters, digits, or . _ @ -")]
RoleWord = Annotated[str, typer.Option("--role", help="viewer reads; trader acts; risk sets limits; admin changes how it runs.")]
FileOption = Annotated[Path | None, typer.Option("--file", help="Password file; else that of the settings, else one in the data folder.")]


def file_of(chosen: Path | None) -> Path:
    """Return the password file that is meant: the option, the setting, or users.json in the data folder."""
    settings = Settings()
    return chosen or settings.password_file or settings.data_dir / "door" / "users.json"


def ask_password() -> str:
    """Return a password, typed twice at a terminal, or the first line of standard input; ConfigError when the two differ."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("again: ") != first:
        raise ConfigError("password: received two different ones; allowed: the same twice")
    return first


def hint_of(path: Path) -> str:
    """Return how to switch the file on, '' when the settings already name it."""
    return "" if Settings().password_file == path else f"; switch it on with WORKBENCH_PASSWORD_FILE={path}"


@door_app.command("add")
def add(name: Name, role: RoleWord, file: FileOption = None) -> None:
    """Add a person, or give one a new password and role; sessions of the old password end.

    The password is asked for twice, or read from standard input.
    """
    wanted, path = Role.of(role), file_of(file)
    users.check_name(name)
    password = ask_password()
    with users.changing(path) as held:
        held[0] = held[0].with_user(name, wanted, password)
    typer.echo(f"{name} may log in as {wanted.word}: {path}{hint_of(path)}")


@door_app.command("token")
def token(
    name: Name,
    role: RoleWord,
    days: Annotated[int, typer.Option(min=0, max=3650, help="How long it is good for; 0 until it is removed.")] = 365,
    file: FileOption = None,
) -> None:
    """Make a program's token and print it, this once. It goes into the header `Authorization: Bearer …`, never into an address."""
    wanted, path = Role.of(role), file_of(file)
    expires_s = WallClock().now_ns() // NS_PER_S + days * DAY_S if days else None
    with users.changing(path) as held:
        held[0], text = held[0].with_token(name, wanted, expires_s)
    typer.echo(text)
    typer.echo(f"{name} may call as {wanted.word}{f' for {days} days' if days else ''}: {path}{hint_of(path)}", err=True)


@door_app.command("remove")
def remove(name: Name, file: FileOption = None) -> None:
    """Remove a person or program; sessions and tokens end at once."""
    path = file_of(file)
    with users.changing(path) as held:
        held[0] = held[0].without(name)
    typer.echo(f"{name} is removed: {path}")


@door_app.command("list")
def list_(file: FileOption = None) -> None:
    """Show who may come in. Passwords and tokens are not kept, so they can't be shown."""
    path = file_of(file)
    held, now_s = users.read(path), WallClock().now_ns() // NS_PER_S
    for name, user in sorted(held.users.items()):
        typer.echo(f"{name:<24} person   {user.role.word}")
    for name, each in sorted(held.tokens.items()):
        typer.echo(f"{name:<24} program  {each.role.word:<8} {_until(each.expires_s, now_s)}")


@door_app.command("secret")
def secret() -> None:
    """Print a fresh cookie secret of 256 random bits, for WORKBENCH_COOKIE_SECRET."""
    typer.echo(secret_text())


def _until(expires_s: int | None, now_s: int) -> str:
    if expires_s is None:
        return "until removed"
    return "expired" if expires_s <= now_s else f"{-(-(expires_s - now_s) // DAY_S)} days left"
