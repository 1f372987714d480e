"""Tasks run once, after what they need, and together where they can."""

import sys
import threading
import time

import numpy as np
import pytest

from neurohw.children import run_child
from neurohw.errors import InvalidData
from neurohw.flow.tasks import Task, run_tasks


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


def test_a_failure_names_its_task_and_stops_the_others() -> None:
    started, ended = threading.Event(), []

    def sleep() -> None:
        started.set()
        run_child([sys.executable, "-c", "import time; time.sleep(60)"])
        ended.append("sleep")

    def fail() -> None:
        assert started.wait(20)
        raise InvalidData("nothing works")

    begun = time.monotonic()
    tasks = [
        Task("sleep", frozenset(), sleep),
        Task("fail", frozenset(), fail),
        Task("after", frozenset({"fail"}), lambda: ended.append("after")),
    ]
    with pytest.raises(InvalidData, match="nothing works") as found:
        run_tasks(tasks, 3)
    assert found.value.stage == "fail" and ended == [] and time.monotonic() - begun < 30


def test_a_circle_is_refused() -> None:
    tasks = [Task("a", frozenset({"b"}), lambda: None), Task("b", frozenset({"a"}), lambda: None)]
    with pytest.raises(ValueError, match="need each other: a, b"):
        run_tasks(tasks, 2)
