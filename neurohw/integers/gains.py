# SPDX-License-Identifier: Apache-2.0
"""The tables of gains, and how many guard bits their products need.

An entry has 8 fraction bits. Where the largest gain that the astrocyte can give is small, all
entries are 2^raised times as large and the sums before the product have `raised` guard bits fewer:
(sum << (g - raised)) table >> 8. What the product floors are multiples of 2^(g - raised) and of the
entries' common power of two, so that nothing is floored from `exact` guard bits on.
"""

from dataclasses import dataclass

import numpy as np

from neurohw.errors import InvalidModel
from neurohw.fixedpoint import IntArray
from neurohw.integers.precision import LARGEST_GUARD
from neurohw.integers.quantized import (
    GAIN_BITS,
    GAIN_FRACTION_BITS,
    TABLE_ENTRIES,
    QuantizedModulation,
)
from neurohw.modulation import Modulation
from neurohw.network import FloatArray

COARSEST_LEVEL = 0.125  # distance of the entries of a gain's table, up to twice this
GAIN_TOLERANCE = 0.1  # of a gain, which its entry may miss without a warning


@dataclass(frozen=True)
class Levels:
    """Of an astrocyte: the value of one unit, the lowest and highest level that can happen, in
    units, and the level at rest of every domain, in units and as trained.
    """

    unit: float
    lowest: int
    highest: int
    resting: IntArray
    trained: FloatArray


@dataclass(frozen=True)
class Gain:
    """A table in integers, and what it asks of its target's guard bits.

    raised: by how many bits the entries are larger and the sums smaller.
    exact: guard bits from which products are exact.
    largest: gain that the astrocyte can give.
    """

    modulation: QuantizedModulation
    raised: int
    exact: int
    largest: float


def quantize_gain(modulation: Modulation, levels: Levels) -> Gain:
    """The table of a gain: entry i is round(256 2^raised max_gain sigmoid((i - 64 + 1/2) delta)).

    delta = unit 2^shift lies in [0.125, 0.25). Raises InvalidModel for a unit that is too coarse.
    """
    unit = levels.unit
    if unit >= 2 * COARSEST_LEVEL:
        raise InvalidModel(
            f"modulation {modulation.name!r}: one unit of {modulation.source!r} is {unit:g}, a "
            f"table of gains needs less than {2 * COARSEST_LEVEL}; scale down the weights of "
            f"{modulation.source!r}"
        )
    shift = int(np.ceil(np.log2(COARSEST_LEVEL / unit)))
    centres = (np.arange(TABLE_ENTRIES) - TABLE_ENTRIES // 2 + 0.5) * unit * 2.0**shift
    largest = float(modulation.values(np.array([levels.highest * unit]))[0])
    raised = int(np.floor(-np.log2(np.clip(largest, 2.0**-LARGEST_GUARD, 1.0))))
    entries = np.round(modulation.values(centres) * 2.0 ** (GAIN_FRACTION_BITS + raised))
    table = np.minimum(entries, (1 << GAIN_BITS) - 1).astype(np.int64)
    half = TABLE_ENTRIES // 2
    ends = np.clip(np.array([levels.lowest, levels.highest]) >> shift, -half, half - 1) + half
    common = int(np.gcd.reduce(table[ends[0] : ends[1] + 1]))
    whole_bits = GAIN_FRACTION_BITS if common == 0 else (common & -common).bit_length() - 1
    exact = raised + max(GAIN_FRACTION_BITS - whole_bits, 0)
    return Gain(QuantizedModulation(shift, table), raised, exact, largest)


def gain_warning(modulation: Modulation, gain: Gain, levels: Levels, reach: float) -> str | None:
    """What the table makes of the gain at rest and of the largest, where it misses it by much.

    reach: thresholds, or more, by which all weights together can move a membrane at a gain of 1.
    """
    units = np.append(levels.resting, levels.highest)
    wanted = modulation.values(np.append(levels.trained, levels.highest * levels.unit))
    found = gain.modulation.values(units) * 2.0 ** -(GAIN_FRACTION_BITS + gain.raised)
    error = np.abs(found - wanted) / np.maximum(wanted, np.finfo(float).tiny)
    error[np.maximum(wanted, found) * reach < 1.0] = 0.0  # no membrane gets to its threshold
    worst = int(np.argmax(error))
    if error[worst] <= GAIN_TOLERANCE:
        return None
    where = "at its highest level" if worst == len(levels.resting) else f"at rest in domain {worst}"
    return (
        f"modulation {modulation.name!r}: {where} the gain {wanted[worst]:.4g} is "
        f"{found[worst]:.4g} in the table of gains, which has steps of "
        f"{2.0 ** -(GAIN_FRACTION_BITS + gain.raised):.3g}: train with a higher offset of "
        f"{modulation.source!r}, or with a max_gain nearer to the gains that are used"
    )
