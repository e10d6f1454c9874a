"""What a chain shows, by contracts whose numbers a person can check."""

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from tests.stubs import SEC, TEN
from workbench.options.chain import contract_rows, make_chain
from workbench.options.chain_status import ChainStatus
from workbench.options.clocks import TimeClock
from workbench.options.priced import price_chain
from workbench.options.quotes import QuoteLimits
from workbench.options.rates import RateCurve
from workbench.sessions import SessionCalendar
from workbench.types import OptionContract
from workbench.views.chain_grid import NAMES, STANDING_S, Flag, Sent, as_of_its_quotes, as_text, fields, layout_of

EXPIRY = date(2026, 12, 18)
CALENDAR = SessionCalendar.xnys()


def chain_of(contracts=(("SPY", 100, "C"), ("SPY", 100, "P"), ("SPY", 105, "C")), *, ts_ns=TEN, asof_ns=TEN, spot=102.0):
    """Return a chain in which every contract is quoted 2.00 by 2.10."""
    rows = contract_rows([OptionContract(root, EXPIRY, right, Decimal(strike)) for root, strike, right in contracts], CALENDAR)
    rows["bid"], rows["ask"], rows["bid_size"], rows["ask_size"], rows["volume"], rows["open_interest"] = 2.0, 2.1, 10, 20, 500, 1000
    rows["ts_ns"] = ts_ns
    return make_chain("SPY", rows, spot=spot, spot_ts_ns=asof_ns, asof_ns=asof_ns, source="a test")


def priced(chain):
    limits = QuoteLimits(max_age_s=STANDING_S)
    return price_chain(chain, clock=TimeClock.CAL365, rates=RateCurve.constant(0.0), calendar=CALENDAR, limits=limits)


def test_a_line_is_a_strike_with_its_call_and_put():
    chain = chain_of()
    layout = layout_of(chain, "SPY")
    assert layout.strikes.tolist() == [100, 105]
    assert layout.symbol(0, "P") == "O:SPY261218P00100000"
    assert layout.symbol(1, "P") == "", "a put that is not listed"
    assert layout.symbol(9, "C") == ""
    shown = fields(layout, chain, None, ["bid", "mid", "break_even", "spread_pct"], TEN)
    assert shown["bid"][:3].tolist() == [2, 2, 2]
    assert np.isnan(shown["bid"][3])
    assert shown["break_even"][:3].tolist() == [102.05, 97.95, 107.05]
    assert shown["spread_pct"][0] == 4.9  # 0.10 of 2.05
    flags = [Flag(int(flag)) for flag in shown["flags"][:3]]
    assert [Flag.IN_THE_MONEY in flag for flag in flags] == [True, False, False]


def test_two_roots_of_one_date_are_two_views():
    chain = chain_of([("SPX", 100, "C"), ("SPXW", 100, "C"), ("SPXW", 105, "C")])
    assert layout_of(chain, "SPX").strikes.tolist() == [100]
    assert layout_of(chain, "SPXW").symbol(0, "C") == "O:SPXW261218C00100000"


def test_before_the_first_pricing_greeks_are_missing_and_quotes_are_there():
    chain = chain_of()
    shown = fields(layout_of(chain, "SPY"), chain, None, NAMES, TEN)
    assert set(NAMES) < set(shown)
    assert np.isnan(shown["delta"]).all()
    assert shown["open_interest"][0] == 1000
    after = fields(layout_of(chain, "SPY"), chain, priced(chain), NAMES, TEN)
    assert 0 < after["delta"][0] < 1
    assert -1 < after["delta"][1] < 0


def test_a_bid_of_nobody_is_missing_not_zero():
    chain = chain_of()
    chain.rows["bid"][0] = 0
    shown = fields(layout_of(chain, "SPY"), chain, priced(chain), NAMES, TEN)
    assert np.isnan(shown["bid"][0])
    assert np.isnan(shown["mid"][0])
    assert int(shown["state"][0]) & 31 == ChainStatus.NO_BID
    assert int(shown["flags"][0]) & Flag.ILLIQUID


def test_a_quote_that_stands_for_minutes_is_marked_and_priced():
    chain = chain_of(asof_ns=TEN + 300 * SEC)
    chain.rows["ts_ns"][0] = TEN + 299 * SEC
    asked = as_of_its_quotes(chain, TEN + 300 * SEC)
    assert asked.asof_ns == TEN + 300 * SEC
    assert (priced(asked).status == ChainStatus.OK).all()
    flags = fields(layout_of(chain, "SPY"), chain, None, ["bid"], TEN + 300 * SEC)["flags"][:3]
    assert [bool(int(flag) & Flag.OLD) for flag in flags] == [False, True, True]


def test_a_quote_that_stands_too_long_beside_fresh_ones_is_not_priced():
    chain = chain_of(asof_ns=TEN + 1000 * SEC)
    chain.rows["ts_ns"][0] = TEN + 1000 * SEC
    assert priced(as_of_its_quotes(chain, TEN + 1000 * SEC)).status.tolist() == [ChainStatus.OK, ChainStatus.STALE, ChainStatus.STALE]


def test_a_chain_that_fell_silent_is_priced_as_of_its_newest_quote():
    chain = chain_of(asof_ns=TEN + 7200 * SEC)
    asked = as_of_its_quotes(chain, TEN + 7200 * SEC)
    assert asked.asof_ns == TEN
    assert (priced(asked).status == ChainStatus.OK).all()


def test_what_expired_since_its_last_quote_stays_expired():
    end = int(chain_of().rows["expiry_ns"][0])
    chain = chain_of(ts_ns=end - 30 * SEC, asof_ns=end + 600 * SEC)
    asked = as_of_its_quotes(chain, end + 600 * SEC)
    assert asked.asof_ns == end + 600 * SEC
    assert (priced(asked).status == ChainStatus.EXPIRED).all()


def test_only_what_changed_is_sent_once():
    sent, columns = Sent(), {"bid": np.array([1.0, np.nan, 3.0])}
    assert sent.changes(columns) == {"bid": [[0, 2], [1.0, 3.0]]}
    assert sent.changes(columns) == {}
    assert sent.changes({"bid": np.array([1.0, 2.0, np.nan])}) == {"bid": [[1, 2], [2.0, None]]}
    sent.forget()
    assert sent.changes(columns) == {"bid": [[0, 2], [1.0, 3.0]]}


def test_a_message_is_json_without_nan():
    assert json.loads(as_text({"cells": {"bid": [[0], [None]]}})) == {"cells": {"bid": [[0], [None]]}}
    with pytest.raises(ValueError, match="JSON"):
        as_text({"spot": float("nan")})
