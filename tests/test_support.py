# SPDX-License-Identifier: Apache-2.0
"""Nothing unknown is computed: a neuron, connection, modulation, decay or attribute that a part
does not name is refused by it, whatever the part.

Found by trying: a new field of `Lif` gave 171 spikes in the reference and 116 or 117 elsewhere, a
new spiking class 0 in four engines and 191 in RTL. Engines and exports come from their tables, so
that a new one is tried, too.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurohw.connections import Dense, Sparse
from neurohw.data import Dataset, Encoder
from neurohw.engines import ENGINES
from neurohw.errors import InvalidModel, NeurohwError, Unsupported
from neurohw.export_model import export_model
from neurohw.fixedpoint import IntFormat, ShiftDecay
from neurohw.golden import infer, run_golden
from neurohw.golden.native import run_native
from neurohw.hardware.generate import emit
from neurohw.hardware.generate.plastic import emit_plastic
from neurohw.integers import QuantizedNetwork, dequantize, quantize
from neurohw.integers.widths import Constants, Drive, prove_widths
from neurohw.interop import EXPORTS
from neurohw.interop.nir import to_nir
from neurohw.interop.snntorch import to_snntorch
from neurohw.memristor import device_named, program
from neurohw.model_files import save
from neurohw.modulation import Modulation
from neurohw.network import GRAPH, Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Astrocyte, Integrator, Lif, Source, as_lif
from neurohw.noise import Experiment, Scenario
from neurohw.noise.judge import judge_chip, judge_ideal
from neurohw.plasticity import (
    Bernoulli,
    Plasticity,
    PlasticProjection,
    Stdp,
    encode,
    initialise,
    run_plastic_reference,
)
from neurohw.plasticity.golden import run_plastic_golden
from neurohw.plasticity.integer import quantize_plasticity
from neurohw.plasticity.native import PlasticKernel
from neurohw.reference import run_reference
from neurohw.reservoir import Liquid, run_liquid
from neurohw.reservoir.lyapunov import lyapunov_exponents
from neurohw.step import STEP, letters
from neurohw.support import Implements, attributes
from neurohw.train import SpikingModule, TrainConfig, fit
from neurohw.train.chain import Member, run_chain
from neurohw.train.functional import Constants as TorchConstants
from neurohw.train.functional import scan
from neurohw.train.scan import fast_scan, usable
from neurohw.train.surrogate import surrogate

STEPS, SIZE = 5, 4
SPIKES = np.ones((STEPS, 2, 3), np.uint8)


@dataclass(frozen=True)
class Jittered(Lif):
    """A Lif with one more field, which steers its step."""

    jitter: float = 0.25


@dataclass(frozen=True)
class Resonator:
    """A brand-new model with what every engine happens to ask of a neuron."""

    decay: float = 0.5
    synapse_decay: float | None = None
    threshold: float = 1.0
    spiking = True


@dataclass(frozen=True)
class Scaled(Dense):
    """A dense connection with one more field."""

    gain: float = 2.0


class OneToOne:
    """A brand-new connection."""

    def weight_shape(self, sources: int, targets: int) -> tuple[int, ...]:
        return (targets, sources)

    def check(self, sources: int, targets: int, node: str) -> None: ...


@dataclass(frozen=True)
class Slow(Modulation):
    """A modulation with one more field."""

    lag: int = 3


@dataclass(frozen=True)
class Floor(ShiftDecay):
    """A decay of another rounding."""


def changed(value: Any, **attributes: Any) -> Any:
    """A copy of a frozen value with attributes that its class does not have, or values that it does
    not allow.
    """
    copy = replace(value)
    for name, found in attributes.items():
        object.__setattr__(copy, name, found)
    return copy


# what stands in the population `cells`, and what a refusal must name
NEURONS = {
    "subclass with a field": (Jittered(0.5), "Jittered"),
    "new class": (Resonator(), "Resonator"),
    "attribute of a value": (changed(Lif(0.5), jitter=0.25), r"Lif\.jitter = 0\.25"),
    "new value of a choice": (changed(Lif(0.5), reset="scaled"), "reset='scaled'"),
}


def network(
    neuron: Any = None,
    connection: Any = None,
    modulation: type[Modulation] | None = None,
    output: Any = None,
) -> Network:
    populations = [
        Population("input", 3, Source()),
        Population("cells", SIZE, neuron or Lif(0.5)),
        Population("output", 2, output or Integrator(0.5)),
    ]
    projections = [
        Projection("input", "cells", connection=connection or Dense()),
        Projection("cells", "output"),
    ]
    modulations = []
    if modulation is not None:
        populations.insert(2, Population("astrocyte", 2, Astrocyte(0.5)))
        projections.append(Projection("cells", "astrocyte"))
        modulations.append(modulation("astrocyte", "cells", "gain"))
    return Network(tuple(populations), tuple(projections), modulations=tuple(modulations))


def trained(net: Network) -> TrainedNetwork:
    ones = {name: np.ones(shape) for name, shape in net.shapes().items()}
    return TrainedNetwork(net, ones, STEPS)


def integers(net: Network) -> QuantizedNetwork:
    """The integers of the known network under an unknown one: what a file or a hand could bring."""
    known = quantize(trained(network(modulation=Modulation if net.modulations else None)), 4)
    return QuantizedNetwork(
        net,
        known.populations,
        known.projections,
        STEPS,
        modulations={
            m.name: q for m, q in zip(net.modulations, known.modulations.values(), strict=True)
        },
    )


def dataset() -> Dataset:
    x, y = np.full((4, 3), 0.5), np.array([0, 1, 0, 1])
    return Dataset("toy", x, y, x, y, x, y, 2)


def experiment(model: TrainedNetwork, **scenario: Any) -> Experiment:
    return Experiment(
        model, Scenario(device_named("pcm"), **scenario), (0.0,), SPIKES, np.array([0, 1])
    )


FLOAT: dict[str, Callable[[TrainedNetwork, Path], Any]] = {
    "run_reference": lambda m, _: run_reference(m, SPIKES),
    "SpikingModule": lambda m, _: SpikingModule(m.network),
    "from_trained": lambda m, _: SpikingModule.from_trained(m),
    "fit": lambda m, _: fit(m.network, dataset(), Encoder("phase", STEPS), TrainConfig(epochs=1)),
    "quantize": lambda m, _: quantize(m, 4),
    "program": lambda m, _: program(m, device_named("pcm"), 0),
    "judge_chip": lambda m, _: judge_chip(experiment(m), 0),
    "judge_ideal": lambda m, _: judge_ideal(experiment(m)),
    "judge_ideal, 4 bits": lambda m, _: judge_ideal(experiment(m), 4),
    "to_nir": lambda m, _: to_nir(m),
    "to_snntorch": lambda m, _: to_snntorch(m),
}
INTEGER: dict[str, Callable[[QuantizedNetwork, Path], Any]] = {
    "run_golden": lambda m, _: run_golden(m, SPIKES),
    "run_native": lambda m, _: run_native(m, SPIKES),
    "infer": lambda m, _: infer(m, SPIKES),
    "dequantize": lambda m, _: dequantize(m),
    "emit": lambda m, _: emit(m),
}
for engine in ENGINES.values():
    for kind, table in (("float", FLOAT), ("integer", INTEGER)):
        if kind in engine.takes:
            table[f"engine {engine.name}: check"] = lambda m, _, engine=engine: engine.check(m)
            table[f"engine {engine.name}: run"] = lambda m, _, engine=engine: engine.run(m, SPIKES)
for to in EXPORTS:
    suffix = "nir" if to == "nir" else "py"
    for kind, table in (("float", FLOAT), ("integer", INTEGER)):
        if kind == "float" if to in ("nir", "snntorch") else to != "lava" or kind == "integer":
            table[f"export to {to}"] = lambda m, path, to=to, suffix=suffix: export_model(
                m, to, path / f"x.{suffix}"
            )  # type: ignore[misc]


def refuses(
    entry: Callable[[Any, Path], Any], model: Any, path: Path, node: str, named: str
) -> None:
    with pytest.raises(Unsupported, match=f"{node}.*{named}"):
        entry(model, path)
    assert not list(path.iterdir())


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("entry", FLOAT)
def test_an_unknown_neuron_is_refused(entry: str, neuron: str, tmp_path: Path) -> None:
    toy, named = NEURONS[neuron]
    refuses(FLOAT[entry], trained(network(toy)), tmp_path, "population 'cells'", named)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("entry", INTEGER)
def test_an_unknown_neuron_is_refused_in_integers(entry: str, neuron: str, tmp_path: Path) -> None:
    toy, named = NEURONS[neuron]
    refuses(INTEGER[entry], integers(network(toy)), tmp_path, "population 'cells'", named)


@pytest.fixture
def new_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer adds `jitter: float = 0.25` to Lif: until a part names it, the part refuses every
    Lif.
    """
    added = field(default=0.25)
    added.name, added.type, added._field_type = (
        "jitter",
        float,
        Lif.__dataclass_fields__["decay"]._field_type,
    )  # type: ignore[attr-defined]
    monkeypatch.setitem(Lif.__dataclass_fields__, "jitter", added)
    monkeypatch.setattr(Lif, "jitter", 0.25, raising=False)


