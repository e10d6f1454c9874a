"""Who is in the file may come in, nobody else; the file is private and always whole."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from tests.door.conftest import PASSWORD, SECRET
from workbench import doctor
from workbench.clock import NS_PER_S, ReplayClock
from workbench.config import Settings
from workbench.door import guests, users
from workbench.door.guests import GuestBook, Refused
from workbench.door.roles import Caller, Role
from workbench.door.users import UserFile, Users
from workbench.errors import ConfigError, DoorError

NOON = 1_763_744_400
posix = pytest.mark.skipif(os.name != "posix", reason="file modes")


@pytest.fixture
def clock():
    return ReplayClock(NOON * NS_PER_S)


@pytest.fixture
def book(settings, clock):
    return GuestBook(settings, clock=clock)


def test_roles_are_a_ladder():
    assert Role.VIEWER < Role.TRADER < Role.RISK < Role.ADMIN
    Caller("ann", Role.RISK, "session").require(Role.TRADER)
    with pytest.raises(DoorError, match="ann is trader; allowed: risk and above"):
        Caller("ann", Role.TRADER, "session").require(Role.RISK)
    with pytest.raises(ConfigError, match="did you mean 'trader'"):
        Role.of("trade")
    with pytest.raises(ConfigError, match="allowed: viewer, trader, risk, admin"):
        Role.of("nobody")


@posix
def test_the_file_is_private_from_its_first_moment(tmp_path):
    path = tmp_path / "deep" / "users.json"
    with users.changing(path) as held:
        held[0] = held[0].with_user("ann", Role.TRADER, PASSWORD)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert sorted(each.name for each in path.parent.iterdir()) == ["users.json"]


@posix
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o606])
def test_a_file_that_others_can_read_or_change_is_refused(password_file, mode):
    password_file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        users.read(password_file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"users": 3, "tokens": {}}',
        '{"users": {"a": {}}, "tokens": {}}',
        '{"users": {"a": {"role": "king", "password": "x"}}, "tokens": {}}',
        "\x00",
    ],
)
def test_a_file_that_is_none_is_refused(password_file, text):
    password_file.write_text(text)
    with pytest.raises(ConfigError):
        users.read(password_file)


def test_a_change_that_fails_leaves_the_file_as_it_was(password_file):
    before = password_file.read_bytes()
    with pytest.raises(ConfigError), users.changing(password_file) as held:
        held[0] = held[0].without("vera").without("stranger")
    assert password_file.read_bytes() == before
    with users.changing(password_file), pytest.raises(DoorError, match="another program"), users.changing(password_file):
        pass


@pytest.mark.parametrize("name", ["", " ", "a b", "a|b", "x" * 65, "-x", "a\nb", "../etc", "<script>"])
def test_a_name_that_could_not_stand_in_a_log_is_refused(name):
    with pytest.raises(ConfigError, match="name: received"):
        Users().with_user(name, Role.VIEWER, PASSWORD)


def test_tokens_are_kept_hashed_and_seen_once(password_file, tokens):
    held = password_file.read_text()
    for token in tokens.values():
        assert len(token) >= 43
        assert token not in held
        assert token.removeprefix("wb_") not in held
    assert len(set(tokens.values())) == len(tokens)


def test_a_server_reads_the_file_again_when_it_has_changed(password_file):
    file = UserFile(password_file)
    assert "vera" in file.now().users
    with users.changing(password_file) as held:
        held[0] = held[0].without("vera")
    assert "vera" not in file.now().users


def test_the_right_password_opens_a_session_for_twelve_hours(book, clock):
    cookie = book.log_in("tom", PASSWORD, "192.0.2.7")
    assert book.by_cookie(cookie) == Caller("tom", Role.TRADER, "session")
    clock.advance_to((NOON + guests.SESSION_S - 1) * NS_PER_S)
    assert book.by_cookie(cookie) is not None
    clock.advance_to((NOON + guests.SESSION_S + 2) * NS_PER_S)
    assert book.by_cookie(cookie) is None


def test_a_session_ends_with_its_password_or_its_person(book, password_file):
    tom, rita = book.log_in("tom", PASSWORD, "192.0.2.7"), book.log_in("rita", PASSWORD, "192.0.2.7")
    with users.changing(password_file) as held:
        held[0] = held[0].with_user("tom", Role.TRADER, "another long password").without("rita")
    assert book.by_cookie(tom) is None
    assert book.by_cookie(rita) is None


def test_a_change_of_role_counts_at_once(book, password_file):
    cookie = book.log_in("ada", PASSWORD, "192.0.2.7")
    values = json.loads(password_file.read_text())
    values["users"]["ada"]["role"] = "viewer"
    password_file.write_text(json.dumps(values))
    assert book.by_cookie(cookie).role is Role.VIEWER


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1] + ("0" if c[-1] != "0" else "1"),
        lambda c: c[:-64],
        lambda c: "",
        lambda c: "tom|x",
        lambda c: c.replace("2|1", "1|1", 1),
        lambda c: c * 2,
    ],
)
def test_a_forged_cookie_is_nobodys(book, change):
    assert book.by_cookie(change(book.log_in("tom", PASSWORD, "192.0.2.7"))) is None


def test_a_cookie_signed_elsewhere_is_nobodys(settings, clock, password_file):
    elsewhere = GuestBook(Settings(password_file=password_file, cookie_secret=SECRET[::-1]), clock=clock)
    assert GuestBook(settings, clock=clock).by_cookie(elsewhere.log_in("tom", PASSWORD, "192.0.2.7")) is None


def test_without_a_secret_each_start_has_its_own(password_file, clock):
    first, second = (GuestBook(Settings(password_file=password_file), clock=clock) for _ in range(2))
    cookie = first.log_in("tom", PASSWORD, "127.0.0.1")
    assert first.by_cookie(cookie) is not None
    assert second.by_cookie(cookie) is None


def test_five_wrong_passwords_lock_name_and_address_even_for_the_right_one(settings, clock):
    watch = [0]
    book = GuestBook(settings, clock=clock, stopwatch=lambda: watch[0])
    assert [book.log_in("tom", "wrong", "192.0.2.7") for _ in range(4)] == [Refused(0)] * 4
    assert book.log_in("tom", "wrong", "192.0.2.7") == Refused(900)
    assert book.log_in("tom", PASSWORD, "198.51.100.1") == Refused(900)
    assert book.log_in("rita", PASSWORD, "192.0.2.7") == Refused(900)
    assert isinstance(book.log_in("rita", PASSWORD, "198.51.100.1"), str)
    watch[0] = 900 * NS_PER_S
    assert isinstance(book.log_in("tom", PASSWORD, "192.0.2.7"), str)


@pytest.mark.parametrize("text", ["{", '{"users": {}}', None])
def test_a_file_that_breaks_while_it_is_served_locks_nobody_out_and_says_what_is_broken(settings, clock, password_file, caplog, text):
    book = GuestBook(settings, clock=clock)
    whole = password_file.read_text()
    password_file.write_text(text) if text else password_file.unlink()
    for _ in range(6):
        with pytest.raises(ConfigError, match="password_file"):
            book.log_in("tom", PASSWORD, "192.0.2.7")
    said = {"{": "line 1, column 2: ", '{"users": {}}': "entries are missing", None: "No such file"}[text]
    assert [said in record.getMessage() for record in caplog.records] == [True]
    users.write(password_file, Users())
    password_file.write_text(whole)
    assert isinstance(book.log_in("tom", PASSWORD, "192.0.2.7"), str)


def test_a_broken_password_is_named_and_is_nobodys_failed_try(settings, clock, password_file, caplog):
    held = users.read(password_file)
    broken = replace(held.users["tom"], password=held.users["tom"].password[:-9])
    users.write(password_file, replace(held, users={**held.users, "tom": broken}))
    book = GuestBook(settings, clock=clock)
    assert "the password of 'tom' is broken" in caplog.text
    assert broken.password not in caplog.text
    assert [book.log_in("tom", PASSWORD, "192.0.2.7") for _ in range(6)] == [Refused(0)] * 6
    assert isinstance(book.log_in("rita", PASSWORD, "192.0.2.7"), str)
    check = doctor.check_door(settings)
    assert (check.state, "`workbench door add tom --role ROLE`" in check.found) == (doctor.State.FAIL, True)
    with users.changing(password_file) as file:
        file[0] = file[0].with_user("tom", Role.TRADER, PASSWORD)
    assert isinstance(book.log_in("tom", PASSWORD, "192.0.2.7"), str)


def test_an_unknown_name_costs_a_hash_of_the_same_price(settings, monkeypatch):
    hashed = []
    real = guests.is_password
    monkeypatch.setattr(guests, "is_password", lambda password, stored: hashed.append(stored.split("$")[:4]) or real(password, stored))
    book = GuestBook(settings)
    book.log_in("stranger", "wrong", "192.0.2.7")
    assert hashed == [["scrypt", "15", "8", "3"]]


def test_tokens_are_known_until_they_expire(settings, tokens, password_file):
    book = GuestBook(settings)
    assert book.by_token(tokens["risk"]) == Caller("bot-risk", Role.RISK, "token")
    assert book.by_token(tokens["expired"]) is None
    assert book.by_token("wb_unknown") is None
    assert GuestBook(settings, clock=ReplayClock(999_999_999 * NS_PER_S)).by_token(tokens["expired"]).role is Role.ADMIN
