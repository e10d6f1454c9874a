"""The journal's table: events, appended by one writer, read by anybody, changed by nobody.

SQLite by default (WAL, synchronous=FULL: an event that `append` returned survives the power going out), any SQLAlchemy address
otherwise; PostgreSQL is tested. One process writes: for SQLite by a lock on the file beside it, for others by a lock in the database. The
writer's one connection also does the checkpoints, since SQLite before 3.51.3 can damage a file that two connections checkpoint.

Updates and deletes are refused by triggers in the database itself. Floor 6: SQLAlchemy, alembic.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event as on

from workbench.errors import JournalError
from workbench.file_lock import FileLock, HeldError
from workbench.journal.event import FIRST_HASH, Entry, Event, canonical, chained, follows
from workbench.journal.migrations import upgrade

METADATA = sa.MetaData()
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ts_ns", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("key", sa.Text, unique=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.UniqueConstraint("subject", "version"),
)
BUSY_S = 10
PAGE = 2_000  # rows read at a time
WRITER_LOCK = 0x776F726B  # PostgreSQL's advisory lock of the writer: any number, always the same


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer of `verify`: how many events are right, and what is wrong with the first that is not (None: there is none).

    Events cut off at the end leave no trace in the chain: a backup, or a number written down elsewhere, tells of those.
    """

    n_events: int
    fault: str | None


