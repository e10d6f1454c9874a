"""The options of the simulated market: what any contract is quoted at, traded for and held in, at any instant of regular hours.

Everything follows from the underlying's own path and the seed: quotes stand still for a slot of a quarter second and are a
function of it, prints are drawn once a session for each contract. So snapshot, stream (`option_tape.py`) and history are three
views of one market. Outside regular hours it stands as at the last slot of regular hours.

Floor 2. Not simulated: halts of an underlying (its options are quoted on), dividends, adjusted contracts, the quarter hour after the
close.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS
from workbench.errors import SymbolError
from workbench.options.chain import Chain, contract_rows, make_chain
from workbench.sources.simulation.factors import CONTRACT, FLOW, Kept, Shape, generator
from workbench.sources.simulation.listing import DENSE, expiries, index_of, open_interest, spacing, strikes
from workbench.sources.simulation.market import Market
from workbench.sources.simulation.smile import FUND, SINGLE, variance_left, worth
from workbench.types import BAR_DTYPE, BarSource, OptionContract, Right

SLOT_NS = 250 * NS_PER_MS
LISTED_SESSIONS = 60  # a contract's past goes back so far from its expiry
SIZE_SLOTS = 8  # shown sizes change every so many slots
NO_BID_USD = 0.008  # below it nobody bids
RIGHTS: tuple[Right, Right] = ("C", "P")


@dataclass(frozen=True, slots=True)
class Contracts:
    """Contracts of one underlying as columns of shape (n,)."""

    listed: tuple[OptionContract, ...]
    strike: np.ndarray
    right: np.ndarray
    expiry_index: np.ndarray  # the calendar's session in which it ends
    expiry_ns: np.ndarray
    key: np.ndarray  # uint64, of its own

    def __len__(self) -> int:
        return len(self.listed)

    def take(self, rows: np.ndarray) -> Contracts:
        """Return the columns of the contracts `rows` (with repetition); `listed` stays."""
        return Contracts(self.listed, *(column[rows] for column in (self.strike, self.right, self.expiry_index, self.expiry_ns, self.key)))


@dataclass(frozen=True, slots=True)
class Quotes:
    """Top of book and what it is made of, columns of shape (n,) [USD, contracts]; a bid of 0 is nobody's."""

    bid: np.ndarray
    ask: np.ndarray
    bid_size: np.ndarray
    ask_size: np.ndarray


@dataclass(frozen=True, slots=True)
class Flow:
    """Prints of one session by time, columns of shape (m,): when, of which contract (row), how many, and at which side (uniform)."""

    ts: np.ndarray
    who: np.ndarray
    size: np.ndarray
    side: np.ndarray


@dataclass(frozen=True, slots=True)
class _Day:
    """One underlying's session as options see it."""

    index: int
    pre_open: int
    open_ns: int
    close_ns: int
    ts: np.ndarray
    mid: np.ndarray  # [USD]
    vols: tuple[float, float]
    used: np.ndarray  # share of the session's variance that has passed, at minute marks
    shape: Shape

    def spot(self, ts: np.ndarray) -> np.ndarray:
        return self.mid[np.maximum(np.searchsorted(self.ts, ts, side="right") - 1, 0)]

    def variance(self, ts: np.ndarray, expiry_index: np.ndarray) -> np.ndarray:
        used = np.interp((ts - self.pre_open) / NS_PER_MIN, np.arange(len(self.used)), self.used)
        return variance_left(*self.vols, used, np.maximum(expiry_index - self.index, 0))


