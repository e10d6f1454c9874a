"""Serves the matrix over a feed of N symbols with so many quotes a second each, for `test_bench_matrix.py`.

Run as `python tests/bench/matrix_app.py LINES PER_S`; prints its address. Quotes come from a thread of the feed's own, a few symbols at a
time at uneven moments. Each carries the moment at which it was made: as its stamp, and (modulo 100,000 ms) as its bid size.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import panel as pn

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tests.stubs import ScriptedSource  # noqa: E402
from workbench.clock import WallClock  # noqa: E402
from workbench.hub.hub import Hub  # noqa: E402
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE  # noqa: E402
from workbench.views.matrix import Matrix  # noqa: E402
from workbench.views.sockets import send_at_once  # noqa: E402

AT_ONCE = 4  # symbols in one batch


def feed(hub: Hub, symbols: list[str], per_s: float) -> None:
    """Deliver quotes, and a print for every fourth, until killed."""
    rng = np.random.default_rng(3)
    ids = [hub.symbols.intern(symbol) for symbol in symbols]
    mids = np.round(rng.uniform(50, 500, len(ids)) * 100)
    sequence, pause_s = 0, AT_ONCE / (len(ids) * per_s)
    while True:
        for k in range(0, len(ids), AT_ONCE):
            time.sleep(pause_s * rng.uniform(0.5, 1.5))
            part = slice(k, k + AT_ONCE)
            mids[part] += rng.integers(-1, 2, len(ids[part]))
            now = time.time_ns()
            rows = np.zeros(len(ids[part]), QUOTE_DTYPE)
            rows["ts_event"] = rows["ts_recv"] = now
            rows["bid"], rows["ask"] = (mids[part] - 1) / 100, (mids[part] + 1) / 100
            rows["bid_size"], rows["ask_size"] = now // 1_000_000 % 100_000 + 1e-6, rng.integers(1, 900, len(rows))
            rows["symbol_id"] = ids[part]
            hub.on_quotes(rows)
            prints = np.zeros(1, TRADE_DTYPE)
            prints["ts_event"] = prints["ts_recv"] = now + 1
            prints["price"], prints["size"], prints["symbol_id"] = rows["ask"][:1], 100, rows["symbol_id"][:1]
            prints["sequence"] = sequence = sequence + 1
            hub.on_trades(prints)


def main() -> None:
    """Serve until killed."""
    n, per_s = int(sys.argv[1]), float(sys.argv[2])
    hub = Hub(ScriptedSource(clock=WallClock()), verify_every_s=0.0)  # type: ignore[arg-type]
    hub.source.start(hub)  # type: ignore[attr-defined]
    hub.start()
    symbols = [f"S{i:02d}" for i in range(n)]
    for symbol in symbols:
        hub.watch(symbol)
    threading.Thread(target=feed, args=(hub, symbols, per_s), daemon=True).start()

    def page() -> pn.viewable.Viewable:
        matrix = Matrix(hub, query={"symbol": symbols[0]})
        matrix.start()
        return matrix.shell

    server = pn.serve({"matrix": page}, port=0, address="127.0.0.1", show=False, start=False, verbose=False)
    send_at_once(server._tornado)
    server.start()
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.io_loop.start()


if __name__ == "__main__":
    main()