class JournalStore:
    """A journal, open for writing (`is_writer`) or for reading only. Use as a context manager, or call `close`."""

    def __init__(self, address: str | Path, *, is_writer: bool = False) -> None:
        """`address`: a file, or a SQLAlchemy URL. The table is made or brought up to date by the writer only.

        JournalError when another process writes it, when it does not exist (reader), or is of a newer version than this program.
        """
        self.url = _url(address)
        self._is_sqlite = self.url.get_backend_name() == "sqlite"
        self._lock = threading.Lock()
        self._hold: FileLock | None = None
        self._writer: sa.Connection | None = None
        if not is_writer and self._is_sqlite and not Path(str(self.url.database)).exists():
            raise JournalError(f"journal: received {self.url.database}, which does not exist; allowed: a journal that has been written")
        self._engine = self._made_engine(is_writer=is_writer)
        try:
            if is_writer:
                self._open_writer()
            self._last = self._read_last() if is_writer else (0, FIRST_HASH)
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            self.close()
            raise JournalError(f"journal: can't open {self._shown()}: {_cause(error)}") from None
        except BaseException:
            self.close()
            raise

    # -- writing -----------------------------------------------------------------------------------------------------------------

    def append(self, *entries: Entry) -> tuple[Event, ...]:
        """Write entries down, all or none, and return them as events; when it returns they survive a crash and a power cut.

        An entry whose key is known is not written again: the event that has it is returned. JournalError for a key that stands for
        something else, for a version that is not the next (somebody else was there first), and when the database refuses.
        """
        with self._lock:
            connection = self._writer
            if connection is None:
                raise JournalError("journal: received an event while open for reading; allowed: JournalStore(…, is_writer=True)")
            seq, before = self._last
            out: list[Event] = []
            try:
                with connection.begin():
                    for entry in entries:
                        event, is_new = self._placed(connection, entry, seq, before)
                        if is_new:
                            connection.execute(EVENTS.insert(), _row(event))
                            seq, before = event.seq, event.hash
                        out.append(event)
            except sa.exc.SQLAlchemyError as error:
                raise JournalError(f"journal: can't write {self._shown()}: {_cause(error)}; nothing of this was written") from None
            self._last = (seq, before)
        return tuple(out)

    def _placed(self, connection: sa.Connection, entry: Entry, seq: int, before: bytes) -> tuple[Event, bool]:
        body = canonical(entry.body)
        if entry.key is not None:
            known = connection.execute(sa.select(EVENTS).where(EVENTS.c.key == entry.key)).first()
            if known is not None:
                return _same(_event(known), entry, body), False
        newest = sa.select(sa.func.max(EVENTS.c.version)).where(EVENTS.c.subject == entry.subject)
        version = (connection.execute(newest).scalar() or 0) + 1
        if entry.version is not None and entry.version != version:
            raise JournalError(
                f"journal: received version {entry.version} of {entry.subject}, which stands at {version - 1}; "
                f"allowed: {version}. Somebody else changed it: read it again"
            )
        told = (seq + 1, entry.ts_ns, entry.kind, entry.subject, version, entry.key, body)
        return Event(*told, hash=chained(before, *told)), True

    # -- reading -----------------------------------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """Number of the newest event; 0 when there is none."""
        with self._reading() as connection:
            return connection.execute(sa.select(sa.func.max(EVENTS.c.seq))).scalar() or 0

    def read(self, since_seq: int = 0, *, kinds: Iterable[str] = (), subject: str | None = None) -> Iterator[Event]:
        """Yield events after number `since_seq` in order, of some kinds or one subject only; in short transactions, page by page."""
        query = sa.select(EVENTS).order_by(EVENTS.c.seq).limit(PAGE)
        wanted = tuple(kinds)
        if wanted:
            query = query.where(EVENTS.c.kind.in_(wanted))
        if subject is not None:
            query = query.where(EVENTS.c.subject == subject)
        while True:
            with self._reading() as connection:  # ends with the page: a long reader keeps the write-ahead file from shrinking
                rows = connection.execute(query.where(EVENTS.c.seq > since_seq)).all()
            yield from map(_event, rows)
            if len(rows) < PAGE:
                return
            since_seq = rows[-1].seq

    def verify(self) -> Verified:
        """Look at every event: its number, its chain, its place within its subject."""
        before: Event | None = None
        versions: dict[str, int] = {}
        for event in self.read():
            fault = follows(event, before)
            if fault is None and event.version != versions.get(event.subject, 0) + 1:
                fault = f"event {event.seq} is version {event.version} of {event.subject}, after {versions.get(event.subject, 0)}"
            if fault is not None:
                return Verified(0 if before is None else before.seq, fault)
            before = event
            versions[event.subject] = event.version
        return Verified(0 if before is None else before.seq, None)

    def backup(self, path: Path) -> Verified:
        """Copy a SQLite journal while it is in use to a new file, and verify the copy. JournalError for a file that exists."""
        if not self._is_sqlite:
            raise JournalError(f"backup: received {self._shown()}; allowed: SQLite journals (use the database's own backup, pg_dump)")
        if path.exists():
            raise JournalError(f"backup: received {path}, which exists; allowed: a new file")
        with sqlite3.connect(f"file:{self.url.database}?mode=ro", uri=True) as source, sqlite3.connect(path) as copy:
            source.backup(copy)
        source.close()
        copy.close()
        with JournalStore(path) as written:
            return written.verify()

    def close(self) -> None:
        """Let go of the file; harmless when closed."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
            self._engine.dispose()
            if self._hold is not None:
                self._hold.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- connections -------------------------------------------------------------------------------------------------------------

    def _made_engine(self, *, is_writer: bool) -> sa.Engine:
        if not self._is_sqlite:
            return sa.create_engine(self.url)
        path = Path(str(self.url.database))
        if is_writer:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._hold = _held(path)
        uri = f"file:{path}?mode={'rwc' if is_writer else 'ro'}"
        engine = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False, isolation_level=None),
            poolclass=sa.pool.NullPool,
        )
        on.listen(engine, "connect", _writer_pragmas if is_writer else _reader_pragmas)
        on.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN"))
        return engine

    def _open_writer(self) -> None:
        self._writer = self._engine.connect()
        if not self._is_sqlite:
            with self._writer.begin():
                is_ours = self._writer.execute(sa.text(f"SELECT pg_try_advisory_lock({WRITER_LOCK})")).scalar()
            if not is_ours:
                raise JournalError(f"journal: {self._shown()} is written by another process; allowed: one writer")
        upgrade(self._writer)

    def _read_last(self) -> tuple[int, bytes]:
        with self._reading() as connection:
            row = connection.execute(sa.select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1)).first()
        return (0, FIRST_HASH) if row is None else (row.seq, bytes(row.hash))

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise JournalError(f"journal: can't read {self._shown()}: {_cause(error)}") from None

    def _shown(self) -> str:
        return self.url.render_as_string(hide_password=True)


def _url(address: str | Path) -> sa.URL:
    if isinstance(address, Path) or "://" not in address:
        return sa.URL.create("sqlite", database=str(Path(address).expanduser().resolve()))
    try:
        url = sa.make_url(address)
    except sa.exc.ArgumentError:
        raise JournalError("journal: received an address that can't be read; allowed: a file, or a SQLAlchemy URL") from None
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _held(path: Path) -> FileLock:
    try:
        return FileLock(path.with_name(path.name + ".lock"))
    except HeldError as error:
        raise JournalError(f"journal: {path} is written by process {error.holder}; allowed: one writer (readers as many as like)") from None
    except OSError as error:
        raise JournalError(f"journal: can't write beside {path}: {error.strerror or error}") from None


def _writer_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise JournalError(f"journal: this disk can't hold a SQLite journal (mode {mode}); allowed: a local disk, no network folder")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _reader_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")


def _row(event: Event) -> dict[str, Any]:
    return {column.name: getattr(event, column.name) for column in EVENTS.columns}


def _event(row: Any) -> Event:
    return Event(row.seq, row.ts_ns, row.kind, row.subject, row.version, row.key, row.body, bytes(row.hash))


def _same(known: Event, entry: Entry, body: str) -> Event:
    if (known.kind, known.subject, known.body) != (entry.kind, entry.subject, body):
        raise JournalError(f"journal: received key {entry.key!r} for other contents than event {known.seq} has; allowed: one meaning a key")
    return known


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
