"""Networks that lava-dl wrote (`.net`, HDF5) as quantized networks, bit exact.

A layer of such a file is a population with the projection into it. Its neuron is Loihi's, in integers, with `>> 12` rounding toward zero:

    u = u (4096 - iDecay) >> 12 + (W s << 6)        v = v (4096 - vDecay) >> 12 + u + (bias << 6)
    s = v > vThMant << 6,  v = 0 on a spike

Latency: a recording of lava-dl, and Lava itself, shows layer k one step after layer k - 1. The network here has no such latency: its population k
is `latency(network)[k]` steps ahead of the recording. An axonal delay of d steps, stored with the layer that sends, delays the spikes by d whole
steps beside that latency, as the blocks of lava-dl do (they shift by one step, then by the delay rounded down).

Comparison: Lava and Loihi fire strictly above the threshold; the network as SLAYER trains and records it fires at the threshold, too
(v >= vThMant << 6). Both exist in published recordings, so the import takes it explicitly.

A layer of type `input` turns an image into spikes; those spikes are the network's input. `encode_input` computes them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Connection, Convolution, Dense, delay_matrices
from neurohw.errors import BrokenFile, InvalidModel, Unsupported
from neurohw.fixedpoint import MULTIPLY_UNIT, Decay, IntArray, IntFormat, MultiplyDecay, NoDecay
from neurohw.integers import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.integers.to_float import decay_factor
from neurohw.integers.widths import Constants, Drive, prove_widths
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Integrator, Lif, Source

WEIGHT_SHIFT = 6  # weights, biases and thresholds stand this many bits above the last one of a state
MAX_WEIGHT_BITS = 8
STATE_BITS = 24
NEURON_TYPES = ("CUBA", "LOIHI")
DEFAULT_STEPS = 128


@dataclass(frozen=True)
class _Layer:
    """One group of the file: its number, and its datasets with `neuron/` ones among them."""

    file: Path
    number: int
    fields: dict[str, Any]

    @property
    def node(self) -> str:
        """How errors name the layer."""
        return f"{self.file}, layer {self.number}"

    @property
    def kind(self) -> str:
        """Its type: input, dense, conv, pool, average, flatten, dense_rec."""
        return _text(self.need("type"))

    def need(self, name: str) -> Any:
        """A field; BrokenFile if it is missing."""
        if name not in self.fields:
            raise BrokenFile(f"{self.node}: the field {name!r} is missing")
        return self.fields[name]

    def numbers(self, name: str, count: int) -> tuple[int, ...]:
        """A field of `count` whole numbers; a single one stands for all."""
        values = np.asarray(self.need(name)).ravel()
        if len(values) not in (1, count):
            raise InvalidModel(f"{self.node}: {name} holds {len(values)} numbers, {count} are needed")
        return tuple(int(v) for v in np.broadcast_to(values, (count,)))

    def integers(self, name: str) -> IntArray:
        """An array field of whole, finite numbers."""
        values = np.asarray(self.need(name), np.float64)
        if not np.all(np.isfinite(values)):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InvalidModel(f"{self.node}: {name} holds {values[where]} at {where}: every value must be finite")
        if np.any(values != np.floor(values)):
            where = tuple(int(i) for i in np.argwhere(values != np.floor(values))[0])
            raise InvalidModel(f"{self.node}: {name} holds {values[where]} at {where}, whole numbers are needed")
        return values.astype(np.int64)


def _text(value: Any) -> str:
    entry = np.asarray(value).ravel()[0]
    return entry.decode() if isinstance(entry, bytes) else str(entry)


def _read(path: Path) -> tuple[list[_Layer], int]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "layer" not in file:
                raise BrokenFile(f"{path}: no group 'layer': this is not a network of lava-dl")
            groups = file["layer"]
            try:
                numbers = sorted(int(name) for name in groups)
            except ValueError as error:
                raise BrokenFile(f"{path}: a layer is not named by its number ({error})") from error
            layers = []
            for number in numbers:
                fields: dict[str, Any] = {}

                def keep(name: str, item: Any, fields: dict[str, Any] = fields) -> None:
                    if isinstance(item, h5py.Dataset):
                        fields[name] = item[()]

                groups[str(number)].visititems(keep)
                layers.append(_Layer(path, number, fields))
            sample = file.get("simulation/tSample")
            steps = int(np.asarray(sample[()]).ravel()[0]) if sample is not None else DEFAULT_STEPS
    except (OSError, KeyError, RuntimeError) as error:
        raise BrokenFile(f"{path}: not a readable HDF5 file ({error})") from error
    if not layers or [x.number for x in layers] != list(range(len(layers))):
        raise BrokenFile(f"{path}: layers {[x.number for x in layers]} are not numbered 0, 1, ...")
    return layers, steps


def _neuron(layer: _Layer, strict: bool = True) -> tuple[Lif | Integrator, Decay, Decay | None, int]:
    """The neuron model of a layer, its decays, and its threshold; an Integrator without memory where the layer has no neuron."""
    if not any(name.startswith("neuron/") for name in layer.fields):
        return Integrator(0.0), MultiplyDecay(MULTIPLY_UNIT), None, 1
    kind = _text(layer.need("neuron/type"))
    if kind not in NEURON_TYPES:
        raise Unsupported(f"{layer.node}: neuron type {kind!r} is not one of {', '.join(NEURON_TYPES)}")
    if bool(np.any(layer.fields.get("neuron/gradedSpike", False))):
        raise Unsupported(f"{layer.node}: graded spikes cannot be expressed, spikes are 0 or 1")
    refractory = int(np.asarray(layer.fields.get("neuron/refDelay", 1)).ravel()[0])
    if refractory != 1:
        raise Unsupported(f"{layer.node}: refDelay {refractory} cannot be expressed, 1 is needed")
    current_delta, membrane_delta, mantissa = (
        int(layer.integers(f"neuron/{name}").ravel()[0]) for name in ("iDecay", "vDecay", "vThMant")
    )
    if mantissa < 0:
        raise InvalidModel(f"{layer.node}: vThMant is {mantissa}, 0 or more is needed")
    decay = NoDecay() if membrane_delta == 0 else MultiplyDecay(membrane_delta)
    synapse = None if current_delta == MULTIPLY_UNIT else MultiplyDecay(current_delta)
    neuron = Lif(
        decay=float(decay_factor(decay)),
        threshold=float(max(mantissa, 1) << WEIGHT_SHIFT),
        reset="hard",
        synapse_decay=None if synapse is None else float(decay_factor(synapse)),
        strict=strict,
        membrane_bias=True,
    )
    return neuron, decay, synapse, mantissa << WEIGHT_SHIFT


def _connection(layer: _Layer, shape: tuple[int, ...]) -> tuple[Connection, IntArray, tuple[int, ...]]:
    """The connection of a layer whose source has `shape`, its weights as stored, and the shape of its target."""
    size = int(np.prod(shape))
    weight = np.asarray(layer.integers("weight")) if layer.kind != "average" else np.zeros(0, np.int64)
    match layer.kind:
        case "dense" | "dense_rec":
            inputs, outputs = layer.numbers("inFeatures", 1)[0], layer.numbers("outFeatures", 1)[0]
            if inputs != size:
                raise InvalidModel(f"{layer.node}: inFeatures is {inputs}, the layer before has {size} neurons")
            if weight.size != inputs * outputs:
                raise InvalidModel(f"{layer.node}: weight has shape {weight.shape}, ({outputs}, {inputs}) is needed")
            return Dense(), weight.reshape(outputs, inputs), (outputs,)
        case "conv" | "pool":
            if len(shape) != 3:
                raise InvalidModel(
                    f"{layer.node}: a {layer.kind} needs a source of 3 axes, the layer before has {shape}"
                )
            channels = shape[0] if layer.kind == "pool" else layer.numbers("outChannels", 1)[0]
            groups = shape[0] if layer.kind == "pool" else int(np.ravel(layer.fields.get("groups", 1))[0])
            kernel = layer.numbers("kernelSize", 2)
            connection = Convolution(
                (shape[0], shape[1], shape[2]),
                channels,
                kernel,  # type: ignore[arg-type]
                layer.numbers("stride", 2),  # type: ignore[arg-type]
                layer.numbers("padding", 2),  # type: ignore[arg-type]
                layer.numbers("dilation", 2) if "dilation" in layer.fields else (1, 1),  # type: ignore[arg-type]
                groups,
            )
            expected = connection.weight_shape(0, 0)
            if layer.kind == "pool" and weight.size in (1, int(np.prod(kernel))):
                weight = np.broadcast_to(weight.reshape(1, 1, *(kernel if weight.size > 1 else (1, 1))), expected)
            if weight.size != int(np.prod(expected)):
                raise InvalidModel(f"{layer.node}: weight has shape {weight.shape}, {expected} is needed")
            return connection, weight.reshape(expected), connection.output_shape
        case "average":
            outputs = layer.numbers("numOutputs" if "numOutputs" in layer.fields else "shape", 1)[0]
            if size % outputs:
                raise InvalidModel(f"{layer.node}: {outputs} outputs cannot average {size} neurons evenly")
            return Dense(), np.repeat(np.eye(outputs, dtype=np.int64), size // outputs, axis=1), (outputs,)
    raise Unsupported(f"{layer.node}: layer type {layer.kind!r} is not known")


def _factored(layer: _Layer, weight: IntArray) -> tuple[IntArray, int]:
    """Weights of at most 8 bits and the power of two taken out of them."""
    shift = 0
    while not IntFormat(MAX_WEIGHT_BITS).allows(weight):
        if np.any(weight & 1):
            value = weight.ravel()[np.argmax(np.abs(weight))] << shift
            raise Unsupported(
                f"{layer.node}: weight {value} needs more than {MAX_WEIGHT_BITS} bits and the weights share no factor of two"
            )
        weight, shift = weight >> 1, shift + 1
    return weight, shift


def _source_shape(first: _Layer) -> tuple[int, ...]:
    if first.kind == "input":
        return tuple(int(n) for n in np.ravel(first.need("shape")))
    if first.kind in ("dense", "dense_rec"):
        return (first.numbers("inFeatures", 1)[0],)
    raise Unsupported(f"{first.node}: a network that starts with {first.kind!r} does not say the shape of its input")


def _bias(layer: _Layer, population: Population) -> IntArray:
    if "bias" not in layer.fields:
        return np.zeros(population.parameters, np.int64)
    bias = layer.integers("bias").ravel()
    if len(bias) not in (1, population.parameters):
        raise InvalidModel(f"{layer.node}: bias holds {len(bias)} values, {population.parameters} are needed")
    return np.broadcast_to(bias << WEIGHT_SHIFT, (population.parameters,))


def from_lavadl(path: Path | str, steps: int | None = None, strict: bool = True) -> QuantizedNetwork:
    """The network of a lava-dl file, bit exact.

    steps: for which the widths are proved, by default the file's `simulation/tSample`. A membrane that could leave Loihi's 24 bits in that
    time is capped there. strict: fire above the threshold, as Lava; False: at it, as SLAYER. The input population is `input`, layer k is `layer<k>`, the layer of type `input` (if any) gives the shape of the input.
    Raises BrokenFile, InvalidModel or Unsupported, naming file, layer and reason.
    """
    layers, sample_steps = _read(Path(path))
    steps = steps or sample_steps
    shape = _source_shape(layers[0])
    populations = [Population("input", int(np.prod(shape)), Source())]
    projections: list[Projection] = []
    quantized_populations: dict[str, QuantizedPopulation] = {}
    quantized_projections: dict[str, QuantizedProjection] = {}
    delay = _axonal_delay(layers[0], populations[0].size) if layers[0].kind == "input" else None
    for layer in layers[layers[0].kind == "input" :]:
        if layer.kind == "flatten":
            shape = (int(np.prod(shape)),)
            continue
        source = populations[-1]
        connection, weight, shape = _connection(layer, shape)
        neuron, decay, synapse, threshold = _neuron(layer, strict)
        channels = shape[0] if len(shape) == 3 else None
        population = Population(f"layer{layer.number}", int(np.prod(shape)), neuron, channels)
        bias = _bias(layer, population)
        entries = [(_projection(source.name, population.name, connection, delay), weight, delay)]
        if layer.kind == "dense_rec":
            recurrent = layer.integers("weight_rec")
            if recurrent.shape != (population.size, population.size):
                raise InvalidModel(
                    f"{layer.node}: weight_rec has shape {recurrent.shape}, {(population.size,) * 2} is needed"
                )
            entries.append((Projection(population.name, population.name, delay=1), recurrent, None))
        drives = []
        for projection, values, own_delay in entries:
            integers, shift = _factored(layer, values)
            exponent = int(np.ravel(layer.fields.get("neuron/wgtExp", 0))[0]) + WEIGHT_SHIFT + shift
            if layer.kind == "average":
                exponent = 0
            q = QuantizedProjection(integers, _bits(integers), exponent, delay=own_delay)
            sources = source.size if projection.source == source.name else population.size
            matrices = delay_matrices(
                projection.connection,
                sources,
                population.size,
                q.weight,
                q.arrays(),
                projection.delay,
                projection.delay_per,
            )
            drives.append(Drive.of(matrices, exponent, 1))
            projections.append(projection)
            quantized_projections[projection.name] = q
        constants = Constants(
            bias=bias,
            threshold=np.full(population.parameters, max(threshold, 1)),
            v_reset=np.zeros(population.parameters, np.int64),
            decay=decay,
            synapse_decay=synapse,
        )
        if threshold == 0 and isinstance(neuron, Lif):
            raise Unsupported(f"{layer.node}: vThMant 0 cannot be expressed, thresholds are above 0")
        widths = prove_widths(neuron, drives, constants, steps, STATE_BITS)
        quantized_populations[population.name] = QuantizedPopulation(
            constants.bias,
            constants.threshold,
            constants.v_reset,
            decay,
            synapse,
            widths.membrane,
            widths.current,
            widths.accumulator,
            widths.capped,
        )
        populations.append(population)
        delay = _axonal_delay(layer, population.size)
    if delay is not None and np.any(delay):
        raise Unsupported(f"{layers[-1].node}: an axonal delay of the last layer has no target")
    network = Network(tuple(populations), tuple(projections))
    info = {"source": "lava-dl", "file": Path(path).name}
    return QuantizedNetwork(network, quantized_populations, quantized_projections, steps, info=info)


def _bits(weight: IntArray) -> int:
    return max(2, IntFormat.holding(int(weight.min(initial=0)), int(weight.max(initial=0))).bits)


def _axonal_delay(layer: _Layer, size: int) -> IntArray | None:
    """Delay in steps of every neuron's spikes [neuron], None without any."""
    if "delay" not in layer.fields:
        return None
    # stored as the real number that was trained; the network that runs rounds it down
    values = np.floor(np.asarray(layer.fields["delay"], np.float64)).ravel()
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise InvalidModel(f"{layer.node}: delay must be finite and 0 or more")
    if len(values) not in (1, size):
        raise InvalidModel(f"{layer.node}: delay holds {len(values)} values, the layer has {size} neurons")
    delay = np.broadcast_to(values.astype(np.int64), (size,))
    return delay if np.any(delay) else None


