"""Which prints may move open/close, high/low and volume: the consolidated sale-condition rules as data.

A print with several conditions must satisfy all of them (AND), so each id is three yes/no bits and a print's rule is the
bitwise AND. The table is `update_rules.consolidated` of Polygon/Massive `/v3/reference/conditions` for trades, as checked
against copies of the answers of 2026-10-05 and 2026-10-09 (ids 1 2 7 10 12 14 16 32 37 38 41) and two independent code tables
for the rest. Where sources differ (17, 29) the consolidated column is used.

Outside 09:30-16:00 New York the restriction of Form T (12) and of 13 does not apply to minute bars: taken literally it freezes
the chart before the open.

Option prints carry OPRA's conditions, ids 201 = 'A' to 226 = 'Z' and 227 = 'a' on. Their rules are those by which Alpaca makes its
option bars (docs.alpaca.markets, market data FAQ, "How are option bars aggregated?"), the only table for bars found published.
Where other vendors are more generous (late prints: B, D, F) the strict rule is also the safe one: a minute with too little volume
is replaced by history that has more, never the other way round.

Floor 0: numpy only. Ids mean something else for quotes; this table is for trades.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

HIGH_LOW = 1
OPEN_CLOSE = 2
VOLUME = 4
ALL = HIGH_LOW | OPEN_CLOSE | VOLUME
UNKNOWN = 255  # a table entry that is no rule: the id is not known
TABLE_SIZE = 512

_NO_PRICE = VOLUME  # counts for volume only
_NO_OPEN_CLOSE = HIGH_LOW | VOLUME

# id -> (name, rule)
TRADE_CONDITIONS: dict[int, tuple[str, int]] = {
    0: ("Regular sale", ALL),
    1: ("Acquisition", ALL),
    2: ("Average price", _NO_PRICE),
    3: ("Automatic execution", ALL),
    4: ("Bunched", ALL),
    5: ("Bunched sold", _NO_OPEN_CLOSE),
    6: ("CAP election", ALL),
    7: ("Cash sale", _NO_PRICE),
    8: ("Closing prints", ALL),
    9: ("Cross", ALL),
    10: ("Derivatively priced", _NO_OPEN_CLOSE),
    11: ("Distribution", ALL),
    12: ("Form T, extended hours", _NO_PRICE),
    13: ("Extended hours, sold out of sequence", _NO_PRICE),
    14: ("Intermarket sweep", ALL),
    15: ("Market center official close", 0),
    16: ("Market center official open", 0),
    17: ("Market center opening trade", ALL),
    18: ("Market center reopening trade", ALL),
    19: ("Market center closing trade", ALL),
    20: ("Next day", _NO_PRICE),
    21: ("Price variation", _NO_PRICE),
    22: ("Prior reference price", _NO_OPEN_CLOSE),
    23: ("Rule 155", ALL),
    24: ("Rule 127", ALL),
    25: ("Opening prints", ALL),
    27: ("Stopped stock", ALL),
    28: ("Re-opening prints", ALL),
    29: ("Seller", _NO_PRICE),
    30: ("Sold last", ALL),
    31: ("Sold last and stopped stock", ALL),
    32: ("Sold out of sequence", _NO_OPEN_CLOSE),
    33: ("Sold out of sequence and stopped stock", _NO_OPEN_CLOSE),
    34: ("Split trade", ALL),
    35: ("Stock option", ALL),
    36: ("Yellow flag", ALL),
    37: ("Odd lot", _NO_PRICE),
    38: ("Corrected consolidated close", HIGH_LOW | OPEN_CLOSE),
    41: ("Trade-through exempt", ALL),
    52: ("Contingent", _NO_PRICE),
    53: ("Qualified contingent", _NO_PRICE),
    55: ("Opening/reopening detail", ALL),
    **dict.fromkeys((57, 58, 59, 60, *range(62, 72)), ("Short-sale or financial-status flag, no rule", ALL)),
}

# OPRA's: id -> (name, rule). Ids in between are retired prefixes (adjusted terms, spreads, straddles) of regular prints; ids after
# the table are newer than it. Both count in full, or a chart would lose prints that trade: an assumption, listed in the README.
OPTION_CONDITIONS: dict[int, tuple[str, int]] = {
    **dict.fromkeys(range(200, 256), ("Without a rule", ALL)),
    201: ("Cancelled", 0),
    202: ("Late and out of sequence", 0),
    203: ("Last, and cancelled", 0),
    204: ("Late", 0),
    205: ("Opening trade, and cancelled", 0),
    206: ("Opening trade, late and out of sequence", 0),
    207: ("Only trade, and cancelled", 0),
    208: ("Opening trade, late", ALL),
    209: ("Automatic execution", ALL),
    210: ("Reopening trade", ALL),
    219: ("Intermarket sweep", ALL),
    227: ("Single-leg auction", ALL),
    228: ("Single-leg auction, intermarket sweep", ALL),
    229: ("Single-leg cross", ALL),
    230: ("Single-leg cross, intermarket sweep", ALL),
    231: ("Single-leg floor trade", ALL),
    232: ("Multi-leg, electronic", ALL),
    233: ("Multi-leg auction", ALL),
    234: ("Multi-leg cross", ALL),
    235: ("Multi-leg floor trade", ALL),
    236: ("Multi-leg against single legs, electronic", ALL),
    237: ("Stock and options auction", ALL),
    238: ("Multi-leg auction against single legs", ALL),
    239: ("Multi-leg floor trade against single legs", ALL),
    240: ("Stock and options, electronic", ALL),
    241: ("Stock and options cross", ALL),
    242: ("Stock and options floor trade", ALL),
    243: ("Stock and options against single legs, electronic", ALL),
    244: ("Stock and options auction against single legs", ALL),
    245: ("Stock and options floor trade against single legs", ALL),
    246: ("Multi-leg floor trade of proprietary products", _NO_PRICE),
    247: ("Multilateral compression of proprietary products", _NO_PRICE),
    248: ("Extended hours", ALL),  # in daily bars for volume only; those hold regular hours only here
}

_FREE_OUTSIDE_HOURS = (12, 13)


def _table(rules: dict[int, int]) -> np.ndarray:
    table = np.full(TABLE_SIZE, UNKNOWN, np.uint8)
    for condition, rule in rules.items():
        table[condition] = rule
    table.setflags(write=False)
    return table


_RULES = {i: rule for i, (_, rule) in (TRADE_CONDITIONS | OPTION_CONDITIONS).items()}

# id -> rule bits, uint8 shape (512,), UNKNOWN where the id is not known.
REGULAR_TABLE = _table(_RULES)
EXTENDED_TABLE = _table(_RULES | dict.fromkeys(_FREE_OUTSIDE_HOURS, ALL))


def condition_name(condition: int) -> str | None:
    """Return what a sale condition is called, None when its id is not known."""
    found = TRADE_CONDITIONS.get(condition) or OPTION_CONDITIONS.get(condition)
    return found[0] if found else None


def rule_mask(conditions: Iterable[int], *, in_regular_session: bool) -> int:
    """Return which fields a print with these condition ids may update: HIGH_LOW | OPEN_CLOSE | VOLUME bits.

    Raises
    ------
    KeyError
        If an id is not in the table (the print is quarantined as 'unknown sale condition', never guessed).

    Example: rule_mask([14, 37], in_regular_session=True) == VOLUME   # a sweep that is an odd lot
    """
    table = REGULAR_TABLE if in_regular_session else EXTENDED_TABLE
    mask = ALL
    for condition in conditions:
        if not 0 <= condition < TABLE_SIZE or table[condition] == UNKNOWN:
            raise KeyError(condition)
        mask &= int(table[condition])
    return mask
