"""Why a contract of a chain is priced or not, in one number and one sentence, and what stands behind its volatility.

In: quotes, their age, what `quotes.imply_quotes` said of them. Out: ChainStatus of each row. The first cause counts: what the
contract is, then its quote, then the spot, then what the price itself can't be.

Floor 1: numpy.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from workbench.options.black import Floats
from workbench.options.implied import IvStatus


class ChainStatus(IntEnum):
    """Whether a contract is priced, and why not. The first are those of `IvStatus`, number by number."""

    OK = 0
    ZERO_TIME_VALUE = 1
    BELOW_INTRINSIC = 2
    ABOVE_MAX = 3
    EXPIRED = 4
    MISSING = 5
    BAD_INPUT = 6
    BAD_QUOTE = 7
    NO_BID = 8
    CROSSED = 9
    STALE = 10
    AGE_UNKNOWN = 11
    WIDE = 12
    NO_ASK = 13
    ADJUSTED = 14
    NO_EXPIRY = 15
    NO_TIME_COUNTED = 16
    NO_SPOT = 17
    STALE_SPOT = 18

    @property
    def text(self) -> str:
        """For people."""
        return _TEXT[self]


_TEXT = {
    ChainStatus.OK: "",
    ChainStatus.ZERO_TIME_VALUE: "no time value: the price is what exercise is worth, or nothing",
    ChainStatus.BELOW_INTRINSIC: "mid below intrinsic value: no volatility can be told from it",
    ChainStatus.ABOVE_MAX: "above the highest possible price",
    ChainStatus.EXPIRED: "expired",
    ChainStatus.MISSING: "no quote",
    ChainStatus.BAD_INPUT: "impossible strike, spot or price",
    ChainStatus.BAD_QUOTE: "impossible quote: a price below 0 or not finite",
    ChainStatus.NO_BID: "no bid: nobody buys, so there is no mid",
    ChainStatus.CROSSED: "crossed: bid above ask",
    ChainStatus.STALE: "stale: the quote is too old",
    ChainStatus.AGE_UNKNOWN: "nobody told when it was quoted",
    ChainStatus.WIDE: "spread too wide for a mid",
    ChainStatus.NO_ASK: "no ask: nobody sells",
    ChainStatus.ADJUSTED: "adjusted contract: what is delivered was changed; not priced",
    ChainStatus.NO_EXPIRY: "expires outside the calendar; not priced",
    ChainStatus.NO_TIME_COUNTED: "this clock counts no time until expiry; next: cal365 or hybrid",
    ChainStatus.NO_SPOT: "no spot, and no forward from the quotes",
    ChainStatus.STALE_SPOT: "spot older than the chain, or of an unknown time, and no forward from the quotes",
}


class PricingModel(IntEnum):
    """What stands behind a volatility."""

    NONE = 0  # no volatility
    EXACT = 1  # Black-Scholes-Merton, where early exercise is impossible or worth nothing
    SMALL_PREMIUM = 2  # the same for an American contract; early exercise is worth less than 1 % of the price
    PREMIUM_LEFT_OUT = 3  # the same where it may be worth more
    AMERICAN = 4  # QuantLib's engine inverted; greeks are Black-Scholes-Merton's at that volatility

    @property
    def text(self) -> str:
        """For people."""
        return {
            PricingModel.PREMIUM_LEFT_OUT: "early exercise, which may be worth over 1 % of the price, is left out",
            PricingModel.AMERICAN: "implied with early exercise; greeks without",
        }.get(self, "")


def chain_status(
    rows: np.ndarray,
    iv_status: NDArray[np.int8],
    age_s: Floats,
    spot_usd: Floats,
    *,
    asof_ns: int,
    max_age_s: float,
    is_spot_known: bool,
) -> NDArray[np.int8]:
    """Return the ChainStatus of each row, int8.

    Parameters
    ----------
    rows : CHAIN_DTYPE, shape (n,)
    iv_status : IvStatus, shape (n,)        What `quotes.imply_quotes` said.
    age_s, spot_usd : float64, shape (n,)   Age of each quote [s]; the spot that prices each, NaN where there is none.
    max_age_s : float                       As `QuoteLimits`.
    is_spot_known : bool                    Whether the chain came with a spot at all: one that was not used is then too old.
    """
    bid, ask = rows["bid"], rows["ask"]
    is_bad_quote = iv_status == IvStatus.BAD_QUOTE
    is_untold = np.isnan(bid) | np.isnan(ask) | ((bid == 0) & (ask == 0))
    is_expired = iv_status == IvStatus.EXPIRED
    causes = [
        (~rows["is_standard"], ChainStatus.ADJUSTED),
        (rows["expiry_ns"] <= 0, ChainStatus.NO_EXPIRY),
        (rows["expiry_ns"] <= asof_ns, ChainStatus.EXPIRED),
        (is_expired, ChainStatus.NO_TIME_COUNTED),
        (is_untold, ChainStatus.MISSING),
        (ask == 0, ChainStatus.NO_ASK),
        (is_bad_quote & (bid > ask), ChainStatus.CROSSED),
        (is_bad_quote & ((bid < 0) | np.isinf(bid) | np.isinf(ask)), ChainStatus.BAD_QUOTE),
        (is_bad_quote & np.isnan(age_s), ChainStatus.AGE_UNKNOWN),
        (is_bad_quote & (age_s > max_age_s), ChainStatus.STALE),
        (is_bad_quote, ChainStatus.WIDE),
        (iv_status == IvStatus.NO_BID, ChainStatus.NO_BID),
        (np.isnan(spot_usd), ChainStatus.STALE_SPOT if is_spot_known else ChainStatus.NO_SPOT),
    ]
    return np.select([so for so, _ in causes], [np.int8(name) for _, name in causes], iv_status).astype(np.int8)
