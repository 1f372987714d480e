# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at most, measured: products of matrices, copies of memory, reads from
cache; and what it is.
"""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from neurohw.train.inference import torch_threads

REPEATS = 7


def least_seconds(work: Callable[[], object]) -> float:
    """Of some calls: a ceiling is the best that the machine does."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float:
    """Of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def product_rate(rows: int, inner: int, columns: int) -> float:
    """Multiply-adds per second of a float32 matrix product."""
    a, b, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    calls = max(1, 10**9 // (rows * inner * columns))

    def work() -> None:
        for _ in range(calls):
            torch.mm(a, b, out=out)

    return calls * rows * inner * columns / least_seconds(work)


def copy_rate() -> float:
    """Bytes read and written per second by a copy of 256 MB, far more than caches hold for one
    core.
    """
    a = torch.zeros(1 << 26)
    b = torch.zeros_like(a)
    return 2 * 4 * a.numel() / least_seconds(lambda: b.copy_(a))


def cache_rate() -> float:
    """Bytes per second that one thread reads from 256 kB in its cache, times the threads."""
    threads = torch.get_num_threads()
    a, calls = torch.zeros(1 << 16), 2000

    def work() -> None:
        for _ in range(calls):
            torch.sum(a)

    with torch_threads(1):
        return threads * 4 * a.numel() * calls / least_seconds(work)


def ceilings(threads: int) -> dict[str, float]:
    """Multiply-adds per second of the best of a large product and of one of a layer, and bytes per
    second from memory and from cache.
    """
    with torch_threads(threads):
        large, layer = product_rate(2048, 2048, 2048), product_rate(12800, 256, 256)
        return {
            "large_product": large,
            "layer_product": layer,
            "copy": copy_rate(),
            "cache": cache_rate(),
        }
