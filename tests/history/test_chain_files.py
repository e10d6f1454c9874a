"""Real chains, loaded as they are, implied, and compared with the volatility and greeks that came with them.

Measured on the files of Cboe's page, contracts with a delta of 0.1 to 0.9, CAL365, Treasury rates of the day:

SPX 2022-07-12 (European). By the time of the title, 11:55, our volatilities of the day (expiry 16:00) are 3.0 % above Cboe's, those of
the next day 0.4 %. 15 minutes earlier both agree (√(260/245) = 1.030): the clock. From 2 to 400 days the median ratio is 0.9989 - 1.0000,
with the rate in it; at a rate of 0 it falls to 0.993 at 91-400 days and 0.965 beyond: the rate. Deltas differ by 0.002 up to 90 days.
SPY 2025-09-25 21:05. By the title's time ours are 2.0 % above at a week, by the close of options (16:15) 0.4 %: the clock again.
SPY 2023-09-14 16:31 (American): the options of the day have expired. Cboe prices with early exercise. Left out, our puts out of the money
are 0.7 % above at 8-30 days, 2.2 % at 91-400, 4.4 % beyond; with it 0.0, 0.2 and 0.8 %: the model. Puts in the money take the volatility
of their calls here, Cboe's have one of their own: 2 % apart at 31-90 days, deltas by 0.06: the side.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from workbench.history.chains import read_chain
from workbench.options.chain_status import ChainStatus
from workbench.options.clocks import TimeClock
from workbench.options.priced import price_chain
from workbench.options.quotes import QuoteLimits
from workbench.options.rates import RateCurve
from workbench.sessions import SessionCalendar, ny_ns, to_ny

CALENDAR = SessionCalendar.xnys()
MINUTE = 60_000_000_000
# Treasury par yields of those days, as zero rates
RATES = {
    "SPX_2022-07-12_1155ET": RateCurve.points([(0, 0.012), (0.02, 0.013), (0.25, 0.025), (1, 0.031), (5, 0.031)]),
    "SPY_2023-09-14_1631ET": RateCurve.points([(0, 0.0535), (1, 0.054), (2.5, 0.05)]),
    "SPY_2025-09-25_2105ET": RateCurve.points([(0, 0.0425), (1, 0.0375)]),
}


@pytest.fixture(scope="module")
def chains(request):
    """Name -> chain of every file of Cboe's page."""
    folder = request.getfixturevalue("realdata") / "options_cboe_quotedata"
    return {name: read_chain(folder / f"{name}.csv.gz", calendar=CALENDAR) for name in RATES}


def priced(chain, rates, limits=None, *, is_exact_american=False):
    return price_chain(chain, clock=TimeClock.CAL365, rates=rates, calendar=CALENDAR, limits=limits, is_exact_american=is_exact_american)


def ratio(got, low, high, *, right=None, is_itm=None):
    """Median of our volatility over Cboe's, and how many, for expiries of `low` to `high` days."""
    rows = got.rows
    delta = np.abs(rows["vendor_delta"])
    use = (got.status == ChainStatus.OK) & (rows["vendor_iv"] > 0) & (delta > 0.1) & (delta < 0.9) & (got.dte >= low) & (got.dte <= high)
    use &= True if right is None else rows["right"] == right
    use &= True if is_itm is None else got.is_itm == is_itm
    return float(np.median(got.vol[use] / rows["vendor_iv"][use])), int(use.sum())


def later(chain, minutes):
    """The same quotes, taken for so many minutes later."""
    shift = minutes * MINUTE
    rows = chain.rows.copy()
    rows["ts_ns"] += shift
    return replace(chain, rows=rows, asof_ns=chain.asof_ns + shift, spot_ts_ns=chain.spot_ts_ns + shift)


