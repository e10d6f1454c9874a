"""The log of a running desk shows what happened, in UTC, and never a key."""

from __future__ import annotations

import logging
from urllib.parse import quote

import pytest

from workbench.cli.log import MaskingFormatter, start_log
from workbench.config import Settings


@pytest.fixture(autouse=True)
def _restore():
    root, own = logging.getLogger(), logging.getLogger("workbench")
    before = root.handlers[:], root.level, own.level
    yield
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
