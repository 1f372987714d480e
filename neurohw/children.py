# SPDX-License-Identifier: Apache-2.0
"""Child processes that end with the work that waits for them, on whatever thread that is.

A thread that waits for a process cannot be interrupted. So processes belong to groups: an interrupt
(or a failure beside them) that leaves a group kills what still runs in it, and the threads that
waited go on with KeyboardInterrupt, clean up, and end.
"""

import contextvars
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, TypeVar

T = TypeVar("T")


class _Group:
    """Running processes.

    parent: the group within which this one was made; what stops it stops this one.
    """

    def __init__(self, parent: "_Group | None") -> None:
        self.parent, self.running, self.stopped, self.lock = (
            parent,
            set[int](),
            False,
            threading.Lock(),
        )

    def chain(self) -> "list[_Group]":
        """This group and those around it."""
        return [self, *(self.parent.chain() if self.parent else [])]

    def stop(self) -> None:
        """Kill what runs, and whatever is added later."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                _kill(process)


_current: contextvars.ContextVar[_Group | None] = contextvars.ContextVar("children", default=None)


def _kill(process: int) -> None:
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_child(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
    timeout: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program in a session of its own, so that what it starts ends with it; what it writes is
    kept, or goes to the file `output`.

    Raises KeyboardInterrupt where the group it belongs to has been left by an exception,
    subprocess.TimeoutExpired after `timeout` seconds; the program is dead then, as after every
    other exception.
    """
    group = _current.get()
    chain = group.chain() if group else []
    if any(g.stopped for g in chain):
        raise KeyboardInterrupt
    streams = (subprocess.PIPE, subprocess.PIPE) if output is None else (output, subprocess.STDOUT)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=streams[0],
        stderr=streams[1],
        text=True,
        start_new_session=True,
    ) as process:
        try:
            for g in chain:
                with g.lock:
                    g.running.add(process.pid)
                    if g.stopped:
                        _kill(process.pid)
            written, errors = process.communicate(timeout=timeout)
        except BaseException:
            _kill(process.pid)
            process.communicate()
            raise
        finally:
            for g in chain:
                with g.lock:
                    g.running.discard(process.pid)
    if any(g.stopped for g in chain):
        raise KeyboardInterrupt
    return subprocess.CompletedProcess(command, process.returncode, written, errors)


class Submit(Protocol):
    """Starts work on a thread."""

    def __call__(self, work: Callable[..., T], *arguments: object) -> "Future[T]":
        """work(*arguments), later."""
        ...


@contextmanager
def workers(jobs: int) -> Iterator[Submit]:
    """Threads for work that mostly waits for child processes:

    `submit(work, *arguments)` gives a future.

    Left by an exception, processes that the work started are killed, work that waits is dropped,
    and the exception goes on once all threads have ended.
    """
    group = _Group(_current.get())
    with ThreadPoolExecutor(jobs) as pool:

        def submit(work: Callable[..., T], *arguments: object) -> "Future[T]":
            context = contextvars.copy_context()
            context.run(_current.set, group)
            return pool.submit(context.run, work, *arguments)

        try:
            yield submit
        except BaseException:
            group.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
