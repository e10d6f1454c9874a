"""Clocks: the replayed one never runs backwards by itself."""

from workbench.clock import Clock, ReplayClock, WallClock


def test_a_replay_clock_moves_only_forward_unless_it_is_sought():
    clock = ReplayClock(100)
    clock.advance_to(50)
    assert clock.now_ns() == 100
    clock.advance_to(200)
    clock.seek(150)
    assert clock.now_ns() == 150


def test_both_clocks_are_clocks_and_the_wall_moves_on():
    wall = WallClock()
    assert isinstance(wall, Clock) and isinstance(ReplayClock(), Clock)
    assert wall.now_ns() <= wall.now_ns()
