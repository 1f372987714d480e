"""A model as a Brian2 script that stands alone: a readable .py file with its synapses in an .npz beside it."""

import io
from pathlib import Path

import jinja2
import numpy as np

from neurohw.engines.brian2.equation_text import check_integers, equations
from neurohw.engines.brian2.synapses import synapse_list
from neurohw.errors import InvalidData
from neurohw.integers import QuantizedNetwork
from neurohw.modulation import spread
from neurohw.network import TrainedNetwork
from neurohw.neurons import Lif
from neurohw.storage import write_atomically


def export(model: TrainedNetwork | QuantizedNetwork, path: Path) -> list[Path]:
    """Write the script `path` and its arrays, and return both paths.

    The script needs brian2 and numpy only. `python SCRIPT --input spikes.npz --out trace.npz [--states]` reads the array `spikes` [time, neuron] or
    [sample, time, neuron] and writes `spikes.<population>` (and `v.<population>`) of the same axes. Raises Unsupported as the engine does.
    It refuses axes that may be exchanged, and more steps than integers are proved for, unless
    started with --beyond-proof.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InvalidData(f"{path}: a Brian2 export is a Python script, name it *.py")
    if isinstance(model, QuantizedNetwork):
        check_integers(model)
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
                "spiking": isinstance(population.neuron, Lif),
            }
        )
    projections = []
    for projection in network.projections:
        found = synapse_list(folded, projection)
        if not len(found.weight):
            continue
        for kind, array in (("i", found.source), ("j", found.target), ("w", found.weight), ("delay", found.delay)):
            arrays[f"{projection.name}.{kind}"] = array
        projections.append(projection)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neurohw.engines.brian2", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    beside = path.with_suffix(".npz")
    text = environment.get_template("script.py.j2").render(
        script=path.name,
        arrays=beside.name,
        network=network,
        integers=isinstance(model, QuantizedNetwork),
        steps=model.steps,
        populations=populations,
        projections=projections,
    )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(beside, buffer.getvalue())
    write_atomically(path, text.encode())
    return [path, beside]
