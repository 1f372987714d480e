# SPDX-License-Identifier: Apache-2.0
"""A file of lava-dl as a quantized network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurohw.connections import delay_matrices
from neurohw.errors import InvalidModel, Unsupported
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.integers import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.integers.widths import Constants, Drive, Widths, prove_widths
from neurohw.interop.lavadl.connecting import (
    Connecting,
    axonal_delay,
    connecting,
    factored,
    source_shape,
)
from neurohw.interop.lavadl.file import Layer, read
from neurohw.interop.lavadl.neurons import Neurons, neurons_of
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Integrator, Lif, Source

STATE_BITS = 24


@dataclass
class _Builder:
    """The network so far. shape: of what the next layer takes. delay: of its source's spikes."""

    shape: tuple[int, ...]
    steps: int
    strict: bool
    populations: list[Population]
    delay: IntArray | None = None
    projections: list[Projection] = field(default_factory=list)
    integer_populations: dict[str, QuantizedPopulation] = field(default_factory=dict)
    integer_projections: dict[str, QuantizedProjection] = field(default_factory=dict)

    def add(self, layer: Layer, last: bool) -> None:
        """One layer with its population and the projections into it."""
        source = self.populations[-1]
        into = connecting(layer, self.shape)
        channels = into.shape[0] if len(into.shape) == 3 else None
        size = int(np.prod(into.shape))
        neurons = neurons_of(layer, channels or size)
        name = f"layer{layer.number}"
        drives = [self._project(layer, source, name, size, into, neurons.exponent)]
        if layer.kind == "dense_rec":
            drives.append(self._recur(layer, name, size, neurons.exponent))
        bias = _bias(layer, channels or size, neurons.exponent)
        neuron, widths = self._neuron(layer, neurons, bias, drives, last)
        self.populations.append(Population(name, size, neuron, channels))
        threshold = (
            neurons.threshold if isinstance(neuron, Lif) else np.ones_like(neurons.threshold)
        )
        self.integer_populations[name] = QuantizedPopulation(
            bias,
            threshold,
            np.zeros_like(bias),
            neurons.decay,
            neurons.synapse_decay,
            widths.membrane,
            widths.current,
            widths.accumulator,
            widths.capped,
        )
        self.delay = axonal_delay(layer, size, channels)
        self.shape = into.shape

    def _project(
        self,
        layer: Layer,
        source: Population,
        name: str,
        size: int,
        into: Connecting,
        exponent: int,
    ) -> Drive:
        delay = self.delay
        if delay is None:
            projection = Projection(source.name, name, connection=into.connection)
        else:
            most = int(delay.max())
            projection = Projection(source.name, name, 0, False, into.connection, most, "source")
        weight, shift = factored(layer, into.weight)
        if layer.kind == "average":
            exponent = 0
        q = QuantizedProjection(
            weight, _bits(weight), exponent + shift, into.source, into.target, delay
        )
        return self._joined(projection, q, source.size, size)

    def _recur(self, layer: Layer, name: str, size: int, exponent: int) -> Drive:
        weight = layer.integers("weight_rec")
        if weight.shape != (size, size):
            raise InvalidModel(
                f"{layer.node}: weight_rec has shape {weight.shape}, {(size, size)} is needed"
            )
        weight, shift = factored(layer, weight)
        q = QuantizedProjection(weight, _bits(weight), exponent + shift)
        return self._joined(Projection(name, name, delay=1), q, size, size)

    def _joined(
        self, projection: Projection, q: QuantizedProjection, sources: int, targets: int
    ) -> Drive:
        matrices = delay_matrices(
            projection.connection,
            sources,
            targets,
            q.weight,
            q.arrays(),
            projection.delay,
            projection.delay_per,
        )
        self.projections.append(projection)
        self.integer_projections[projection.name] = q
        return Drive.of(matrices, q.exponent, 1)

    def _neuron(
        self, layer: Layer, neurons: Neurons, bias: IntArray, drives: list[Drive], last: bool
    ) -> tuple[Lif | Integrator, Widths]:
        """The neuron model and its widths: a readout at the end, if it can never fire."""
        reset, decays = np.zeros_like(bias), (neurons.decay, neurons.synapse_decay)
        if neurons.never_fires:
            constants = Constants(bias, np.ones_like(bias), reset, *decays)
            readout = neurons.readout()
            widths = prove_widths(readout, drives, constants, self.steps, STATE_BITS)
            silent = not layer.has_neurons or widths.largest <= int(neurons.threshold.min())
            if silent and not last:
                raise Unsupported(
                    f"{layer.node}: it has no spikes, so that nothing can follow it here; lava-dl "
                    "hands its values on"
                )
            if silent and np.any(bias) and neurons.synapse_decay is not None:
                raise Unsupported(
                    f"{layer.node}: a readout with a bias and a current (iDecay below 4096) cannot "
                    "be expressed: the bias belongs to the membrane"
                )
            if silent:
                return readout, widths
        neuron = neurons.model(self.strict)
        constants = Constants(bias, neurons.threshold, reset, *decays)
        return neuron, prove_widths(neuron, drives, constants, self.steps, STATE_BITS)


