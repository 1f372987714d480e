# SPDX-License-Identifier: Apache-2.0
"""A `Network` as a PyTorch module."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurohw.checks import exactly
from neurohw.connections import Dense
from neurohw.errors import InvalidData, InvalidModel
from neurohw.integers.weights import weight_steps
from neurohw.modulation import Modulation
from neurohw.network import (
    BATCH_NORM_EPSILON,
    CONNECTION_FIELDS,
    GRAPH,
    Network,
    Population,
    Projection,
    TrainedNetwork,
)
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif
from neurohw.step import letters
from neurohw.support import Implements, attributes
from neurohw.train import scan as scan_kernel
from neurohw.train.chain import Member, known, run_chain
from neurohw.train.delays import gaussian, gaussian_current, gaussian_of_sources, whole_current
from neurohw.train.distributed import Part, batch_norm
from neurohw.train.events import find_events, is_bytes
from neurohw.train.fake_quantize import (
    check_quantizable,
    fake_quantize,
    integer_weights,
    straight_round,
    weight_limits,
)
from neurohw.train.functional import (
    NEURONS,
    Carried,
    Constants,
    NeuronState,
    Record,
    integrator_step,
    lif_step,
    raised,
    record,
    rest,
    scan,
)
from neurohw.train.scan import fast_scan, usable
from neurohw.train.surrogate import surrogate
from neurohw.train.synapses import CONNECTIONS, Operator, delayed, operators, per_weight

IMPLEMENTS = Implements(
    "training",
    NEURONS
    | CONNECTIONS
    | GRAPH
    | {Modulation: attributes("source target max_gain", effect=("threshold", "gain"))},
)
VARIED = ("decay", "synapse_decay", "v_reset", "adaptation_decay", "adaptation_strength")
BUFFERS = (".threshold", ".mean", ".variance", ".source", ".target")
LAST_SPREAD = 0.23  # SIG of Hammouamri et al. at the end of annealing
LEAST_SIGMA = 0.27  # is added to it


SHIFTS = (1.0, 12.0)  # of decays that learn; the multiplying decay of the integers has 12 bits


def groups(network: Network) -> list[list[Population]]:
    """The populations after the input in groups: each group needs only the ones before it, and
    itself if it is recurrent.

    A group of more than one population, or of one that projects to itself, has to advance step by
    step: a loop of projections, or one that an astrocyte closes.
    """
    edges = [(p.source, p.target) for p in network.projections] + [
        (m.source, m.target) for m in network.modulations
    ]
    before: dict[str, set[str]] = {p.name: set() for p in network.populations}
    changed = True
    while changed:
        changed = False
        for source, target in edges:
            reached = before[source] | {source}
            if not reached <= before[target]:
                before[target] |= reached
                changed = True
    result: list[list[Population]] = []
    # A group has strictly more populations before it than every group that feeds it.
    for population in sorted(network.update_order(), key=lambda p: len(before[p.name] | {p.name})):
        name = population.name
        for group in result:
            if name in before[group[0].name] and group[0].name in before[name]:
                group.append(population)
                break
        else:
            result.append([population])
    order = {p.name: i for i, p in enumerate(network.update_order())}
    return [sorted(group, key=lambda p: order[p.name]) for group in result]


def check_learnable_delays(network: Network) -> None:
    """Raise InvalidModel where no projection has delays to learn, and where its connection cannot
    learn them.
    """
    delayed_projections = [p for p in network.projections if p.max_delay is not None]
    if not delayed_projections:
        raise InvalidModel("no projection has delays to learn: give one a max_delay")
    for projection in delayed_projections:
        if not isinstance(projection.connection, Dense) and projection.delay_per == "synapse":
            raise InvalidModel(
                f"projection {projection.name!r}: the delays of single synapses learn in dense "
                "projections; "
                'make it dense, or let its axons learn with delay_per="source"'
            )


class Window(NamedTuple):
    """What is known while some steps run: the shape and the type of the input's counts [time,
    sample, neuron], spikes that populations have sent (the input's perhaps as bytes), levels of
    astrocytes before every step, and what the steps before left.
    """

    shape: torch.Size
    dtype: torch.dtype
    sent: dict[str, Tensor]
    levels: dict[str, Tensor]
    carried: Carried

    def spikes(self, name: str) -> Tensor:
        """What a population has sent, as numbers to multiply."""
        self.sent[name] = self.sent[name].to(self.dtype)
        return self.sent[name]


def _latest(before: Tensor | None, spikes: Tensor, steps: int) -> Tensor:
    """The last `steps` of the spikes [time, ...] of a window and of what was carried into it, or
    all where there are fewer.
    """
    return (spikes if before is None else torch.cat([before, spikes]))[-steps:]


def _expand(population: Population, values: Tensor) -> Tensor:
    """Values of every neuron [neuron] from values per parameter."""
    return (
        values
        if population.channels is None
        else values.repeat_interleave(population.size // population.channels)
    )


class SpikingModule(nn.Module):
    """A network with trainable weights, biases, astrocytes' offsets and batch normalisations;
    thresholds are fixed, and so are the weights of projections that are not trainable: 1, as in a
    pooling, unless a trained network brings others.

    surrogate, slope: see `neurohw.train.surrogate`.
    weight_bits: quantize the weights in the forward pass, with learned steps.
    learn_delays: the delays of projections with max_delay are real numbers that learn
        (`neurohw.train.delays`); `annealing`, 0 to 1, narrows their spread.
    learn_decays: the decay of every parameter of the astrocytes is 1 - 2^-k, k in 1..12 learned as
        a real number and rounded in the forward pass (the gradient passes straight through), so
        that the integers have it exactly.
    dropout: of the spikes between populations while training, drawn from `generator`.
    seed: of the initial weights, normal with standard deviation sqrt(2 / fan in), and of the
        initial delays, uniform over their range. Evaluation rounds delays; in float64 it equals
        `run_reference`: batch normalisation is then folded by the same formula.
    Raises Unsupported, naming node and attribute, for what `IMPLEMENTS` does not name, InvalidModel
    for an unknown surrogate, for weights that cannot be quantized with learned steps, for delays
    that cannot learn, and for decays to learn without an astrocyte.
    """

    def __init__(
        self,
        network: Network,
        surrogate_name: str = "arctan",
        slope: float | None = None,
        weight_bits: int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        detach_reset: bool = True,
        learn_delays: bool = False,
        dropout: float = 0.0,
        learn_decays: bool = False,
    ) -> None:
        super().__init__()
        IMPLEMENTS.check(network)
        self.learning_delays = tuple(
            p.name for p in network.projections if p.max_delay is not None and learn_delays
        )
        astrocytes = [p for p in network.populations if isinstance(p.neuron, Astrocyte)]
        if learn_decays and not astrocytes:
            raise InvalidModel(
                "no population has a decay to learn: decays of astrocytes learn, and the "
                "network has none"
            )
        self.learning_decays = tuple(p.name for p in astrocytes if learn_decays)
        self.annealing, self.dropout = 0.0, dropout
        self.rounds_delays = True  # in evaluation; False measures what the rounding costs
        # by projection, added to its weight: see `neurohw.train.device_noise`
        self.perturbation: dict[str, Tensor] = {}
        self.generator = torch.Generator().manual_seed(seed)
        # of a batch that several processes share: see `neurohw.train.distributed`
        self.part: Part | None = None
        if weight_bits is not None:
            check_quantizable(network, weight_bits)
        self.network, self.weight_bits, self.detach_reset = network, weight_bits, detach_reset
        self.spike, self.surrogate = surrogate(surrogate_name, slope), (surrogate_name, slope)
        self.groups = groups(network)
        # which neurons the fast operators compute; the others advance step by step in PyTorch
        self.scanned = {
            p.name: not any(scan_kernel.IMPLEMENTS.unknown(p.neuron))
            for p in network.populations[1:]
        }
        # per population, which constants differ between its neurons
        self.varied: dict[str, tuple[str, ...]] = {}
        generator = torch.Generator().manual_seed(seed)
        fixed = {f"{p.name}.weight" for p in network.projections if not p.trainable}
        if learn_delays:
            check_learnable_delays(network)
        fixed |= {
            f"{p.name}.delay" for p in network.projections if p.name not in self.learning_delays
        }
        for name, shape in network.shapes().items():
            self._register(name, self._initial(name, shape, generator).to(dtype), name in fixed)
        for population in astrocytes if learn_decays else ():
            assert isinstance(population.neuron, Astrocyte)
            decays = torch.full((population.parameters,), population.neuron.decay, dtype=dtype)
            self._register(f"{population.name}.shift", self._shift_of(decays))
        if weight_bits is not None:
            for projection in network.projections:
                self._register(
                    f"{projection.name}.step", torch.zeros(self._step_size(projection), dtype=dtype)
                )
            self.reset_steps()

    def _initial(self, name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        owner, _, kind = name.rpartition(".")
        if kind == "weight":
            projection = next(p for p in self.network.projections if p.name == owner)
            if not projection.trainable:
                return torch.ones(shape, dtype=torch.float64)
            # of a sparse projection, on average
            inputs = shape[0] / self.network.population(projection.target).size
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else max(inputs, 1.0)
            return torch.randn(shape, generator=generator, dtype=torch.float64) * math.sqrt(
                2 / fan_in
            )
        if kind == "threshold":
            neuron = self.network.population(owner).neuron
            assert isinstance(neuron, Lif)
            return torch.full(shape, neuron.threshold, dtype=torch.float64)
        if kind in ("source", "target", "delay"):
            projection = next(p for p in self.network.projections if p.name == owner)
            if kind != "delay":  # synapses spread evenly until a trained network brings its own
                size = self.network.population(getattr(projection, kind)).size
                index = torch.arange(shape[0], dtype=torch.float64)
                return (index if kind == "source" else (index * 7919 / 7.0).floor()) % size
            assert projection.max_delay is not None
            if owner in self.learning_delays:
                drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
                return projection.delay + drawn * (projection.max_delay - projection.delay)
            return torch.randint(
                projection.delay, projection.max_delay + 1, shape, generator=generator
            ).double()
        return torch.full(shape, 1.0 if kind in ("gamma", "variance") else 0.0, dtype=torch.float64)

    def _register(self, name: str, value: Tensor, fixed: bool = False) -> None:
        key = name.replace(".", "__")  # a dot in a parameter name is a path to PyTorch
        if fixed or name.endswith(BUFFERS):
            self.register_buffer(key, value)
        else:
            self.register_parameter(key, nn.Parameter(value))

    def array(self, name: str) -> Tensor:
        """The parameter or buffer of that name, named as in `Network.shapes`;

        `<projection>.step` holds log(step).
        """
        value = getattr(self, name.replace(".", "__"))
        assert isinstance(value, Tensor)
        return value

    def _connection_arrays(self, projection: Projection) -> dict[str, Tensor]:
        names = {k: f"{projection.name}.{k}" for k in CONNECTION_FIELDS}
        arrays = {k: self.array(n) for k, n in names.items() if n in self.network.shapes()}
        if "delay" in arrays:
            arrays["delay"] = self.whole_delay(projection)
        return arrays

    def whole_delay(self, projection: Projection) -> Tensor:
        """The delays of a projection with max_delay, rounded and inside their range."""
        delay = self.array(f"{projection.name}.delay").detach()
        return delay.round().clamp(projection.delay, projection.max_delay)

    def _spreads(self, projection: Projection) -> bool:
        """True while the delays of a projection are spread over several steps."""
        return projection.name in self.learning_delays and (self.training or not self.rounds_delays)

    @staticmethod
    def _shift_of(decays: Tensor) -> Tensor:
        """The k of decays 1 - 2^-k, inside SHIFTS."""
        return (-torch.log2((1 - decays).clamp_min(2.0 ** -SHIFTS[1]))).clamp(*SHIFTS)

    def learned_decay(self, name: str) -> Tensor:
        """The decays 1 - 2^-k [parameter] of an astrocyte whose decays learn."""
        return 1 - torch.exp2(-straight_round(self.array(f"{name}.shift")))

    def clamp(self) -> None:
        """Bring delays and shifts that an optimizer has moved out of their range back to its
        border.
        """
        with torch.no_grad():
            for projection in self.network.projections:
                if projection.name in self.learning_delays:
                    self.array(f"{projection.name}.delay").clamp_(
                        projection.delay, projection.max_delay
                    )
            for name in self.learning_decays:
                self.array(f"{name}.shift").clamp_(*SHIFTS)

    def sigma(self, projection: Projection) -> float:
        """Standard deviation, in steps, of the spread of a projection's delays at the present
        `annealing`.

        SIG falls exponentially from floor(L/2) to 0.23, L the number of possible delays; 0.27 is
        added.
        """
        assert projection.max_delay is not None
        widest = max((projection.max_delay - projection.delay + 1) // 2, 1)
        return float(widest * (LAST_SPREAD / widest) ** self.annealing + LEAST_SIGMA)

    def _per_weight(self, projection: Projection, values: Tensor) -> Tensor:
        ends = self._connection_arrays(projection).get("target")
        return per_weight(projection, self.network.population(projection.target), values, ends)

    def _step_size(self, projection: Projection) -> int:
        """The steps to learn: one per parameter, or one in all for an Integrator, whose outputs are
        compared with each other.
        """
        target = self.network.population(projection.target)
        return target.parameters if isinstance(target.neuron, Lif) else 1

    def reset_steps(self) -> None:
        """Set the weight steps to those of post-training quantization of the present weights."""
        assert self.weight_bits is not None
        with torch.no_grad():
            for projection in self.network.projections:
                count = self.network.population(projection.target).parameters
                rows = self.array(f"{projection.name}.weight").reshape(count, -1)
                size = self._step_size(projection)
                steps = weight_steps(rows.double().cpu().numpy(), self.weight_bits, size == 1)
                self.array(f"{projection.name}.step").copy_(torch.from_numpy(steps[:size]).log())

    def step(self, projection: Projection) -> Tensor:
        """The weight step of every parameter of the target [parameter]."""
        count = self.network.population(projection.target).parameters
        return self.array(f"{projection.name}.step").exp().expand(count)

    def clean_weight(self, projection: Projection) -> Tensor:
        """The weight without any device's noise: quantized where weight_bits is set."""
        weight = self.array(f"{projection.name}.weight")
        if self.weight_bits is None:
            return weight
        step = self._per_weight(projection, self.step(projection))
        return fake_quantize(weight, step, weight_limits(self.weight_bits, projection.batch_norm))

    def effective_weight(self, projection: Projection) -> Tensor:
        """The weight of the forward pass: the clean one and its perturbation, which the gradient
        does not see.
        """
        weight, perturbation = self.clean_weight(projection), self.perturbation.get(projection.name)
        return weight if perturbation is None else weight + perturbation

    def fold_factor(self, projection: Projection) -> Tensor:
        """What folding its batch normalisation multiplies each weight of a projection by;
        broadcasts against the weight.
        """
        return self._per_weight(projection, self._fold_factor(projection)).detach()

    def _fold_factor(self, projection: Projection) -> Tensor:
        variance = self.array(f"{projection.name}.variance")
        return self.array(f"{projection.name}.gamma") / torch.sqrt(variance + BATCH_NORM_EPSILON)

    def _bias(self, population: Population) -> Tensor:
        """The bias [neuron]; in evaluation with the folded batch normalisations."""
        bias = self.array(f"{population.name}.bias")
        if not self.training:
            for projection in self.network.into(population.name):
                if projection.batch_norm:
                    mean, beta = (self.array(f"{projection.name}.{f}") for f in ("mean", "beta"))
                    bias = bias + beta - mean * self._fold_factor(projection)
        return _expand(population, bias)

    def _constants(self, population: Population) -> Constants:
        """The constants of a population's neurons, with the values of single neurons where it has
        them.
        """
        neuron, own = population.neuron, self.varied.get(population.name, ())

        def value(name: str, default: float | None) -> Any:
            return (
                _expand(population, self.array(f"{population.name}.{name}"))
                if name in own
                else default
            )

        assert isinstance(neuron, Lif | Integrator)
        decay, synapse_decay = (
            value("decay", neuron.decay),
            value("synapse_decay", neuron.synapse_decay),
        )
        if population.name in self.learning_decays:
            decay = _expand(population, self.learned_decay(population.name))
        if isinstance(neuron, Integrator):
            return Constants(decay, synapse_decay)
        adaptation = neuron.adaptation or Adaptation(0.0, 0.0)
        return Constants(
            decay,
            synapse_decay,
            threshold=_expand(population, self.array(f"{population.name}.threshold")),
            v_reset=value("v_reset", neuron.v_reset),
            adaptation_decay=value("adaptation_decay", adaptation.decay),
            adaptation_strength=value("adaptation_strength", adaptation.strength),
            membrane_bias=self._bias(population) if neuron.membrane_bias else 0.0,
        )

    def _folded_weight(self, projection: Projection) -> Tensor:
        """The effective weight, in evaluation with the folded batch normalisation."""
        weight = self.effective_weight(projection)
        if projection.batch_norm and not self.training:
            weight = weight * self._per_weight(projection, self._fold_factor(projection))
        return weight

    def _operators(self, projection: Projection) -> list[Operator]:
        """The projection's folded weights by delay."""
        weight = self._folded_weight(projection)
        source, target = (
            self.network.population(n) for n in (projection.source, projection.target)
        )
        arrays = self._connection_arrays(projection)
        if self._spreads(projection):
            assert projection.max_delay is not None
            length = projection.max_delay - projection.delay + 1
            learned = self.array(f"{projection.name}.delay") - projection.delay
            arrays["spread"] = gaussian(learned, self.sigma(projection), length, length)
        return operators(projection, source, target, weight, arrays)

    def _delayed_current(self, projection: Projection, spikes: Tensor) -> Tensor | None:
        """The current of a projection with delays of its own at all steps at once, where there is a
        faster way than one operator per delay.
        """
        if projection.max_delay is None or not isinstance(projection.connection, Dense):
            return None
        shortest, longest = projection.delay, projection.max_delay
        learns = self._spreads(projection)
        if projection.delay_per == "source":
            if not learns:
                return None
            learned = self.array(f"{projection.name}.delay")
            late = gaussian_of_sources(spikes, learned, self.sigma(projection), shortest, longest)
            return late @ self._folded_weight(projection).T
        weight = self._folded_weight(projection)
        if learns:
            learned = self.array(f"{projection.name}.delay")
            return gaussian_current(
                spikes, weight, learned, self.sigma(projection), shortest, longest
            )
        if weight.dtype == torch.float64:  # the exact sums of the reference
            return None
        return whole_current(spikes, weight, self.whole_delay(projection), shortest, longest)

    def _arriving_current(
        self, projection: Projection, spikes: Tensor, before: Tensor | None = None
    ) -> Tensor:
        """The current of a projection at all steps at once, [time, sample, target];

        before: spikes of the steps before, still on their way.
        """
        if before is not None:
            return self._arriving_current(projection, torch.cat([before, spikes]))[len(before) :]
        faster = self._delayed_current(projection, spikes)
        if faster is None:
            parts = [apply(delayed(spikes, delay)) for delay, apply in self._operators(projection)]
            current = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
        else:
            current = faster
        if projection.batch_norm and self.training:
            name, target = projection.name, self.network.population(projection.target)
            normalised = batch_norm(
                current.reshape(-1, target.parameters, target.size // target.parameters),
                self.array(f"{name}.mean"),
                self.array(f"{name}.variance"),
                self.array(f"{name}.gamma"),
                self.array(f"{name}.beta"),
                BATCH_NORM_EPSILON,
                self.part,
            )
            current = normalised.reshape(current.shape)
        return current

    def _level(self, astrocyte: Population, v: Tensor) -> Tensor:
        """Levels of an astrocyte with membranes v [..., domain]."""
        return v + _expand(astrocyte, self.array(f"{astrocyte.name}.offset"))

    def _effect(self, modulation: Modulation, levels: Tensor) -> Tensor:
        """Gains, or rises of the threshold, [..., neuron], of levels [..., domain];
        differentiable.
        """
        gain = modulation.effect == "gain"
        values = modulation.max_gain * torch.sigmoid(levels) if gain else levels.clamp_min(0)
        neurons = self.network.population(modulation.target).size // levels.shape[-1]
        return values if neurons == 1 else values.repeat_interleave(neurons, -1)

    def _scaled(self, population: Population, total: Tensor, gain: Tensor) -> Tensor:
        """A sum of synapses under a gain, and the bias (unless it enters the membrane), which no
        gain scales.
        """
        current = total * gain
        late = isinstance(population.neuron, Lif) and population.neuron.membrane_bias
        return current if late else current + self._bias(population)

    def _known_current(self, population: Population, window: Window) -> Tensor:
        """The currents from populations that are already done and, unless it enters the membrane or
        comes after a gain, the bias, [time, sample, neuron].
        """
        steps, samples, _ = window.shape
        current = self._bias(population)
        enters_membrane = isinstance(population.neuron, Lif) and population.neuron.membrane_bias
        if enters_membrane or self.network.modulation(population.name, "gain") is not None:
            current = torch.zeros_like(current)
        current = current.expand(steps, samples, population.size)
        for projection in self.network.into(population.name):
            if projection.source in window.sent:
                before = window.carried.spikes.get(projection.name)
                current = current + self._arriving_current(
                    projection, window.spikes(projection.source), before
                )
        return current

    def _run_recurrent(self, group: list[Population], window: Window) -> dict[str, Record]:
        """Advance populations that feed each other, step by step."""
        members = {p.name for p in group}
        known = {p.name: self._known_current(p, window).unbind(0) for p in group}
        inner = {
            p.name: [q for q in self.network.into(p.name) if q.source in members] for p in group
        }
        apply: dict[str, list[Operator]] = {}
        for projection in (q for entries in inner.values() for q in entries):
            if projection.batch_norm and self.training:
                raise InvalidModel(
                    f"projection {projection.name!r} is recurrent: batch normalisation over all "
                    "steps cannot be trained there; remove it"
                )
            apply[projection.name] = self._operators(projection)
        modulations = [m for m in self.network.modulations if m.target in members]
        given = {
            m.name: window.levels[m.source].unbind(0)
            for m in modulations
            if m.source in window.levels
        }
        constants = {p.name: self._constants(p) for p in group}
        state = {p.name: window.carried.states.get(p.name) or rest(known[p.name][0]) for p in group}
        fired: dict[str, list[Tensor]] = {p.name: [] for p in group}
        # spikes before the first step, latest last
        earlier: dict[str, list[Tensor]] = {p.name: [] for p in group}
        for projection in (q for entries in inner.values() for q in entries):
            before = window.carried.spikes.get(projection.name)
            if before is not None and len(before) > len(earlier[projection.source]):
                earlier[projection.source] = list(before.unbind(0))
        states: dict[str, list[NeuronState]] = {p.name: [] for p in group}
        for t in range(window.shape[0]):
            effects: dict[tuple[str, str], Tensor] = {}
            # levels after the step before, wherever the astrocyte stands in the order
            for m in modulations:
                inside = m.name not in given
                level = (
                    self._level(self.network.population(m.source), state[m.source].v)
                    if inside
                    else given[m.name][t]
                )
                effects[m.target, m.effect] = self._effect(m, level)
            for population in group:
                name, neuron = population.name, population.neuron
                current = known[name][t]
                for projection in inner[name]:
                    for delay, operator in apply[projection.name]:
                        sender = projection.source
                        if t >= delay:
                            current = current + operator(fired[sender][t - delay])
                        elif len(earlier[sender]) >= delay - t:
                            current = current + operator(earlier[sender][t - delay])
                if (name, "gain") in effects:
                    current = self._scaled(population, current, effects[name, "gain"])
                if isinstance(neuron, Integrator):
                    state[name] = integrator_step(constants[name], current, state[name])
                else:
                    assert isinstance(neuron, Lif)
                    rise = effects.get((name, "threshold"))
                    spikes, state[name] = lif_step(
                        neuron,
                        raised(constants[name], rise),
                        current,
                        state[name],
                        self.spike,
                        self.detach_reset,
                    )
                    fired[name].append(spikes)
                states[name].append(state[name])
        return {p.name: record(fired[p.name], states[p.name]) for p in group}

    def _dropped(self, spikes: Tensor) -> Tensor:
        """Spikes as they leave a population: some are dropped while training, the others are worth
        more.
        """
        if not self.training or not self.dropout:
            return spikes
        steps, samples, neurons = spikes.shape
        joined = samples if self.part is None else self.part.size
        drawn = torch.rand((steps, joined, neurons), generator=self.generator, dtype=spikes.dtype)
        kept = (drawn if self.part is None else drawn[:, self.part.own]) >= self.dropout
        return spikes * kept.to(spikes.device) / (1 - self.dropout)

    def _fast_record(self, population: Population, currents: Tensor) -> dict[str, Tensor] | None:
        """Spikes, and the membrane of the output or of an astrocyte, in one operator;

        None where it does not know the neuron model.
        """
        neuron, name = population.neuron, population.name
        assert isinstance(neuron, Lif | Integrator)
        known_neuron = self.scanned[name] and usable(neuron, currents, self.detach_reset)
        if name in self.learning_decays or not known_neuron:
            return None
        wanted = name == self.network.output.name or isinstance(neuron, Astrocyte)
        constants = self._constants(population)
        fired, v = fast_scan(
            neuron, constants, currents, *self.surrogate, self.detach_reset, wanted
        )
        return {f"spikes.{name}": fired} | ({f"v.{name}": v} if wanted else {})

    def _joins(self, projection: Projection) -> bool:
        """True for a projection that can be part of a chain (`neurohw.train.chain`)."""
        normalises = projection.batch_norm and self.training
        return (
            isinstance(projection.connection, Dense)
            and projection.max_delay is None
            and not normalises
        )

    def _ends(self, population: Population) -> tuple[list[Projection], list[Projection]]:
        """The projections that feed a population from others, and those on itself."""
        into = self.network.into(population.name)
        return [p for p in into if p.source != population.name], [
            p for p in into if p.source == population.name
        ]

    def _is_member(self, population: Population) -> bool:
        """True for a population whose neurons and loop a chain knows."""
        neuron, name = population.neuron, population.name
        assert isinstance(neuron, Lif | Integrator)
        loops = self._ends(population)[1]
        modulates = any(name in (m.source, m.target) for m in self.network.modulations)
        if (
            modulates
            or isinstance(neuron, Astrocyte)
            or len(loops) > 1
            or not all(map(self._joins, loops))
        ):
            return False
        return self.scanned[name] and known(neuron, self.array(f"{name}.bias"), self.detach_reset)

    def _chain(self, groups: list[list[Population]]) -> list[Population]:
        """The populations that the first groups have in a chain: each feeds the next one, which
        nobody else feeds.
        """
        chain: list[Population] = []
        for group in groups:
            if len(group) > 1 or not self._is_member(group[0]):
                break
            feeds = self._ends(group[0])[0]
            if chain and (
                len(feeds) != 1
                or feeds[0].source != chain[-1].name
                or not self._joins(feeds[0])
                or (self.training and self.dropout)
            ):
                break
            chain.append(group[0])
        return chain

    def _member(self, population: Population, feed: Projection | None, spikes: bool) -> Member:
        loops = self._ends(population)[1]
        assert isinstance(population.neuron, Lif | Integrator)
        return Member(
            population.neuron,
            self._constants(population),
            None if feed is None else self._folded_weight(feed),
            0 if feed is None else feed.delay,
            self._folded_weight(loops[0]) if loops else None,
            loops[0].delay if loops else 0,
            None if feed is None else self._bias(population),
            spikes,
            population.name == self.network.output.name,
        )

    def _run_chain(
        self, chain: list[Population], window: Window, hidden: bool
    ) -> dict[str, Tensor] | None:
        """Spikes of the populations of a chain (not hidden: those that somebody outside needs), and
        membranes of the output, in one operator.

        None where matrix products around the scan do as well: without a chain, or where it begins
        without a loop and with too many events.
        """
        if not chain:
            return None
        feeds, loops = self._ends(chain[0])
        sent = window.sent[feeds[0].source] if len(feeds) == 1 and self._joins(feeds[0]) else None
        events = None if sent is None else find_events(sent)
        if events is None and not loops and len(chain) == 1:
            return None
        currents = None
        if events is None:
            currents = self._known_current(chain[0], window)
            if isinstance(chain[0].neuron, Lif) and chain[0].neuron.membrane_bias:
                currents = currents + self._bias(chain[0])
        feed = None if events is None else feeds[0]
        members = []
        for population, following in zip(chain, [*chain[1:], None], strict=True):
            inside = {population.name, following.name if following else ""}
            needed = (
                hidden
                or following is None
                or any(
                    p.source == population.name and p.target not in inside
                    for p in self.network.projections
                )
            )
            members.append(self._member(population, feed, needed))
            feed = self._ends(following)[0][0] if following else None
        done = run_chain(members, sent, events, currents, self.surrogate, self.detach_reset)
        names = {"spikes": "spikes", "membrane": "v"}
        return {
            f"{names[w]}.{p.name}": t
            for p, record in zip(chain, done, strict=True)
            for w, t in record.items()
        }

    def forward(
        self, spikes: Tensor, states: bool = True, hidden: bool = True
    ) -> dict[str, Tensor]:
        """Run counts [time, sample, input neuron], in any type; bytes (uint8 or bool) are the
        fastest.

        Returns `spikes.<population>` and the states `v.`, `c.`, `r.` (and `a.`) `<population>`,
        each [time, sample, neuron], named as in `Trace.arrays`.
        states: False for the spikes and the membranes of the output and of astrocytes alone, which
            is faster and smaller (`neurohw.train.scan`).
        hidden: False besides for the output alone; spikes of other populations may be missing,
            which is the fastest (`neurohw.train.chain`).
        Raises InvalidData for another shape.
        """
        return self._run(spikes, states, hidden, None)[0]

    def advance(self, spikes: Tensor, carried: Carried) -> tuple[dict[str, Tensor], Carried]:
        """Run the steps of one window, from what the windows before left; returns what `forward`
        does, and what the next window needs.

        Windows put together equal `forward` over all steps, except that batch normalisation in
        training knows the statistics of its window alone.
        """
        result, following = self._run(spikes, True, True, carried)
        return result, following

    def _run(
        self, spikes: Tensor, states: bool, hidden: bool, carried: Carried | None
    ) -> tuple[dict[str, Tensor], Carried]:
        """`forward` (carried None) and `advance`."""
        source = self.network.input
        if spikes.ndim != 3 or spikes.shape[2] != source.size or 0 in spikes.shape:
            raise InvalidData(
                f"stimulus has shape {tuple(spikes.shape)}, the network needs [time, sample, "
                f"{source.size}]"
            )
        dtype = self.array(f"{self.network.output.name}.bias").dtype
        if not is_bytes(spikes):
            spikes = spikes.to(dtype)
        window = Window(spikes.shape, dtype, {source.name: spikes}, {}, carried or Carried({}, {}))
        result = {f"spikes.{source.name}": window.spikes(source.name)} if hidden else {}
        following = Carried({}, {})
        remaining = self.groups
        while remaining:
            chain = [] if states or carried is not None else self._chain(remaining)
            done = self._run_chain(chain, window, hidden)
            taken = [[p] for p in chain] if done is not None else remaining[:1]
            remaining = remaining[len(taken) :]
            head = taken[0][0]
            if done is None and (
                len(taken[0]) > 1
                or any(p.source == head.name for p in self.network.into(head.name))
            ):
                records = self._run_recurrent(taken[0], window)
                done = {
                    k: t
                    for name, record in records.items()
                    for k, t in self._named(name, record).items()
                }
            elif done is None:
                done = self._run_alone(head, window, states)
            result |= done
            for population in (p for group in taken for p in group):
                name = population.name
                if f"spikes.{name}" not in done:  # nobody needs them
                    continue
                window.sent[name] = self._dropped(done[f"spikes.{name}"])
                if isinstance(population.neuron, Astrocyte):
                    v = done[f"v.{name}"]
                    first = (
                        window.carried.states[name].v
                        if name in window.carried.states
                        else torch.zeros_like(v[0])
                    )
                    window.levels[name] = self._level(population, torch.cat([first[None], v[:-1]]))
        if carried is not None:
            for population in self.network.populations[1:]:
                following.states[population.name] = self._last(population, result)
            for projection in self.network.projections:
                reach = projection.max_delay or projection.delay
                if reach:
                    inner = any(
                        {projection.source, projection.target} <= {p.name for p in g}
                        for g in self.groups
                    )
                    fired = (
                        result[f"spikes.{projection.source}"]
                        if inner
                        else window.spikes(projection.source)
                    )
                    following.spikes[projection.name] = _latest(
                        carried.spikes.get(projection.name), fired, reach
                    )
        return result, following

    def _run_alone(self, population: Population, window: Window, states: bool) -> dict[str, Tensor]:
        """All steps of a population whose currents, and whose astrocytes' levels, are known
        beforehand.
        """
        neuron, name = population.neuron, population.name
        assert isinstance(neuron, Lif | Integrator)
        currents = self._known_current(population, window)
        gain, rise = (self.network.modulation(name, effect) for effect in ("gain", "threshold"))
        if gain is not None:
            currents = self._scaled(
                population, currents, self._effect(gain, window.levels[gain.source])
            )
        fast = None if states or rise is not None else self._fast_record(population, currents)
        if fast is not None:
            return fast
        rises = None if rise is None else self._effect(rise, window.levels[rise.source])
        constants, before = self._constants(population), window.carried.states.get(name)
        return self._named(
            name, scan(neuron, constants, currents, self.spike, self.detach_reset, rises, before)
        )

    def _named(self, name: str, record: Record) -> dict[str, Tensor]:
        """Spikes and states of a population, named as in `Trace.arrays`."""
        neuron = self.network.population(name).neuron
        assert isinstance(neuron, Lif | Integrator)
        states = {f"{letter}.{name}": getattr(record, letter) for letter in letters(neuron)}
        return {f"spikes.{name}": record.spikes} | states

    def _last(self, population: Population, result: dict[str, Tensor]) -> NeuronState:
        """The state of a population after the last step."""
        nothing = torch.zeros_like(result[f"v.{population.name}"][-1])
        found = (result.get(f"{letter}.{population.name}") for letter in NeuronState._fields)
        return NeuronState(*(nothing if values is None else values[-1] for values in found))

    def to_trained(
        self, steps: int, info: dict[str, Any] | None = None, parent: str = ""
    ) -> TrainedNetwork:
        """The parameters as a TrainedNetwork, delays rounded.

        With weight_bits the weights are the quantized ones, integer times step in float64, so that
        `quantize` at the same bits finds the very integers of the forward pass.
        """
        own: list[str] = [f"{name}.{kind}" for name, kinds in self.varied.items() for kind in kinds]
        parameters: dict[str, Any] = {
            n: self.array(n).detach().double().cpu().numpy() for n in [*self.network.shapes(), *own]
        }
        for name in self.learning_decays:
            parameters[f"{name}.decay"] = self.learned_decay(name).detach().double().cpu().numpy()
        for projection in self.network.projections:
            if projection.max_delay is not None:
                parameters[f"{projection.name}.delay"] = (
                    self.whole_delay(projection).double().cpu().numpy()
                )
        if self.weight_bits is not None:
            for projection in self.network.projections:
                step = self.step(projection).detach()
                limits = weight_limits(self.weight_bits, projection.batch_norm)
                spread = self._per_weight(projection, step)
                integers = integer_weights(
                    self.array(f"{projection.name}.weight").detach(), spread, limits
                )
                parameters[f"{projection.name}.step"] = step.double().cpu().numpy()
                parameters[f"{projection.name}.weight"] = (
                    (integers.double() * spread.double()).cpu().numpy()
                )
        return TrainedNetwork(self.network, parameters, steps, info or {}, parent)

    def load_trained(self, trained: TrainedNetwork) -> "SpikingModule":
        """Take over the parameters, and the weight steps or those of post-training quantization.

        Returns self.

        Raises InvalidModel if the networks differ.
        """
        if trained.network != self.network:
            raise InvalidModel(
                "the trained network and the module are two different networks: build the "
                "module from its network"
            )
        with torch.no_grad():
            for name in self.network.shapes():
                self.array(name).copy_(torch.from_numpy(trained.parameters[name].copy()))
            like = self.array(f"{self.network.output.name}.bias")
            for population in self.network.populations[1:]:
                kinds: list[str] = [
                    k for k in VARIED if f"{population.name}.{k}" in trained.parameters
                ]
                if population.name in self.learning_decays:
                    decays = torch.from_numpy(trained.values(population, "decay").copy()).to(like)
                    self.array(f"{population.name}.shift").copy_(self._shift_of(decays))
                    kinds = [k for k in kinds if k != "decay"]
                self.varied[population.name] = tuple(kinds)
                for kind in kinds:
                    values = torch.from_numpy(
                        trained.parameters[f"{population.name}.{kind}"].copy()
                    ).to(like)
                    self.register_buffer(f"{population.name}__{kind}", values)
            if self.weight_bits is not None:
                self.reset_steps()
                for projection in self.network.projections:
                    learned = trained.parameters.get(f"{projection.name}.step")
                    if learned is not None:
                        target = self.array(f"{projection.name}.step")
                        target.copy_(torch.from_numpy(learned[: len(target)].copy()).log())
        return self

    @staticmethod
    def from_trained(
        trained: TrainedNetwork, dtype: torch.dtype = torch.float64, **options: Any
    ) -> "SpikingModule":
        """A module in evaluation mode with the parameters of `trained`; options as for the
        constructor.
        """
        exactly("SpikingModule.from_trained: trained", trained, TrainedNetwork)
        module = SpikingModule(trained.network, dtype=dtype, **options).load_trained(trained)
        module.eval()
        return module
