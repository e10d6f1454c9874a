"""The log of a running desk shows what happened, in UTC, and never a key."""

from __future__ import annotations

import base64
import json
import logging
import sys
import threading
from urllib.parse import quote

import pytest

from workbench.config import Settings
from workbench.log import Mask, MaskingFormatter, mask_handlers, start_log


@pytest.fixture(autouse=True)
def _restore():
    root, own = logging.getLogger(), logging.getLogger("workbench")
    before, hooks = (root.handlers[:], root.level, own.level), (sys.excepthook, threading.excepthook)
    yield
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


def test_keys_are_masked_in_messages_arguments_and_tracebacks(capsys, canary):
    start_log(Settings())
    key = Settings().key_for("polygon")
    try:
        raise OSError(f"GET https://example.invalid/?apiKey={quote(key, safe='')} failed")
    except OSError:
        logging.getLogger("some.vendor").exception("could not read with key %s", key)
    said = capsys.readouterr().err
    assert "could not read with key *****" in said
    assert "apiKey=***** failed" in said
    assert not any(form in said for form in canary)


def test_our_own_information_is_shown_and_that_of_others_is_not(capsys):
    start_log(Settings())
    logging.getLogger("workbench.hub").info("feed is live")
    logging.getLogger("bokeh").info("session opened")
    logging.getLogger("workbench.hub").debug("detail")
    said = capsys.readouterr().err
    assert "workbench.hub: feed is live" in said
    assert "session opened" not in said
    assert "detail" not in said


def test_verbose_shows_our_details(capsys):
    start_log(Settings(), is_verbose=True)
    logging.getLogger("workbench.hub").debug("detail")
    assert "detail" in capsys.readouterr().err


def test_lines_carry_utc():
    record = logging.LogRecord("workbench", logging.INFO, "x.py", 1, "hello", (), None)
    record.created = 0.0
    assert MaskingFormatter([]).format(record) == "1970-01-01T00:00:00Z INFO    workbench: hello"


def test_a_very_short_key_does_not_blot_out_words():
    record = logging.LogRecord("workbench", logging.INFO, "x.py", 1, "a bar", (), None)
    assert MaskingFormatter(["a"]).format(record).endswith("a bar")


SECRET = "Qx7/zk+W8s=Lm2 secret-key"


@pytest.mark.parametrize("cut", range(8, len(SECRET) + 1))
def test_any_beginning_of_a_key_from_eight_letters_on_is_masked(cut):
    assert Mask([SECRET])(f"key {SECRET[:cut]}.") == "key *****."


@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "x" * 31])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_inside_base64_is_masked_wherever_it_begins(before, encode):
    said = Mask([SECRET])(encode(f"{before}{SECRET}:after".encode()).decode())
    assert "*****" in said
    kept = said.replace("*****", "A")
    assert SECRET[4:12] not in str(base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)))


def test_two_keys_with_one_beginning_are_both_masked():
    mask = Mask(["same-start-first", "same-start-second-longer"])
    assert mask("a same-start-first, same-start-second-longer same-start") == "a *****, ***** *****"


@pytest.mark.parametrize(
    "said",
    [
        "400 GET /?token=wb_Zk3-vQ8yT1mXc0RbWn5LpD7sHfA2gJ9uEiKoYtNq4rM",
        "{'Authorization': 'Bearer abcdef.ghi'}",
        "Cookie: workbench_session=2|1:0|10:1795273960|17:workbench_session|8:dG9tfHg=|0123456789abcdef",
    ],
)
def test_what_opens_the_door_is_masked_whoever_it_belongs_to(said):
    masked = Mask([])(said)
    assert "*****" in masked
    assert not any(part in masked for part in ("vQ8y", "abcdef", "dG9tfHg"))


def record(message, *args, name="workbench.hub", exc_info=None):
    made = logging.LogRecord(name, logging.WARNING, "x.py", 1, message, args, exc_info)
    made.created, made.msecs = 0.0, 7.0
    return made


def test_what_came_from_outside_can_not_forge_a_line():
    evil = "SPY\n1970-01-01T00:00:00Z INFO    workbench: order filled\r\x1b[2K\u2028\x85"
    line = MaskingFormatter([]).format(record("unknown symbol %s", evil))
    assert len(line.splitlines()) == 1
    assert line.endswith(r"unknown symbol SPY\n1970-01-01T00:00:00Z INFO    workbench: order filled\r\x1b[2K\u2028\x85")


def test_a_tracebacks_lines_are_indented_so_that_none_looks_like_an_event():
    try:
        raise ValueError("bad\n1970-01-01T00:00:00Z INFO    workbench: order filled")
    except ValueError:
        text = MaskingFormatter([]).format(record("failed", exc_info=sys.exc_info()))
    assert [line for line in text.splitlines()[1:] if not line.startswith("    ")] == []


def test_json_lines_hold_the_same_with_the_traceback_as_one_field():
    try:
        raise OSError(f"GET /?key={SECRET}")
    except OSError:
        line = MaskingFormatter([SECRET], is_json=True).format(record("no %s\nanswer", SECRET, exc_info=sys.exc_info()))
    assert len(line.splitlines()) == 1
    fields = json.loads(line)
    assert {name: fields[name] for name in ("ts", "level", "logger", "message")} == {
        "ts": "1970-01-01T00:00:00.007Z", "level": "WARNING", "logger": "workbench.hub", "message": "no *****\nanswer",
    }  # fmt: skip
    assert fields["exception"].endswith("OSError: GET /?key=*****")
    assert SECRET[:8] not in line


def test_json_is_switched_on_by_a_setting(capsys):
    start_log(Settings(log_json=True))
    logging.getLogger("workbench").info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"


def test_what_nobody_caught_is_logged_masked_also_from_a_thread(capsys, canary):
    start_log(Settings())
    key = Settings().key_for("polygon")

    def fail():
        raise RuntimeError(f"with {key}")

    thread = threading.Thread(target=fail, name="feed")
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError:
        sys.excepthook(*sys.exc_info())
    said = capsys.readouterr().err
    assert "thread feed stopped" in said
    assert said.count("RuntimeError: with *****") == 2
    assert not any(form in said for form in canary)


def test_a_record_that_can_not_be_formatted_shows_nothing_of_itself(capsys, canary):
    start_log(Settings())
    logging.getLogger("workbench.hub").info("%d", Settings().key_for("polygon"))
    assert capsys.readouterr().err == "a line of workbench.hub could not be logged\n"


def test_a_log_that_somebody_else_set_up_is_masked_too(capsys, canary):
    logging.getLogger().handlers[:] = [logging.StreamHandler(sys.stderr)]
    mask_handlers(Settings())
    logging.getLogger("tornado.access").warning("404 GET /?key=%s", Settings().key_for("polygon"))
    said = capsys.readouterr().err
    assert "404 GET /?key=*****" in said
    assert not any(form in said for form in canary)
