"""A password file with one person of each role, made once; settings that use it."""

from __future__ import annotations

import shutil

import pytest

from workbench.config import Settings
from workbench.door import passwords, users
from workbench.door.roles import Role

SECRET = "Zk3-vQ8yT1mXc0RbWn5LpD7sHfA2gJ9uEiKoYtNq4rM"  # 43 letters of url-safe base64: 258 bit
PASSWORD = "correct horse battery"
NAMES = {"vera": Role.VIEWER, "tom": Role.TRADER, "rita": Role.RISK, "ada": Role.ADMIN}


@pytest.fixture(scope="session")
def _made(tmp_path_factory):
    """The file and its tokens: role's word -> token, and 'expired'."""
    path = tmp_path_factory.mktemp("door") / "users.json"
    book, tokens = users.Users(), {}
    cheap = passwords.hash_password(PASSWORD, log2_n=4)
    for name, role in NAMES.items():
        book = users.Users({**book.users, name: users.User(role, cheap)}, book.tokens)
        book, tokens[role.word] = book.with_token(f"bot-{role.word}", role, None)
    book, tokens["expired"] = book.with_token("bot-old", Role.ADMIN, 1_000_000_000)
    users.write(path, book)
    return path, tokens


@pytest.fixture
def tokens(_made):
    return _made[1]


@pytest.fixture
def password_file(_made, tmp_path):
    return shutil.copy2(_made[0], tmp_path / "users.json")


@pytest.fixture
def settings(password_file, tmp_path):
    return Settings(password_file=password_file, cookie_secret=SECRET, data_dir=tmp_path / "data")
