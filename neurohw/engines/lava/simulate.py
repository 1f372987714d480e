# SPDX-License-Identifier: Apache-2.0
"""A planned network in Lava: builds the processes, runs them, reads the recordings. Imports
Lava.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray

from neurohw.connections import Convolution, Matrix
from neurohw.engines.lava.planning import Levels, Plan, PopulationPlan, ProjectionPlan, plan
from neurohw.engines.lava.processes.integer_synapses import IntegerSynapses
from neurohw.engines.lava.processes.recorder import LifRecorder
from neurohw.engines.lava.processes.soft_reset_lif import SoftResetLIF
from neurohw.golden.specification import integer_arithmetic
from neurohw.integers import QuantizedNetwork
from neurohw.step import letters

CHUNK_SYNAPSES = 4_000_000  # samples are simulated side by side, up to this many synapses


def _dense(matrix: Matrix) -> NDArray[Any]:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def _joined(p: ProjectionPlan, samples: int) -> tuple[Any, Any]:
    """Doubled weights and delays of all synapses as scipy.sparse matrices, once for every
    sample.
    """
    weights: Any = sum(scipy.sparse.csr_matrix(m) for _, m in p.matrices) * 2
    delays: Any = sum(scipy.sparse.csr_matrix(m != 0).astype(np.int64) * d for d, m in p.matrices)
    eye = scipy.sparse.identity(samples, np.int64, format="csr")
    return tuple(
        scipy.sparse.csr_matrix(scipy.sparse.kron(eye, a)).astype(np.int64)
        for a in (weights, delays)
    )  # type: ignore[return-value]


def build_connection(p: ProjectionPlan, samples: int) -> tuple[Any, Any, Any]:
    """The process of a projection, its input port and its output port, both flat."""
    common: dict[str, Any] = {
        "num_message_bits": p.message_bits,
        "sign_mode": SignMode.MIXED,
        "weight_exp": p.exponent,
    }
    if p.process == "IntegerSynapses":
        process = IntegerSynapses(matrices=p.matrices, exponent=p.exponent, samples=samples)
    elif p.process == "Dense":
        process = Dense(weights=2 * _dense(p.matrices[0][1]), **common)
    elif p.process == "DelayDense":
        weights = 2 * sum(_dense(m) for _, m in p.matrices)
        delays = sum(d * (_dense(m) != 0) for d, m in p.matrices)
        process = DelayDense(weights=weights, delays=delays, **common)
    elif p.process == "Sparse":
        process = Sparse(weights=_joined(p, samples)[0], **common)
    elif p.process == "DelaySparse":
        weights, delays = _joined(p, samples)
        process = DelaySparse(weights=weights, delays=delays, **common)
    else:
        connection = p.projection.connection
        assert isinstance(connection, Convolution) and p.conv_weight is not None
        channels, height, width = connection.input_shape
        process = Conv(
            weight=p.conv_weight,
            input_shape=(width, height, channels),
            padding=connection.padding[::-1],
            stride=connection.stride[::-1],
            dilation=connection.dilation[::-1],
            groups=connection.groups,
            num_message_bits=p.message_bits,
        )
        return process, process.s_in, process.a_out
    return process, process.s_in, process.a_out


def connect(p: ProjectionPlan, samples: int, sender: Any, receiver: Any) -> None:
    """Join s_out of `sender` to a_in of `receiver` through the process of a projection."""
    _, s_in, a_out = build_connection(p, samples)
    if p.process == "Conv":
        connection = p.projection.connection
        assert isinstance(connection, Convolution)
        # ours: [channel, row, column]; Lava's: (x, y, channel)
        sender.s_out.reshape(connection.input_shape).transpose((2, 1, 0)).connect(s_in)
        a_out.transpose((2, 1, 0)).reshape(receiver.a_in.shape).connect(receiver.a_in)
    else:
        sender.s_out.connect(s_in)
        a_out.connect(receiver.a_in)


def build_population(
    model: QuantizedNetwork,
    p: PopulationPlan,
    levels: dict[str, Levels],
    samples: int,
    recording: Path,
) -> Any:
    """The process of a population, which records itself. levels: of the modulations by name."""
    neuron, shape = p.population.neuron, (samples * p.population.size,)
    if p.lif is None:
        gain, rise = (
            model.network.modulation(p.population.name, effect) for effect in ("gain", "threshold")
        )
        return SoftResetLIF(
            shape=shape,
            neuron=neuron,  # type: ignore[arg-type]
            arithmetic=integer_arithmetic(model, p.population),
            offset=p.offset,
            recording=recording,
            gain=levels[gain.name] if gain else None,
            rise=levels[rise.name] if rise else None,
        )
    process = LIF(
        shape=shape,
        du=p.lif.du,
        dv=p.lif.dv,
        vth=p.lif.vth,
        bias_mant=np.zeros(shape, np.int64),
        bias_exp=np.tile(p.lif.bias_exp, samples),
    )
    recorder = LifRecorder(shape=shape, offset=p.offset, recording=recording)
    process.s_out.connect(recorder.s_in)
    recorder.v.connect_var(process.v)
    recorder.u.connect_var(process.u)
    return process


def _advance(
    source: Any, processes: dict[str, Any], planned: Plan, steps: int, samples: int
) -> None:
    """Run all steps; a bias of Lava's LIF acts from the population's first own step on."""
    config = Loihi2SimCfg(select_tag="fixed_pt")
    biased = [
        p for p in planned.populations.values() if p.lif is not None and np.any(p.lif.bias_mant)
    ]
    done = 0
    for stop in sorted({p.offset for p in biased} | {steps + planned.latency}):
        if stop > done:
            source.run(condition=RunSteps(stop - done), run_cfg=config)
            done = stop
        for p in biased:
            if p.offset == stop and p.lif is not None:
                if not done:  # nothing runs yet, so this is the initial value
                    processes[p.population.name].bias_mant.init = np.tile(p.lif.bias_mant, samples)
                else:
                    processes[p.population.name].bias_mant.set(np.tile(p.lif.bias_mant, samples))


def _simulate_side_by_side(
    model: QuantizedNetwork, spikes: NDArray[np.uint8], states: bool, folder: Path
) -> dict[str, NDArray[Any]]:
    network = model.network
    steps, samples, inputs = spikes.shape
    planned = plan(model, steps, int(max(1, spikes.max())), samples)
    data = np.zeros((samples * inputs, steps + planned.latency), np.int64)
    data[:, :steps] = spikes.reshape(steps, -1).T
    source = RingBuffer(data=data)
    processes: dict[str, Any] = {network.input.name: source}
    recordings = {}
    for name, p in planned.populations.items():
        neuron: Any = p.population.neuron
        rows = 1 + (0 if not states else 2 if p.lif is not None else len(letters(neuron)))
        recordings[name] = folder / f"{name}.npy"
        shape = (rows, steps, samples * p.population.size)
        np.lib.format.open_memmap(recordings[name], "w+", np.int32, shape).flush()
        processes[name] = build_population(model, p, planned.levels, samples, recordings[name])
    for projection in network.projections:
        ends = processes[projection.source], processes[projection.target]
        connect(planned.projections[projection.name], samples, *ends)
    for modulation in network.modulations:
        target = processes[modulation.target]
        port = target.gain_in if modulation.effect == "gain" else target.rise_in
        processes[modulation.source].m_out.connect(port)
    try:
        _advance(source, processes, planned, steps, samples)
    finally:
        source.stop()
    result: dict[str, NDArray[Any]] = {f"spikes.{network.input.name}": spikes}
    for name, p in planned.populations.items():
        record = np.load(recordings[name]).reshape(-1, steps, samples, p.population.size)
        result[f"spikes.{name}"] = record[0].astype(np.uint8)
        if not states:
            continue
        values = record[1:].astype(np.int64)
        neuron = p.population.neuron
        if p.lif is not None:
            v, c = values
            q = model.populations[name]
            if not getattr(neuron, "membrane_bias", False):
                c = c + p.population.expand(q.bias)  # Lava keeps the bias out of u
            values = np.stack([v, c, np.zeros_like(v)])
        result |= {f"{k}.{name}": a for k, a in zip(letters(neuron), values, strict=True)}
    return result


def simulate(
    model: QuantizedNetwork, spikes: NDArray[np.uint8], states: bool, side_by_side: bool
) -> dict[str, NDArray[Any]]:
    """Arrays of a trace, by name, for counts [time, sample, input neuron]."""
    synapses = sum(
        matrix.size for p in model.network.projections for _, matrix in model.matrices(p)
    )
    chunk = max(1, min(spikes.shape[1], CHUNK_SYNAPSES // max(1, synapses))) if side_by_side else 1
    parts = []
    for start in range(0, spikes.shape[1], chunk):
        with tempfile.TemporaryDirectory() as folder:
            parts.append(
                _simulate_side_by_side(
                    model, spikes[:, start : start + chunk], states, Path(folder)
                )
            )
    return {name: np.concatenate([p[name] for p in parts], axis=1) for name in parts[0]}
