"""Five wrong passwords lock a name and an address; each lock is twice as long as the last."""

from __future__ import annotations

from workbench.clock import NS_PER_S
from workbench.door import lockout
from workbench.door.limits import Crowd, Limits, Rates, network
from workbench.door.lockout import Lockout

MINUTE = 60


class Stopwatch:
    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns

    def go(self, seconds):
        self.ns += int(seconds * NS_PER_S)


def test_the_fifth_failure_locks_and_each_lock_is_twice_as_long():
    watch = Stopwatch()
    door = Lockout(watch)
    lengths = []
    for _ in range(4):
        for _ in range(4):
            door.fail("user:ann")
            assert door.wait_s("user:ann") == 0
        door.fail("user:ann")
        lengths.append(door.wait_s("user:ann"))
        watch.go(lengths[-1])
        assert door.wait_s("user:ann") == 0
    assert lengths == [15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE]


def test_a_name_and_an_address_are_counted_apart():
    door = Lockout(Stopwatch())
    for i in range(5):
        door.fail(f"user:{i}", "address:192.0.2.7")
    assert door.wait_s("user:0") == 0
    assert door.wait_s("address:192.0.2.7") > 0
    assert door.wait_s("user:new", "address:192.0.2.7") > 0


def test_a_right_password_forgets_and_so_does_a_day():
    watch = Stopwatch()
    door = Lockout(watch)
    for _ in range(4):
        door.fail("a", "b")
    door.succeed("a")
    watch.go(86_401)
    door.fail("a", "b")
    assert door.wait_s("a", "b") == 0


def test_many_tries_at_once_are_not_more_than_five():
    door = Lockout(Stopwatch())
    begun = [door.begin("user:ann", f"address:{i}") for i in range(300)]
    assert begun.count(0) == 5
    for i in range(5):
        door.fail("user:ann", f"address:{i}")
    assert door.begin("user:ann", "address:new") == 15 * MINUTE


def test_a_try_that_was_right_gives_its_place_back():
    door = Lockout(Stopwatch())
    for _ in range(50):
        assert door.begin("user:ann") == 0
        door.succeed("user:ann")


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(lockout, "KEYS", 100)
    door = Lockout(Stopwatch())
    for i in range(1_000):
        assert door.begin(f"user:{i}") == 0
        door.fail(f"user:{i}")
    assert len(door._records) <= 101


def test_a_bucket_gives_its_burst_then_its_rate():
    watch = Stopwatch()
    rates, limits = Rates(watch), Limits(rate_per_s=2, burst=5, open_at_once=1)
    assert [rates.take("a", limits) for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    assert rates.take("b", limits) == 0
    watch.go(1)
    assert [rates.take("a", limits) for _ in range(3)] == [0, 0, 1]


def test_a_crowd_counts_what_is_open_and_forgets_what_is_closed():
    crowd, limits = Crowd(), Limits(rate_per_s=1, burst=1, open_at_once=2)
    with crowd.entering("a", limits) as first, crowd.entering("a", limits) as second, crowd.entering("a", limits) as third:
        assert (first, second, third) == (True, True, False)
    assert not crowd._open


def test_a_household_of_ipv6_is_one_address():
    assert network("2001:db8:1:2:3:4:5:6") == network("2001:db8:1:2::9") != network("2001:db8:1:3::9")
    assert network("::ffff:192.0.2.7") == network("192.0.2.7") == "192.0.2.7"
