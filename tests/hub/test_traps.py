"""Faults that users of such systems have lived through, each named after what the trader would have seen.

The letter and number is the fault's place in the list of known faults (F feed, B bars, C clock and calendar, H hub).
"""

from __future__ import annotations

import threading
from datetime import date, timedelta

import numpy as np
import pytest

from tests.stubs import MIN, OPEN, SEC, TEN, bar, bars, go, live, minutes_of, play, prints, quotes, replayed, tape, values
from workbench.clock import sleep_s
from workbench.errors import ConnectionLimitError
from workbench.hub.health import Mode
from workbench.sessions import Segment, SessionCalendar, ny_ns
from workbench.sources.base import FeedGap, FeedState, FeedStatus, SourceInfo
from workbench.types import BarSource

CALENDAR = SessionCalendar.xnys()


# -- F: the feed ----------------------------------------------------------------------------------------------------------------


def test_f1_green_light_over_a_mute_socket():
    hub, source, clock = live()
    source.history_rows["SPY"] = np.concatenate([bar(minute, n_trades=3000.0) for minute in range(OPEN, TEN, MIN)])
    hub.watch("SPY")
    hub.on_trades(prints([(TEN, 100.0, 100)]))
    go(hub, clock, TEN)
    assert hub.health().mode is not Mode.STALE
    go(hub, clock, TEN + 20 * SEC)
    health = hub.health()
    assert (health.mode, health.age_s) == (Mode.STALE, 20.0)
    assert "20 s" in health.reason


def test_f2_670_of_960_minutes_missing_after_a_day_of_reconnects():
    session = CALENDAR.session(date(2026, 11, 18))
    opens = list(minutes_of(session))
    truth = bars(opens, source=BarSource.REST)
    hub, source, clock = live(opens[0])
    source.history_rows["SPY"] = truth
    hub.watch("SPY")
    for k in range(0, 960, 10):  # of every ten minutes the feed sees three
        for i in range(k, k + 3):
            hub.on_bars("SPY", truth[i : i + 1].copy())
            go(hub, clock, opens[i] + MIN + SEC)
        hub.on_gap(FeedGap(opens[k + 3], opens[k + 9] + MIN, "reconnecting"))
        go(hub, clock, opens[k + 9] + MIN + 3 * SEC)
    go(hub, clock, opens[-1] + 10 * MIN)
    rows = hub.series("SPY", "1m").rows()
    assert rows["ts_open"].tolist() == opens
    assert hub.gaps == ()


def test_f9_another_program_took_the_one_connection():
    hub, source, clock = live()
    said = str(ConnectionLimitError("another program uses the connection: close it, then reconnect"))
    source.sink.on_status(FeedStatus(FeedState.REFUSED, said, TEN))
    go(hub, clock, TEN + SEC)
    assert (hub.health().mode, hub.health().reason) == (Mode.REFUSED, said)


def test_f10_a_symbol_watched_twice_is_subscribed_once_and_a_lost_one_again():
    hub, source, clock = live()
    for _ in range(3):
        hub.watch("SPY")
        hub.series("SPY", "5m")
    assert source.subscribed == ["SPY"]
    hub.unwatch("SPY")
    hub.unwatch("SPY")
    hub.watch("SPY")
    go(hub, clock, TEN + SEC)
    assert (source.subscribed, source.unsubscribed) == (["SPY", "SPY"], ["SPY"])


def test_f11_delayed_data_is_called_what_it_is():
    hub, source, _ = live()
    source.info = SourceInfo("polygon", "delayed 15 min", delay_ns=15 * MIN)
    assert "delayed 15 min" in hub._repr_html_()


def test_f12_volume_seventeen_times_too_high():
    hub, _ = replayed()
    hub.watch("SPY")
    rows = tape(1)
    for _ in range(17):
        play(hub, rows)
    play(hub, rows[:0], until=TEN + 14 * MIN)
    assert hub.series("SPY", "1m").rows()["volume"].sum() + hub._writer._builder.volume_without_bar == rows["size"].sum()


