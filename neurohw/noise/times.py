# SPDX-License-Identifier: Apache-2.0
"""Times after programming as people write them: 25s, 1h, 1d, 1y."""

import math
import re

from neurohw.errors import InvalidData

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}
_PATTERN = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*")


def parse_time(text: str) -> float:
    """Seconds of a number and its unit: s (also without a unit), min, h, d, w, or y of 365 days.

    Raises InvalidData for anything else.
    """
    match = _PATTERN.fullmatch(text.lower())
    unit = (match.group(2) or "s") if match else ""
    try:
        value = float(match.group(1)) if match else math.nan
    except ValueError:
        value = math.nan
    if unit not in UNITS or not math.isfinite(value):
        raise InvalidData(
            f"time {text!r} is not a number of {', '.join(UNITS)}: write 25s, 1h, 1d or 1y"
        )
    return value * UNITS[unit]


def time_text(seconds: float) -> str:
    """The time in the largest unit of which it is a whole number, such that `parse_time` gives it
    back: 86400 is 1d.
    """
    for unit, length in reversed(UNITS.items()):
        if seconds and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds!r}s" if seconds % 1 else f"{seconds:.0f}s"
