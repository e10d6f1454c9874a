"""A network between a reader and a hub, of which a test decides what gets through: cuts, silence, slow lines, a hub that is away."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

PIECE = 16 * 1024


class Relay:
    """Listens on `port`, passes everything on to `target`. `bytes_per_s` None: as fast as it goes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.bytes_per_s: int | None = None
        self.requests: list[bytes] = []  # the head of every connection's first request
        self._flows = threading.Event()
        self._flows.set()
        self._is_away = False
        self._left: int | None = None  # bytes from the hub until everything is cut
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        with self._lock:
            held, self._sockets = self._sockets, set()
            self._left = None
        for one in held:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut_after(self, n_bytes: int) -> None:
        """End every connection once the hub has sent so many bytes more: in the middle of an event, as likely as not."""
        self._left = n_bytes

    def be_away(self, *, is_away: bool = True) -> None:
        """End every connection, and every new one at once, as a hub that is not there."""
        self._is_away = is_away
        if is_away:
            self.cut()

    def freeze(self) -> None:
        """Let nothing through, and end nothing: a machine that hangs."""
        self._flows.clear()

    def thaw(self) -> None:
        """Let everything through again, what was held back first."""
        self._flows.set()

    def stop(self) -> None:
        self.thaw()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = None if self._is_away else socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                far = None
            if far is None:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._sockets |= {near, far}
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        is_first = is_request
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE if self.bytes_per_s is None else max(1, self.bytes_per_s // 50)):
                if is_first:
                    is_first = False
                    self.requests.append(data)
                if is_request:  # as a proxy does: the hub answers under its own name only
                    data = data.replace(b"Host: 127.0.0.1:%d" % self.port, b"Host: 127.0.0.1:%d" % self.target)
                self._flows.wait()
                if not is_request:
                    if self.bytes_per_s is not None:
                        time.sleep(len(data) / self.bytes_per_s)
                    if self._left is not None:
                        data, self._left = data[: self._left], self._left - len(data)
                        if self._left <= 0:
                            sink.sendall(data)
                            self.cut()
                            return
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
