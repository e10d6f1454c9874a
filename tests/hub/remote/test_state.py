"""What is told late of a life of the hub that is over changes nothing here."""

from __future__ import annotations

from dataclasses import replace

from workbench.hub.remote import wire
from workbench.hub.remote.state import MirrorState, _unheard


def quality(epoch: int, ts_ns: int) -> wire.Quality:
    return wire.Quality(epoch, True, replace(_unheard(), ts_ns=ts_ns).to_dict(), [], [])


def test_after_a_seek_back_no_late_answer_moves_the_clock_ahead_of_the_market():
    state = MirrorState(100, 100)
    state.take_quality(quality(5, 15_000), is_first=True)
    state.take_replay(wire.Replay(15_000, 1.0, False, 0, 20_000))
    state.take_quality(quality(6, 10_000), is_first=False)
    state.take_quality(quality(5, 15_000), is_first=False)  # asked before the seek, answered after it
    assert (state.epoch, state.clock.now_ns()) == (6, 10_000)
    state.take_quality(quality(6, 10_500), is_first=False)
    assert state.clock.now_ns() == 10_500
    state.take_quality(quality(4, 9_000), is_first=True)  # another hub at the address, whose machine's clock was set back
    assert (state.epoch, state.clock.now_ns()) == (4, 9_000)
