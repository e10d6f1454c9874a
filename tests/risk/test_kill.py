"""The kill switch stays tripped until somebody releases it by name, for a reason."""

import pytest

from workbench.errors import OrderError
from workbench.risk.kill import KillState, Released, Tripped, state_after

TRIP, LATER, RELEASE = Tripped(1, "ann", "runaway"), Tripped(2, "throttle", "1,000 signals"), Released(3, "bob", "strategy fixed")


@pytest.mark.parametrize(
    ("events", "trip"),
    [
        ((), None),
        ((TRIP,), TRIP),
        ((TRIP, LATER), TRIP),
        ((TRIP, RELEASE), None),
        ((TRIP, LATER, RELEASE), None),
        ((TRIP, RELEASE, LATER), LATER),
    ],
)
def test_what_the_events_leave(events, trip):
    state = state_after(events)
    assert state == KillState(trip)
    assert state.is_tripped == (trip is not None)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((RELEASE,), "received a release while the kill switch is not tripped"),
        ((TRIP, Released(2, " ", "because")), "Released.by: received ' '; allowed: who releases"),
        ((TRIP, Released(2, "bob", "")), "Released.reason: received ''; allowed: who releases"),
    ],
)
def test_a_release_that_is_none(events, said):
    with pytest.raises(OrderError, match=said):
        state_after(events)
