# SPDX-License-Identifier: Apache-2.0
"""How many DSP blocks a package asks for, and which populations multiply in logic where a board has
fewer.

A multiplier stands in every update lane of a population for each decay that is no shift, and for a
gain; in a convolution twice, and in a learning core for the traces and the astrocyte.
"""

from collections.abc import Sequence
from typing import Any

from neurohw.fixedpoint import MULTIPLY_UNIT
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.generate.neuron import MULTIPLY, MULTIPLY_EACH

# widest factors of one block: MULT18X18D, SB_MAC16
BLOCK_BITS = {"ecp5": 18, "ice40": 16}


def _is_shift(factor: int) -> bool:
    """True for a product that needs no multiplier: 0, and powers of 2."""
    return factor & (factor - 1) == 0


def _decay_blocks(parameters: dict[str, Any], prefix: str, width: int, block: int) -> int:
    kind, value = parameters[f"{prefix}_KIND"], parameters[f"{prefix}_VALUE"]
    multiplies = kind == MULTIPLY_EACH or (
        kind == MULTIPLY and not _is_shift(MULTIPLY_UNIT - value)
    )
    return -(-width // block) if multiplies else 0


def dsp_blocks(package: RtlPackage, family: str) -> dict[str, int]:
    """DSP blocks of every population that needs any, with the convolutions into it: an estimate
    from the parameters, before any tool runs.
    """
    block, result = BLOCK_BITS[family], {}
    for layer in package.layers():
        p, name = layer["parameters"], layer["population"]
        lane = _decay_blocks(p, "DECAY", p["MEMBRANE_BITS"], block) + _decay_blocks(
            p, "SYNAPSE", p["CURRENT_BITS"], block
        )
        if p["SPIKING"]:
            lane += _decay_blocks(p, "ADAPTATION", p["MEMBRANE_BITS"], block)
        if p.get("GAIN"):
            lane += -(-p["ACCUMULATOR_BITS"] // block)
        once = 2 * sum(
            q["core"] == "nhw_convolution_rows" and q["target"] == name
            for q in package.projections()
        )
        if package.manifest.get("learning"):
            # of a trace its own decay, a constant potentiation and a depression that the astrocyte
            # sets
            lane += (
                1
                + (not _is_shift(MULTIPLY_UNIT - p["TRACE_DECAY"]))
                + (not _is_shift(p["POTENTIATION"]))
            )
            once += not _is_shift(abs(p["ASTROCYTE_GAIN"]))
        if lane or once:
            result[name] = lane * p["UPDATE_LANES"] + once
    return result


def instances(package: RtlPackage, populations: Sequence[str]) -> list[str]:
    """The instances of the top in which the multipliers of these populations stand."""
    if package.manifest.get("learning"):
        return ["u_core"] if populations else []
    rows = [
        f"u_rows_{q['projection']}"
        for q in package.projections()
        if q["core"] == "nhw_convolution_rows" and q["target"] in populations
    ]
    return [*(f"u_population_{name}" for name in populations), *rows]


def without_blocks(blocks: dict[str, int], available: int) -> list[str]:
    """The populations that have to multiply in logic, so that the others fit in the blocks; the
    largest get theirs first.
    """
    result: list[str] = []
    left = available
    for name in sorted(blocks, key=lambda n: (-blocks[n], n)):
        if blocks[name] <= left:
            left -= blocks[name]
        else:
            result.append(name)
    return sorted(result)