def test_f13_last_price_jumps_back_to_a_late_off_exchange_print():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + 50 * SEC, 101.0, 100)]))
    play(hub, prints([(TEN + 10 * SEC, 100.0, 100)], first_sequence=9, latency_ns=45 * SEC))
    assert hub.last_trade("SPY").price == 101.0
    assert hub.series("SPY", "1m").forming["close"].tolist() == [101.0]
    assert hub.board("SPY").last == 101.0


def test_f14_a_correction_sent_as_a_new_bar_of_the_same_minute_stands():
    hub, _, clock = live()
    cursor = hub.cursor("SPY", "1m")
    hub.on_bars("SPY", bar(TEN, 100.0, high=140.0, volume=500.0, source=BarSource.PROVIDER))
    go(hub, clock, TEN + MIN + SEC)
    cursor.read()
    hub.on_bars("SPY", bar(TEN, 100.0, high=101.0, volume=400.0, source=BarSource.PROVIDER))  # the bust print is out
    go(hub, clock, TEN + MIN + 2 * SEC)
    rows = cursor.read().rows
    assert (rows["high"].tolist(), rows["volume"].tolist(), rows["revision"].tolist()) == ([101.0], [400.0], [1])


def test_f17_two_hundred_good_prints_lost_for_one_bad_one():
    hub, _ = replayed()
    hub.watch("SPY")
    rows = tape(2, minutes=25)
    rows["price"][77] = np.nan
    hub.on_reject("not JSON", "SPY", b'{"ev":"T","p":', TEN)
    play(hub, rows, until=TEN + 27 * MIN)
    assert hub.quarantine.counts() == {"not JSON": 1, "price not a number above 0": 1}
    assert hub.series("SPY", "1m").rows()["n_trades"].sum() == len(rows) - 1


def test_f18_a_spread_of_minus_three_dollars():
    hub, _ = replayed()
    hub.watch("SPY")
    hub.on_quotes(
        quotes([(TEN, 99.9, 100.1), (TEN + 1, 103.0, 100.0), (TEN + 2, 0.0, 0.0), (TEN + 3, -1.0, 100.0), (TEN + 4, np.nan, 100.2)])
    )
    hub.pump()
    quote = hub.quote("SPY")
    assert (np.isnan(quote.bid), quote.ask) == (True, 100.2)
    assert hub.health().n_quarantined == 3


# -- B: bars --------------------------------------------------------------------------------------------------------------------


def test_b1_two_candles_for_the_same_minute():
    hub, _, clock = live()
    hub.watch("SPY")
    for volume in (100.0, 250.0, 300.0):
        hub.on_bars("SPY", bar(TEN, source=BarSource.PROVIDER, volume=volume))
        go(hub, clock, TEN + MIN + SEC)
    table = hub.bars("SPY", "1m")
    assert (len(table), table["volume"].iloc[0], table["revision"].iloc[0]) == (1, 300.0, 2)


def test_b2_a_five_minute_bar_made_of_bars_from_two_different_five_minutes():
    hub, source = replayed(TEN + 20 * MIN)
    source.history_rows["SPY"] = bars([TEN, TEN + 3 * MIN, TEN + 9 * MIN, TEN + 10 * MIN, TEN + 14 * MIN])  # a quiet symbol
    hub.series("SPY", "5m")
    hub.pump()
    rows = hub.series("SPY", "5m").rows()
    volume = source.history_rows["SPY"]["volume"]
    assert rows["ts_open"].tolist() == [TEN, TEN + 5 * MIN, TEN + 10 * MIN]
    assert rows["volume"].tolist() == [volume[:2].sum(), volume[2], volume[3:].sum()]


def test_b6_the_day_has_less_volume_than_its_minutes_because_it_is_the_regular_session():
    session = CALENDAR.session(date(2026, 11, 17))
    hub, source = replayed()
    source.history_rows["SPY"] = rows = bars(minutes_of(session))
    hub.series("SPY", "1d")
    hub.pump()
    regular = rows[(rows["ts_open"] >= session["open"]) & (rows["ts_open"] < session["close"])]
    day = hub.series("SPY", "1d").rows()
    assert (day["volume"][0], day["close"][0]) == (regular["volume"].sum(), regular["close"][-1])


