# SPDX-License-Identifier: Apache-2.0
"""A cluster: Dask's distributed scheduler, by its address. Needs the extra `dask`."""

from collections.abc import Iterator, Sequence
from typing import Any

from neurohw.errors import MissingTool, NeurohwError
from neurohw.extras import cure_of
from neurohw.noise.executors import ATTEMPTS, Executor, Experiments, Finished, Job, attempt

TIMEOUT_SECONDS = 30


def dask(address: str) -> Executor:
    """An executor on the workers of a scheduler, such as tcp://10.0.0.1:8786; they need this
    package.

    The experiments are sent to the workers once. A job whose worker is lost goes to another one;
    where the experiments are lost with it they are sent again.
    Raises MissingTool without the library, NeurohwError where no scheduler or no worker answers in
    30 s.
    """
    try:
        import distributed  # local: an optional dependency
    except ImportError as error:
        raise MissingTool(f"a cluster needs Dask: {cure_of('distributed')}") from error

    def execute(experiments: Experiments, jobs: Sequence[Job]) -> Iterator[Finished]:
        try:
            client = distributed.Client(address, timeout=TIMEOUT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise NeurohwError(
                f"no Dask scheduler answers at {address!r} ({error}): start one with `dask "
                "scheduler`, and workers with `dask worker ADDRESS`"
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=TIMEOUT_SECONDS)
            except TimeoutError as error:
                raise NeurohwError(
                    f"the scheduler at {address!r} has no workers: start some with `dask "
                    f"worker {address}`"
                ) from error
            yield from _execute(distributed, client, experiments, jobs)

    return execute


def _execute(
    distributed: Any, client: Any, experiments: Experiments, jobs: Sequence[Job]
) -> Iterator[Finished]:
    remaining = list(jobs)
    for last in [False] * (ATTEMPTS - 1) + [True]:
        [data] = client.scatter(
            [dict(experiments)], broadcast=True, hash=False
        )  # one value, so that arrays are sent once
        futures = {client.submit(attempt, data, job, pure=False): job for job in remaining}
        remaining = []
        for future in distributed.as_completed(futures, loop=client.loop, raise_errors=False):
            job = futures[future]
            if future.status == "finished":
                yield job, future.result()
            elif last:
                error = future.exception() if future.status == "error" else None
                yield job, NeurohwError(f"the cluster lost it ({error or future.status})")
            else:
                remaining.append(job)
        if not remaining:
            return
