# SPDX-License-Identifier: Apache-2.0
"""A model as a Brian2 script that stands alone: a readable .py file with its synapses in an .npz
beside it.
"""

from pathlib import Path

import jinja2
import numpy as np

from neurohw.engines.brian2.equation_text import check, equations
from neurohw.engines.brian2.synapses import synapse_list
from neurohw.errors import InvalidData
from neurohw.integers import QuantizedNetwork
from neurohw.modulation import spread
from neurohw.network import TrainedNetwork
from neurohw.spike_files import SOURCE
from neurohw.storage import ARRAYS_SHA256, write_script


def export(model: TrainedNetwork | QuantizedNetwork, path: Path, force: bool = False) -> list[Path]:
    """Write the script `path` and its arrays, and return both paths.

    The script needs brian2 and numpy only. `python SCRIPT --input spikes.npz --out trace.npz
    [--states]` reads the array `spikes` [time, neuron] or [sample, time, neuron] and writes
    `spikes.<population>` (and `v.<population>`) of the same axes. It refuses axes that may be
    exchanged, and more steps than integers are proved for, unless started with --beyond-proof.
    Raises Unsupported as the engine does, CannotWrite if something else than an export stands
    there, unless `force`.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InvalidData(f"{path}: a Brian2 export is a Python script, name it *.py")
    check(model)
    folded = model.folded() if isinstance(model, TrainedNetwork) else model
    network = folded.network
    arrays: dict[str, np.ndarray] = {}
    populations = []
    for population in network.update_order():
        code = equations(folded, population)
        own = {n: v for n, v in code.constants.items() if not isinstance(v, float)}
        arrays |= {f"{population.name}.{n}": v for n, v in (own | code.tables).items()}
        for variable, astrocyte in code.levels.items():
            domains = np.arange(network.population(astrocyte).size)
            arrays[f"{population.name}.{variable}.index"] = spread(domains, population.size)
        populations.append(
            {
                "name": population.name,
                "size": population.size,
                "code": code,
                "own": list(own),
                "spiking": population.neuron.spiking,
            }
        )
    projections = []
    for projection in network.projections:
        found = synapse_list(folded, projection)
        if not len(found.weight):
            continue
        for kind, array in (
            ("i", found.source),
            ("j", found.target),
            ("w", found.weight),
            ("delay", found.delay),
        ):
            arrays[f"{projection.name}.{kind}"] = array
        projections.append(projection)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neurohw.engines.brian2", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template("script.py.j2").render(
        script=path.name,
        arrays=path.with_suffix(".npz").name,
        sha256=ARRAYS_SHA256,
        network=network,
        integers=isinstance(model, QuantizedNetwork),
        steps=model.steps,
        files=SOURCE,
        populations=populations,
        projections=projections,
    )
    return write_script(path, text, arrays, force)
