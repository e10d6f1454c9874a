"""The text of server-sent events, cut into pieces anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SourceError
from workbench.hub.remote import sse
from workbench.hub.remote.sse import Event, EventReader

TEXT = (
    b": a comment\n\n"
    b"event: epoch\ndata: {}\n\n"
    b'id: 7:12\nevent: bar\ndata: {"a":\ndata: 1}\n\n'
    b"event: heartbeat\ndata:no space\n\n"
    b"data: unnamed\n\n"
    b"event: nothing\n\n"
    b"id: 7:13\ndata: \xc3\xa9\nretry: 5\nunknown\n\n"
    b"data: cut off before its end\n"
)
EVENTS = [
    Event("epoch", b"{}", ""),
    Event("bar", b'{"a":\n1}', "7:12"),
    Event("heartbeat", b"no space", "7:12"),
    Event("message", b"unnamed", "7:12"),
    Event("message", "é".encode(), "7:13"),
]


def read(pieces):
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_events_are_the_same_wherever_the_text_is_cut(cuts):
    edges = [0, *sorted(cuts), len(TEXT)]
    assert read(TEXT[a:b] for a, b in zip(edges, edges[1:], strict=False)) == EVENTS


@given(st.lists(st.integers(0, 2 * len(TEXT)), max_size=12), st.sampled_from([b"\r\n", b"\r"]))
def test_lines_may_end_in_any_of_the_three_ways(cuts, end):
    text = TEXT.replace(b"\n", end) + b"x"  # what follows a CR decides whether it was all of a line end
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert read(text[a:b] for a, b in zip(edges, edges[1:], strict=False)) == EVENTS


def test_an_event_beyond_all_measure_is_refused(monkeypatch):
    monkeypatch.setattr(sse, "MAX_PENDING_BYTES", 100)
    reader = EventReader()
    with pytest.raises(SourceError, match="allowed: a hub's own events"):
        for _ in range(20):
            list(reader.feed(b"data: " + b"x" * 20 + b"\n"))
