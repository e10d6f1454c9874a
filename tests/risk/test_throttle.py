"""Never more than N orders in any window, wherever it begins; a runaway loop ends in a halt."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scorecard import count
from workbench.errors import ConfigError
from workbench.risk.throttle import Throttle

W = 60_000


def run(throttle, times):
    answers = []
    for now in times:
        is_let, throttle = throttle.ask(now)
        answers.append(is_let)
    return answers, throttle


def most_in_a_window(times, window):
    """The plain count, over every window that begins just after some order or at one."""
    return max((sum(begin <= ts < begin + window for ts in times) for begin in times), default=0)


@pytest.mark.soak("throttle")
def test_no_window_holds_more_than_n(cases):
    @settings(max_examples=count("throttle"), deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 6), st.integers(1, 50), st.lists(st.integers(0, 30), max_size=80), st.integers(1, 1000))
    def bursts(n, window, gaps, halt_after):
        cases.n += 1
        times = list(itertools.accumulate(gaps, initial=1))
        answers, _ = run(Throttle(n, window, halt_after), times)
        let = [ts for ts, is_let in zip(times, answers) if is_let]
        assert most_in_a_window(let, window) <= n

    bursts()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 50), st.lists(st.integers(0, 30), max_size=80))
def test_nothing_is_refused_that_would_fit(n, window, gaps):
    times = list(itertools.accumulate(gaps, initial=1))
    answers, _ = run(Throttle(n, window, 10_000), times)
    let = []
    for ts, is_let in zip(times, answers):
        fits = most_in_a_window([*let, ts], window) <= n
        assert is_let == fits
        if is_let:
            let.append(ts)


@pytest.mark.parametrize(
    ("n", "times", "answers"),
    [
        (2, [1, 2, 3], [True, True, False]),
        (2, [1, 2, W, W + 1, W + 1, W + 2], [True, True, False, True, False, True]),
        (1, [5, 4, 3, W + 4, W + 5], [True, False, False, False, True]),  # time that goes backwards is no time
        (0, [1, W, 3 * W], [False, False, False]),
    ],
)
def test_to_the_nanosecond(n, times, answers):
    assert run(Throttle(n, W, 100), times)[0] == answers


def test_a_runaway_loop_gets_n_orders_and_then_a_halt_that_time_does_not_end():
    answers, state = run(Throttle(10, W, 20), range(1, 1001))
    assert sum(answers) == 10
    assert state.is_halted
    assert state.now_ns == 1000
    assert run(state, [10 * W])[0] == [False]
    assert run(state, [10 * W])[1].now_ns == 10 * W
    assert run(state.released(), [10 * W]) == ([True], Throttle(10, W, 20, 10 * W, (10 * W,)))
    assert run(state.released(), [1001])[0] == [False]  # what has left still counts


def test_the_halt_comes_with_the_last_refusal_and_old_ones_do_not_count():
    _, state = run(Throttle(1, W, 3), [1, 2, 3])
    assert not state.is_halted
    assert run(state, [4])[1].is_halted
    late = [W + 1, W + 2]  # let through, then refused: the refusal at 2 is a window old
    assert not run(state, late)[1].is_halted
    assert run(state, late)[1].refused == (3, W + 2)
    assert run(state, [*late, W + 2])[1].is_halted


def test_the_first_instant_is_taken_as_it_is():
    assert Throttle(1, W, 3).ask(0) == (True, Throttle(1, W, 3, 0, (0,)))


def test_a_release_forgets_the_refusals():
    _, state = run(Throttle(1, W, 3), [1, 2, 3])
    assert not run(state.released(), [4, 5])[1].is_halted
    assert run(state.released(), [4, 5, 6])[1].is_halted


@pytest.mark.parametrize(("name", "bad"), [("n", -1), ("n", 1.0), ("n", True), ("window_ns", 0), ("halt_after", 0)])
def test_a_throttle_that_can_not_be(name, bad):
    plain = Throttle(1, 1, 1)
    assert Throttle(0, 1, 1).n == 0
    with pytest.raises(ConfigError, match=f"Throttle.{name}: received {bad!r}; allowed: a whole number from"):
        replace(plain, **{name: bad})
