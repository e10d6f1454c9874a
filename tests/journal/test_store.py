"""The journal keeps what it was given, in order, for good: on SQLite and on PostgreSQL alike."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers.postgres import postgres
from workbench.errors import JournalError
from workbench.journal.event import Entry, canonical, follows
from workbench.journal.store import JournalStore


@pytest.fixture(scope="module")
def server():
    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    if request.param == "sqlite":
        yield tmp_path / "journal.db"
        return
    server = request.getfixturevalue("server")
    name = f"j{os.urandom(6).hex()}"
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def journal(address):
    with JournalStore(address, is_writer=True) as store:
        yield store


def entry(n=1, **changed):
    return Entry(
        **({"kind": "order.sent", "subject": "order:wb-1", "ts_ns": 1000 + n, "body": {"n": n, "price": Decimal("2.10")}} | changed)
    )


def test_what_is_appended_is_read_back_in_order_and_verifies(journal, address):
    written = journal.append(entry(1), entry(2, subject="order:wb-2"), entry(3))
    assert [(event.seq, event.subject, event.version) for event in written] == [
        (1, "order:wb-1", 1),
        (2, "order:wb-2", 1),
        (3, "order:wb-1", 2),
    ]
    assert list(journal.read()) == list(written)
    assert list(journal.read(1)) == list(written[1:])
    assert list(journal.read(subject="order:wb-2")) == [written[1]]
    assert written[0].fields == {"n": 1, "price": "2.10"}  # money is text: exact
    assert (journal.verify().n_events, journal.verify().fault, journal.last_seq) == (3, None, 3)
    with JournalStore(address) as reader:
        assert list(reader.read(kinds=["order.sent"])) == list(written)
        with pytest.raises(JournalError, match="open for reading"):
            reader.append(entry())


def test_a_journal_goes_on_where_it_was_left(address):
    with JournalStore(address, is_writer=True) as first:
        first.append(entry(1))
    with JournalStore(address, is_writer=True) as second:
        assert second.append(entry(2))[0].seq == 2
        assert second.verify().fault is None


def test_the_same_key_is_written_once_and_never_means_something_else(journal):
    (first,) = journal.append(entry(1, key="fill-7"))
    assert journal.append(entry(1, key="fill-7", ts_ns=5)) == (first,)
    assert journal.append(entry(2, key="fill-8"), entry(2, key="fill-8"))[1].seq == 2
    with pytest.raises(JournalError, match="received key 'fill-7' for other contents than event 1 has"):
        journal.append(entry(9, key="fill-7"))
    assert journal.last_seq == 2


def test_of_two_who_edit_the_same_the_second_is_told(journal):
    note = {"kind": "note.edited", "subject": "note:1"}
    journal.append(entry(1, version=1, **note))
    with pytest.raises(JournalError, match="received version 1 of note:1, which stands at 1; allowed: 2. Somebody else changed it"):
        journal.append(entry(2, version=1, **note))
    assert journal.append(entry(2, version=2, **note))[0].version == 2


def test_entries_are_written_all_or_none(journal):
    journal.append(entry(1))
    with pytest.raises(JournalError):
        journal.append(entry(2), entry(3, version=99))
    assert journal.last_seq == 1
    assert journal.append(entry(2))[0].seq == 2
    assert journal.verify().fault is None


@pytest.mark.parametrize("statement", ["UPDATE events SET body = '{}' WHERE seq = 1", "DELETE FROM events"])
def test_the_database_itself_refuses_to_change_an_event(journal, statement):
    journal.append(entry(1))
    with pytest.raises(sa.exc.DBAPIError, match="never changed or deleted"), journal._engine.connect() as connection, connection.begin():
        connection.execute(sa.text(statement))
    assert journal.last_seq == 1


def test_a_second_writer_is_refused_and_readers_are_not(journal, address):
    with pytest.raises(JournalError, match="is written by (another )?process"):
        JournalStore(address, is_writer=True)
    journal.append(entry(1))
    with JournalStore(address) as reader:
        assert reader.last_seq == 1


def test_threads_may_share_the_writer(journal):
    def write(name):
        for n in range(20):
            journal.append(entry(n + 1, subject=f"order:{name}", key=f"{name}-{n}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (journal.verify().n_events, journal.verify().fault) == (80, None)


# -- what is not what was written ------------------------------------------------------------------------------------------------


@pytest.fixture
def ten(tmp_path):
    path = tmp_path / "journal.db"
    with JournalStore(path, is_writer=True) as store:
        store.append(*(entry(n, key=f"k{n}", subject=f"order:{n % 3}") for n in range(1, 11)))
    return path


def spoil(path, statement):
    with sqlite3.connect(path) as connection:
        for name in ("events_no_update", "events_no_delete"):
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("""UPDATE events SET body = '{"n":4,"price":"2.11"}' WHERE seq = 4""", "event 4 is not what was written"),
        ("UPDATE events SET ts_ns = ts_ns + 1 WHERE seq = 4", "event 4 is not what was written"),
        ("UPDATE events SET key = NULL WHERE seq = 4", "event 4 is not what was written"),
        ("UPDATE events SET kind = 'order.filled' WHERE seq = 4", "event 4 is not what was written"),
        ("UPDATE events SET hash = x'00' WHERE seq = 4", "event 4 is not what was written"),
        ("DELETE FROM events WHERE seq = 4", "event 4 is missing: 5 follows 3"),
        ("DELETE FROM events WHERE seq = 1", "event 1 is missing: 2 follows 0"),
    ],
)
def test_a_change_behind_its_back_is_found_and_named(ten, statement, said):
    spoil(ten, statement)
    with JournalStore(ten) as store:
        verified = store.verify()
    assert said in verified.fault
    assert verified.n_events in (0, 3)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_one_character_changed_in_any_event_breaks_the_chain(events_of_ten, data):
    index = data.draw(st.integers(0, len(events_of_ten) - 1))
    event = events_of_ten[index]
    at = data.draw(st.integers(0, len(event.body) - 1))
    other = data.draw(st.characters().filter(lambda c: c != event.body[at]))
    changed = type(event)(
        **{**{name: getattr(event, name) for name in event.__slots__}, "body": event.body[:at] + other + event.body[at + 1 :]}
    )
    before = events_of_ten[index - 1] if index else None
    assert follows(event, before) is None
    assert follows(changed, before) is not None


@pytest.fixture(scope="module")
def events_of_ten(tmp_path_factory):
    with JournalStore(tmp_path_factory.mktemp("j") / "journal.db", is_writer=True) as store:
        return store.append(*(entry(n) for n in range(1, 11)))


# -- files -----------------------------------------------------------------------------------------------------------------------


def test_a_backup_made_while_it_is_written_is_whole(ten, tmp_path):
    with JournalStore(ten, is_writer=True) as store:
        store.append(entry(11))
        assert store.backup(tmp_path / "copy.db").n_events == 11
        store.append(entry(12))
        with pytest.raises(JournalError, match="which exists; allowed: a new file"):
            store.backup(tmp_path / "copy.db")
    with JournalStore(tmp_path / "copy.db") as copy:
        assert (copy.last_seq, copy.verify().fault) == (11, None)


def test_a_reader_of_no_journal_is_told_so(tmp_path):
    with pytest.raises(JournalError, match="which does not exist"):
        JournalStore(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_journal_of_a_newer_program_is_left_alone(ten):
    with sqlite3.connect(ten) as connection:
        connection.execute("UPDATE journal_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(JournalError, match="received schema 9999; allowed: up to 0001. It needs a newer workbench"):
        JournalStore(ten, is_writer=True)


def test_what_is_no_database_is_refused_with_its_name(tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    with pytest.raises(JournalError, match="file is not a database"):
        JournalStore(path, is_writer=True)


def test_passwords_are_not_in_errors():
    with pytest.raises(JournalError) as caught:
        JournalStore("postgresql://trader:hunter2@127.0.0.1:1/none", is_writer=True)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "Sent"}, "Entry.kind: received 'Sent'"),
        ({"subject": ""}, "Entry.subject"),
        ({"key": "a\x1fb"}, "Entry.key"),
        ({"ts_ns": 0}, "Entry.ts_ns"),
    ],
)
def test_an_entry_that_is_wrong_does_not_exist(changed, said):
    with pytest.raises(JournalError, match=said):
        entry(**changed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), object(), {"deep": [1, float("nan")]}])
def test_a_number_that_is_none_is_refused_rather_than_stored_as_nothing(value):
    with pytest.raises(JournalError, match="Entry.body"):
        canonical({"x": value})


def test_a_body_has_one_form():
    assert (
        canonical({"b": Decimal("2.10"), "a": [1, None, "é"]})
        == canonical({"a": (1, None, "é"), "b": Decimal("2.10")})
        == '{"a":[1,null,"é"],"b":"2.10"}'
    )


# -- kills -----------------------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from workbench.journal.event import Entry
from workbench.journal.store import JournalStore
with JournalStore(sys.argv[1], is_writer=True) as store:
    n = store.last_seq
    while True:
        n += 1
        store.append(Entry("order.sent", "order:1", n, {"n": n}), Entry("order.filled", "order:1", n, {"n": n}))
        print(n, flush=True)
"""


def test_after_a_kill_everything_acknowledged_is_there_and_nothing_is_half_written(tmp_path):
    path = tmp_path / "journal.db"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        acknowledged = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        last = int([line for line in acknowledged if line.endswith("\n")][-1])
        with JournalStore(path, is_writer=True) as store:  # nobody has to unlock it
            told = [event.fields["n"] for event in store.read(kinds=["order.filled"])]
            assert last in told
            assert store.last_seq == 2 * len(told)
            assert store.verify().fault is None
