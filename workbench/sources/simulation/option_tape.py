"""The stream of the simulated options that are subscribed: quotes when they change, at most four a second each, and all prints.

A contract is told from the start of the minute in which it was subscribed, so that its history and its stream join without a
hole. The same subscriptions give the same rows, in whatever steps the way is made. Floor 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.sources.simulation.options import SLOT_NS, Contracts, Flow, OptionMarket
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE, OptionContract, SymbolTable

LATENCY_NS = 500_000
AUTOMATIC = 209  # OPRA's condition of a print that was executed automatically
AT_ONCE = 1 << 17  # quotes drawn in one piece
_NOTHING = (np.zeros(0, TRADE_DTYPE), np.zeros(0, QUOTE_DTYPE))
_NEVER = int(np.iinfo(np.int64).max)


@dataclass(slots=True)
class _Group:
    """Contracts of one underlying that are told up to the same moment."""

    listed: list[OptionContract]
    told_ns: int
    contracts: Contracts | None = None
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    shown: np.ndarray | None = None  # last quotes told, shape (n, 4)
    flow: tuple[int, Flow] | None = None  # (session, its prints)

    def change(self, listed: list[OptionContract], shown: np.ndarray | None) -> None:
        """Hold other contracts."""
        self.listed, self.shown = listed, shown
        self.contracts = self.flow = None


class OptionTape:
    """Rows of the subscribed contracts, released by arrival."""

    def __init__(self, options: OptionMarket, symbols: SymbolTable) -> None:
        self._options, self._symbols = options, symbols
        self._sessions = options.market.calendar.sessions
        self._groups: list[_Group] = []

    @property
    def subscribed(self) -> tuple[str, ...]:
        """Symbols of the contracts that are told."""
        return tuple(one.symbol for group in self._groups for one in group.listed)

    def subscribe(self, contracts: Iterable[OptionContract], now_ns: int) -> None:
        """Tell these too, from the start of the present minute."""
        held = {one for group in self._groups for one in group.listed}
        from_ns = now_ns // NS_PER_MIN * NS_PER_MIN - 1
        fresh: dict[str, list[OptionContract]] = {}
        for contract in contracts:
            if contract not in held:
                fresh.setdefault(contract.root, []).append(contract)
        self._groups += [_Group(listed, from_ns) for listed in fresh.values()]

    def unsubscribe(self, contracts: Iterable[OptionContract]) -> None:
        """Stop telling these."""
        gone = set(contracts)
        for group in self._groups:
            keep = np.array([one not in gone for one in group.listed], bool)
            if not keep.all():
                listed = [one for one, stays in zip(group.listed, keep, strict=True) if stays]
                group.change(listed, None if group.shown is None else group.shown[keep])
        self._groups = [group for group in self._groups if group.listed]

    def take(self, ts_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (TRADE_DTYPE, QUOTE_DTYPE) rows that arrive up to a moment and were not taken yet, by arrival."""
        parts = [rows for group in self._groups for rows in self._advance(group, ts_ns)]
        self._merge()
        if not parts:
            return _NOTHING
        trades, quotes = (np.concatenate(kind) for kind in zip(*parts, strict=True))
        return trades[np.argsort(trades["ts_recv"], kind="stable")], quotes[np.argsort(quotes["ts_recv"], kind="stable")]

    def next_ns(self, limit_ns: int) -> int:
        """Return when the next slot is told, at most `limit_ns`."""
        told = min((group.told_ns for group in self._groups), default=_NEVER)
        if told == _NEVER:
            return limit_ns
        index = int(np.searchsorted(self._sessions["close"], told, side="right"))
        if index >= len(self._sessions):
            return limit_ns
        start = max(told + 1 - LATENCY_NS, int(self._sessions["open"][index]))
        return min(limit_ns, -(-start // SLOT_NS) * SLOT_NS + LATENCY_NS)

    def _merge(self) -> None:
        """Put groups together that have come equally far: fewer, larger pieces."""
        together: dict[tuple[str, int], _Group] = {}
        for group in self._groups:
            key = (group.listed[0].root, group.told_ns)
            into = together.setdefault(key, group)
            if into is not group:
                shown = [np.full((len(one.listed), 4), np.nan) if one.shown is None else one.shown for one in (into, group)]
                into.change(into.listed + group.listed, np.concatenate(shown))
        self._groups = list(together.values())

    def _advance(self, group: _Group, ts_ns: int) -> list[tuple[np.ndarray, np.ndarray]]:
        begin, group.told_ns = group.told_ns - LATENCY_NS, max(group.told_ns, ts_ns)
        end = ts_ns - LATENCY_NS
        first = int(np.searchsorted(self._sessions["close"], begin, side="right"))
        last = int(np.searchsorted(self._sessions["open"], end, side="right"))
        if group.contracts is None and first < last:
            group.contracts = self._options.contracts(group.listed)
            group.ids = np.array([self._symbols.intern(one.symbol) for one in group.listed], np.int32)
        return [(self._trades(group, index, begin, end), self._quotes(group, index, begin, end)) for index in range(first, last)]

    def _trades(self, group: _Group, index: int, begin: int, end: int) -> np.ndarray:
        """Return prints with begin < ts <= end."""
        contracts = group.contracts
        assert contracts is not None
        underlying = group.listed[0].root
        if group.flow is None or group.flow[0] != index:
            group.flow = index, self._options.flow(underlying, index, contracts)
        flow = group.flow[1]
        at = np.arange(*np.searchsorted(flow.ts, (begin, end), side="right"))
        rows = np.zeros(len(at), TRADE_DTYPE)
        if len(at):
            rows["ts_event"], rows["ts_recv"] = flow.ts[at], flow.ts[at] + LATENCY_NS
            rows["price"], rows["size"] = self._options.prices(underlying, index, flow, at, contracts), flow.size[at]
            rows["symbol_id"] = group.ids[flow.who[at]]
            rows["n_conditions"], rows["conditions"][:, 0] = 1, AUTOMATIC
        return rows

    def _quotes(self, group: _Group, index: int, begin: int, end: int) -> np.ndarray:
        """Return the quotes of slots with begin < ts <= end that differ from the one before."""
        open_ns, close_ns = (int(self._sessions[name][index]) for name in ("open", "close"))
        first = -(-max(begin + 1, open_ns) // SLOT_NS)
        slots = np.arange(first, min(end, close_ns - 1) // SLOT_NS + 1, dtype=np.int64) * SLOT_NS
        step = max(1, AT_ONCE // len(group.listed))
        parts = [self._changed(group, index, slots[k : k + step]) for k in range(0, len(slots), step)]
        return np.concatenate([_NOTHING[1], *parts]) if parts else _NOTHING[1]

    def _changed(self, group: _Group, index: int, slots: np.ndarray) -> np.ndarray:
        contracts = group.contracts
        assert contracts is not None
        n = len(contracts)
        who, ts = np.tile(np.arange(n), len(slots)), np.repeat(slots, n)
        quotes = self._options.quotes(group.listed[0].root, index, ts, contracts.take(who))
        told = np.stack([quotes.bid, quotes.ask, quotes.bid_size, quotes.ask_size], axis=1).reshape(len(slots), n, 4)
        before = np.full((1, n, 4), np.nan) if group.shown is None else group.shown[None]
        is_new = (told != np.concatenate([before, told[:-1]])).any(axis=2)
        is_new &= contracts.expiry_ns[None, :] > slots[:, None]
        group.shown = told[-1]
        news = is_new.ravel()
        rows = np.zeros(int(news.sum()), QUOTE_DTYPE)
        rows["ts_event"], rows["ts_recv"] = ts[news], ts[news] + LATENCY_NS
        rows["bid"], rows["ask"], rows["bid_size"], rows["ask_size"] = told.reshape(-1, 4)[news].T
        rows["symbol_id"] = group.ids[who[news]]
        return rows
