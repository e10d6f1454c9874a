"""Three real days of SPX options of the day, every 15 minutes: our exposure beside the one that somebody published.

The publisher took gamma from Cboe's delayed page, in steps of 0.0001, and open interest, and computed gamma × OI × 100 × S² × 0.01, puts
negative: the default convention here. Quotes were not kept, so volatilities are recovered from the gamma of one side of each strike,
and what is compared is the other side, which they were not made from, the sums, and the levels. What differs, and why:

- **Exposure by strike**: nothing but the published gamma's own steps: call and put of a strike are up to two of them apart.
- **Gamma of another moment**: at 2 % of the strikes no option can have the published gamma at the published spot, whatever its
  volatility: the page's gamma is of an older spot than the S² it is multiplied with. 09:30 on the third day is the worst.
- **Net**: files hold the strikes within 2 % of the spot, `net` holds all; where calls and puts nearly cancel the two differ by any factor.
- **Walls and peak**: nothing. (The publisher's peak is our absolute wall.)
- **Flip**: everything. The published one is the strike at which exposure added up from the lowest strike crosses zero (`cum_flip` here,
  which names the point between two strikes). It lies up to hundreds of points from the spot that makes net gamma zero when every contract is priced
  again, which is what a flip is used for.
- **Time**: by our clock the same gamma means volatilities that climb by a third in the last hour when the snapshot's own time is
  taken, and stay level when quotes are taken as 15 minutes older: the page is delayed, and its snapshot is not what its clock says.
- **No gamma**: at 09:45 on the third day every gamma is 0 and the publisher's put wall is 3000. Here there is none.
"""

from __future__ import annotations

import csv
import functools
import math
from datetime import date

import numpy as np
import pytest
from scipy.optimize import brentq

from workbench.options.clocks import TimeClock, years_to_expiry
from workbench.options.exposure import STRIKE_DTYPE, exposure, levels
from workbench.sessions import SessionCalendar, ny_ns

TICK = 0.0001  # of the published gamma
DELAY_MIN = 15


def gamma(spot, strike, s):
    d1 = np.log(spot / strike) / s + s / 2
    return np.exp(-0.5 * d1 * d1) / math.sqrt(2 * math.pi) / (spot * s)


def total_vol(spot, strike, target):
    """Return the larger s with this gamma where there are two: near the money the only one that makes sense; NaN when none has it."""
    peak = max(abs(math.log(spot / strike)), 1e-5)
    if not 0 < target <= gamma(spot, strike, peak):
        return math.nan
    return brentq(lambda s: gamma(spot, strike, s) - target, peak, 0.5)


class Snapshot:
    """One published file, and its line of the summary."""

    def __init__(self, path, summary):
        self.day, clock = date.fromisoformat(path.stem[:10]), path.stem[11:]
        self.ts_ns = ny_ns(self.day, int(clock[:2]), int(clock[2:]))
        self.told = summary[self.day.isoformat(), f"{clock[:2]}:{clock[2:]}"]
        self.spot = float(self.told["spot"])
        self.rows = np.genfromtxt(path, delimiter=",", skip_header=1, names=True)
        self.strike = self.rows["strike"]
        unit = 100 * self.spot**2 * 0.01
        with np.errstate(all="ignore"):
            self.call_gamma, self.put_gamma = self.rows["cg"] / (self.rows["coi"] * unit), -self.rows["pg"] / (self.rows["poi"] * unit)
        self.takes_call = self.rows["coi"] >= self.rows["poi"]
        self.source = np.where(self.takes_call, self.call_gamma, self.put_gamma)

    @property
    def has_gamma(self):
        return bool(np.nansum(np.abs(self.rows["total"])) > 0)

    def years(self, delay_min=DELAY_MIN):
        close = int(SessionCalendar.xnys().session(self.day)["close"])
        return float(years_to_expiry(self.ts_ns - delay_min * 60_000_000_000, close, TimeClock.CAL365, calendar=SessionCalendar.xnys()))

    @functools.cache  # noqa: B019 - as many as there are files, for one module
    def exposure(self):
        """Our exposure with the volatility at which the side with more open interest has its published gamma."""
        years = self.years()
        s = np.array([self._s(k, g) for k, g in zip(self.strike, self.source, strict=True)])
        vol, n = s / math.sqrt(years), len(self.strike)
        size = np.concatenate([self.rows["coi"], self.rows["poi"]])
        return exposure(self.spot, np.tile(self.strike, 2), np.repeat(["C", "P"], n), years, np.tile(vol, 2), size), s

    def _s(self, strike, target):
        """Far from the money the smaller of the two: the volatility is of the size it has at the money."""
        far = abs(math.log(self.spot / strike))
        if not 0 < target <= gamma(self.spot, strike, max(far, 1e-5)):
            return total_vol(self.spot, strike, target)
        return (
            brentq(lambda s: gamma(self.spot, strike, s) - target, far / 30, far) if far > 0.002 else total_vol(self.spot, strike, target)
        )


@pytest.fixture(scope="module")
def snapshots(realdata):
    folder = realdata / "gex_spx_0dte_2026"
    with (folder / "summary.csv").open(newline="") as handle:
        summary = {(row["date"], row["time"]): row for row in csv.DictReader(handle)}
    # the rows of 2026-08-13 have another origin and scale, says the README beside the files
    return [Snapshot(path, summary) for path in sorted((folder / "profile").glob("2026-08-[12]*.csv")) if "08-13" not in path.name]


