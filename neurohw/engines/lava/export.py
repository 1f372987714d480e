"""A quantized network as a Lava script, with its arrays in an .npz beside it.

Populations and projections that Lava's own processes compute exactly (see `plan`) are those processes; a network of only such needs nothing but Lava.
The others are `SoftResetLIF` and `IntegerSynapses` of `neurohw.engines.lava`, whose integers come from the model that is saved beside the script.
"""

import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from neurohw.connections import Convolution
from neurohw.engines.lava.plan import ProjectionPlan, plan
from neurohw.errors import InvalidData
from neurohw.model_files import save
from neurohw.quantize import QuantizedNetwork
from neurohw.storage import write_atomically


def _weights(p: ProjectionPlan) -> dict[str, np.ndarray]:
    """Arrays of a connection of Lava's own: doubled dense weights and delays, or the kernel."""
    if p.conv_weight is not None:
        return {"weights": p.conv_weight}
    dense = [(d, m if isinstance(m, np.ndarray) else m.toarray()) for d, m in p.matrices]
    weights = np.sum([2 * m for _, m in dense], axis=0)
    delays = np.sum([d * (m != 0) for d, m in dense], axis=0)
    return {"weights": weights} | ({"delays": delays} if p.process.startswith("Delay") else {})


def export(model: QuantizedNetwork, path: Path) -> list[Path]:
    """Write the script `path` and what it reads, and return the paths.

    `python -m neurohw.engines.lava.compat SCRIPT --input spikes.npz --out trace.npz [--states]` (or plain `python` on Lava's own Python 3.10) reads the array
    `spikes` [time, neuron] or [sample, time, neuron] and writes `spikes.<population>` (and `v.<population>`) of the same axes. Raises Unsupported as the engine.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InvalidData(f"{path}: a Lava export is a Python script, name it *.py")
    planned = plan(model, model.steps, model.max_count)
    arrays: dict[str, Any] = {}
    projections = []
    for projection in model.network.projections:
        p = planned.projections[projection.name]
        if p.process != "IntegerSynapses":
            arrays |= {f"{projection.name}.{k}": v for k, v in _weights(p).items()}
        projections.append(
            {"plan": p, "name": projection.name, "source": projection.source, "target": projection.target}
        )
    for name, q in planned.populations.items():
        if q.lif is not None:
            arrays |= {f"{name}.bias_mant": q.lif.bias_mant, f"{name}.bias_exp": q.lif.bias_exp}
    pure = all(q.lif for q in planned.populations.values()) and all(
        p.process != "IntegerSynapses" for p in planned.projections.values()
    )
    beside, folder = path.with_suffix(".npz"), path.with_suffix(".model")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neurohw.engines.lava", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    processes = {p.process for p in planned.projections.values() if p.process != "IntegerSynapses"}
    text = environment.get_template("script.py.j2").render(
        script=path.name,
        arrays=beside.name,
        folder=folder.name,
        pure=pure,
        network=model.network,
        populations=list(planned.populations.values()),
        projections=projections,
        processes=processes,
        latency=planned.latency,
        is_convolution=lambda p: isinstance(p.projection.connection, Convolution),
    )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(beside, buffer.getvalue())
    written = [path, beside]
    if not pure:
        save(model, folder)
        written.append(folder)
    write_atomically(path, text.encode())
    return written
