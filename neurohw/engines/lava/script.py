# SPDX-License-Identifier: Apache-2.0
"""A model as a Lava script: a readable .py file with its arrays in an .npz beside it."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from neurohw.connections import Convolution
from neurohw.engines.lava.planning import PopulationPlan, ProjectionPlan, plan
from neurohw.errors import InvalidData
from neurohw.integers import QuantizedNetwork
from neurohw.neurons import Lif
from neurohw.spike_files import SOURCE
from neurohw.storage import ARRAYS_SHA256, write_script

IN_ARITHMETIC = ("decay", "threshold", "v_reset")  # numbers of a neuron that its integers replace


def export(model: QuantizedNetwork, path: Path, force: bool = False) -> list[Path]:
    """Write the script `path` and its arrays, and return both paths.

    `python SCRIPT --input spikes.npz --out trace.npz [--states]` reads the array `spikes` [time,
    neuron] or [sample, time, neuron] and writes `spikes.<population>` (and `v.<population>`) of the
    same axes. The script needs Lava only, unless some node is not one of Lava's own: then it
    imports `SoftResetLIF` or `IntegerSynapses` from here. It refuses axes that may be exchanged,
    and more steps than the integers are proved for, unless started with --beyond-proof.
    Raises Unsupported as the engine does, CannotWrite if something else than an export stands
    there, unless `force`.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InvalidData(f"{path}: a Lava export is a Python script, name it *.py")
    planned = plan(model, model.steps, model.max_count)
    arrays: dict[str, NDArray[Any]] = {}
    for name, p in planned.populations.items():
        arrays |= {f"{name}.{key}": value for key, value in _population_arrays(model, p).items()}
    for name, q in planned.projections.items():
        arrays |= {f"{name}.{key}": value for key, value in _projection_arrays(q).items()}
    for name, levels in planned.levels.items():
        arrays[f"{name}.rest"] = levels.rest
        arrays |= {} if levels.integers.table is None else {f"{name}.table": levels.integers.table}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neurohw.engines.lava", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["conventions"] = _conventions
    own = [p for p in planned.populations.values() if p.lif is None]
    text = environment.get_template("script.py.j2").render(
        script=path.name,
        arrays=path.with_suffix(".npz").name,
        sha256=ARRAYS_SHA256,
        network=model.network,
        model=model,
        steps=model.steps,
        files=SOURCE,
        populations=list(planned.populations.values()),
        projections=list(planned.projections.values()),
        levels=planned.levels,
        latency=planned.latency,
        soft=own,
        neuron_kinds=sorted({type(p.population.neuron).__name__ for p in own}),
        adaptive=any(getattr(p.population.neuron, "adaptation", None) is not None for p in own),
        formats=sorted({type(d).__name__ for p in own for d in _decays(model, p) if d is not None}),
        kinds=sorted({q.process for q in planned.projections.values()}),
    )
    return write_script(path, text, arrays, force)


def _decays(model: QuantizedNetwork, p: PopulationPlan) -> tuple[Any, ...]:
    q = model.populations[p.population.name]
    return q.decay, q.synapse_decay, q.adaptation_decay


def _conventions(p: PopulationPlan) -> str:
    """The neuron model as source text, with what steers the integer step; its decays and thresholds
    are in the arithmetic.
    """
    neuron = p.population.neuron
    if not isinstance(neuron, Lif):
        return f"{type(neuron).__name__}(synapse_decay={getattr(neuron, 'synapse_decay', None)!r})"
    different = {f.name: v for f in fields(neuron) if (v := getattr(neuron, f.name)) != f.default}
    return f"Lif({', '.join(f'{n}={v!r}' for n, v in different.items() if n not in IN_ARITHMETIC)})"


def _population_arrays(model: QuantizedNetwork, p: PopulationPlan) -> dict[str, NDArray[Any]]:
    if p.lif is not None:
        return {"bias_mant": p.lif.bias_mant, "bias_exp": p.lif.bias_exp}
    q = model.populations[p.population.name]
    strength = np.zeros_like(q.bias) if q.adaptation_strength is None else q.adaptation_strength
    values = {
        "bias": q.bias,
        "threshold": q.threshold,
        "v_reset": q.v_reset,
        "adaptation_strength": strength,
    }
    values |= {} if q.offset is None else {"offset": q.offset}
    return {key: p.population.expand(value) for key, value in values.items()}


def _projection_arrays(p: ProjectionPlan) -> dict[str, NDArray[Any]]:
    if p.conv_weight is not None:
        assert isinstance(p.projection.connection, Convolution)
        return {"weight": p.conv_weight}
    parts = [(delay, scipy.sparse.coo_array(matrix)) for delay, matrix in p.matrices]
    weight, delays = sum(matrix.toarray() for _, matrix in parts), {}
    if p.process in ("Dense", "DelayDense"):
        if p.process == "DelayDense":
            delays = {"delay": sum(delay * (matrix.toarray() != 0) for delay, matrix in parts)}
        return {"weight": weight, **delays}
    keep = [(delay, matrix) for delay, matrix in parts if matrix.nnz] or parts[:1]
    return {
        "i": np.concatenate([m.coords[0] for _, m in keep]).astype(np.int64),
        "j": np.concatenate([m.coords[1] for _, m in keep]).astype(np.int64),
        "w": np.concatenate([m.data for _, m in keep]).astype(np.int64),
        "delay": np.concatenate([np.full(m.nnz, delay) for delay, m in keep]).astype(np.int64),
    }