def _projection(source: str, target: str, connection: Connection, delay: IntArray | None) -> Projection:
    if delay is None:
        return Projection(source, target, connection=connection)
    return Projection(source, target, 0, connection=connection, max_delay=int(delay.max()), delay_per="source")


def latency(network: Network) -> dict[str, int]:
    """Steps by which a recording of lava-dl shows each population later: 1 for the first after the input, then one more a layer."""
    return {p.name: number for number, p in enumerate(network.populations)}


def encode_input(path: Path | str, drive: NDArray[Any], steps: int, strict: bool = True) -> NDArray[np.uint8]:
    """Spikes [time, 1, neuron] of the file's `input` layer under a constant drive.

    drive: whole numbers [channel, row, column], the bias mantissa of every input neuron; for a pixel x it is weight x + bias, with the two numbers
    that the layer stores. Each step adds drive << 6 to the membrane. Raises Unsupported if there is no input layer, InvalidModel for a drive of
    another shape.
    """
    layer = _read(Path(path))[0][0]
    if layer.kind != "input":
        raise Unsupported(
            f"{layer.node}: it is of type {layer.kind!r}, there is no input layer to encode an image with"
        )
    shape = _source_shape(layer)
    if drive.shape != shape:
        raise InvalidModel(f"{layer.node}: the drive has shape {drive.shape}, {shape} is needed")
    _, decay, _, threshold = _neuron(layer)
    current = drive.astype(np.int64).ravel() << WEIGHT_SHIFT
    v, spikes = np.zeros_like(current), np.zeros((steps, 1, current.size), np.uint8)
    for t in range(steps):
        v = decay.apply(v) + current
        fired = v > threshold if strict else v >= threshold
        spikes[t, 0] = fired
        v = np.where(fired, 0, v)
    return spikes
