import numpy as np
import pytest
from fake_hub import START_NS, random_bars

from workbench.sessions import SessionCalendar, to_ny
from workbench.views.window import BarWindow, Change, columns, thin


@pytest.fixture
def rows():
    return random_bars("5m", START_NS, 400, 100.0)


def filled(rows):
    window = BarWindow()
    window.reset(rows)
    return window


def test_a_newer_bar_is_appended_at_the_next_place(rows):
    window = filled(rows[:-1])
    assert window.end == 399
    assert window.merge(rows[-1:]) is Change.APPENDED
    assert window.end == 400
    assert window.rows["ts_open"][-1] == rows["ts_open"][-1]


def test_a_revision_changes_values_and_no_place(rows):
    window = filled(rows)
    better = rows[7:8].copy()
    better["close"] += 1
    assert window.merge(better) is Change.REVISED
    assert window.rows["close"][7] == better["close"][0]
    assert window.rows["close"][8] == rows["close"][8]
    assert len(window) == 400


def test_of_two_revisions_of_one_bar_the_later_counts(rows):
    window = filled(rows)
    twice = np.concatenate([rows[5:6], rows[5:6]])
    twice["close"] = [1, 2]
    window.merge(twice)
    assert window.rows["close"][5] == 2


def test_a_missing_bar_is_put_where_it_belongs(rows):
    window = filled(np.delete(rows, 100))
    newest = window.place(int(rows["ts_open"][-1]))
    assert window.merge(rows[100:101]) is Change.REBUILT
    assert np.array_equal(window.rows, rows)
    assert window.place(int(rows["ts_open"][-1])) == newest


def test_a_missing_bar_a_revision_and_a_new_bar_come_together(rows):
    window = filled(np.delete(rows[:-1], 100))
    newest = window.place(int(rows["ts_open"][-2]))
    fresh = rows[[7, 100, 399]].copy()
    fresh["close"][0] += 1
    assert window.merge(fresh) is Change.REBUILT
    assert window.rows["ts_open"].tolist() == rows["ts_open"].tolist()
    assert window.rows["close"][7] == fresh["close"][0]
    assert window.place(int(rows["ts_open"][-2])) == newest
    assert window.end == newest + 2


def test_history_fills_a_hole_and_never_replaces_a_bar(rows):
    window = filled(np.delete(rows, slice(50, 80)))
    other = rows[:390].copy()
    other["close"] += 5
    newest = window.place(int(rows["ts_open"][-1]))
    assert window.prepend(other) == 30
    assert window.rows["ts_open"].tolist() == rows["ts_open"].tolist()
    assert (window.rows["close"] != rows["close"]).sum() == 30
    assert window.place(int(rows["ts_open"][-1])) == newest


def test_older_bars_keep_the_places_of_those_already_shown(rows):
    window = filled(rows[100:])
    place = window.place(int(rows["ts_open"][250]))
    assert window.prepend(rows[:100]) == 100
    assert window.place(int(rows["ts_open"][250])) == place
    assert window.base == -100
    assert np.array_equal(window.rows, rows)


def test_prepending_what_is_held_changes_nothing(rows):
    window = filled(rows)
    assert window.prepend(rows[:50]) == 0
    assert np.array_equal(window.rows, rows)


def test_a_forming_bar_that_has_closed_is_no_longer_forming(rows):
    window = filled(rows)
    window.set_forming(rows[-1:])
    assert len(window.forming) == 0


def test_columns_say_new_york_time_and_part_of_the_day(rows):
    data = columns(rows, 10, SessionCalendar.xnys())
    assert data["x"][0] == 10
    for i in (0, 100, 399):
        ny = to_ny(int(rows["ts_open"][i]))
        shown = int(data["ny"][i])
        assert (shown // 3600 % 24, shown // 60 % 60) == (ny.hour, ny.minute)
        minutes = ny.hour * 60 + ny.minute
        assert data["seg"][i] == (1 if minutes < 570 else 2 if minutes < 960 else 3)


@pytest.mark.parametrize("first", [0, -7, 3])
@pytest.mark.parametrize("k", [2, 4, 16, 128])
def test_thinning_never_loses_a_high_a_low_or_a_share(rows, k, first):
    data = columns(rows, first, SessionCalendar.xnys())
    drawn = thin(data, k)
    for i in range(len(drawn["x"])):
        low, high = drawn["x"][i] - (drawn["k"][i] - 1) / 2, drawn["x"][i] + (drawn["k"][i] - 1) / 2
        inside = (data["x"] >= low) & (data["x"] <= high)
        assert drawn["h"][i] == data["h"][inside].max()
        assert drawn["l"][i] == data["l"][inside].min()
        assert drawn["o"][i] == data["o"][inside][0]
        assert drawn["c"][i] == data["c"][inside][-1]
    assert drawn["v"].sum() == pytest.approx(data["v"].sum())
    assert drawn["k"].sum() == len(rows)


def test_thinned_groups_stay_the_same_when_the_window_moves(rows):
    data = columns(rows, 0, SessionCalendar.xnys())
    whole = thin(data, 8)
    part = thin({name: values[80:240] for name, values in data.items()}, 8)
    assert np.array_equal(part["h"], whole["h"][10:30])
