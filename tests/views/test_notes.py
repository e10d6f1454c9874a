"""What a chart says beside its bars."""

import pytest

from workbench.sources.base import SourceInfo
from workbench.types import TIMEFRAMES
from workbench.views.notes import history_note, unfit_timeframes

MINUTE_NS = 60 * 10**9


@pytest.mark.parametrize(
    ("minutes", "fit"),
    [
        (0, list(TIMEFRAMES)),
        (2, ["2m", "10m", "30m", "1h", "2h", "4h", "1d", "1w"]),
        (5, ["5m", "10m", "15m", "30m", "1h", "2h", "4h", "1d", "1w"]),
        (10, ["10m", "30m", "1h", "2h", "4h", "1d", "1w"]),
        (60, ["1h", "2h", "4h", "1d", "1w"]),
        (1440, ["1d", "1w"]),
        (10080, ["1w"]),
    ],
)
def test_only_timeframes_that_recorded_bars_make_up_are_fit(minutes, fit):
    info = SourceInfo("replay", "a file", bar_lengths_ns={"SPY": minutes * MINUTE_NS} if minutes else {})
    assert [label for label in TIMEFRAMES if label not in unfit_timeframes(info, "SPY")] == fit
    assert unfit_timeframes(info, "QQQ") == {}


def test_a_timeframe_that_bars_do_not_divide_says_so():
    why = unfit_timeframes(SourceInfo("replay", "a file", bar_lengths_ns={"SPY": 10 * MINUTE_NS}), "SPY")
    assert why["15m"] == "SPY was recorded in 10m bars, which don't make up 15m ones; choose 10m or longer"
    assert why["1m"].startswith("SPY was recorded in 10m bars: at 1m only the last minute of each is shown")


@pytest.mark.parametrize(
    ("trouble", "note"),
    [
        ("", ""),
        (
            "your plan does not include the history of SPY; upgrade the plan",
            "History of SPY can't be read: your plan does not include the history of SPY; upgrade the plan",
        ),
        (
            "history of SPY: down; it is tried again by itself",
            "History of SPY can't be read: down; it is tried again by itself, and this note goes when it succeeds; if it stays, run workbench doctor",
        ),
    ],
)
def test_a_history_that_cannot_be_read_says_why_and_what_comes_next(trouble, note):
    assert history_note("SPY", trouble) == note