def test_b7_the_closing_auction_does_not_close_the_regular_day_at_an_after_hours_price():
    close = int(CALENDAR.session(date(2026, 11, 18))["close"])
    hub, _ = replayed(close - MIN)
    for label in ("1m", "1h", "1d"):
        hub.series("SPY", label)
    rows = prints([(close - SEC, 100.0, 100), (close + SEC, 100.5, 5_000, 8), (close + 90 * SEC, 101.0, 100, 12)])
    play(hub, rows, until=close + 5 * MIN)
    assert hub.series("SPY", "1d").rows()["close"].tolist() == [100.0]
    assert hub.series("SPY", "1m").rows()["ts_open"].tolist() == [close - MIN, close, close + MIN]
    assert hub.series("SPY", "1h").rows()["ts_close"].tolist() == [close]  # after hours has a bar of its own
    assert hub.series("SPY", "1h").forming["ts_open"].tolist() == [close]


def test_b8_an_odd_lot_or_an_extended_hours_print_draws_a_wick_in_regular_hours():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100), (TEN + 2 * SEC, 102.5, 3, 37), (TEN + 3 * SEC, 97.5, 100, 12), (TEN + 4 * SEC, 100.1, 100)]))
    forming = hub.series("SPY", "1m").forming
    assert (forming["high"][0], forming["low"][0], forming["volume"][0]) == (100.1, 100.0, 303.0)


def test_b9_a_bar_closed_while_its_last_prints_still_wait():
    hub, _, clock = live(TEN - 5 * MIN)
    hub.watch("SPY")
    go(hub, clock, TEN)
    clock.ns = TEN + 59 * SEC
    hub.on_trades(prints([(TEN + 58 * SEC, 100.0, 100)]))
    hub.on_trades(prints([(TEN + 59 * SEC, 101.0, 100)], first_sequence=2))
    clock.ns = TEN + 5 * MIN  # the machine stood still
    hub._drain(limit=1)
    hub._tick()
    assert len(hub.series("SPY", "1m")) == 0
    hub.pump()
    assert hub.series("SPY", "1m").rows()["close"].tolist() == [101.0]


def test_b10_a_signal_fires_on_a_bar_that_is_not_closed():
    hub, source, clock = live()
    cursors = [hub.cursor("SPY", label) for label in ("1m", "5m", "1d")]
    source.history_rows["SPY"] = np.concatenate([bar(TEN, is_partial=1), bar(TEN + MIN, is_partial=1)])
    hub.on_bars("SPY", bar(TEN, is_partial=1, source=BarSource.PROVIDER))
    hub.on_trades(prints([(TEN + 30 * SEC, 100.0, 100)]))
    go(hub, clock, TEN + 40 * SEC)
    for cursor in cursors:
        update = cursor.read()
        assert len(update.rows) == 0
        assert update.forming["is_partial"].all()
    go(hub, clock, TEN + 10 * MIN)
    for cursor in cursors:
        assert not cursor.read().rows["is_partial"].any()


def test_b11_a_split_halves_history_under_a_live_chart():
    """History read again after a split is of another scale; live minutes that stand are not mixed with it silently."""
    hub, source, clock = live(TEN - 5 * MIN)
    hub.watch("SPY")
    go(hub, clock, TEN)
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    go(hub, clock, TEN + MIN + 3 * SEC)
    source.history_rows["SPY"] = bar(TEN, 50.0, volume=100.0, source=BarSource.REST)
    hub._writer.plan.want("SPY", TEN, TEN + MIN)
    go(hub, clock, TEN + 2 * MIN)
    rows = hub.series("SPY", "1m").rows()
    assert (rows["close"].tolist(), rows["source"].tolist()) == ([100.0], [BarSource.TRADES])  # what was seen stands, its origin is told


def test_b14_every_bar_says_where_it_is_from_and_a_mixed_one_names_the_weaker():
    hub, source, clock = live(TEN - MIN)
    hub.series("SPY", "5m")
    source.history_rows["SPY"] = bar(TEN, source=BarSource.REST)
    go(hub, clock, TEN + MIN)
    hub._writer.plan.want("SPY", TEN, TEN + MIN)
    hub.on_trades(prints([(TEN + MIN + SEC, 100.0, 100)]))
    go(hub, clock, TEN + 6 * MIN)
    assert hub.bars("SPY", "1m")["source"].tolist() == ["rest", "trades"]
    assert hub.bars("SPY", "5m")["source"].tolist() == ["rest"]


