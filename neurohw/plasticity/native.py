# SPDX-License-Identifier: Apache-2.0
"""The plastic network in C++: the numbers of `neurohw.plasticity.reference`, event driven and over
several samples at once.

The source is `native.cpp`, see `neurohw.native_library`.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData, InvalidModel, Unsupported
from neurohw.native_library import FLAGS, compiled
from neurohw.network import Network, Projection, TrainedNetwork
from neurohw.neurons import Lif
from neurohw.plasticity.reference import FloatArray, PlasticRun
from neurohw.plasticity.rule import Plasticity, Stdp
from neurohw.plasticity.stimulus import Bernoulli, Events, Stimulus
from neurohw.stimulus import stimulus_of
from neurohw.support import Implements, attributes
from neurohw.trace import Trace

# the neuron of native.cpp
KERNEL = Implements(
    "the plastic kernel",
    {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory integrates_refractory",
            reset=("hard",),
            adaptation=(None,),
            strict=(False,),
            delayed_reset=(False,),
            membrane_bias=(False,),
            delayed_current=(False,),
            clears_current=(False,),
        )
    },
)

SOURCE = Path(__file__).with_name("native.cpp")
# a fused multiply-add would round once where the specification rounds twice; without traps, choices
# become vectors
EXACT_FLAGS = (*FLAGS, "-ffp-contract=off", "-fno-trapping-math")
MOST_STEPS = 65535  # counts are 16 bits wide

_Pointer = ctypes.c_void_p


class _PlasticProjection(ctypes.Structure):
    """`PlasticProjection` of native.cpp."""

    _fields_ = [
        ("from_input", ctypes.c_int32),
        ("plastic", ctypes.c_int32),
        ("delay", ctypes.c_int64),
        *(
            (name, _Pointer)
            for name in ("first", "target", "weight", "column_first", "column_split")
        ),
        *((name, _Pointer) for name in ("column_position", "column_source", "inhibitory")),
        ("low", ctypes.c_double * 2),
        ("high", ctypes.c_double * 2),
    ]


class _PlasticModel(ctypes.Structure):
    """`PlasticModel` of native.cpp."""

    _fields_ = [
        ("inputs", ctypes.c_int64),
        ("neurons", ctypes.c_int64),
        *((name, _Pointer) for name in ("decay", "synapse_decay", "bias", "threshold", "v_reset")),
        *(
            (name, ctypes.c_int32)
            for name in (
                "refractory",
                "integrates_refractory",
                "projections",
                "learns",
                "astrocyte",
            )
        ),
        ("projection", _Pointer),
        *(
            (name, ctypes.c_double)
            for name in ("potentiation", "depression", "increment", "trace_decay")
        ),
        *(
            (name, ctypes.c_double)
            for name in ("gain", "astrocyte_bias", "time_constant", "fading")
        ),
    ]


class _PlasticStimulus(ctypes.Structure):
    """`PlasticStimulus` of native.cpp."""

    _fields_ = [
        ("rates", _Pointer),
        ("seed", ctypes.c_uint64),
        ("first_number", ctypes.c_int64),
        ("refractory", ctypes.c_int32),
        ("offsets", _Pointer),
        ("step", _Pointer),
        ("channel", _Pointer),
    ]


class _PlasticRecord(ctypes.Structure):
    """`PlasticRecord` of native.cpp."""

    _fields_ = [
        *((name, _Pointer) for name in ("counts", "spikes", "input_spikes", "depression")),
        ("states", _Pointer * 3),
        *((name, _Pointer) for name in ("traces", "weights")),
    ]


@dataclass(frozen=True)
class Recorded:
    """What the kernel is asked to keep, arrays [sample, ...];

    None where it was not asked. Weights are in the order of the rows.
    """

    counts: NDArray[np.uint16]
    spikes: NDArray[np.uint8] | None = None
    input_spikes: NDArray[np.uint8] | None = None
    depression: FloatArray | None = None
    states: tuple[FloatArray, ...] = ()
    traces: FloatArray | None = None
    weights: FloatArray | None = None


def check_neuron(network: Network) -> Lif:
    """The neuron of the population;

    Unsupported, naming the option, where the kernel has no such neuron.
    """
    neuron, name = network.output.neuron, network.output.name
    assert isinstance(neuron, Lif)
    if network.modulations:
        raise Unsupported(
            f"modulation {network.modulations[0].name!r}: plasticity knows no astrocyte but "
            "the one of its depression"
        )
    if neuron.reset != "hard":
        raise Unsupported(
            f"population {name!r}: the plastic kernel knows the hard reset, not "
            f"{neuron.reset!r}; use run_plastic_reference"
        )
    refused = ("strict", "delayed_reset", "membrane_bias", "delayed_current", "clears_current")
    for option in (
        *(n for n in refused if getattr(neuron, n)),
        *(["adaptation"] if neuron.adaptation else []),
    ):
        raise Unsupported(
            f"population {name!r}: the plastic kernel has no {option}; use run_plastic_reference"
        )
    KERNEL.refuse(f"population {name!r}", neuron)
    return neuron


class _Rows:
    """A projection by rows (source) and columns (target), and its weights in the order of the
    rows.
    """

    def __init__(
        self,
        trained: TrainedNetwork,
        projection: Projection,
        inhibitory: NDArray[np.bool_],
        bounds: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        source, target = (
            trained.parameters[f"{projection.name}.{end}"].astype(np.int64)
            for end in ("source", "target")
        )
        sources, targets = (
            trained.network.population(n).size for n in (projection.source, projection.target)
        )
        self.order = np.lexsort((target, source))
        source, target = source[self.order], target[self.order]
        same = (np.diff(source) == 0) & (np.diff(target) == 0)
        if np.any(same):
            k = int(np.argmax(same))
            raise InvalidModel(
                f"projection {projection.name!r}: neuron {source[k]} reaches neuron "
                f"{target[k]} twice; the plastic kernel needs one synapse per pair"
            )
        self.weight = np.ascontiguousarray(
            trained.parameters[f"{projection.name}.weight"][self.order]
        )
        columns = np.lexsort((source, inhibitory[source], target))
        before = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=targets))])
        excitatory = np.bincount(target[~inhibitory[source]], minlength=targets)
        self.arrays = {
            "first": np.concatenate(
                [[0], np.cumsum(np.bincount(source, minlength=sources))]
            ).astype(np.int64),
            "target": target.astype(np.int32),
            "weight": self.weight,
            "column_first": before.astype(np.int64),
            "column_split": (before[:-1] + excitatory).astype(np.int64),
            "column_position": columns.astype(np.int32),
            "column_source": source[columns].astype(np.int32),
            "inhibitory": inhibitory.astype(np.uint8),
        }
        low, high = bounds if bounds else (np.zeros(sources), np.zeros(sources))
        # one source of either kind
        by_rule = (np.flatnonzero(~inhibitory)[:1], np.flatnonzero(inhibitory)[:1])
        self.structure = _PlasticProjection(
            from_input=projection.source == trained.network.input.name,
            plastic=bounds is not None,
            delay=projection.delay,
            low=(ctypes.c_double * 2)(*(float(low[k].sum()) for k in by_rule)),
            high=(ctypes.c_double * 2)(*(float(high[k].sum()) for k in by_rule)),
            **{name: array.ctypes.data for name, array in self.arrays.items()},
        )


class PlasticKernel:
    """A network and its rule (None: the weights stay), ready to run.

    Its weights are those of `trained` until samples that carry change them.

    Raises InvalidModel where rule or weights do not fit the network, Unsupported for a neuron that
    the kernel does not know.
    """

    def __init__(self, trained: TrainedNetwork, plasticity: Plasticity | None) -> None:
        self.trained, self.plasticity = trained, plasticity
        network = self.network = trained.network
        size = network.output.size
        rule = plasticity or Plasticity(Stdp(), (), np.zeros(size, np.bool_))
        rule.check(network)
        rule.check_weights(trained)
        neuron = check_neuron(network)
        self._rows = {}
        for p in network.projections:
            learns = rule.plastic(p) is not None
            self._rows[p.name] = _Rows(
                trained,
                p,
                rule.source_is_inhibitory(network, p),
                rule.bounds(network, p) if learns else None,
            )
        values = {
            n: np.ascontiguousarray(network.output.expand(trained.values(network.output, n)))
            for n in ("decay", "bias", "threshold", "v_reset")
        }
        # without a synaptic current: c[t] = 0 c[t-1] + I[t]
        values["synapse_decay"] = (
            np.ascontiguousarray(
                network.output.expand(trained.values(network.output, "synapse_decay"))
            )
            if neuron.synapse_decay is not None
            else np.zeros(size)
        )
        self._values = values
        self._projections = (_PlasticProjection * len(self._rows))(
            *(r.structure for r in self._rows.values())
        )
        stdp, astrocyte = rule.stdp, rule.astrocyte
        self._model = _PlasticModel(
            inputs=network.input.size,
            neurons=size,
            refractory=neuron.refractory,
            integrates_refractory=neuron.integrates_refractory,
            projections=len(self._rows),
            learns=plasticity is not None,
            astrocyte=astrocyte is not None,
            projection=ctypes.addressof(self._projections),
            potentiation=stdp.potentiation,
            depression=stdp.depression,
            increment=stdp.trace_increment,
            trace_decay=stdp.trace_decay,
            gain=astrocyte.gain if astrocyte else 0.0,
            astrocyte_bias=astrocyte.bias if astrocyte else 0.0,
            time_constant=astrocyte.time_constant if astrocyte else 1.0,
            fading=rule.fading,
            **{name: array.ctypes.data for name, array in values.items()},
        )

    def weights(self) -> dict[str, FloatArray]:
        """The weights of every projection now, [synapse] in the order of the network's arrays."""
        return {name: self._in_order(rows, rows.weight) for name, rows in self._rows.items()}

    def rows(self) -> dict[str, FloatArray]:
        """The weights themselves, in the order of the rows; what is written there counts from the
        next run on.
        """
        return {name: rows.weight for name, rows in self._rows.items()}

    def split(self, weights: FloatArray) -> dict[str, FloatArray]:
        """The weights of every projection from those of one sample in `Recorded`."""
        borders = np.cumsum([0, *(len(r.weight) for r in self._rows.values())])
        parts = zip(self._rows.items(), borders, borders[1:], strict=False)
        return {
            name: self._in_order(rows, weights[begin:end]) for (name, rows), begin, end in parts
        }

    @staticmethod
    def _in_order(rows: _Rows, weight: FloatArray) -> FloatArray:
        result = np.empty_like(weight)
        result[rows.order] = weight
        return result

    def run(
        self,
        stimulus: Stimulus,
        steps: int,
        begin: int = 0,
        end: int | None = None,
        carry: bool = False,
        threads: int | None = None,
        record: tuple[str, ...] = (),
    ) -> Recorded:
        """Simulate the samples begin ... end - 1 for `steps` steps, each from rest.

        carry: every sample begins with the weights that the one before left, and the kernel keeps
            the last ones; else all begin with the kernel's weights, which stay.
        threads: over samples that do not carry, by default one per processor.
        record: fields of `Recorded` beside the counts.
        Raises InvalidData for a stimulus that does not fit, or too many steps for a count of 16
        bits.
        """
        if stimulus.inputs != self.network.input.size:
            raise InvalidData(
                f"the stimulus has {stimulus.inputs} inputs, population "
                f"{self.network.input.name!r} has {self.network.input.size} neurons"
            )
        if not 1 <= steps <= MOST_STEPS:
            raise InvalidData(f"a sample has 1 to {MOST_STEPS} steps, not {steps}")
        end = stimulus.samples if end is None else end
        if not 0 <= begin < end <= stimulus.samples:
            raise InvalidData(f"samples {begin} to {end} do not lie in 0 to {stimulus.samples}")
        samples, inputs, neurons = end - begin, self.network.input.size, self.network.output.size
        synapses = sum(len(r.weight) for r in self._rows.values())
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "spikes": ((samples, steps, neurons), np.uint8),
            "input_spikes": ((samples, steps, inputs), np.uint8),
            "depression": ((samples, steps), np.float64),
            "traces": ((samples, inputs + neurons), np.float64),
            "weights": ((samples, synapses), np.float64),
        }
        kept: dict[str, Any] = {
            name: np.zeros(*shapes[name]) for name in record if name != "states"
        }
        states = (
            tuple(np.zeros((samples, steps, neurons)) for _ in "vcr") if "states" in record else ()
        )
        counts = np.zeros((samples, neurons), np.uint16)
        native = _PlasticRecord(
            counts=counts.ctypes.data, **{name: array.ctypes.data for name, array in kept.items()}
        )
        for k, array in enumerate(states):
            native.states[k] = array.ctypes.data
        compiled(SOURCE, EXACT_FLAGS).neurohw_plastic_run(
            ctypes.byref(self._model),
            ctypes.byref(_stimulus(stimulus, begin)),
            ctypes.c_int64(samples),
            ctypes.c_int64(steps),
            ctypes.c_int32(carry),
            ctypes.c_int32(threads or os.cpu_count() or 1),
            ctypes.byref(native),
        )
        return Recorded(counts, states=states, **kept)


