"""Chains made by hand for the tests of options: contracts of one expiry at prices of another library, every field open to change."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np

from workbench.options.chain import Chain, contract_rows, make_chain
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import OptionContract

CALENDAR = SessionCalendar.xnys()
DAY = date(2026, 3, 20)  # a third Friday
ASOF = ny_ns(date(2026, 3, 19), 11)
STRIKES = (580.0, 590.0, 595.0, 600.0, 605.0, 610.0, 620.0)


def rows_of(root="SPY", expiry=DAY, strikes=STRIKES, *, rights="CP", mid=None, half_spread=0.02, ts_ns=ASOF, multiplier=100):
    """Return rows with a bid and an ask around `mid(strike, right)`; without it nothing is quoted."""
    contracts = [OptionContract(root, expiry, right, Decimal(str(k)), multiplier) for k in strikes for right in rights]
    rows = contract_rows(contracts, CALENDAR)
    if mid is not None:
        mids = np.array([mid(float(c.strike), c.right) for c in contracts])
        rows["bid"], rows["ask"] = mids - half_spread, mids + half_spread
    rows["bid_size"] = rows["ask_size"] = 10
    rows["volume"], rows["open_interest"], rows["ts_ns"] = 50, 1000, ts_ns
    return rows


def chain_of(*parts, spot=600.0, spot_ts_ns=ASOF, asof_ns=ASOF, underlying="SPY") -> Chain:
    """Return the rows as a chain."""
    rows = np.concatenate(parts) if parts else rows_of(strikes=())
    return make_chain(underlying, rows, spot=spot, spot_ts_ns=spot_ts_ns, asof_ns=asof_ns, source="test")