def test_b15_a_stamp_twice_in_a_table_where_history_meets_the_live_feed():
    hub, source, clock = live()
    source.history_rows["SPY"] = bars(range(OPEN, TEN + 3 * MIN, MIN))
    hub.watch("SPY")
    hub.on_trades(prints([(TEN + k * 20 * SEC, 100.0, 100) for k in range(1, 8)]))
    for second in range(0, 200, 7):
        go(hub, clock, TEN + second * SEC)
        for label in ("1m", "5m"):
            assert hub.bars("SPY", label).index.is_unique
        hub._writer.plan.want("SPY", TEN - 5 * MIN, clock.ns // MIN * MIN)


def test_b16_the_average_price_begins_at_midnight_utc_instead_of_the_bell():
    hub, source = replayed(ny_ns(date(2026, 11, 18), 19, 30))  # 00:30 UTC of the next day
    source.history_rows["SPY"] = bars(minutes_of(CALENDAR.session(date(2026, 11, 18))))
    hub.watch("SPY")
    hub.pump()
    assert hub.vwap("SPY")["ts_open"][[0, -1]].tolist() == [OPEN, OPEN + 389 * MIN]


def test_b17_volume_of_a_tenth_of_a_share_does_not_drift():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + k * 1_000_000, 100.0, 0.1) for k in range(10_000)]))
    assert hub.series("SPY", "1m").forming["volume"].tolist() == [1000.0]


def test_b18_a_halted_symbol_grows_no_flat_line():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100)]), until=TEN + 30 * MIN)
    assert len(hub.series("SPY", "1m")) == 1
    assert hub.series("SPY", "1m").forming is None


# -- C: clock and calendar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [date(2026, 3, 9), date(2026, 11, 2)])
def test_c1_c2_c3_c4_the_first_bar_is_not_at_half_past_nine_after_the_clocks_changed(day):
    hub, source = replayed(ny_ns(day, 12))
    source.history_rows["SPY"] = bars(range(ny_ns(day, 9, 30), ny_ns(day, 12), MIN))
    for label in ("1m", "5m", "1h", "1d"):
        hub.series("SPY", label)
    hub.pump()
    for label in ("1m", "5m", "1h", "1d"):
        first = hub.bars("SPY", label).index[0]
        assert (first.date(), first.hour, first.minute) == (day, 9, 30)


def test_c5_weeks_in_which_europe_and_america_disagree():
    for day in (date(2026, 3, 16), date(2026, 10, 27)):
        hub, _, _ = live(ny_ns(day, 9, 30))
        assert hub.health().segment is Segment.RTH
        hub, _, _ = live(ny_ns(day, 9, 30) - 1)
        assert hub.health().segment is Segment.PRE


def test_c7_a_week_holds_all_its_hours_though_one_of_them_came_twice():
    friday, monday = date(2025, 10, 31), date(2025, 11, 3)
    assert ny_ns(monday, 9, 30) - ny_ns(friday, 9, 30) == 73 * 60 * MIN  # three days and the hour that came twice
    hub, source = replayed(ny_ns(monday, 16, 30))
    source.history_rows["SPY"] = bars(
        [*minutes_of(CALENDAR.session(friday), extended=False), *minutes_of(CALENDAR.session(monday), extended=False)]
    )
    hub.series("SPY", "1h")
    hub.pump()
    assert hub.bars("SPY", "1h").index.strftime("%H:%M").tolist() == ["09:30", "10:30", "11:30", "12:30", "13:30", "14:30", "15:30"] * 2


def test_c8_on_a_day_of_mourning_the_market_is_closed():
    hub, _, _ = live(ny_ns(date(2025, 1, 9), 11))  # national day of mourning for President Carter
    hub.watch("SPY")
    hub.pump()
    assert hub.health().mode is Mode.CLOSED


