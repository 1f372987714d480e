# SPDX-License-Identifier: Apache-2.0
"""Tasks run once, after what they need, and together where they can."""

import sys
import threading
import time

import numpy as np
import pytest

from neurohw.children import run_child
from neurohw.errors import InvalidData
from neurohw.flow.tasks import StagesFailed, Task, run_tasks


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, jobs = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    lock, running, most, ended = threading.Lock(), 0, 0, list[str]()

    def work(name: str, needs: frozenset[str]) -> None:
        nonlocal running, most
        with lock:
            assert needs - {"elsewhere"} <= set(ended)
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
            ended.append(name)

    tasks = []
    for i in range(count):
        needs = frozenset(f"t{j}" for j in range(i) if rng.random() < 0.3) | {"elsewhere"}
        tasks.append(Task(f"t{i}", needs, lambda name=f"t{i}", needs=needs: work(name, needs)))
    order = [tasks[i] for i in rng.permutation(count)]
    run_tasks(order, jobs)
    assert sorted(ended) == sorted(t.name for t in tasks) and most <= jobs
    if jobs == 1:  # in order, as far as needs allow
        expected: list[str] = []
        left = list(order)
        while left:
            chosen = next(t for t in left if t.needs - {"elsewhere"} <= set(expected))
            left.remove(chosen)
            expected.append(chosen.name)
        assert ended == expected


def test_tasks_without_needs_meet() -> None:
    """Each waits for the other: one after the other they would never end."""
    meeting = threading.Barrier(3, timeout=20)
    run_tasks([Task(str(i), frozenset(), lambda: meeting.wait() and None) for i in range(3)], 3)


def test_a_failure_names_its_task_and_drops_those_that_need_it() -> None:
    """And no others: not even those that come after it."""
    ended = []

    def fail() -> None:
        raise InvalidData("nothing works")

    tasks = [
        Task("fail", frozenset(), fail),
        Task("beside", frozenset(), lambda: ended.append("beside")),
        Task("needs", frozenset({"fail"}), lambda: ended.append("needs")),
        Task("needs its need", frozenset({"needs"}), lambda: ended.append("needs its need")),
        Task(
            "after",
            frozenset({"beside"}),
            lambda: ended.append("after"),
            frozenset({"fail", "needs"}),
        ),
    ]
    for jobs in (1, 2, 5):
        ended.clear()
        with pytest.raises(InvalidData, match="nothing works") as found:
            run_tasks(tasks, jobs)
        assert found.value.stage == "fail" and ended == ["beside", "after"]


def test_several_failures_are_all_told() -> None:
    def fail(text: str) -> None:
        raise InvalidData(text)

    tasks = [Task(name, frozenset(), lambda name=name: fail(f"no {name}")) for name in ("a", "b")]
    with pytest.raises(StagesFailed, match="a: no a; b: no b") as found:
        run_tasks(tasks, 1)
    assert [error.stage for error in found.value.errors] == ["a", "b"]


def test_what_is_no_error_of_the_user_stops_the_others() -> None:
    started, ended = threading.Event(), []

    def sleep() -> None:
        started.set()
        run_child([sys.executable, "-c", "import time; time.sleep(60)"])
        ended.append("sleep")

    def interrupt() -> None:
        assert started.wait(20)
        raise KeyboardInterrupt

    begun = time.monotonic()
    tasks = [
        Task("sleep", frozenset(), sleep),
        Task("interrupt", frozenset(), interrupt),
        Task("after", frozenset({"sleep"}), lambda: ended.append("after")),
    ]
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, 3)
    assert ended == [] and time.monotonic() - begun < 30


def test_a_circle_is_refused() -> None:
    tasks = [Task("a", frozenset({"b"}), lambda: None), Task("b", frozenset({"a"}), lambda: None)]
    with pytest.raises(ValueError, match="need each other: a, b"):
        run_tasks(tasks, 2)