@pytest.fixture(scope="module")
def usable(snapshots):
    found = [snapshot for snapshot in snapshots if snapshot.has_gamma]
    assert len(found) >= 60
    return found


def test_exposure_of_the_side_that_was_not_used_is_the_published_one_to_a_step_of_its_gamma(usable):
    n, n_close = 0, 0
    for snapshot in usable:
        got, s = snapshot.exposure()
        assert got.strikes["strike"].tolist() == snapshot.strike.tolist()
        unit = 100 * snapshot.spot**2 * 0.01
        for name, column, size, is_other in (
            ("call_gex", "cg", "coi", ~snapshot.takes_call), ("put_gex", "pg", "poi", snapshot.takes_call)
        ):  # fmt: skip
            rows = is_other & np.isfinite(s) & (snapshot.rows[size] > 0)
            off = np.abs(got.strikes[name] - snapshot.rows[column])[rows]
            step = (TICK * snapshot.rows[size] * unit)[rows]
            assert (off <= 2.02 * step + 1).all()
            n, n_close = n + rows.sum(), n_close + (off <= 0.02 * step + 1).sum()
    assert n > 3000
    assert n_close / n > 0.95  # equal but for the rounding to whole dollars


def test_net_of_the_strikes_in_the_files_is_the_published_sum_of_those_strikes(usable):
    for snapshot in usable:
        got, s = snapshot.exposure()
        told = np.where(np.isfinite(s), snapshot.rows["total"], 0.0).sum()
        gross = np.abs(snapshot.rows["cg"]).sum() + np.abs(snapshot.rows["pg"]).sum()
        assert got.net_gex == pytest.approx(told, abs=0.005 * gross)


def test_at_few_strikes_no_option_can_have_the_published_gamma(usable):
    missing = np.concatenate([np.isnan(snapshot.exposure()[1]) for snapshot in usable])
    assert 0.001 < missing.mean() < 0.03
    worst = max(usable, key=lambda snapshot: np.isnan(snapshot.exposure()[1]).sum())
    assert (worst.told["date"], worst.told["time"]) == ("2026-08-20", "09:30")


def test_walls_and_peak_are_the_published_ones(usable):
    for snapshot in usable:
        table = np.zeros(len(snapshot.rows), STRIKE_DTYPE)
        for ours, theirs in (("strike", "strike"), ("call_gex", "cg"), ("put_gex", "pg"), ("net_gex", "total")):
            table[ours] = snapshot.rows[theirs]
        got = levels(snapshot.spot, table)
        published = tuple(float(snapshot.told[name]) for name in ("call_wall", "put_wall", "peak_strike"))
        assert (got.call_wall, got.put_wall, got.absolute_wall) == published, snapshot.told


def test_the_published_flip_is_where_strikes_add_up_to_zero_and_not_where_net_gamma_is_zero(usable):
    n_inside, farthest = 0, 0.0
    for snapshot in usable:
        got, s = snapshot.exposure()
        published = float(snapshot.told["gamma_flip"])
        if snapshot.strike[0] < published < snapshot.strike[-1]:
            n_inside += 1
            below = float(snapshot.told["net"]) - snapshot.rows["total"].sum()  # what the strikes outside the file add, taken as below
            added = np.cumsum(snapshot.rows["total"]) + below
            turns = snapshot.strike[1:][added[:-1] * added[1:] < 0]
            assert np.abs(turns - published).min() <= 5
        for flip in got.profile.flips:
            assert repriced(snapshot, s, flip - 0.01) * repriced(snapshot, s, flip + 0.01) < 0
        if got.flip is not None:
            farthest = max(farthest, abs(got.flip - published))
    assert n_inside >= 5
    assert farthest > 200


def repriced(snapshot, s, spot):
    """Net gamma at another spot, by the plain formula."""
    rows = np.isfinite(s)
    size = (snapshot.rows["coi"] - snapshot.rows["poi"])[rows]
    return float((size * gamma(spot, snapshot.strike[rows], s[rows])).sum())


def test_volatility_stays_level_through_the_day_only_if_the_page_is_taken_as_15_minutes_late(usable):
    by_delay = {}
    for delay in (0, DELAY_MIN):
        vols = {}
        for snapshot in usable:
            left_min = (int(SessionCalendar.xnys().session(snapshot.day)["close"]) - snapshot.ts_ns) / 60e9
            i = int(np.argmin(np.abs(snapshot.strike - snapshot.spot)))
            if snapshot.day == date(2026, 8, 18) and left_min >= 10:
                vols[left_min] = total_vol(snapshot.spot, snapshot.strike[i], snapshot.source[i]) / math.sqrt(snapshot.years(delay))
        noon = np.median([vol for left, vol in vols.items() if 90 <= left <= 180])
        by_delay[delay] = vols[15.0] / noon
    assert by_delay[0] > 1.3
    assert abs(by_delay[DELAY_MIN] - 1) < 0.15


def test_without_gamma_there_is_no_wall(snapshots):
    dark = [snapshot for snapshot in snapshots if not snapshot.has_gamma]
    assert [snapshot.told["put_wall"] for snapshot in dark] == ["3000.0"]
    got, _ = dark[0].exposure()
    assert math.isnan(got.net_gex)
    assert (got.flip, got.levels.put_wall, got.levels.call_wall) == (None, None, None)
    assert any("no implied volatility" in note for note in got.notes)
