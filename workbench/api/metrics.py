"""GET /metrics: the hub's counts in Prometheus' text form, read from the hub when asked and kept nowhere else.

A registry of its own for each service; names begin with workbench_. Floor 8: prometheus-client.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import PlainTextResponse, Response

from workbench.api.context import Context
from workbench.api.errors import responses
from workbench.api.params import Nothing
from workbench.clock import NS_PER_S, monotonic_ns
from workbench.hub.health import Health, Mode, Spread


def metrics_routes(context: Context) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["service"])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HubCollector(context))
    ProcessCollector(namespace="workbench", registry=registry)

    @router.get("/metrics", response_class=PlainTextResponse, responses=responses(422, 500))
    async def metrics(_: Annotated[Nothing, Query()]) -> Response:
        """Counts, gauges and latency histograms in Prometheus' text form."""
        return Response(await context.read(lambda: generate_latest(registry)), media_type=CONTENT_TYPE_LATEST)

    return router


class HubCollector(Collector):
    """Tells Prometheus what the hub and its service count."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is, is known when it is collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every family as it stands now."""
        health = self._context.hub.health()
        yield from self._feed(health)
        yield from self._state(health)
        yield from self._latencies()
        yield from self._streams()
        yield from self._recorder()

    def _feed(self, health: Health) -> Iterator[Metric]:
        hub = self._context.hub
        yield _counter("feed_events", "events handed in by the source", health.n_events)
        yield _counter("feed_dropped", "events that found the queue full", health.dropped)
        yield _counter("hub_errors", "exceptions inside the hub, counted and survived", health.errors)
        yield _counter("bar_changes", "sequence numbers given to changes of closed bars", hub.seq)
        yield _counter("gaps_repaired", "spans that history proved complete", health.gaps_repaired)
        yield _by("quarantined", "events put aside", "reason", hub.quarantine.counts())
        yield _gauge("feed_queued", "events waiting to be applied", health.queued)
        yield _gauge("feed_age_seconds", "since the last event; absent before the first", health.age_s)

    def _state(self, health: Health) -> Iterator[Metric]:
        hub = self._context.hub
        yield _gauge("gaps_open", "spans not yet proved complete", len(hub.gaps))
        yield _gauge("backfills", "history reads under way", health.backfilling)
        yield _gauge("symbols_watched", "symbols followed", len(hub.watched()))
        mode = GaugeMetricFamily("workbench_mode", "1 for the mode that the feed is in", labels=["mode"])
        for one in Mode:
            mode.add_metric([one.value], float(one is health.mode))
        yield mode
        info = GaugeMetricFamily("workbench_source", "where the data comes from, always 1", labels=["source"])
        info.add_metric([health.source], 1.0)
        yield info
        yield _gauge("epoch", "life of the hub [ms UTC of its start]", hub.epoch)
        yield _gauge("uptime_seconds", "since the service began", (monotonic_ns() - self._context.started_ns) / NS_PER_S)
        yield _gauge("threads", "threads of the process", threading.active_count())

    def _latencies(self) -> Iterator[Metric]:
        book = self._context.hub.latency
        yield _histogram("feed_latency_seconds", "from an event to its receipt, one a frame", book.feed)
        yield _histogram("decode_latency_seconds", "from receipt until the hub has applied it, one a frame", book.decode)
        yield _histogram("bar_latency_seconds", "from the end of a minute's grace until its bar can be read", book.bars)

    def _recorder(self) -> Iterator[Metric]:
        recorder = self._context.engine.recorder
        if recorder is None:
            return
        status = recorder.status()
        yield _gauge("recorder_on", "1 while recording is switched on", float(status.is_on))
        yield _gauge("recorder_trouble", "1 while the disk keeps what is recorded from where it belongs", float(bool(status.trouble)))
        yield _by("recorded", "events recorded", "kind", status.recorded)
        yield _by("recorder_lost", "events that the disk refused", "kind", status.lost)
        yield _counter("recorder_bytes", "bytes written ahead", status.n_bytes)
        yield _gauge("recorder_segments_waiting", "segments of the write-ahead file that are not in the day files yet", status.n_waiting)

    def _streams(self) -> Iterator[Metric]:
        streams = self._context.streams
        lags = streams.lags()
        yield _gauge("sse_connections", "readers of the event stream", len(lags))
        yield _gauge("sse_subscriptions", "distinct sets of symbols and timeframes among them", streams.n_subscriptions)
        yield _gauge("reader_lag_max", "changes that the slowest reader has not been sent yet", max(lags, default=0))
        yield _gauge("reader_lag_sum", "changes not sent yet, all readers", sum(lags))
        yield _gauge("reader_queued_bytes", "written, not yet taken by the readers' sockets", streams.queued_bytes())
        counts = streams.counts
        yield _counter("sse_opened", "streams begun", counts.opened)
        yield _counter("sse_resumed", "streams begun from an id", counts.resumed)
        yield _counter("sse_frames", "frames written", counts.frames_sent)
        yield _counter("sse_bytes", "bytes written", counts.bytes_sent)
        yield _counter("sse_skipped", "frames conflated because a reader was slow", counts.skipped)
        yield _counter("sse_cut_off", "readers cut off because they took nothing", counts.cut_off)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"workbench_{name}", what, value=value)


def _gauge(name: str, what: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"workbench_{name}", what)
    if value is not None:
        family.add_metric([], value)
    return family


def _by(name: str, what: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"workbench_{name}", what, labels=[label])
    for key, count in sorted(counts.items()):
        family.add_metric([key], count)
    return family


def _histogram(name: str, what: str, spread: Spread) -> Metric:
    """Return a histogram; its buckets are cumulative, as Prometheus has them."""
    buckets: list[tuple[str, Any]] = []
    total = 0
    counts = list(spread.counts)
    for bound, count in zip((*map(str, spread.BOUNDS_S), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(f"workbench_{name}", what, buckets=buckets, sum_value=spread.sum_s)
