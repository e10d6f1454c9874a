import numpy as np
import pytest
from fake_hub import START_NS, random_bars

from workbench import indicators
from workbench.errors import ConfigError
from workbench.sessions import SessionCalendar
from workbench.views.studies import KINDS, make_studies, parse_study

CALENDAR = SessionCalendar.xnys()


@pytest.fixture
def rows():
    return random_bars("5m", START_NS, 500, 100.0)


@pytest.mark.parametrize("name", ["vwap", *KINDS])
def test_a_forming_bar_shows_what_it_would_show_once_closed(rows, name):
    (study,) = make_studies([name], CALENDAR, is_intraday=True)
    study.load(rows[:-2])
    live = study.peek(rows[-2:])
    (whole,) = make_studies([name], CALENDAR, is_intraday=True)
    closed = whole.load(rows)
    for column, values in live.items():
        assert values == pytest.approx(closed[column][-2:], nan_ok=True)


@pytest.mark.parametrize("name", ["vwap", *KINDS])
def test_peeking_leaves_no_trace(rows, name):
    (study,) = make_studies([name], CALENDAR, is_intraday=True)
    study.load(rows[:-1])
    first = study.peek(rows[-1:])
    for _ in range(3):
        again = study.peek(rows[-1:])
    for column in first:
        assert again[column] == pytest.approx(first[column], nan_ok=True)


@pytest.mark.parametrize("name", ["vwap", *KINDS])
def test_no_bars_at_all_are_no_trouble(rows, name):
    (study,) = make_studies([name], CALENDAR, is_intraday=True)
    assert all(len(values) == 0 for values in study.load(rows[:0]).values())
    assert all(len(values) == 1 for values in study.peek(rows[:1]).values())
    assert all(len(values) == 0 for values in study.peek(rows[:0]).values())


def test_the_drawn_average_is_the_indicators_own(rows):
    (study,) = make_studies(["ema:34"], CALENDAR, is_intraday=True)
    assert study.label == "EMA 34"
    assert np.array_equal(study.load(rows)["ema:34#0"], indicators.ema(rows["close"], 34), equal_nan=True)


def test_vwap_is_not_drawn_on_daily_bars():
    rows = random_bars("1d", START_NS, 50, 100.0)
    (study,) = make_studies(["vwap"], CALENDAR, is_intraday=False)
    assert all(np.isnan(values).all() for values in study.load(rows).values())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("emaa:20", "did you mean 'ema'"),
        ("ema:x", "numbers after ema"),
        ("ema:0", "period"),
        ("ema:20:3", "at most 1"),
        ("macd:26:12", "fast"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_with_what_is_allowed(name, says):
    with pytest.raises(ConfigError, match=says):
        parse_study(name)


def test_averages_on_one_chart_have_different_colours():
    studies = make_studies(["ema:9", "ema:20", "sma:50"], CALENDAR, is_intraday=True)
    assert len({study.lines[0].colour for study in studies}) == 3
