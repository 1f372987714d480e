# SPDX-License-Identifier: Apache-2.0
"""How benchmarks take times."""

import statistics
import time
from collections.abc import Callable


def median_seconds(
    work: Callable[[], object],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
    warm_up: int = 1,
) -> float:
    """Of calls of `work` by a clock (processor time, or `time.perf_counter`), after some that warm
    up.
    """
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return statistics.median(times)
