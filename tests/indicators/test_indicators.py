"""Every indicator: by hand, against TA-Lib, batch = streaming bit for bit, and deaf to the future."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ConfigError, RecordError
from workbench.indicators import Atr, Bollinger, Ema, Macd, Rsi, Sma, atr, bollinger, ema, macd, rsi, sma, true_range


@pytest.fixture(scope="module")
def talib():
    """The independent oracle, in the [test] extra."""
    return pytest.importorskip("talib", reason="TA-Lib is not installed; it is in the [test] extra")


@dataclass(frozen=True)
class Case:
    """One indicator with small periods: its batch function on columns, a new twin, how many columns it takes."""

    name: str
    batch: Callable
    twin: Callable
    columns: int = 1

    def rows(self, columns: np.ndarray) -> np.ndarray:
        """The batch answer, shape (lines, n)."""
        return np.atleast_2d(np.asarray(self.batch(*columns)))


CASES = [
    Case("ema", lambda x: ema(x, 5), lambda: Ema(5)),
    Case("ema1", lambda x: ema(x, 1), lambda: Ema(1)),
    Case("sma", lambda x: sma(x, 4), lambda: Sma(4)),
    Case("sma200", lambda x: sma(x, 200), lambda: Sma(200)),
    Case("bollinger", lambda x: bollinger(x, 5, 2.5), lambda: Bollinger(5, 2.5)),
    Case("bollinger150", lambda x: bollinger(x, 150), lambda: Bollinger(150)),
    Case("rsi", lambda x: rsi(x, 3), lambda: Rsi(3)),
    Case("macd", lambda x: macd(x, 3, 6, 4), lambda: Macd(3, 6, 4)),
    Case("atr", lambda h, lo, c: atr(h, lo, c, 4), lambda: Atr(4), columns=3),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
prices = st.one_of(st.floats(0.01, 5000), st.integers(1, 500_000).map(lambda c: c / 100), st.sampled_from([np.nan, np.inf, 100.0]))


def walk(n: int, seed: int = 1) -> np.ndarray:
    return np.round(100 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed).standard_normal(n))), 2)


def bars(n: int, seed: int = 1) -> np.ndarray:
    """High, low, close, shape (3, n)."""
    close = walk(n, seed)
    around = np.abs(np.random.default_rng(seed + 1).standard_normal((2, n)))
    return np.stack([close + around[0], close - around[1], close])


def same(a: object, b: object) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


# -- by hand ----------------------------------------------------------------------------------------------------------------

nan = np.nan


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ema([1, 2, 3, 4, 8], 3), [nan, nan, 2, 3, 5.5]),
        (ema([7.0, 9.0], 1), [7, 9]),
        (sma([1, 2, 3, 4, 8], 3), [nan, nan, 2, 3, 5]),
        (rsi([1, 2, 1, 3, 3], 3), [nan, nan, nan, 75, 75]),  # rises 1 and 2, falls 1; then both shrink by 1/3 alike
        (rsi([5, 5, 5, 5], 2), [nan, nan, 50, 50]),
        (rsi([1, 2, 3, 4], 2), [nan, nan, 100, 100]),
        (rsi([4, 3, 2, 1], 2), [nan, nan, 0, 0]),
        (true_range([10, 12, 11], [9, 11, 8], [9.5, 11.5, 8.5]), [nan, 2.5, 3.5]),
        (atr([10, 12, 11, 9], [9, 11, 8, 8.5], [9.5, 11.5, 8.5, 9], 2), [nan, nan, 3.0, 1.75]),  # (2.5 + 3.5) / 2, then (3 + 0.5) / 2
    ],
)
def test_values_that_can_be_worked_out_on_paper(found: np.ndarray, expected: list[float]):
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_bollinger_on_paper():
    found = bollinger([1, 3, 3, 3], 2, 2.0)
    np.testing.assert_allclose(found.middle, [nan, 2, 3, 3])
    np.testing.assert_allclose(found.upper, [nan, 4, 3, 3])  # deviation 1, then 0
    np.testing.assert_allclose(found.lower, [nan, 0, 3, 3])


def test_macd_on_paper():
    found = macd([1, 2, 3, 4, 8], 2, 3, 2)  # EMA2: nan 1.5 2.5 3.5 6.5; EMA3: nan nan 2 3 5.5
    np.testing.assert_allclose(found.line, [nan, nan, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(found.signal, [nan, nan, nan, 0.5, 0.5 + 2 / 3 * 0.5])
    np.testing.assert_allclose(found.histogram, [nan, nan, nan, 0, 0.5 / 3], atol=1e-15)


# -- an independent library -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 9, 14, 20, 50, 200])
def test_single_lines_equal_talib(talib, period: int):
    close = walk(3000)
    high, low, _ = bars(3000)
    np.testing.assert_allclose(ema(close, period), talib.EMA(close, period), rtol=1e-12)
    np.testing.assert_allclose(sma(close, period), talib.SMA(close, period), rtol=1e-11)
    np.testing.assert_allclose(rsi(close, period), talib.RSI(close, period), rtol=1e-10)
    np.testing.assert_allclose(atr(high, low, close, period), talib.ATR(high, low, close, period), rtol=1e-11)
    np.testing.assert_allclose(true_range(high, low, close), talib.TRANGE(high, low, close), rtol=1e-13)


@pytest.mark.parametrize(("period", "width"), [(5, 1.0), (20, 2.0), (50, 2.5)])
def test_bollinger_equals_talib(talib, period: int, width: float):
    close = walk(2000)
    upper, middle, lower = talib.BBANDS(close, period, width, width, talib.MA_Type.SMA)
    found = bollinger(close, period, width)
    for ours, theirs in ((found.middle, middle), (found.upper, upper), (found.lower, lower)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)  # TA-Lib takes the deviation from sums of squares


def test_macd_equals_the_difference_of_talibs_averages_and_meets_its_macd_later(talib):
    close = walk(3000)
    found = macd(close)
    line = talib.EMA(close, 12) - talib.EMA(close, 26)
    np.testing.assert_allclose(found.line, line, atol=1e-10)
    np.testing.assert_allclose(found.signal[25:], talib.EMA(line[25:], 9), atol=1e-10)
    theirs = talib.MACD(close)
    for ours, other in zip(found, theirs, strict=True):
        np.testing.assert_allclose(ours[300:], other[300:], atol=1e-8)


# -- laws -------------------------------------------------------------------------------------------------------------------


@each
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_streaming_gives_the_rows_of_the_batch_bit_for_bit(case: Case, data: st.DataObject):
    columns = np.array(data.draw(st.lists(st.tuples(*[prices] * case.columns), max_size=60))).reshape(-1, case.columns).T
    batch, twin = case.rows(columns), case.twin()
    for i in range(columns.shape[1]):
        assert same(twin.update(*columns[:, i]), batch[:, i] if len(batch) > 1 else batch[0, i]), i


@each
def test_streaming_equals_batch_over_a_long_series(case: Case):
    columns = bars(3000)[-case.columns :]
    columns[:, [7, 500, 501]] = np.nan
    twin = case.twin()
    streamed = np.array([np.atleast_1d(twin.update(*columns[:, i])) for i in range(columns.shape[1])]).T
    assert same(streamed, case.rows(columns))


@each
@pytest.mark.parametrize("cut", [0, 1, 3, 6, 150, 399])
def test_cutting_off_the_future_never_changes_the_past(case: Case, cut: int):
    columns = bars(400)[-case.columns :]
    assert same(case.rows(columns[:, :cut]), case.rows(columns)[:, :cut])
    other = columns.copy()
    other[:, cut:] = 1e6
    assert same(case.rows(other)[:, :cut], case.rows(columns)[:, :cut])


@each
def test_peeking_and_cloning_leave_the_state_alone(case: Case):
    columns = bars(40)[-case.columns :]
    twin, control = case.twin(), case.twin()
    for i in range(40):
        copy = twin.clone()
        peeked = twin.peek(*(columns[:, i] + 1))
        assert same(peeked, copy.update(*(columns[:, i] + 1)))
        copy.update(*(columns[:, i] + 9))
        assert same(twin.update(*columns[:, i]), control.update(*columns[:, i]))
        assert same(twin.value, control.value)


@each
def test_a_missing_value_is_no_observation(case: Case):
    columns = bars(300)[-case.columns :]
    holes = np.array([0, 5, 6, 120, 299])
    with_holes = np.insert(columns, holes, np.nan, axis=1)
    found = case.rows(with_holes)
    is_hole = np.isnan(with_holes[0])
    assert np.isnan(found[:, is_hole]).all()
    assert same(found[:, ~is_hole], case.rows(columns))


@each
def test_short_and_empty_series_give_as_many_rows_of_nothing(case: Case):
    for n in (0, 1, 2):
        columns = bars(3)[-case.columns :, :n]
        found = case.rows(columns)
        assert found.shape[-1] == n
        assert case.name == "ema1" or np.isnan(found).all()


@each
def test_the_answer_is_new_and_the_input_untouched(case: Case):
    columns = bars(50)[-case.columns :]
    kept = columns.copy()
    columns.setflags(write=False)
    case.rows(columns)
    assert same(columns, kept)


def test_values_stay_inside_what_they_measure():
    high, low, close = bars(2000, seed=5)
    index = rsi(close)[14:]
    assert ((index >= 0) & (index <= 100)).all()
    assert (atr(high, low, close)[14:] > 0).all()
    bands = bollinger(close)
    assert (bands.lower[19:] <= bands.middle[19:]).all()
    assert (bands.middle[19:] <= bands.upper[19:]).all()


def test_a_flat_series_at_a_high_price_has_bands_of_no_width():
    bands = bollinger(np.full(100, 5234.37), 20)
    np.testing.assert_allclose(bands.upper[19:] - bands.lower[19:], 0, atol=1e-9)


# -- refusals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ema([1.0], 0), r"period: received 0; allowed: a whole number from 1 to 100,000"),
        (lambda: sma([1.0], 2.5), r"period: received 2.5; allowed: a whole number"),
        (lambda: Rsi(True), r"period: received True"),
        (lambda: Bollinger(1), r"period: received 1; allowed: a whole number from 2"),
        (lambda: bollinger([1.0], 2, -1), r"width: received -1; allowed: a number of standard deviations above 0"),
        (lambda: macd([1.0], 26, 12), r"fast: received 26; allowed: less than slow \(12\)"),
        (lambda: Macd(12, 12), r"fast: received 12; allowed: less than slow"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(call: Callable, message: str):
    with pytest.raises(ConfigError, match=message):
        call()


def test_columns_of_different_length_are_refused():
    with pytest.raises(RecordError, match=r"close: received shape \(3,\); allowed: one dimension, 2 values"):
        atr([1, 2], [1, 2], [1, 2, 3])
    with pytest.raises(RecordError, match=r"values: received shape \(1, 2\)"):
        ema([[1, 2]], 1)


def test_every_public_name_says_what_it_does():
    import workbench.indicators as package

    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert inspect.getdoc(getattr(package, name)), name
