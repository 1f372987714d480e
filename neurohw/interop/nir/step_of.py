# SPDX-License-Identifier: Apache-2.0
"""The step of a graph, where a tool's exporter hides it in its numbers."""

from typing import Any

import numpy as np
from scipy.special import lambertw

from neurohw.errors import Unsupported
from neurohw.interop.nir.conventions import NORSE_DT, Tool
from neurohw.interop.nir.graph import Flat, kind_of

EQUAL = 1e-4  # relative difference up to which two steps found in float32 numbers are one


def step_of(tool: Tool, flat: Flat, given: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Conventions that the graph's numbers imply (dt, seconds), and in words where they come from.

    Nothing for a dt that was chosen by hand. Raises Unsupported where the numbers are not those of
    the tool or contradict each other.
    """
    found = {n: dt for n, x in flat.nodes.items() if (dt := _hidden(tool.name, n, x)) is not None}
    if "dt" in given:
        return {}, ""
    if tool.name == "norse":
        return _norse(flat)
    if not found:
        return {}, ""
    first, step = next(iter(found.items()))
    for name, other in found.items():
        if abs(other / step - 1) > EQUAL:
            raise Unsupported(
                f"nodes {first!r} and {name!r} were written with steps of {step:g} and {other:g} "
                "s: export the graph with one step, or say --dt"
            )
    return {"dt": float(f"{step:.5g}")}, f"from r of node {first!r}"


def _numbers(node: Any, *names: str) -> list[float]:
    return [float(np.ravel(np.asarray(getattr(node, name), np.float64))[0]) for name in names]


def _hidden(tool: str, name: str, node: Any) -> float | None:
    """The dt of one node, None where it does not hold one.

    rockpool writes r = tau exp(-dt/tau) / dt, SpikingJelly r = tau/dt or 1 (1/dt for an IF),
    snnTorch r = tau/dt with its own dt.
    """
    kind = kind_of(node)
    if kind not in ("LIF", "CubaLIF", "IF") or not hasattr(node, "r"):
        return None
    if tool == "rockpool" and kind != "IF":
        tau, r = _numbers(node, "tau" if kind == "LIF" else "tau_mem", "r")
        return float(tau * lambertw(1 / r).real) if r > 0 else None
    if tool == "spikingjelly":
        if kind == "IF":
            return 1 / _numbers(node, "r")[0]
        tau, r = _numbers(node, "tau" if kind == "LIF" else "tau_mem", "r")
        return None if r == 1 else tau / r
    if tool == "snntorch" and kind != "IF":
        tau, r = _numbers(node, "tau" if kind == "LIF" else "tau_mem", "r")
        if np.isfinite(tau) and not abs(r * 1e-4 / tau - 1) < EQUAL:
            raise Unsupported(
                f"node {name!r}: r is {r:g}, and snnTorch 1.0.0 writes tau / 1e-4 = "
                f"{tau / 1e-4:g}: it did not write this graph, or its numbers were "
                "changed; give the conventions without --from"
            )
    return None


def _norse(flat: Flat) -> tuple[dict[str, Any], str]:
    """Of norse, which writes time constants times the dt of to_nir: 1e-3, or 1 for seconds."""
    names = ("tau", "tau_mem", "tau_syn")
    taus = [v for x in flat.nodes.values() for n in names if hasattr(x, n) for v in _numbers(x, n)]
    if taus and min(taus) >= NORSE_DT:
        return {"dt": NORSE_DT, "seconds": None}, (
            f"time constants of {min(taus):g} and more are taken as seconds, as to_nir(dt=1) "
            "writes them; if the default dt of to_nir wrote "
            f"them, say --dt {NORSE_DT * NORSE_DT:g}"
        )
    return {}, f"to_nir's default dt {NORSE_DT:g} times the cells' dt {NORSE_DT:g}"
