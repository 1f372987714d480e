# SPDX-License-Identifier: Apache-2.0
"""Who computes the jobs: this process, or processes of this machine.

A cluster is in `neurohw.noise.cluster`.

An executor takes experiments by name and jobs, and yields what became of each, in the order in
which they finish. A job that raises is yielded as the exception; the others go on.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from neurohw.errors import InvalidData, NeurohwError
from neurohw.noise.experiment import Experiment
from neurohw.noise.judge import judge_chip
from neurohw.noise.outcome import Outcome

ATTEMPTS = 2  # of a job whose process dies


class Job(NamedTuple):
    """One chip of one experiment."""

    name: str
    seed: int


Experiments = Mapping[str, Experiment]
Finished = tuple[Job, Outcome | Exception]
Executor = Callable[[Experiments, Sequence[Job]], Iterator[Finished]]


def attempt(experiments: Experiments, job: Job) -> Outcome | Exception:
    """The outcome of a job, or the exception that it raised."""
    try:
        return judge_chip(experiments[job.name], job.seed)
    except Exception as error:
        return error


def serial(experiments: Experiments, jobs: Sequence[Job]) -> Iterator[Finished]:
    """One job after another in this process."""
    for job in jobs:
        yield job, attempt(experiments, job)


def processes(count: int | None = None) -> Executor:
    """An executor with so many processes, by default one per processor. Each has one thread.

    Processes are spawned, so that a script needs `if __name__ == "__main__"`. A process that dies
    (out of memory, killed) takes only its own job with it, which is tried once more in a new one.
    When the caller stops, so do they.
    Raises InvalidData for fewer than one.
    """
    wanted = os.cpu_count() or 1 if count is None else count
    if wanted < 1:
        raise InvalidData(f"processes: at least 1 is needed, not {wanted}")

    def execute(experiments: Experiments, jobs: Sequence[Job]) -> Iterator[Finished]:
        waiting = [(job, 1) for job in reversed(jobs)]
        workers: list[_Worker] = []
        try:
            while waiting or workers:
                while waiting and len(workers) < wanted:
                    workers.append(_Worker(experiments, *waiting.pop()))
                ready = wait([w.connection for w in workers])
                for worker in [w for w in workers if w.connection in ready]:
                    result = worker.result()
                    job, tries = worker.job, worker.tries
                    if isinstance(result, _Died):
                        workers.remove(worker)
                        if tries < ATTEMPTS:
                            waiting.append((job, tries + 1))
                            continue
                        result = NeurohwError(
                            f"its process ended {tries} times with {result.how}; is there "
                            "enough memory?"
                        )
                    elif waiting:
                        worker.start(*waiting.pop())
                    else:
                        workers.remove(worker)
                        worker.stop()
                    yield job, result
        finally:
            for worker in workers:
                worker.stop()

    return execute


class _Died(NamedTuple):
    how: str


class _Worker:
    """A process that does one job after another. Its end of the pipe closes when it dies."""

    def __init__(self, experiments: Experiments, job: Job, tries: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, dict(experiments)), daemon=True)
        # Ctrl-C reaches the whole group of a terminal, but only the parent decides what ends:
        # children inherit a mask without it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.start(job, tries)

    def start(self, job: Job, tries: int) -> None:
        """Hand over the next job."""
        self.job, self.tries = job, tries
        try:
            self.connection.send(job)
        except OSError:  # it died in the meantime, which `result` finds out
            pass

    def result(self) -> Any:
        """What became of the job, once the connection is ready."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            self.connection.close()
            return _Died(
                f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            )

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


def _work(connection: Connection, experiments: Experiments) -> None:
    while True:
        try:
            job = connection.recv()
        except EOFError:  # the parent is gone
            return
        connection.send(attempt(experiments, job))
