"""Tasks that need others, beside each other where they can be."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from neurohw.children import workers
from neurohw.errors import NeurohwError


@dataclass(frozen=True)
class Task:
    """A piece of work. needs: names of the tasks that must have finished before; names that are not among the tasks count as finished."""

    name: str
    needs: frozenset[str]
    work: Callable[[], None]


def _named(task: Task) -> None:
    try:
        task.work()
    except NeurohwError as error:
        error.stage = task.name
        raise


def run_tasks(tasks: Sequence[Task], jobs: int) -> None:
    """Run every task once, at most `jobs` together; of those that are ready the first in order goes first.

    A task beside which no other can run stays on the calling thread, where an interrupt reaches it at once. The first exception stops all others (see
    `neurohw.children`) and is raised; a NeurohwError then says in `stage` which task it came from. Raises ValueError where tasks need each other in a circle.
    """
    waiting, unfinished = list(tasks), {task.name for task in tasks}
    with workers(jobs) as submit:
        running: dict[Future[None], Task] = {}
        while waiting or running:
            ready = [task for task in waiting if not task.needs & unfinished][: jobs - len(running)]
            if not ready and not running:
                raise ValueError(f"tasks need each other: {', '.join(t.name for t in waiting)}")
            waiting = [task for task in waiting if task not in ready]
            if len(ready) == 1 and not running:
                _named(ready[0])
                unfinished.remove(ready[0].name)
                continue
            running |= {submit(_named, task): task for task in ready}
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unfinished.remove(running.pop(future).name)
                future.result()
