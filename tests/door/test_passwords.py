"""Passwords are kept as salted scrypt, checked against the vectors of RFC 7914."""

from __future__ import annotations

import base64

import pytest

from workbench.door.passwords import check_password, hash_password, is_password
from workbench.errors import ConfigError


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_scrypt_is_that_of_rfc_7914():
    wanted = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")  # section 12, first 32 bytes
    stored = f"scrypt$14$8$1${b64(b'SodiumChloride')}${b64(wanted)}"
    assert is_password("pleaseletmein", stored)
    assert not is_password("pleaseletmeim", stored)


def test_one_password_gives_a_new_hash_each_time_and_both_are_right():
    first, second = hash_password("correct horse battery"), hash_password("correct horse battery")
    assert first != second
    assert first.startswith("scrypt$15$8$3$")
    assert is_password("correct horse battery", first)
    assert is_password("correct horse battery", second)
    assert "horse" not in first


@pytest.mark.parametrize(
    "stored",
    ["", "x", "scrypt$15$8$3$AAAA", "md5$1$1$1$AAAA$AAAA", "scrypt$40$8$3$AAAA$AAAA", "scrypt$4$8$999$AA==$AA==", "scrypt$4$8$1$!!$AA=="],
)
def test_a_hash_that_can_not_be_read_is_nobodys(stored):
    assert not is_password("anything at all", stored)


@pytest.mark.parametrize("password", ["", "short", "eleven char", "aaaaaaaaaaaaaaaa", "x" * 1025])
def test_a_password_that_is_easily_guessed_is_refused_and_not_quoted(password):
    with pytest.raises(ConfigError, match="password: received") as raised:
        check_password(password)
    assert not password or password not in str(raised.value)