def test_c9_the_half_day_is_over_at_one():
    close = ny_ns(date(2025, 11, 28), 13)
    hub, source = replayed(close + MIN)
    source.history_rows["SPY"] = bars(range(close - 210 * MIN, close, MIN))
    hub.series("SPY", "1d")
    hub.pump()
    assert hub.series("SPY", "1d").rows()["ts_close"].tolist() == [close]
    assert hub.health().segment is Segment.AH


def test_c13_nothing_expires_over_a_long_weekend():
    friday, tuesday = date(2026, 1, 16), date(2026, 1, 20)  # Martin Luther King Day between
    hub, source = replayed(ny_ns(friday, 16, 30))
    source.history_rows["SPY"] = bars(minutes_of(CALENDAR.session(friday), extended=False))
    hub.watch("SPY")
    hub.pump()
    source.clock.advance_to(ny_ns(tuesday, 9, 0))
    hub.on_time(ny_ns(tuesday, 9, 0))
    hub.pump()
    row = hub.board("SPY")
    assert row.prev_close == source.history_rows["SPY"]["close"][-1]
    assert len(hub.series("SPY", "1m")) == 390


@pytest.mark.parametrize("scale", [1_000, 1_000_000, 1_000_000_000])
def test_c14_prints_of_1970_from_milliseconds_taken_for_nanoseconds(scale):
    hub, _ = replayed()
    hub.watch("SPY")
    rows = prints([(TEN + SEC, 100.0, 100)])
    rows["ts_event"] //= scale
    play(hub, rows)
    assert hub.quarantine.counts() == {"stamp in the future or before 1990": 1}
    assert len(hub.bars("SPY", "1m")) == 0


def test_c11_the_clock_steps_back_and_no_bar_is_told_twice():
    hub, _, clock = live(TEN - 5 * MIN)
    hub.watch("SPY")
    cursor = hub.cursor("SPY", "1m")
    go(hub, clock, TEN)
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    seen = []
    for moment in (TEN + MIN + 3 * SEC, TEN + 30 * SEC, TEN + MIN + 3 * SEC, TEN + 2 * MIN):
        go(hub, clock, moment)
        seen += cursor.read().rows["ts_open"].tolist()
    assert seen == [TEN]


# -- H: the hub -----------------------------------------------------------------------------------------------------------------


def test_h2_a_frozen_chart_under_a_green_light():
    """A reader that was overrun is told, and goes on; it is never just left out."""
    hub, _ = replayed(capacity=5)
    cursor = hub.cursor("SPY", "2m")
    cursor.read()
    play(hub, tape(3, minutes=60), until=TEN + 61 * MIN)
    update = cursor.read()
    assert update.is_gap
    assert len(update.rows) == 5
    play(hub, prints([(TEN + 61 * MIN, 100.0, 100)], first_sequence=9999), until=TEN + 66 * MIN)
    assert not cursor.read().is_gap


def test_h3_numbers_that_start_anew_are_ignored_as_old():
    hub, _ = replayed()
    cursor = hub.cursor("SPY", "1m")
    play(hub, tape(1), until=TEN + 14 * MIN)
    before = cursor.read()
    hub.on_reset("moved back")
    hub.source.clock.seek(TEN)
    hub.pump()
    rows = tape(1)
    play(hub, rows[rows["ts_recv"] < TEN + 3 * MIN], until=TEN + 3 * MIN)
    update = cursor.read()
    assert update.is_gap
    assert update.epoch == before.epoch + 1
    assert len(update.rows) == 2


def test_h4_a_resume_replays_everything_and_candles_double():
    hub, _ = replayed()
    series = hub.series("SPY", "1m")
    play(hub, tape(1), until=TEN + 14 * MIN)
    first = series.since(series.epoch, 0)
    again = series.since(first.epoch, first.seq)
    assert (len(first.rows), len(again.rows), again.is_gap) == (12, 0, False)


def test_h5_a_number_older_than_the_log_is_a_silent_hole():
    hub, _ = replayed(capacity=5000)
    series = hub.series("SPY", "1m")
    for _ in range(3):
        series.upsert(bars(range(OPEN, OPEN + 1000 * MIN, MIN), seed=int(series.seq) + 1))
    assert series.since(hub.epoch, 1).is_gap
    assert not series.since(hub.epoch, series.seq - 2000).is_gap


