"""Options of the simulated market: one market seen as snapshot, stream and history, consistent with its underlying."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest

from workbench.clock import NS_PER_MIN, NS_PER_S, ReplayClock
from workbench.errors import SymbolError
from workbench.hub.bars import build_bars
from workbench.options.chain import Chain
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.base import ChainSource
from workbench.sources.simulated import SimulatedSource
from workbench.sources.simulation.core import SimulatedCore
from workbench.sources.simulation.market import NO_FAULTS, Market
from workbench.sources.simulation.options import OptionMarket
from workbench.sources.simulation.smile import FUND, RATE, SINGLE, Smile, worth
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, OptionContract, SymbolTable

DAY = date(2026, 11, 20)
TEN, NOON, LATE = ny_ns(DAY, 10), ny_ns(DAY, 12), ny_ns(DAY, 15, 55)


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return SessionCalendar.xnys()


@pytest.fixture(scope="module")
def options(calendar: SessionCalendar) -> OptionMarket:
    return OptionMarket(Market(seed=11, calendar=calendar, faults=NO_FAULTS))


def column(chain: Chain, name: str, right: str) -> np.ndarray:
    """One column of the calls or puts, by strike."""
    rows = chain.rows[chain.rows["right"] == right]
    return rows[np.argsort(rows["strike"])][name]


def near(chain: Chain, n: int = 1) -> list[str]:
    return [f"O:{symbol}" for symbol in chain.near(n).rows["symbol"]]


def play(options: OptionMarket, symbols: list[str], start_ns: int, stops: list[int]):
    table = SymbolTable()
    core = SimulatedCore(options.market, table, start_ns, options)
    core.subscribe(symbols)
    batches = [batch for stop in stops for batch in core.until(stop)]
    trades = np.concatenate([np.zeros(0, TRADE_DTYPE), *(b.trades for b in batches)])
    quotes = np.concatenate([np.zeros(0, QUOTE_DTYPE), *(b.quotes for b in batches)])
    return trades, quotes, table


# -- what is listed ---------------------------------------------------------------------------------------------------------


def test_every_session_has_an_option_of_the_day(options: OptionMarket, calendar: SessionCalendar):
    for back in range(15):
        day = DAY - timedelta(days=back)
        if calendar.is_session(day):
            assert options.expiries("SPY", ny_ns(day, 10))[0] == day


def test_an_expiry_is_gone_after_its_close(options: OptionMarket):
    assert options.expiries("SPY", ny_ns(DAY, 15, 59))[0] == DAY
    assert options.expiries("SPY", ny_ns(DAY, 16))[0] == date(2026, 11, 23)


def test_weeklies_and_monthlies_are_listed_with_holidays_moved(options: OptionMarket):
    listed = options.expiries("AAPL", TEN)
    assert {date(2026, 12, 4), date(2026, 12, 11), date(2026, 12, 18), date(2027, 1, 15), date(2027, 3, 19)} <= set(listed)
    assert date(2026, 12, 24) in listed and date(2026, 12, 25) not in listed  # Christmas falls on a Friday
    assert date(2027, 6, 17) in listed  # the third Friday, the 18th, is the observed Juneteenth


def test_the_days_chain_of_spy_has_dollar_strikes_in_hundreds(options: OptionMarket):
    chain = options.chain("SPY", DAY, TEN)
    assert 200 <= len(chain) <= 400
    middle = np.unique(chain.near(20).rows["strike"])
    assert (np.diff(middle) == 1).all()
    assert chain.notes == ()


def test_a_date_that_is_not_listed_has_an_empty_chain_and_an_unknown_symbol_none(options: OptionMarket):
    assert len(options.chain("SPY", date(2026, 11, 21), TEN)) == 0
    with pytest.raises(SymbolError, match="symbol: received 'SPX'"):
        options.chain("SPX", DAY, TEN)


@pytest.mark.parametrize("symbol", ["O:SPX261120C05000000", "O:SPY261121C00675000", "O:SPY261120C00675130"])
def test_contracts_that_cannot_be_listed_are_refused(options: OptionMarket, symbol: str):
    with pytest.raises(SymbolError, match="received"):
        options.contract(symbol)


# -- what they cost ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [TEN, NOON, LATE])
@pytest.mark.parametrize(("symbol", "days"), [("SPY", 0), ("SPY", 28), ("NVDA", 0), ("NVDA", 364)])
def test_put_call_parity_holds_within_the_quotes(options: OptionMarket, symbol: str, days: int, at: int):
    chain = options.chain(symbol, DAY + timedelta(days=days), at)
    strike, years = column(chain, "strike", "C"), (chain.rows["expiry_ns"][0] - at) / (365 * 86_400 * NS_PER_S)
    forward = chain.spot - strike * math.exp(-RATE * years)
    is_fair = np.exp(RATE * years) * strike < chain.spot * 1.02  # deep puts are worth their exercise, above parity
    low = column(chain, "bid", "C") - column(chain, "ask", "P")
    high = column(chain, "ask", "C") - column(chain, "bid", "P")
    assert is_fair.sum() > 10
    assert (low <= forward + 1e-9)[is_fair].all()
    assert (forward <= high + 1e-9)[is_fair].all()


@pytest.mark.parametrize("smile", [FUND, SINGLE])
@pytest.mark.parametrize("days", [0.01, 0.5, 30.0, 700.0])
def test_no_butterfly_has_a_negative_price(smile: Smile, days: float):
    strike = np.linspace(0.4, 2.0, 4001) * 100
    variance = np.full(len(strike), 1.1e-4 * days)
    usd, _ = worth(smile, np.full(len(strike), 100.0), strike, np.full(len(strike), days * 86_400e9), variance, np.full(len(strike), "C"))
    assert (np.diff(usd) <= 1e-12).all()
    assert (np.diff(usd, 2) >= -1e-9).all()


def test_a_longer_option_has_more_total_variance_at_every_strike():
    log_strike = np.linspace(-1, 1, 401)
    shorter = FUND.total_variance(np.full(401, 1e-4), log_strike)
    longer = FUND.total_variance(np.full(401, 2e-4), log_strike)
    assert (longer > shorter).all()


def test_the_smile_is_what_its_formula_gives_by_hand():
    # SSVI, theta 0.04, k -0.2, rho -0.7, eta 1: phi k = -1, w = 0.02 * (1 + 0.7 + sqrt(1.7^2 + 0.51))
    by_hand = 0.02 * (1.7 + math.sqrt(2.89 + 0.51))
    assert FUND.total_variance(np.array([0.04]), np.array([-0.2]))[0] == pytest.approx(by_hand, rel=1e-14)


def test_quotes_are_whole_ticks_never_crossed_and_wider_away_from_the_money(options: OptionMarket):
    rows = options.chain("SPY", DAY, TEN).rows
    cents = 100 * np.stack([rows["bid"], rows["ask"]])
    assert np.abs(cents - np.rint(cents)).max() < 1e-9
    assert (rows["ask"] > rows["bid"]).all()
    spread = (rows["ask"] - rows["bid"])[rows["right"] == "C"]
    assert spread[:5].mean() > 3 * np.median(spread[rows["bid"][rows["right"] == "C"] < 5])


def test_spreads_widen_and_sizes_shrink_before_the_end(options: OptionMarket):
    def at(ts_ns: int) -> tuple[float, float]:
        rows = options.chain("SPY", DAY, ts_ns).near(5).rows
        return float((rows["ask"] - rows["bid"]).mean()), float(rows["ask_size"].mean())

    noon, late = ([at(ts + k * 10 * NS_PER_S) for k in range(12)] for ts in (NOON, ny_ns(DAY, 15, 57)))
    assert np.mean([w for w, _ in late]) > np.mean([w for w, _ in noon])
    assert np.mean([s for _, s in late]) < np.mean([s for _, s in noon])


def test_dead_wings_have_no_bid_and_no_bid_size(options: OptionMarket):
    rows = options.chain("SPY", DAY, NOON).rows
    dead = rows[rows["bid"] == 0]
    assert len(dead) > 20
    assert (dead["bid_size"] == 0).all() and (dead["ask"] > 0).all() and (dead["ask_size"] > 0).all()


def test_open_interest_peaks_at_round_strikes_and_stands_still_all_day(options: OptionMarket):
    chain = options.chain("SPY", DAY, TEN)
    rows = chain.rows
    later = options.chain("SPY", DAY, LATE).rows
    assert np.array_equal(rows["open_interest"], later["open_interest"])
    middle = rows[np.abs(rows["strike"] / chain.spot - 1) < 0.04]
    is_round = middle["strike"] % 5 == 0
    assert middle["open_interest"][is_round].mean() > 1.5 * middle["open_interest"][~is_round].mean()


def test_volatility_falls_back_to_the_average_with_time(options: OptionMarket):
    inside, whole = options.market.day_vols("SPY", options.market.calendar.at(TEN))

    def vol(days: int) -> float:
        chain = options.chain("SPY", DAY + timedelta(days=days), TEN)
        rows = chain.near(1).rows
        straddle = sum((rows["bid"] + rows["ask"]) / 2) / 2
        years = (chain.rows["expiry_ns"][0] - TEN) / (365 * 86_400 * NS_PER_S)
        return float(straddle / 0.7979 / chain.spot / math.sqrt(years))  # Brenner, Subrahmanyam 1988

    assert vol(364) == pytest.approx(whole * math.sqrt(252 * 1.10), rel=0.15)
    assert (vol(12) > vol(364)) == (inside**2 / 0.7 > whole**2)


# -- three views of one market ------------------------------------------------------------------------------------------------


def test_live_quotes_and_snapshot_say_the_same(options: OptionMarket):
    start, end = TEN, TEN + 90 * NS_PER_S
    chain = options.chain("SPY", DAY, end)
    symbols = near(chain, 6)
    _, quotes, table = play(options, symbols, start, [end + NS_PER_S // 10])
    newest = {table.name(int(row["symbol_id"])): row for row in quotes}
    assert set(newest) == set(symbols)
    for row in chain.near(6).rows:
        told = newest[f"O:{row['symbol']}"]
        assert (told["bid"], told["ask"]) == (row["bid"], row["ask"])


def test_volume_grows_by_what_is_printed_and_last_is_the_last_print(options: OptionMarket):
    before, after = (options.chain("SPY", DAY, at).near(4).rows for at in (TEN, TEN + 2 * NS_PER_MIN))
    both = np.intersect1d(before["symbol"], after["symbol"])
    trades, _, table = play(options, [f"O:{s}" for s in both], TEN, [TEN + 2 * NS_PER_MIN])
    assert len(trades) > 20
    for symbol in both:
        mine = trades[trades["symbol_id"] == table.get(f"O:{symbol}")]
        old, new = (rows[rows["symbol"] == symbol][0] for rows in (before, after))
        assert new["volume"] - old["volume"] == mine["size"].sum()
        if len(mine):
            assert new["last"] == mine["price"][-1]


def test_history_equals_what_the_hubs_kernels_build_from_the_stream(options: OptionMarket, calendar: SessionCalendar):
    start, end = ny_ns(DAY, 9, 30), ny_ns(DAY, 10, 30)
    symbol = near(options.chain("SPY", DAY, TEN))[0]
    trades, _, _ = play(options, [symbol], start, [end + NS_PER_S])
    built = build_bars(*(trades[c] for c in ("ts_event", "price", "size")), conditions=trades["conditions"], sessions=calendar)
    told = options.history(symbol, start, end)
    built = built[built["ts_open"] < end]
    assert len(told) > 40
    for name in ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades"):
        assert np.array_equal(told[name], built[name]), name
    for name in ("vwap", "vw_std"):
        assert np.allclose(told[name], built[name], rtol=1e-12, atol=1e-9), name


def test_history_of_a_contract_goes_back_over_sessions_and_ends_with_it(options: OptionMarket):
    symbol = near(options.chain("SPY", DAY, TEN))[0]
    rows = options.history(symbol, TEN - 60 * 86_400 * NS_PER_S, TEN + 30 * 86_400 * NS_PER_S)
    assert rows.dtype == BAR_DTYPE
    assert len(np.unique(rows["ts_open"] // (86_400 * NS_PER_S))) > 5
    assert rows["ts_close"].max() <= ny_ns(DAY, 16)
    assert (rows["low"] > 0).all() and (rows["low"] <= np.minimum(rows["open"], rows["close"])).all()


@pytest.mark.parametrize("steps", [[40], [1, 250, 1000], [7_777]])
def test_the_stream_is_the_same_in_whatever_steps_it_is_taken(options: OptionMarket, steps: list[int]):
    end = TEN + 20 * NS_PER_S
    symbols = [*near(options.chain("SPY", DAY, TEN), 2), *near(options.chain("AAPL", DAY, TEN), 2)]
    stops, at = [], TEN
    while at < end:
        at = min(end, at + steps[len(stops) % len(steps)] * 1_000_000)
        stops.append(at)
    whole, parted = play(options, symbols, TEN, [end]), play(options, symbols, TEN, stops)
    for one, other in zip(whole[:2], parted[:2], strict=True):
        keys = ["ts_recv", "symbol_id", "ts_event"]
        assert np.array_equal(np.sort(one, order=keys), np.sort(other, order=keys))


def test_watching_options_does_not_change_the_stocks(options: OptionMarket):
    symbols = near(options.chain("SPY", DAY, TEN), 5)
    alone, _, table = play(options, ["SPY", "QQQ"], TEN, [TEN + 30 * NS_PER_S])
    beside, _, _ = play(options, ["SPY", "QQQ", *symbols], TEN, [TEN + 30 * NS_PER_S])
    assert np.array_equal(alone, beside[beside["symbol_id"] < len(table)])


def test_a_contract_is_quoted_at_most_four_times_a_second(options: OptionMarket):
    _, quotes, _ = play(options, near(options.chain("SPY", DAY, TEN), 3), TEN, [TEN + 60 * NS_PER_S])
    _, per_second = np.unique(np.stack([quotes["symbol_id"], quotes["ts_event"] // NS_PER_S]), axis=1, return_counts=True)
    assert per_second.max() <= 4
    assert (quotes["ts_recv"] > quotes["ts_event"]).all()


def test_outside_regular_hours_the_chain_stands_still_and_nothing_is_streamed(options: OptionMarket):
    evening, later = ny_ns(DAY, 17), ny_ns(DAY, 18)
    monday = date(2026, 11, 23)
    first, second = options.chain("SPY", monday, evening), options.chain("SPY", monday, later)
    assert first.rows.tobytes() == second.rows.tobytes()
    assert (first.rows["ts_ns"] == ny_ns(DAY, 16) - NS_PER_S // 4).all()
    morning = options.chain("SPY", monday, ny_ns(monday, 9))
    assert (morning.rows["ts_ns"] == ny_ns(DAY, 16) - NS_PER_S // 4).all()
    trades, quotes, _ = play(options, near(first), evening, [later])
    assert len(trades) == len(quotes) == 0


def test_an_unsubscribed_contract_falls_silent(options: OptionMarket):
    symbols = near(options.chain("SPY", DAY, TEN), 2)
    table = SymbolTable()
    core = SimulatedCore(options.market, table, TEN, options)
    core.subscribe(symbols)
    list(core.until(TEN + 5 * NS_PER_S))
    core.unsubscribe(symbols[1:])
    rows = np.concatenate([batch.quotes for batch in core.until(TEN + 30 * NS_PER_S)])
    assert {table.name(int(k)) for k in rows["symbol_id"]} == {symbols[0]}
    assert core.subscribed == (symbols[0],)


def test_another_seed_gives_another_chain_and_the_same_seed_the_same(calendar: SessionCalendar):
    one, same, other = (OptionMarket(Market(seed=s, calendar=calendar)).chain("AAPL", DAY, TEN).rows for s in (3, 3, 4))
    assert one.tobytes() == same.tobytes()
    assert not np.array_equal(one["open_interest"], other["open_interest"][: len(one)])


def test_the_source_offers_chains_at_its_own_moment(calendar: SessionCalendar):
    source = SimulatedSource(["SPY"], calendar=calendar, start_ns=TEN, clock=ReplayClock())
    assert isinstance(source, ChainSource)
    assert source.info.has_chains
    assert source.expiries("SPY")[0] == DAY
    chain = source.chain("SPY", DAY)
    assert chain.asof_ns == TEN and chain.underlying == "SPY"
    symbol = OptionContract.parse(str(chain.near(1).rows["symbol"][0])).symbol
    assert len(source.history(symbol, ny_ns(DAY, 9, 30), TEN).rows) > 5
