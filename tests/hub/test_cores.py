"""Work shared by cores: nothing twice, nothing lost, no waiting for a thread that has not begun."""

from __future__ import annotations

import threading

import pytest

from workbench.hub import cores as cores_module
from workbench.hub.cores import cores, share


@pytest.mark.parametrize("n_cores", [1, 2, 5])
def test_every_piece_is_done_once(monkeypatch, n_cores):
    monkeypatch.setattr(cores_module, "cores", lambda: n_cores)
    done = []
    share(lambda a, b: done.append((a, b)), [(k, -k) for k in range(200)])
    assert sorted(done) == [(k, -k) for k in range(200)]


def test_a_piece_that_fails_is_heard_of():
    both = threading.Barrier(2)

    def fail_elsewhere(caller):
        both.wait(timeout=20)  # one piece for each of two threads
        if threading.get_ident() != caller:
            raise ValueError("piece")

    if cores() > 1:
        with pytest.raises(ValueError, match="piece"):
            share(fail_elsewhere, [(threading.get_ident(),)] * 2)
    with pytest.raises(ZeroDivisionError):
        share(lambda n: 1 // n, [(0,)])


def test_threads_that_are_held_up_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(cores_module, "cores", lambda: 3)
    release, done = threading.Event(), []
    held = [cores_module._others().submit(release.wait, 20) for _ in range(cores_module._others()._max_workers)]
    share(done.append, [(k,) for k in range(10)])
    assert done == list(range(10))
    assert not any(each.done() for each in held)
    release.set()
    assert all(each.result() for each in held)
