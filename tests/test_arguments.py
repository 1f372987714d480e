# SPDX-License-Identifier: Apache-2.0
"""What is mixed up in a call is refused with what to call; a network enters an engine only as it
is.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurohw
from neurohw import Lif, TrainedNetwork, feed_forward, quantize
from neurohw.engines import ENGINES
from neurohw.errors import InvalidModel, NeurohwError, Unsupported
from neurohw.export_model import export_model
from neurohw.golden.native import run_native
from neurohw.train.recipes import digits_recipe
from tests.random_networks import random_stimulus, random_trained

RNG = np.random.default_rng(5)
TRAINED = random_trained(RNG, feed_forward([3, 4, 2], Lif(0.5)), 6, dyadic=True)
MODEL = quantize(TRAINED, 6)
SPIKES = random_stimulus(RNG, TRAINED.network, 6, 3)
RECIPE = digits_recipe()
FIT = (RECIPE.network, neurohw.digits(), RECIPE.encoder, RECIPE.config)
ONES = np.ones((5, 64))


class Doubled(TrainedNetwork):
    def values(self, population: Any, name: str) -> Any:
        return 2 * super().values(population, name)


class Other(neurohw.QuantizedNetwork):
    pass


def same(kind: type, value: Any) -> Any:
    """The value as one of a subclass."""
    return kind(**{name: getattr(value, name) for name in value.__dataclass_fields__})


MIXED: dict[str, tuple[Any, str]] = {
    "infer float": (
        lambda: neurohw.infer(TRAINED, SPIKES),  # type: ignore[arg-type]
        "infer: model must be a QuantizedNetwork, not a TrainedNetwork: make integers of it with",
    ),
    "infer path": (lambda: neurohw.infer("model", SPIKES), "load it with neurohw.load_quantized"),
    "golden": (lambda: neurohw.run_golden(TRAINED, SPIKES), "neurohw.quantize"),
    "native": (lambda: run_native(TRAINED, SPIKES), "neurohw.quantize"),  # type: ignore[arg-type]
    "emit float": (lambda: neurohw.emit(TRAINED, lanes=8), "neurohw.quantize"),
    "emit network": (lambda: neurohw.emit(TRAINED.network), "train it with neurohw.fit, then"),
    "dequantize": (lambda: neurohw.dequantize(TRAINED), "not a TrainedNetwork"),
    "reference": (lambda: neurohw.run_reference(MODEL, SPIKES), "neurohw.dequantize"),
    "verify package": (
        lambda: neurohw.verify(neurohw.emit(MODEL), MODEL, SPIKES),  # type: ignore[arg-type]
        r"verify: package must be a Path or a str, not a RtlPackage: write it with \.write",
    ),
    "verify float": (lambda: neurohw.verify(Path("rtl"), TRAINED, SPIKES), "neurohw.quantize"),
    "fit array": (lambda: neurohw.fit(FIT[0], ONES, *FIT[2:]), "make a neurohw.Dataset"),
    "fit integers": (lambda: neurohw.fit(MODEL, *FIT[1:]), "before neurohw.quantize"),
    "fit encoder": (lambda: neurohw.fit(*FIT[:2], FIT[3]), "encoder must be a Encoder"),
    "fit config": (lambda: neurohw.fit(*FIT[:3], {"epochs": 1}), "config must be a TrainConfig"),
    "evaluate": (
        lambda: neurohw.evaluate(TRAINED, FIT[2], ONES, np.zeros(5, int), "rate"),
        "SpikingModule.from_trained",
    ),
    "scores": (
        lambda: neurohw.scores(neurohw.run_golden(MODEL, SPIKES), MODEL),  # type: ignore[arg-type]
        "give its .network",
    ),
    "save": (lambda: neurohw.save(TRAINED.network, "model"), "train it with neurohw.fit"),
    "program": (
        lambda: neurohw.program(MODEL, neurohw.device_named("pcm"), 0),  # type: ignore[arg-type]
        "program: trained must be a TrainedNetwork",
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_what_is_mixed_up_is_refused_with_what_to_call(name: str) -> None:
    call, message = MIXED[name]
    with pytest.raises(NeurohwError, match=message):
        call()


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_whole_and_at_least_1(threads: Any) -> None:
    for simulate in (neurohw.infer, run_native):
        with pytest.raises(InvalidModel, match="threads must be a whole number, at least 1"):
            simulate(MODEL, SPIKES, threads=threads)  # type: ignore[operator]


@pytest.mark.parametrize("name", ENGINES)
def test_a_subclass_with_values_of_its_own_enters_no_engine(name: str) -> None:
    """The reference would call its `values`, other engines read its arrays."""
    engine = ENGINES[name]
    model = same(Doubled, TRAINED) if "float" in engine.takes else same(Other, MODEL)
    with pytest.raises(Unsupported, match="is a (Doubled|Other), a subclass of"):
        engine.run(model, SPIKES)


def test_functions_beside_the_engines_refuse_subclasses_too() -> None:
    double, other = same(Doubled, TRAINED), same(Other, MODEL)
    for call in (
        lambda: neurohw.run_reference(double, SPIKES),
        lambda: neurohw.run_golden(other, SPIKES),
        lambda: neurohw.infer(other, SPIKES),
        lambda: neurohw.SpikingModule.from_trained(double),
        lambda: neurohw.emit(other),
        lambda: neurohw.save(double, "model"),
        lambda: export_model(double, "nir", Path("net.nir")),
        lambda: neurohw.dequantize(other),
        lambda: neurohw.fit(double, *FIT[1:]),
        lambda: neurohw.program(double, neurohw.device_named("pcm"), 0),
    ):
        with pytest.raises(Unsupported, match="a subclass of"):
            call()


def test_complex_weights_are_refused() -> None:
    arrays = dict(TRAINED.parameters)
    arrays["input_to_hidden1.weight"] = arrays["input_to_hidden1.weight"] * (1 + 1j)
    with pytest.raises(InvalidModel, match="'input_to_hidden1.weight' holds complex numbers"):
        TrainedNetwork(TRAINED.network, arrays, 6)  # type: ignore[arg-type]


def test_the_package_shows_no_names_of_python() -> None:
    assert not {"import_module", "TYPE_CHECKING", "Any"} & set(dir(neurohw))
