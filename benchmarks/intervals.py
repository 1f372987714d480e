# SPDX-License-Identifier: Apache-2.0
"""How pages of benchmarks say numbers: mean and interval, and a Markdown table."""

from collections.abc import Sequence

import numpy as np
import scipy.stats
from numpy.typing import NDArray


def student(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Mean of at least two values, and half the width of its 95 % interval (Student)."""
    array = np.asarray(values, np.float64)
    half = scipy.stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(half)


def student_text(values: Sequence[float] | NDArray[np.float64]) -> str:
    """Signed mean ± half its 95 % interval; the value alone where there is one."""
    if len(values) < 2:
        return f"{values[0]:+.2f}"
    mean, half = student(values)
    return f"{mean:+.2f} ± {half:.2f}"


def table(header: str, rows: list[str]) -> list[str]:
    """Lines of a Markdown table, an empty one before it."""
    return ["", header, "|" + "---|" * (header.count("|") - 1), *rows]