def _stimulus(stimulus: Stimulus, begin: int) -> _PlasticStimulus:
    """The stimulus from sample `begin` on."""
    match stimulus:
        case Bernoulli(rates, seed, refractory):
            return _PlasticStimulus(
                rates=rates[begin:].ctypes.data,
                seed=seed,
                first_number=begin,
                refractory=refractory,
            )
        case Events(step, channel, offsets):
            return _PlasticStimulus(
                offsets=offsets[begin:].ctypes.data,
                step=step.ctypes.data,
                channel=channel.ctypes.data,
            )


def run_plastic_native(
    trained: TrainedNetwork, plasticity: Plasticity, spikes: NDArray[Any]
) -> PlasticRun:
    """Simulate one sample, spikes [time, input neuron] of 0 and 1: the run of
    `run_plastic_reference`, which also says what is raised.

    Beside that, InvalidData for a count above 1, Unsupported for a neuron that the kernel does not
    know.
    """
    network, name = trained.network, trained.network.output.name
    kernel = PlasticKernel(trained, plasticity)
    if spikes.max(initial=0) > 1:
        raise InvalidData(
            f"the stimulus holds a count of {spikes.max()}, the plastic kernel takes spikes: 0 or 1"
        )
    everything = ("spikes", "states", "depression", "traces", "weights")
    given = stimulus_of(trained, spikes[:, None])
    got = kernel.run(Events.of_spikes(given), len(spikes), threads=1, record=everything)
    assert (
        got.spikes is not None
        and got.depression is not None
        and got.traces is not None
        and got.weights is not None
    )
    sent = {network.input.name: given.counts, name: got.spikes.transpose(1, 0, 2)}
    states = {
        f"{letter}.{name}": array.transpose(1, 0, 2)
        for letter, array in zip("vcr", got.states, strict=True)
    }
    traces = {
        network.input.name: got.traces[0, : network.input.size],
        name: got.traces[0, network.input.size :],
    }
    return PlasticRun(Trace(sent, states), kernel.split(got.weights[0]), traces, got.depression[0])