@pytest.mark.parametrize("entry", [*FLOAT, *INTEGER])
def test_a_new_field_of_lif_is_refused_until_it_is_named(
    entry: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = trained(network()) if entry in FLOAT else quantize(trained(network()), 4)
    request.getfixturevalue("new_field")
    refuses((FLOAT | INTEGER)[entry], model, tmp_path, "population 'cells'", r"Lif\.jitter = 0\.25")


CONNECTIONS = {
    "subclass with a field": (Scaled(), "Scaled"),
    "new class": (OneToOne(), "OneToOne"),
    "attribute of a value": (changed(Dense(), gain=2.0), r"Dense\.gain = 2\.0"),
}


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("entry", [*FLOAT, *INTEGER])
def test_an_unknown_connection_is_refused(entry: str, connection: str, tmp_path: Path) -> None:
    toy, named = CONNECTIONS[connection]
    model = (
        trained(network(connection=toy)) if entry in FLOAT else integers(network(connection=toy))
    )
    refuses((FLOAT | INTEGER)[entry], model, tmp_path, "projection 'input_to_cells'", named)


WITHOUT_ASTROCYTES = ("to_nir", "to_snntorch", "export to nir", "export to snntorch")


@pytest.mark.parametrize("entry", [*FLOAT, *INTEGER])
def test_an_unknown_modulation_is_refused(entry: str, tmp_path: Path) -> None:
    model = (
        trained(network(modulation=Slow)) if entry in FLOAT else integers(network(modulation=Slow))
    )
    astrocyte = entry in WITHOUT_ASTROCYTES  # which these refuse before they look at what it does
    node = "population 'astrocyte'" if astrocyte else "modulation 'astrocyte_gain_cells'"
    refuses((FLOAT | INTEGER)[entry], model, tmp_path, node, "Astrocyte" if astrocyte else "Slow")


@pytest.mark.parametrize("entry", [*FLOAT, *INTEGER])
def test_an_unknown_attribute_of_a_projection_or_population_is_refused(
    entry: str, tmp_path: Path
) -> None:
    net = network()
    object.__setattr__(net.projections[1], "release_probability", 0.5)
    model = trained(net) if entry in FLOAT else integers(net)
    refuses(
        (FLOAT | INTEGER)[entry],
        model,
        tmp_path,
        "projection 'cells_to_output'",
        "release_probability = 0.5",
    )
    net = network()
    object.__setattr__(net.populations[1], "lateral_inhibition", True)
    model = trained(net) if entry in FLOAT else integers(net)
    refuses(
        (FLOAT | INTEGER)[entry], model, tmp_path, "population 'cells'", "lateral_inhibition = True"
    )


@pytest.mark.parametrize("entry", INTEGER)
def test_an_unknown_decay_is_refused(entry: str, tmp_path: Path) -> None:
    model = quantize(trained(network()), 4)
    cells = replace(model.populations["cells"], decay=Floor(1))
    model = replace(model, populations={**model.populations, "cells": cells})
    refuses(INTEGER[entry], model, tmp_path, "population 'cells': decay", "Floor")


def liquid(neuron: Any) -> TrainedNetwork:
    populations = (Population("input", 3, Source()), Population("liquid", SIZE, neuron))
    projections = (
        Projection("input", "liquid", 1, connection=Sparse(3)),
        Projection("liquid", "liquid", 1, connection=Sparse(3)),
    )
    net = Network(populations, projections)
    arrays = {
        n: np.arange(3.0) if n.endswith(("source", "target")) else np.ones(s)
        for n, s in net.shapes().items()
    }
    arrays.setdefault("liquid.threshold", np.ones(SIZE))
    return TrainedNetwork(net, {n: a for n, a in arrays.items() if n in net.shapes()}, STEPS)


RULE = Plasticity(Stdp(), (PlasticProjection("input_to_liquid"),), np.zeros(SIZE, np.bool_))
DRAWN = Bernoulli(np.full((1, 3), 0.5, np.float32), 1)
LEARNING: dict[str, Callable[[TrainedNetwork, Plasticity], Any]] = {
    "run_plastic_reference": lambda m, rule: run_plastic_reference(m, rule, SPIKES[:, 0]),
    "PlasticKernel": PlasticKernel,
    "initialise": lambda m, rule: initialise(m, rule, DRAWN, STEPS),
    "encode": lambda m, rule: encode(m, rule, DRAWN, STEPS),
    "quantize_plasticity": quantize_plasticity,
}
HARD = Lif(0.5, reset="hard")


@pytest.mark.parametrize("entry", LEARNING)
def test_learning_refuses_what_it_does_not_know(entry: str, request: pytest.FixtureRequest) -> None:
    LEARNING[entry](liquid(HARD), RULE)  # what it knows
    for toy, named in (
        (Jittered(0.5, reset="hard"), "Jittered"),
        (Resonator(), "Resonator"),
        (changed(HARD, jitter=0.25), "jitter"),
    ):
        with pytest.raises(Unsupported, match=f"population 'liquid'.*{named}"):
            LEARNING[entry](liquid(toy), RULE)
    with pytest.raises(Unsupported, match=r"plasticity.*Stdp\.homeostasis"):
        LEARNING[entry](liquid(HARD), replace(RULE, stdp=changed(Stdp(), homeostasis=1.0)))
    model = liquid(HARD)
    request.getfixturevalue("new_field")
    with pytest.raises(Unsupported, match=r"population 'liquid'.*Lif\.jitter"):
        LEARNING[entry](model, RULE)


def test_learning_in_integers_and_its_hardware_refuse_a_new_field(
    request: pytest.FixtureRequest,
) -> None:
    quantized = quantize_plasticity(liquid(HARD), RULE)
    request.getfixturevalue("new_field")
    for entry in (lambda: run_plastic_golden(quantized, SPIKES), lambda: emit_plastic(quantized)):
        with pytest.raises(Unsupported, match=r"population 'liquid'.*Lif\.jitter"):
            entry()


def test_liquids_and_their_measures_refuse_a_new_field(request: pytest.FixtureRequest) -> None:
    model = liquid(HARD)
    trace, made = run_reference(model, SPIKES), Liquid(model, np.zeros(SIZE, np.bool_))
    with pytest.raises(InvalidModel, match="must be a Lif, not Jittered"):
        Liquid(liquid(Jittered(0.5, reset="hard")), np.zeros(SIZE, np.bool_))
    request.getfixturevalue("new_field")
    for entry in (
        lambda: run_liquid(made, SPIKES),
        lambda: lyapunov_exponents(model, trace, settle=0),
    ):
        with pytest.raises(Unsupported, match=r"population 'liquid'.*Lif\.jitter"):
            entry()


KERNELS: dict[str, Callable[[Any], Any]] = {
    "scan": lambda neuron: scan(neuron, TorchConstants(0.5), torch.zeros(STEPS, 2, SIZE),
        surrogate("arctan")),
    "fast_scan": lambda neuron: fast_scan(
        neuron, TorchConstants(0.5), torch.zeros(STEPS, 2, SIZE), "arctan", None, True, False
    ),
    "run_chain": lambda neuron: run_chain(
        [Member(neuron, TorchConstants(0.5), None, 0, None, 0, None, True, False)],
        None, None, torch.zeros(STEPS, 2, SIZE), ("arctan", None), True,
    ),
    "prove_widths": lambda neuron: prove_widths(
        neuron, [Drive(np.zeros(1, np.int64), np.ones(1, np.int64), 0)],
        Constants(np.zeros(1, np.int64), np.ones(1, np.int64), np.zeros(1, np.int64), ShiftDecay(1),
            None), STEPS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_refuse_what_they_do_not_know(kernel: str, request: pytest.FixtureRequest) -> None:
    for known in (Lif(0.5), Integrator(0.5)):
        KERNELS[kernel](known)
    for toy, named in NEURONS.values():
        with pytest.raises(Unsupported, match=f"neuron.*{named}"):
            KERNELS[kernel](toy)
    known = Lif(0.5)
    request.getfixturevalue("new_field")
    with pytest.raises(Unsupported, match=r"neuron.*Lif\.jitter"):
        KERNELS[kernel](known)


def test_a_kernel_that_lacks_a_field_leaves_the_neuron_to_pytorch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training that names a new field must not hand it to operators that do not."""
    from neurohw.train import module as training
    from neurohw.train import scan as kernel

    nodes = {
        **kernel.IMPLEMENTS.nodes,
        Lif: {n: v for n, v in kernel.IMPLEMENTS.nodes[Lif].items() if n != "strict"},
    }
    made = training.SpikingModule(network())
    assert made.scanned == {"cells": True, "output": True}
    monkeypatch.setattr(kernel, "IMPLEMENTS", Implements("lif_scan", nodes))
    assert training.SpikingModule(network()).scanned == {"cells": False, "output": True}


def test_nothing_else_passes_as_a_lif() -> None:
    assert as_lif(Lif(0.5)) == Lif(0.5)
    assert as_lif(Astrocyte(0.5, 0.75)) == Lif(synapse_decay=0.75, reset="none")
    assert not usable(Jittered(), torch.zeros(1, 1, 1), True)
    for toy in (Jittered(), Resonator(), Source()):
        with pytest.raises(Unsupported, match=type(toy).__name__):
            as_lif(toy)  # type: ignore[arg-type]
        with pytest.raises(Unsupported, match=type(toy).__name__):
            letters(toy)  # type: ignore[arg-type]


def test_nothing_unknown_is_saved(tmp_path: Path) -> None:
    for net in (
        network(Jittered()),
        network(Resonator()),
        network(connection=Scaled()),
        network(connection=OneToOne()),
    ):
        with pytest.raises(InvalidModel, match="cannot be saved: known are"):
            save(trained(net), tmp_path / "model")
    model = quantize(trained(network()), 4)
    cells = replace(model.populations["cells"], decay=OneToOne())  # type: ignore[arg-type]
    with pytest.raises(InvalidModel, match="cannot be saved: known kinds"):
        save(replace(model, populations={**model.populations, "cells": cells}), tmp_path / "model")


def test_a_refusal_says_what_is_known_and_what_to_do() -> None:
    part = Implements(
        "toy", STEP | GRAPH | {Dense: attributes()} | {Lif: attributes("decay", reset=("soft",))}
    )
    with pytest.raises(Unsupported) as refusal:
        part.check(network(Lif(0.5)))
    assert str(refusal.value) == (
        "population 'cells': toy knows nothing of Lif.threshold = 1.0; leave it out, or use "
        "a part of neurohw that names it"
    )
    assert list(part.unknown(IntFormat(3))) == ["toy computes no IntFormat"]


def test_no_module_lets_another_neuron_pass_as_a_lif() -> None:
    """`x if isinstance(neuron, Lif) else Lif(...)` computes every other model as a Lif."""
    found = []
    for path in sorted((Path(__file__).parents[1] / "neurohw").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            other = node.orelse if isinstance(node, ast.IfExp) else None
            if (
                isinstance(other, ast.Call)
                and isinstance(other.func, ast.Name)
                and other.func.id == "Lif"
            ):
                found.append(f"{path.name}:{node.lineno}")
    assert not found


def test_every_error_is_one_of_ours() -> None:
    assert issubclass(Unsupported, NeurohwError)
