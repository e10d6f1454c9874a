"""Half-open spans of time [start, end) as sorted lists without overlaps. Floor 1: standard library only."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same time as sorted spans that neither overlap nor touch; empty spans vanish."""
    out: list[Span] = []
    for start, end in sorted(s for s in spans if s[0] < s[1]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def minus(wanted: Span, covered: Iterable[Span]) -> list[Span]:
    """Return the parts of one span that the others leave uncovered, oldest first."""
    at, out = wanted[0], []
    for start, end in union(covered):
        if end <= at or start >= wanted[1]:
            continue
        if start > at:
            out.append((at, start))
        at = max(at, end)
    if at < wanted[1]:
        out.append((at, wanted[1]))
    return out


def cut_out(spans: Iterable[Span], hole: Span) -> list[Span]:
    """Return the spans without the time of `hole`."""
    return union(part for span in spans for part in minus(span, [hole]))