def test_h6_states_and_quotes_use_up_no_numbers():
    hub, source = replayed()
    series = hub.series("SPY", "1m")
    play(hub, tape(1), until=TEN + 14 * MIN)
    seq = series.seq
    for k in range(20):
        hub.on_quotes(quotes([(TEN + 14 * MIN + k, 1.0, 2.0)]))
        source.sink.on_status(FeedStatus(FeedState.LIVE, str(k), TEN))
        hub.on_time(TEN + 14 * MIN + k)
    hub.pump()
    assert series.seq == seq


def test_h12_a_bar_missing_or_doubled_at_the_seam_between_page_and_stream():
    hub, source = replayed(TEN)
    source.history_rows["SPY"] = truth = bars(range(OPEN, TEN, MIN))
    cursor = hub.cursor("SPY", "1m", 5)
    hub.pump()
    page = cursor.read()
    older = hub.older("SPY", "1m", int(page.rows["ts_open"][-5]), 10)
    play(hub, tape(1), until=TEN + 14 * MIN)
    live_rows = cursor.read().rows
    opens = [*older["ts_open"], *page.rows["ts_open"][-5:], *live_rows["ts_open"]]
    assert opens == [TEN + k * MIN for k in range(-15, 12)]
    assert values(older).tobytes() == values(truth[-15:-5]).tobytes()


def test_h13_false_gaps_because_numbers_were_given_before_filtering():
    hub, _ = replayed()
    cursor = hub.cursor("SPY", "1m")
    rows = tape(5)
    rows["price"][::9] = -1.0
    seen = []
    for k in range(0, len(rows), 10):
        play(hub, rows[k : k + 10])
        seen += cursor.read().rows["seq"].tolist()
    play(hub, rows[:0], until=TEN + 14 * MIN)
    seen += cursor.read().rows["seq"].tolist()
    assert seen == list(range(1, len(seen) + 1))


def test_a_reader_that_does_nothing_never_slows_the_writer_or_grows():
    hub, _ = replayed(capacity=50)
    idle = [hub.cursor("SPY", "2m") for _ in range(50)]
    for k in range(30):
        play(hub, tape(k, start=TEN + 3 * k * MIN, minutes=3))
    assert all(cursor.has_news for cursor in idle)
    assert len(hub.series("SPY", "2m")._log._buffer) == 4 * (2 * 50 + 1)  # the one log, however many readers


def test_the_hub_keeps_up_while_readers_open_series_and_ask_for_health():
    hub, source = replayed()
    hub.start()
    stop, failed = threading.Event(), []

    def ask(k: int) -> None:
        labels = ("1m", "2m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "1d", "1w")
        try:
            while not stop.is_set():
                for label in labels:
                    hub.bars(f"S{k}", label)
                hub.health(f"S{k}"), hub.board(f"S{k}"), hub.gaps, hub.quarantine.recent()
                hub.unwatch(f"S{k}")
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    try:
        for k in range(150):
            rows = tape(k, start=TEN + k * MIN, minutes=1)
            source.clock.advance_to(TEN + (k + 1) * MIN)
            for sid in range(min(3, len(hub.symbols))):
                rows["symbol_id"] = sid
                rows["sequence"] += 1000
                hub.on_trades(rows.copy())
            hub.on_time(TEN + (k + 1) * MIN)
            sleep_s(0.002)
        assert hub.wait_idle(20)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
        hub.stop()
    assert failed == []
    assert hub.health().errors == 0
    assert not any(thread.is_alive() for thread in threads)


def test_the_bells_of_ten_years_are_where_the_exchange_put_them():
    """Facts typed in: early closes at 13:00 on the days that NYSE announced."""
    for day in (date(2023, 7, 3), date(2023, 11, 24), date(2024, 12, 24), date(2025, 7, 3), date(2026, 11, 27), date(2026, 12, 24)):
        assert CALENDAR.session(day)["close"] == ny_ns(day, 13)
    for day in (date(2026, 11, 26), date(2026, 12, 25), date(2026, 6, 19), date(2026, 7, 3), date(2022, 6, 20)):
        assert not CALENDAR.is_session(day)
        assert CALENDAR.is_session(day + timedelta(days=-1 if day.weekday() else -3))