class OptionMarket:
    """Options on every symbol of a simulated market. Safe across threads."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._days = Kept(24)  # about 1 MB each
        self._flows = Kept(1024)  # of one contract and session
        self._chains = Kept(32)  # (contracts, blank rows) of an expiry in a session
        self._chain_flows = Kept(16)

    # -- what there is -----------------------------------------------------------------------------------------------------

    def contract(self, symbol: str) -> OptionContract:
        """Return the contract that a symbol names; SymbolError when this market has none like it."""
        contract = OptionContract.parse(symbol)
        self.market.facts(contract.root)
        if not self.market.calendar.is_session(contract.expiry):
            raise SymbolError(f"symbol: received {symbol!r}, which expires on a day without a session; allowed: the chain's own symbols")
        if (contract.strike * 2) % 1:
            raise SymbolError(f"symbol: received {symbol!r}, at a strike that is not listed; allowed: the chain's own symbols")
        return contract

    def contracts(self, listed: Sequence[OptionContract]) -> Contracts:
        """Return contracts of one underlying as columns."""
        calendar = self.market.calendar
        index = {day: index_of(calendar, day) for day in {one.expiry for one in listed}}
        rows = np.array([index[one.expiry] for one in listed], np.int64)
        keys = [generator(self.market.seed, one.occ, CONTRACT).integers(2**63) for one in listed]
        return Contracts(
            tuple(listed),
            np.array([float(one.strike) for one in listed]),
            np.array([one.right for one in listed], "U1"),
            rows,
            calendar.sessions["close"][rows],
            np.array(keys, np.uint64),
        )

    def expiries(self, underlying: str, now_ns: int) -> tuple[date, ...]:
        """Return the expiry dates listed and not over, ascending; SymbolError for a symbol that is not in the market."""
        self.market.facts(underlying)
        calendar = self.market.calendar
        index = calendar.latest(now_ns)
        return expiries(calendar, min(index + (now_ns >= calendar.sessions["close"][index]), len(calendar.sessions) - 1))

    def chain(self, underlying: str, expiry: date, now_ns: int) -> Chain:
        """Return every contract of one expiry as of now; none for a date that is not listed."""
        self.market.facts(underlying)
        calendar = self.market.calendar
        index, ts = calendar.latest(now_ns), self.quoted_ns(now_ns)
        day = self._day(underlying, calendar.latest(ts))
        rows = contract_rows((), calendar)
        if expiry in expiries(calendar, index):
            rows = self._rows(underlying, expiry, index, day, ts)
        spot = float(day.spot(np.array([ts]))[0])
        return make_chain(underlying, rows, spot=spot, spot_ts_ns=ts, asof_ns=now_ns, source="simulated")

    def _rows(self, underlying: str, expiry: date, index: int, day: _Day, ts: int) -> np.ndarray:
        """Return the contracts listed in session `index` as they stand at a slot of `day`."""
        contracts, blank = self._listed(underlying, expiry, index)
        rows = blank.copy()
        quotes = self._quotes(day, underlying, np.full(len(rows), ts), contracts)
        for name in ("bid", "ask", "bid_size", "ask_size"):
            rows[name] = getattr(quotes, name)
        rows["ts_ns"] = ts
        flow = self._chain_flow(underlying, expiry, day, contracts)
        n = int(np.searchsorted(flow.ts, ts, side="right"))
        rows["volume"] = np.bincount(flow.who[:n], flow.size[:n], len(rows))
        last = np.full(len(rows), -1)
        last[flow.who[:n]] = np.arange(n)
        printed = np.flatnonzero(last >= 0)
        rows["last"][printed] = self._prices(day, underlying, flow, last[printed], contracts)
        return rows

    def quoted_ns(self, now_ns: int) -> int:
        """Return the slot that is quoted at a moment: its own, outside regular hours the last of them."""
        sessions = self.market.calendar.sessions
        index = self.market.calendar.latest(now_ns)
        if now_ns < sessions["open"][index] and index:
            index -= 1
        held = min(max(now_ns, int(sessions["open"][index])), int(sessions["close"][index]) - 1)
        return held // SLOT_NS * SLOT_NS

    # -- what it costs -----------------------------------------------------------------------------------------------------

    def quotes(self, underlying: str, index: int, ts: np.ndarray, contracts: Contracts) -> Quotes:
        """Return the top of book of contract i at slot ts[i], in regular hours of session `index`."""
        return self._quotes(self._day(underlying, index), underlying, ts, contracts)

    def flow(self, underlying: str, index: int, contracts: Contracts) -> Flow:
        """Return all prints of contracts in session `index`, by time."""
        return _joined([self._flow(self._day(underlying, index), one, contracts, row) for row, one in enumerate(contracts.listed)])

    def prices(self, underlying: str, index: int, flow: Flow, rows: np.ndarray, contracts: Contracts) -> np.ndarray:
        """Return what the prints `rows` of a flow were made at [USD]."""
        return self._prices(self._day(underlying, index), underlying, flow, rows, contracts)

    def history(self, symbol: str, start_ns: int, end_ns: int) -> np.ndarray:
        """Return minute bars with start_ns <= ts_open < end_ns, oldest first, BAR_DTYPE; SymbolError for no contract of this market."""
        contract = self.contract(symbol)
        contracts = self.contracts([contract])
        sessions = self.market.calendar.sessions
        expiry = int(contracts.expiry_index[0])
        first = max(int(np.searchsorted(sessions["close"], start_ns, side="right")), expiry - LISTED_SESSIONS, 0)
        last = min(int(np.searchsorted(sessions["open"], end_ns, side="left")), expiry + 1)
        days = [self._minutes(contract.root, index, contracts) for index in range(first, last)]
        rows = np.concatenate([np.zeros(0, BAR_DTYPE), *days])
        return rows[(rows["ts_open"] >= start_ns) & (rows["ts_open"] < end_ns)]

    def _minutes(self, underlying: str, index: int, contracts: Contracts) -> np.ndarray:
        flow = self.flow(underlying, index, contracts)
        if not len(flow.ts):
            return np.zeros(0, BAR_DTYPE)
        price = self.prices(underlying, index, flow, np.arange(len(flow.ts)), contracts)
        opens = flow.ts // NS_PER_MIN * NS_PER_MIN
        first = np.flatnonzero(np.r_[True, opens[1:] != opens[:-1]])
        last = np.r_[first[1:], len(opens)] - 1
        rows = np.zeros(len(first), BAR_DTYPE)
        rows["ts_open"], rows["ts_close"] = opens[first], opens[first] + NS_PER_MIN
        rows["open"], rows["close"] = price[first], price[last]
        rows["high"], rows["low"] = np.maximum.reduceat(price, first), np.minimum.reduceat(price, first)
        rows["volume"] = np.add.reduceat(flow.size, first)
        rows["n_trades"] = last - first + 1
        rows["vwap"] = np.add.reduceat(flow.size * price, first) / rows["volume"]
        away = price - np.repeat(rows["vwap"], last - first + 1)
        rows["vw_std"] = np.sqrt(np.add.reduceat(flow.size * away * away, first) / rows["volume"])
        rows["source"], rows["is_complete"] = BarSource.SIMULATED, 1
        return rows

    # -- inside ------------------------------------------------------------------------------------------------------------

    def _day(self, underlying: str, index: int) -> _Day:
        def make() -> _Day:
            prints, shape = self.market.prints(underlying, index), self.market.shape(index)
            session = self.market.calendar.sessions[index]
            used = np.minimum(np.concatenate([[0.0], np.cumsum(shape.variance)]), 1.0)
            pre_open, open_ns, close_ns = (int(session[name]) for name in ("pre_open", "open", "close"))
            vols = self.market.day_vols(underlying, index)
            return _Day(index, pre_open, open_ns, close_ns, prints.ts, prints.mid / 100, vols, used, shape)

        day: _Day = self._days.get((underlying, index), make)
        return day

    def _listed(self, underlying: str, expiry: date, index: int) -> tuple[Contracts, np.ndarray]:
        """Return an expiry's contracts in session `index`, and their rows with what does not change in it."""

        def make() -> tuple[Contracts, np.ndarray]:
            centre = self.market.close_price(underlying, max(index - 1, 0))
            n_sessions = index_of(self.market.calendar, expiry) - index
            sd = float(np.sqrt(variance_left(*self.market.day_vols(underlying, index), np.zeros(1), np.array([n_sessions]))[0]))
            listed = [
                OptionContract(underlying, expiry, right, Decimal(str(strike)))
                for strike, right in itertools.product(strikes(underlying, centre, sd).tolist(), RIGHTS)
            ]
            contracts, rows = self.contracts(listed), contract_rows(listed, self.market.calendar)
            luck = -np.log(_uniform(contracts.key, np.uint64(1)))
            is_monthly = 15 <= expiry.day <= 21 and expiry.weekday() >= 3
            age = 1 - np.exp(-(max(0, LISTED_SESSIONS - n_sessions) + 5) / 25)
            scale = self.market.facts(underlying).prints_per_min * (60 if is_monthly else 15) * age
            rows["open_interest"] = open_interest(contracts.strike, centre, sd, spacing(underlying, centre), luck, scale)
            return contracts, rows

        found: tuple[Contracts, np.ndarray] = self._chains.get((underlying, expiry, index), make)
        return found

    def _chain_flow(self, underlying: str, expiry: date, day: _Day, contracts: Contracts) -> Flow:
        key = (underlying, expiry, day.index, contracts.listed[0], len(contracts))
        found: Flow = self._chain_flows.get(key, lambda: self.flow(underlying, day.index, contracts))
        return found

    def _quotes(self, day: _Day, underlying: str, ts: np.ndarray, contracts: Contracts) -> Quotes:
        """Return quotes: a few ticks around the worth, wider away from the money, at the open and before the end."""
        is_fund = underlying in DENSE
        variance = day.variance(ts, contracts.expiry_index)
        usd, away = worth(FUND if is_fund else SINGLE, day.spot(ts), contracts.strike, contracts.expiry_ns - ts, variance, contracts.right)
        far = np.minimum(np.abs(away), 5.0)
        cents = np.where(is_fund | (usd < 3), 1.0, 5.0)
        begun, left = (ts - day.open_ns) / NS_PER_MIN, (contracts.expiry_ns - ts) / NS_PER_MIN
        stress = 1 + 2 * np.exp(-begun / 4) + 2 * np.exp(-left / 5)
        half = 0.4 * cents + (0.3 if is_fund else 0.9) * np.sqrt(100 * usd) / 10 * (1 + 0.3 * far * far) * stress
        bid = np.floor((100 * usd - half) / cents) * cents
        bid = np.where((bid < cents) | (usd < NO_BID_USD), 0.0, bid)
        ask = np.maximum(np.ceil((100 * usd + half) / cents) * cents, bid + cents)
        lots = 60.0 * np.exp(-0.25 * far) / stress * (1.0 if is_fund else 0.4)
        slot = (ts // (SLOT_NS * SIZE_SLOTS)).astype(np.uint64)
        sizes = [1 + np.floor(-lots * np.log(_uniform(contracts.key, 2 * slot + np.uint64(k)))) for k in (0, 1)]
        return Quotes(bid / 100, ask / 100, np.where(bid > 0, sizes[0], 0.0), sizes[1])

    def _flow(self, day: _Day, contract: OptionContract, contracts: Contracts, row: int) -> Flow:
        flow: Flow = self._flows.get((contract, day.index), lambda: self._drawn(day, contract, contracts, row))
        return Flow(flow.ts, np.full(len(flow.ts), row), flow.size, flow.side)

    def _drawn(self, day: _Day, contract: OptionContract, contracts: Contracts, row: int) -> Flow:
        """Return one contract's prints of a session: more near the money and the expiry, and out of the money than in it."""
        begin = np.array([day.open_ns])
        expiry_index = contracts.expiry_index[row : row + 1]
        n_sessions = int(expiry_index[0]) - day.index
        variance = day.variance(begin, expiry_index)
        away = float((np.log(contracts.strike[row] / day.spot(begin)) / np.sqrt(variance))[0])
        is_inside = away < -0.3 if contract.right == "C" else away > 0.3
        per_min = 0.06 * self.market.facts(contract.root).prints_per_min * np.exp(-0.5 * away * away) * (0.35 if is_inside else 1.0)
        per_min /= (1 + max(n_sessions, 0)) ** 0.8
        activity = day.shape.activity[day.shape.open_at : day.shape.close_at]
        if n_sessions < 0 or n_sessions > LISTED_SESSIONS or per_min * len(activity) < 0.01:
            return _NO_FLOW
        rng = generator(self.market.seed, contract.occ, FLOW, int(self.market.calendar.sessions["date"][day.index]))
        counts = rng.poisson(per_min * activity)
        ts = np.sort(day.open_ns + np.repeat(np.arange(len(counts)), counts) * NS_PER_MIN + rng.integers(0, NS_PER_MIN, int(counts.sum())))
        size = np.minimum(1 + np.floor(3 * (np.exp(0.8 * rng.standard_exponential(len(ts))) - 1)), 2000)
        return Flow(ts, np.zeros(len(ts), np.int64), size, rng.random(len(ts)))

    def _prices(self, day: _Day, underlying: str, flow: Flow, rows: np.ndarray, contracts: Contracts) -> np.ndarray:
        """Return prices of prints: at the bid, at the ask, or between them."""
        ts, side = flow.ts[rows] // SLOT_NS * SLOT_NS, flow.side[rows]
        quotes = self._quotes(day, underlying, np.maximum(ts, day.open_ns), contracts.take(flow.who[rows]))
        between = np.ceil(np.rint(50 * (quotes.bid + quotes.ask) * 100) / 100) / 100
        price: np.ndarray = np.where(side < 0.44, quotes.bid, np.where(side < 0.88, quotes.ask, between))
        return np.where(price > 0, price, quotes.ask)


_NO_FLOW = Flow(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def _joined(flows: Sequence[Flow]) -> Flow:
    """Return flows as one, by time."""
    if not flows:
        return _NO_FLOW
    ts = np.concatenate([flow.ts for flow in flows])
    order = np.argsort(ts, kind="stable")
    return Flow(ts[order], *(np.concatenate([getattr(flow, name) for flow in flows])[order] for name in ("who", "size", "side")))


def _uniform(key: np.ndarray, salt: np.ndarray | np.uint64) -> np.ndarray:
    """Return numbers in (0, 1] that look random and depend on key and salt alone (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        x = key + (salt + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    out: np.ndarray = ((x >> np.uint64(11)).astype(np.float64) + 1) / 2.0**53
    return out