def test_every_contract_of_every_page_is_there(chains, realdata):
    """Oracle: FACTS in the folder's README, counted by somebody else: rows, expiries, open interest, spot."""
    facts = {
        "SPX_2022-07-12_1155ET": (9689, 47, 5_887_479, 9_828_886, 3856.28),
        "SPY_2023-09-14_1631ET": (3646, 31, 6_906_952, 14_666_220, 450.81),
        "SPY_2025-09-25_2105ET": (1858, 11, 1_103_295, 4_653_418, 658.05),
    }
    for name, (n_lines, n_expiries, calls, puts, spot) in facts.items():
        chain, is_call = chains[name], chains[name].rows["right"] == "C"
        assert len(chain) == 2 * n_lines
        assert len(np.unique(chain.rows["expiry"])) == n_expiries
        assert (chain.rows["open_interest"][is_call].sum(), chain.rows["open_interest"][~is_call].sum()) == (calls, puts)
        assert chain.spot == spot
        assert not [note for note in chain.notes if "quarantined" in note]


def test_prices_on_the_page_are_fifteen_minutes_older_than_its_title(chains, realdata):
    """Oracle: minute bars of SPY of that morning. The index stood at 3856.28 about 11:39, and not within ten minutes of 11:55."""
    bars = pd.read_csv(realdata / "bars_1min_windows_2022_2024" / "SPY_1min_2022_2023.csv.gz")
    bars = bars[bars["datetime_utc"].str.startswith("2022-07-12T15:")]
    bars = bars.set_index(bars["datetime_utc"].str[11:16])
    like = chains["SPX_2022-07-12_1155ET"].spot / (3818.80 / 380.83)  # closing levels of the index and of the fund that day
    assert to_ny(chains["SPX_2022-07-12_1155ET"].asof_ns).strftime("%H:%M") == "11:40"
    assert bars.loc["15:38", "low"] <= like <= bars.loc["15:37", "high"]
    assert bars.loc["15:45":"15:59", "high"].max() < like


def test_index_volatilities_agree_with_the_page_from_the_same_day_to_a_year(chains):
    got = priced(chains["SPX_2022-07-12_1155ET"], RATES["SPX_2022-07-12_1155ET"])
    for low, high, tolerance, at_least in (
        (0, 0, 0.01, 20),
        (1, 1, 0.002, 70),
        (2, 7, 0.002, 500),
        (8, 30, 0.002, 1500),
        (31, 400, 0.002, 5000),
    ):
        middle, n = ratio(got, low, high)
        assert n >= at_least
        assert middle == pytest.approx(1, abs=tolerance), (low, high)


def test_index_deltas_and_gammas_agree_with_the_page(chains):
    got = priced(chains["SPX_2022-07-12_1155ET"], RATES["SPX_2022-07-12_1155ET"])
    rows = got.rows
    use = (
        (got.status == ChainStatus.OK)
        & (rows["vendor_iv"] > 0)
        & (np.abs(rows["vendor_delta"] - 0.5 * np.sign(rows["vendor_delta"])) < 0.4)
    )
    near = use & (got.dte <= 90)
    assert near.sum() > 5000
    assert np.quantile(np.abs(got.greeks.delta - rows["vendor_delta"])[near], 0.9) < 0.004
    some = near & (rows["vendor_gamma"] > 0.0005)
    assert np.median(got.greeks.gamma_per_usd[some] / rows["vendor_gamma"][some]) == pytest.approx(1, abs=0.01)


def test_the_difference_by_the_title_is_the_clock(chains):
    """√(260 / 245): the time that is left of the day at 11:40 and at 11:55. Evening page: the close of options, 16:15, not 21:05."""
    name = "SPX_2022-07-12_1155ET"
    ours, by_title = (ratio(priced(chain, RATES[name]), 0, 0)[0] for chain in (chains[name], later(chains[name], 15)))
    assert by_title / ours == pytest.approx((260 / 245) ** 0.5, abs=1e-3)
    name = "SPY_2025-09-25_2105ET"
    ours, by_title = (
        ratio(priced(chain, RATES[name]), 2, 7, right="P", is_itm=False)[0] for chain in (chains[name], later(chains[name], 290))
    )
    assert ours == pytest.approx(1, abs=0.005)
    assert by_title > 1.015


def test_the_difference_without_interest_is_the_rate(chains):
    name = "SPX_2022-07-12_1155ET"
    assert ratio(priced(chains[name], RateCurve.constant(0.0)), 401, 3000)[0] < 0.975
    assert ratio(priced(chains[name], RATES[name]), 401, 3000)[0] == pytest.approx(1, abs=0.005)


