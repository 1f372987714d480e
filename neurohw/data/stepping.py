# SPDX-License-Identifier: Apache-2.0
"""Which step a time belongs to: the one rule by which recorded times become steps.

A number stands for the shortest decimal that reads back as it (what `print` shows), so that a step
of 0.1 s is a tenth of a second. Step k holds the times from origin + k step_duration on, its
border, up to the next border. Borders are exact fractions, each rounded once to a double; a time
that misses one from below by 4 units in its last place is on it, since products and sums of floats
are that far off. Whole numbers are compared exactly.
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohw.errors import InvalidData

SLACK = 4  # units in the last place
DECIMALS = 16  # of the longest decimals that are looked for behind floats of less than 64 bits


def whole(value: Any, name: str, smallest: int, largest: int | None = None) -> int:
    """A whole number, also of numpy, as int.

    Raises InvalidData, naming it, for anything else (3.5, True, "3") and outside smallest..largest.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InvalidData(f"{name} must be a whole number, not {value!r}")
    if value < smallest or (largest is not None and value > largest):
        limits = f"{smallest} or more" if largest is None else f"in {smallest}..{largest}"
        raise InvalidData(f"{name} must be {limits}, not {value}")
    return int(value)


def fraction(value: Any, name: str) -> Fraction:
    """The number that is meant, exactly: 0.1 is 1/10.

    Raises InvalidData, naming it, for what is no finite number.
    """
    try:
        return value if isinstance(value, Fraction) else Fraction(str(value))
    except ValueError as error:
        raise InvalidData(f"{name} must be a finite number, not {value!r}") from error


def duration(value: Any, name: str = "step_duration") -> Fraction:
    """A duration above 0, exactly."""
    result = fraction(value, name)
    if result <= 0:
        raise InvalidData(f"{name} must be above 0, not {value}")
    return result


def as_doubles(times: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Floats of fewer bits as the doubles of their shortest decimals: float16(0.1) is 0.1, not
    0.0999755859375.
    """
    result = times.astype(np.float64)
    if times.dtype.itemsize >= 8:
        return result
    left = np.arange(times.size)
    for places in range(DECIMALS + 1):
        candidate = np.rint(result.flat[left] * 10.0**places) / 10.0**places
        found = candidate.astype(times.dtype) == times.flat[left]
        result.flat[left[found]] = candidate[found]
        left = left[~found]
        if not left.size:
            break
    return result


def step_of(
    time: ArrayLike, step_duration: float | Fraction, steps: int, origin: float | Fraction = 0
) -> NDArray[np.int64]:
    """The step of every time, 0..steps-1: -1 before `origin`, `steps` after the last step.

    time, step_duration, origin: in one unit, any. Raises InvalidData for times that are no finite
    numbers.
    """
    times = np.asarray(time)
    if times.dtype.kind not in "buif" or (times.dtype.kind == "f" and not np.isfinite(times).all()):
        raise InvalidData(
            f"times must be finite numbers, these are {times.dtype} "
            f"{times.ravel()[:3].tolist()} ..."
        )
    borders = _borders(
        duration(step_duration), fraction(origin, "origin"), whole(steps, "steps", 1)
    )
    if times.dtype.kind != "f":
        return np.searchsorted(borders[0], times.astype(np.int64), side="right") - 1
    return np.searchsorted(borders[1], as_doubles(times), side="right") - 1


@lru_cache(maxsize=8)
def _borders(
    step: Fraction, origin: Fraction, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first whole number, and the first double, that belong to each of `steps` + 1 steps."""
    exact = [origin + k * step for k in range(steps + 1)]
    # Python rounds this division correctly
    rounded = np.array([b.numerator / b.denominator for b in exact])
    return np.array([math.ceil(b) for b in exact]), rounded - SLACK * np.spacing(np.abs(rounded))
