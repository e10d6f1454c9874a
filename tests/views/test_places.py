"""Tab N+1 is told so; the desks that are open do not notice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from workbench.views.places import OPENING_MS, Places


class Context(SimpleNamespace):
    __hash__ = object.__hash__


def context(*, connections=1, since_ms=0.0, destroyed=False):
    return Context(destroyed=destroyed, session=Context(connection_count=connections, milliseconds_since_last_unsubscribe=since_ms))


def test_a_desk_keeps_its_place_while_its_page_is_connected():
    places, held = Places(), [context(), context()]
    assert [places.take(one, 2) for one in held] == [True, True]
    assert not places.take(context(), 2)
    held[0].session.connection_count = 0
    assert not places.take(context(), 2), "a page that was just sent, or is being loaded anew, still has its place"
    held[0].session.milliseconds_since_last_unsubscribe = OPENING_MS + 1
    assert places.take(context(), 2)


@pytest.mark.parametrize("gone", [context(destroyed=True), context(connections=0, since_ms=1e9)])
def test_who_is_gone_takes_no_place(gone):
    places = Places()
    assert places.take(gone, 1)
    assert places.take(context(), 1)


def test_an_app_that_is_run_to_warm_up_needs_no_place():
    places = Places()
    assert all(places.take(None, 1) for _ in range(3))