def test_the_difference_of_american_puts_is_early_exercise_and_the_side(chains):
    name = "SPY_2023-09-14_1631ET"
    without, with_exercise = priced(chains[name], RATES[name]), priced(chains[name], RATES[name], is_exact_american=True)
    for low, high, above in ((8, 30, 1.005), (91, 400, 1.015), (401, 3000, 1.03)):
        assert ratio(without, low, high, right="P", is_itm=False)[0] > above
        assert ratio(with_exercise, low, high, right="P", is_itm=False)[0] == pytest.approx(1, abs=0.01)
    assert 1.01 < ratio(with_exercise, 31, 90, right="P", is_itm=True)[0] < 1.03
    assert ratio(with_exercise, 8, 30, right="C", is_itm=False)[0] == pytest.approx(1, abs=0.003)


def test_options_of_the_day_are_expired_after_the_close_and_nothing_is_priced(chains):
    got = priced(chains["SPY_2023-09-14_1631ET"], RATES["SPY_2023-09-14_1631ET"])
    today = got.rows["expiry"] == np.datetime64("2023-09-14")
    assert today.sum() == 250
    assert (got.status[today] == ChainStatus.EXPIRED).all()
    assert np.isnan(got.vol[today]).all()


def test_every_contract_has_a_status_and_a_volatility_exactly_where_it_is_ok(chains):
    for name, chain in chains.items():
        got = priced(chain, RATES[name])
        assert np.array_equal(np.isfinite(got.vol), got.status == ChainStatus.OK)
        assert all(text or status == ChainStatus.OK for text, status in zip(got.texts(), got.status, strict=True))
        assert (got.status == ChainStatus.OK).mean() > 0.8


# -- quotes by minute, an expiry day that ends at 13:00 -----------------------------------------------------------------------------

HALF_DAY = date(2015, 12, 24)


@pytest.fixture(scope="module")
def at_eleven(request):
    folder = request.getfixturevalue("realdata") / "options_minute_lean"
    return read_chain(folder / "GOOG_option_quote_20151224.csv.gz", calendar=CALENDAR, asof_ns=ny_ns(HALF_DAY, 11))


def test_minute_quotes_give_the_chain_as_it_was_known(at_eleven, realdata):
    """Oracle: pandas over the file: of each contract the newest row whose minute had ended."""
    told = pd.read_csv(realdata / "options_minute_lean" / "GOOG_option_quote_20151224.csv.gz")
    known = told[told["ts_utc_ms"] * 1_000_000 + MINUTE <= at_eleven.asof_ns].groupby(["expiry", "strike", "right"]).last(skipna=False)
    known = known.reset_index().sort_values(["expiry", "strike", "right"])
    assert len(at_eleven) == len(known) == 2192
    for ours, theirs in (("bid", "bid_close"), ("ask", "ask_close")):
        assert at_eleven.rows[ours].tolist() == known[theirs].fillna(0).tolist()
    assert at_eleven.rows["ts_ns"].max() <= at_eleven.asof_ns
    interest = pd.read_csv(realdata / "options_minute_lean" / "GOOG_option_openinterest_20151224.csv.gz")
    assert np.nansum(at_eleven.rows["open_interest"]) == interest["open_interest"].sum()
    trades = pd.read_csv(realdata / "options_minute_lean" / "GOOG_option_trade_20151224.csv.gz")
    assert at_eleven.rows["volume"].sum() == trades["volume"][trades["ts_utc_ms"] * 1_000_000 + MINUTE <= at_eleven.asof_ns].sum()


def test_a_half_day_leaves_two_hours_at_eleven_and_the_quotes_agree_with_their_stock(at_eleven):
    got = priced(at_eleven, RateCurve.constant(0.004), QuoteLimits(max_age_s=900))
    today = got.expiries[0]
    assert (today.date, today.dte, today.end - today.first) == (HALF_DAY, 0, 176)
    assert today.years * 365 * 24 == pytest.approx(2.0)
    assert abs(today.forward.forward_usd - at_eleven.spot) < today.forward.half_width_usd
    assert 0.15 < today.atm_vol < 0.45
    assert today.expected_move_usd == pytest.approx(today.straddle_usd * (np.pi / 2) ** 0.5, rel=0.15)
    assert not [note for note in at_eleven.notes if "quarantined" in note]
