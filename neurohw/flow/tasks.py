# SPDX-License-Identifier: Apache-2.0
"""Tasks that need others, beside each other where they can be."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from neurohw.children import workers
from neurohw.errors import NeurohwError


class StagesFailed(NeurohwError):
    """Several stages failed. errors: one for each."""

    def __init__(self, errors: Sequence[NeurohwError]) -> None:
        super().__init__("; ".join(f"{error.stage}: {error}" for error in errors))
        self.errors = tuple(errors)


@dataclass(frozen=True)
class Task:
    """A piece of work. Names that are not among the tasks count as finished.

    needs: names of the tasks that must have finished well before. after: of those that must have
    ended before, well or not.
    """

    name: str
    needs: frozenset[str]
    work: Callable[[], None]
    after: frozenset[str] = frozenset()


def _error_of(task: Task) -> NeurohwError | None:
    """Run a task; the error that it ended with, which says in `stage` where it came from."""
    try:
        task.work()
    except NeurohwError as error:
        error.stage = task.name
        return error
    return None


def _without(waiting: list[Task], failed: str) -> list[Task]:
    """The tasks that do not need the failed one, not even by way of others."""
    lost = {failed}
    while True:
        more = {task.name for task in waiting if task.needs & lost} - lost
        if not more:
            return [task for task in waiting if task.name not in lost]
        lost |= more


def run_tasks(tasks: Sequence[Task], jobs: int) -> None:
    """Run every task once, at most `jobs` together; of those that are ready the first goes first.

    A task beside which no other can run stays on the calling thread, where an interrupt reaches it
    at once. A NeurohwError drops the tasks that need its task, and no others; it is raised when the
    rest has ended (StagesFailed if there are several), and says in `stage` which task it came from.
    Any other exception stops all (see `neurohw.children`). Raises ValueError where tasks need each
    other in a circle.
    """
    waiting = list(tasks)
    errors: list[NeurohwError] = []
    with workers(jobs) as submit:
        running: dict[Future[NeurohwError | None], Task] = {}
        while waiting or running:
            unfinished = {task.name for task in [*waiting, *running.values()]}
            ready = [task for task in waiting if not (task.needs | task.after) & unfinished]
            ready = ready[: jobs - len(running)]
            if not ready and not running:
                raise ValueError(f"tasks need each other: {', '.join(t.name for t in waiting)}")
            waiting = [task for task in waiting if task not in ready]
            if len(ready) == 1 and not running:
                ended = [(ready[0], _error_of(ready[0]))]
            else:
                running |= {submit(_error_of, task): task for task in ready}
                done = wait(running, return_when=FIRST_COMPLETED).done
                ended = [(running.pop(future), future.result()) for future in done]
            for task, error in ended:
                if error is not None:
                    errors.append(error)
                    waiting = _without(waiting, task.name)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise StagesFailed(errors)