def _bias(layer: Layer, parameters: int, exponent: int) -> IntArray:
    if "bias" not in layer.fields:
        return np.zeros(parameters, np.int64)
    values = np.array(layer.numbers("bias", parameters), np.int64)
    # wgtExp is of the weights; weight_exp of a normalisation divides the bias, too
    return values << (exponent - layer.number_of("neuron/wgtExp", 0))


def _bits(weight: IntArray) -> int:
    return max(2, IntFormat.holding(int(weight.min(initial=0)), int(weight.max(initial=0))).bits)


def from_lavadl(
    path: Path | str,
    steps: int | None = None,
    strict: bool = True,
    input_shape: int | Sequence[int] | None = None,
) -> QuantizedNetwork:
    """The network of a lava-dl file, bit exact.

    steps: for which the widths are proved, by default the file's `simulation/tSample`. A membrane
        that could leave Loihi's 24 bits in that time is capped there.
    strict: fire above the threshold, as Lava and SLAYER 0.6; False: at it, as SLAYERs before.
    input_shape: of one step, [channel, row, column] or neurons; needed where the file does not say
        it, as one does not that starts with a convolution.

    The input population is `input`, layer k is `layer<k>`; a layer of type `input` gives the shape
    of the input. Raises BrokenFile, InvalidModel or Unsupported, naming file, layer and reason.
    """
    layers, sample_steps = read(Path(path))
    given = None
    if input_shape is not None:
        given = (input_shape,) if isinstance(input_shape, int) else tuple(map(int, input_shape))
    shape = source_shape(layers[0], given)
    size = int(np.prod(shape))
    builder = _Builder(shape, steps or sample_steps, strict, [Population("input", size, Source())])
    rest = layers[1:] if layers[0].kind == "input" else layers
    for layer in rest:
        if layer.kind == "flatten":
            builder.shape = (int(np.prod(builder.shape)),)
            layer.check_shape(builder.shape)
            continue
        if layer.kind == "input":
            raise Unsupported(f"{layer.node}: only the first layer can be of type 'input'")
        builder.add(layer, layer is [x for x in layers if x.kind != "flatten"][-1])
    if builder.delay is not None:
        raise Unsupported(f"{layers[-1].node}: an axonal delay of the last layer has no target")
    if len(builder.populations) < 2:
        raise Unsupported(f"{layers[-1].node}: there is no layer after the input")
    network = Network(tuple(builder.populations), tuple(builder.projections))
    info = {"source": "lava-dl", "file": Path(path).name}
    return QuantizedNetwork(
        network, builder.integer_populations, builder.integer_projections, builder.steps, info=info
    )


def latency(network: Network) -> dict[str, int]:
    """Steps by which a recording of lava-dl shows each population later.

    1 for the first after the input, then one more a layer; an Affine readout of SLAYER has none of
    its own: it is as late as the layer before it.
    """
    return {p.name: number for number, p in enumerate(network.populations)}
