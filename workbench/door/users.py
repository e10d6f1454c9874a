"""The password file: people with roles and salted hashes, programs with roles and hashed tokens.

One JSON file, mode 0600, or it is refused: `{"users": {name: {"role", "password"}}, "tokens": {name: {"role", "sha256", "expires"}}}`.
It is written beside its place and renamed, under a lock, so that it is whole whatever happens. A server reads it again when it has
changed: somebody removed is out at once.

Floor 1.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.door.address import check_private
from workbench.door.chance import secret_text
from workbench.door.passwords import check_password, hash_password, is_hash
from workbench.door.roles import Role
from workbench.errors import ConfigError, DoorError

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
TOKEN_PREFIX = "wb_"  # noqa: S105 - lets secret scanners know one
MAX_FILE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class User:
    """A person: role, salted hash of the password."""

    role: Role
    password: str = field(repr=False)

    @property
    def stamp(self) -> str:
        """A short text that changes with the password; a session carries it, so that a new password ends old sessions."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Token:
    """A program: role, SHA-256 of its token, until when (seconds UTC; None: until removed)."""

    role: Role
    sha256: str = field(repr=False)
    expires_s: int | None = None


@dataclass(frozen=True, slots=True)
class Users:
    """What the file holds."""

    users: dict[str, User] = field(default_factory=dict)  # name -> person
    tokens: dict[str, Token] = field(default_factory=dict)  # name -> program

    @property
    def broken(self) -> tuple[str, ...]:
        """Names whose password no password can be compared with: they can't log in before it is set anew."""
        return tuple(name for name, user in self.users.items() if not is_hash(user.password))

    def with_user(self, name: str, role: Role, password: str) -> Users:
        """Return the book with a person added or changed; ConfigError for a name or password that is not allowed."""
        check_name(name)
        check_password(password)
        return replace(self, users={**self.users, name: User(role, hash_password(password))})

    def with_token(self, name: str, role: Role, expires_s: int | None) -> tuple[Users, str]:
        """Return the book with a program added or changed, and its token in clear text: this is the only time it is seen."""
        check_name(name)
        text = TOKEN_PREFIX + secret_text()
        return replace(self, tokens={**self.tokens, name: Token(role, digest(text), expires_s)}), text

    def without(self, name: str) -> Users:
        """Return the book without a person or program; ConfigError when it has neither."""
        if name not in self.users and name not in self.tokens:
            known = ", ".join(sorted({*self.users, *self.tokens})) or "nobody is in the file"
            raise ConfigError(f"name: received {name!r}; allowed: {known}")
        users = {key: value for key, value in self.users.items() if key != name}
        return Users(users, {key: value for key, value in self.tokens.items() if key != name})


def digest(token: str) -> str:
    """Return how a token is kept. It holds 256 random bits, so a fast hash is enough: there is nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_name(name: str) -> None:
    """Refuse a name that could not stand in a log line or a cookie."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"name: received {name!r}; allowed: 1 to 64 letters, digits, or . _ @ - after the first")


def read(path: Path) -> Users:
    """Return what a password file holds. ConfigError: others can read it, or it is none."""
    try:
        check_private("password_file", path)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"password_file: {path} holds more than {MAX_FILE_BYTES} bytes, so it is none")
        return _decode(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"password_file: {path} does not exist; `workbench door add NAME --role viewer` makes it") from None
    except OSError as error:
        raise ConfigError(f"password_file: {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # a ConfigError inside is one of these in no case
        why = _fault(error)
        raise ConfigError(f"password_file: {path} is no password file ({why}); restore it from a backup, or make a new one") from None


def _fault(error: Exception) -> str:
    """Return what is wrong with a file's content, without anything of the content."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return "no UTF-8 text" if isinstance(error, UnicodeDecodeError) else "entries are missing or of another kind"


def _decode(values: Any) -> Users:
    users = {name: User(Role.of(each["role"]), str(each["password"])) for name, each in values["users"].items()}
    tokens = {name: Token(Role.of(each["role"]), str(each["sha256"]), each["expires_s"]) for name, each in values["tokens"].items()}
    return Users(users, tokens)


def write(path: Path, users: Users) -> None:
    """Write a password file, whole or not at all, mode 0600."""
    values = {kind: {name: {**asdict(each), "role": each.role.word} for name, each in getattr(users, kind).items()} for kind in _KINDS}
    text = json.dumps(values, indent=1, sort_keys=True) + "\n"
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(partial).unlink()


_KINDS = ("users", "tokens")


def unusable(name: str) -> str:
    """Return what is wrong with a person whose stored password can't be read, and the next step."""
    return f"the password of {name!r} is broken, so {name} can't log in; `workbench door add {name} --role ROLE` sets it anew"


@contextlib.contextmanager
def changing(path: Path) -> Iterator[list[Users]]:
    """Hold the file's lock while its one content is changed: `with changing(path) as held: held[0] = held[0].without("ann")`.

    A missing file is an empty one; nothing is written when the block raises. DoorError when another program holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise DoorError(f"password_file: {lock} exists, so another program changes the file; remove it when none does") from None
    try:
        held = [read(path) if path.exists() else Users()]
        yield held
        write(path, held[0])
    finally:
        os.close(handle)
        lock.unlink()


class UserFile:
    """A password file as a server reads it: again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        """Read it once; ConfigError when it can't be used."""
        self._path = path
        self._mark: tuple[int, int, int, int] | None = None
        self._users = Users()
        self._said = ""  # what was last logged of a file that can't be read
        self._load()

    def now(self) -> Users:
        """Return its present content; ConfigError, also in the log, when it has become unreadable, which lets nobody in."""
        try:
            self._load()
        except ConfigError as error:
            if str(error) != self._said:
                self._said = str(error)
                log.error("%s; nobody is let in until then", error)  # noqa: TRY400  the sentence is enough
            raise
        self._said = ""
        return self._users

    def _load(self) -> None:
        try:
            stat = self._path.stat()
        except OSError as error:
            raise ConfigError(f"password_file: {self._path}: {error.strerror or error}") from None
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode)
        if mark != self._mark:
            self._users = read(self._path)
            self._mark = mark
            for name in self._users.broken:
                log.error("password_file: %s: %s", self._path, unusable(name))
