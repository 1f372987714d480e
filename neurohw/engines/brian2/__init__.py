# SPDX-License-Identifier: Apache-2.0
"""Brian2 as an engine, in runtime mode, and as an exported script.

float64 models equal the reference: the same rasters, membranes within 1e-9 (Brian2 adds the
currents of a step in its own order). Quantized models equal the golden model on every spike and
state. Populations are updated in the network's order, each in slots of its own, so that there is no
offset in time.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.engines.brian2.equation_text import Code, check, equations
from neurohw.engines.brian2.script import export
from neurohw.engines.brian2.synapses import SynapseList, synapse_list
from neurohw.errors import MissingTool
from neurohw.extras import cure_of
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.modulation import spread
from neurohw.network import TrainedNetwork
from neurohw.neurons import Source
from neurohw.step import letters
from neurohw.stimulus import Spikes, proved_stimulus, stimulus_of
from neurohw.trace import Trace

__all__ = ["check", "export", "run"]

Target = Literal["auto", "numpy", "cython"]
# a first compilation takes as long as about this many steps of the NumPy target
CYTHON_STEPS = 20_000
CHUNK_SYNAPSES = 4_000_000  # samples are simulated side by side, up to this many synapses


@contextmanager
def _preferences(target: str) -> Iterator[Any]:
    """Brian2 with the code generation target set, and everything set back afterwards."""
    try:
        import brian2
    except ImportError as error:
        raise MissingTool(
            f"Brian2 is not installed or does not load ({error}): {cure_of('brian2')}"
        ) from error
    prefs = brian2.prefs
    with tempfile.TemporaryDirectory() as cache:
        wanted: dict[str, Any] = {"codegen.target": target}
        if target == "cython":
            # -ffast-math, Brian2's default, changes the last bits of a membrane
            wanted["codegen.cpp.extra_compile_args_gcc"] = [
                "-w",
                "-O3",
                "-ffp-contract=off",
                "-std=c++11",
            ]
            wanted["codegen.runtime.cython.cache_dir"] = cache
        before = {name: prefs[name] for name in wanted}
        try:
            for name, value in wanted.items():
                prefs[name] = value
            yield brian2
        finally:
            for name, value in before.items():
                prefs[name] = value


def run(
    model: TrainedNetwork | QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    states: bool = True,
    target: Target = "auto",
    beyond_proof: bool = False,
) -> Trace:
    """Spikes and states of Brian2 for counts [time, sample, input neuron].

    target: code generation, "numpy" or "cython" (slow to compile, fast to run); "auto" takes Cython
        for long runs. Counts above 1 are sent by copies of the input neurons.
    beyond_proof: as of `neurohw.golden.run_golden`, for integers.
    Raises MissingTool without Brian2.
    """
    check(model)
    if isinstance(model, QuantizedNetwork):
        given, beyond = proved_stimulus(model, spikes, beyond_proof)
    else:
        given, beyond = stimulus_of(model, spikes), False
    folded = model.folded() if isinstance(model, TrainedNetwork) else model
    network = folded.network
    codes = {p.name: equations(folded, p) for p in network.update_order()}
    lists = {p.name: synapse_list(folded, p) for p in network.projections}
    steps, samples = given.steps, given.samples
    size = max(1, sum(len(s.weight) for s in lists.values()))
    chunk = max(1, min(samples, CHUNK_SYNAPSES // size))
    if target == "auto":
        target = "cython" if steps * -(-samples // chunk) > CYTHON_STEPS else "numpy"
    traces = []
    with _preferences(target) as brian2:
        for start in range(0, samples, chunk):
            part = given.counts[:, start : start + chunk]
            traces.append(_run_side_by_side(brian2, folded, codes, lists, part, states))
    arrays = {name: np.concatenate([t[name] for t in traces], axis=1) for name in traces[0]}
    fired = {p.name: arrays[f"spikes.{p.name}"] for p in network.populations}
    kept = {n: a for n, a in arrays.items() if not n.startswith("spikes.")}
    return Trace(fired, kept, digest_of(model), beyond_proof=beyond)


def _run_side_by_side(
    brian2: Any,
    model: TrainedNetwork | QuantizedNetwork,
    codes: dict[str, Code],
    lists: dict[str, SynapseList],
    spikes: NDArray[Any],
    states: bool,
) -> dict[str, NDArray[Any]]:
    """All samples in one Brian2 network: neuron n of sample s is number s * size + n."""
    network = model.network
    steps, samples, inputs = spikes.shape
    clock = brian2.Clock(dt=network.dt * brian2.second)
    dt = clock.dt
    copies = max(1, int(spikes.max()))
    fires = np.concatenate([spikes > k for k in range(copies)], axis=2).reshape(steps, -1)
    when, which = np.nonzero(fires)
    source = brian2.SpikeGeneratorGroup(
        fires.shape[1], which, when * dt, clock=clock, when="input", sorted=True
    )
    groups: dict[str, Any] = {network.input.name: source}
    objects: list[Any] = [source]
    schedule = [
        "start",
        "groups",
        "thresholds",
        "synapses",
        "resets",
        "input",
        "modulate",
    ]  # the usual slots stay empty
    spike_monitors, state_monitors = {}, {}
    for population in network.update_order():
        name, code = population.name, codes[population.name]
        schedule += [f"{slot}_{name}" for slot in ("synapses", "update", "threshold", "reset")]
        group = brian2.NeuronGroup(
            samples * population.size,
            code.model(),
            threshold=code.threshold or None,
            reset=code.reset if code.threshold else None,
            namespace=code.namespace()
            | {n: brian2.TimedArray(t, dt=brian2.second) for n, t in code.tables.items()},
            clock=clock,
            name=f"population_{name}*",  # Brian2 adds a number where the name is taken
        )
        for constant, value in code.constants.items():
            if not isinstance(value, float):
                setattr(group, constant, np.tile(value, samples))
        objects += [group, group.run_regularly(code.update, clock=clock, when=f"update_{name}")]
        if code.threshold:
            group.thresholder["spike"].when = f"threshold_{name}"
            if code.reset:
                group.resetter["spike"].when = f"reset_{name}"
            spike_monitors[name] = brian2.SpikeMonitor(group, when="end")
            objects.append(spike_monitors[name])
        if states:
            neuron = population.neuron
            assert not isinstance(neuron, Source)
            state_monitors[name] = brian2.StateMonitor(
                group, list(letters(neuron)), record=True, clock=clock, when="end"
            )
            objects.append(state_monitors[name])
        groups[name] = group
    for population in network.update_order():
        code, group = codes[population.name], groups[population.name]
        for variable, astrocyte in code.levels.items():
            domains = network.population(astrocyte).size
            index = np.concatenate(
                [s * domains + spread(np.arange(domains), population.size) for s in range(samples)]
            )
            setattr(group, variable, brian2.linked_var(groups[astrocyte], "v", index=index))
        if code.modulate:  # before any population advances
            objects.append(group.run_regularly(code.modulate, clock=clock, when="modulate"))
    for projection in network.projections:
        found = lists[projection.name]
        if not len(found.weight):
            continue
        size, targets = (network.population(n).size for n in (projection.source, projection.target))
        per_sample = size * (copies if projection.source == network.input.name else 1)
        ways = range(copies if projection.source == network.input.name else 1)
        connection = brian2.Synapses(
            groups[projection.source],
            groups[projection.target],
            "w : 1",
            on_pre="I_post += w",
            clock=clock,
            name=f"projection_{projection.name}*",
        )
        i = np.concatenate(
            [s * per_sample + k * size + found.source for s in range(samples) for k in ways]
        )
        j = np.concatenate([s * targets + found.target for s in range(samples) for k in ways])
        repeats = len(i) // len(found.weight)
        connection.connect(i=i, j=j)
        connection.w = np.tile(found.weight, repeats)
        connection.delay = np.tile(found.delay, repeats) * dt
        connection.pre.when = f"synapses_{projection.target}"
        objects.append(connection)
    simulation = brian2.Network(*objects)
    simulation.schedule = [*schedule, "end"]
    simulation.run(steps * dt, namespace={})
    result: dict[str, NDArray[Any]] = {f"spikes.{network.input.name}": spikes.astype(np.uint8)}
    for population in network.update_order():
        name, shape = population.name, (steps, samples, population.size)
        raster = np.zeros((steps, samples * population.size), np.uint8)
        if name in spike_monitors:
            monitor = spike_monitors[name]
            raster[np.round(np.asarray(monitor.t / dt)).astype(int), np.asarray(monitor.i)] = 1
        result[f"spikes.{name}"] = raster.reshape(shape)
        if name in state_monitors:
            for letter in state_monitors[name].record_variables:
                values = np.asarray(getattr(state_monitors[name], letter)).T.reshape(shape)
                exact = isinstance(model, QuantizedNetwork)
                result[f"{letter}.{name}"] = values.astype(np.int64) if exact else values
    return result
