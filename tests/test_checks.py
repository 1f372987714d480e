# SPDX-License-Identifier: Apache-2.0
"""Values of wrong types, out of range or not finite never get into an object, and every refusal is
one of our errors, in one line.
"""

import math
from collections.abc import Callable
from dataclasses import Field, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.checks import ANY, Range, at_least, check_fields, checked, choice, flag, real, whole
from neurohw.connections import Convolution, Sparse
from neurohw.errors import InvalidData, InvalidModel, NeurohwError
from neurohw.fixedpoint import IntFormat, MultiplyDecay, MultiplyDecays, ShiftDecay
from neurohw.hardware.generate import emit
from neurohw.integers import quantize
from neurohw.memristor import Converter, CrossbarMapping, Faults, Wires, device_named, program
from neurohw.memristor.devices import KINDS
from neurohw.modulation import Modulation
from neurohw.network import Network, Population, Projection, TrainedNetwork, feed_forward
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source
from neurohw.noise import Scenario
from neurohw.plasticity import AstrocyteControl, PlasticProjection, Stdp
from neurohw.reservoir import LiquidConfig, PerKind
from neurohw.train import DeviceNoise, TrainConfig
from neurohw.train.config import Surrogate
from neurohw.train.surrogate import SURROGATES

NETWORK = feed_forward([3, 4, 2])
TRAINED = TrainedNetwork(NETWORK, {n: np.ones(s) for n, s in NETWORK.shapes().items()}, 4)
PCM = device_named("pcm")
# one valid object of every public class that a user constructs
VALID: list[Any] = [
    Lif(0.5, synapse_decay=0.5, reset="hard", refractory=1, adaptation=Adaptation(0.5, 0.25)),
    Adaptation(0.5, 0.25),
    Integrator(0.5, 0.5),
    Astrocyte(0.5),
    Sparse(20),
    Convolution((2, 6, 6), 4, (3, 3), groups=2),
    Modulation("a", "b", "gain"),
    Population("h", 4, Lif(), 2),
    Projection("a", "b", 1, max_delay=3),
    NETWORK,
    TRAINED,
    quantize(TRAINED, 4),
    IntFormat(8),
    ShiftDecay(3),
    MultiplyDecay(7),
    MultiplyDecays((1, 2)),
    TrainConfig(
        slope=2.0, patience=3, weight_bits=4, truncation=2, spectral_radius=0.9, weight_clip=2.0
    ),
    DeviceNoise(PCM),
    LiquidConfig(spectral_radius=0.9, train_samples=3),
    PerKind(1.0, 2.0, 3.0, 4.0),
    Stdp(),
    AstrocyteControl(),
    PlasticProjection("a"),
    CrossbarMapping(levels=4),
    Faults(0.1, 0.1, 0.1),
    Converter(),
    Wires(1.0),
    Scenario(PCM, read_noise="none", bits=4),
    *(device_named(kind) for kind in KINDS),
]
FIELDS = [(value, f) for value in VALID for f in fields(value)]
SINGLE: list[Any] = [
    None, True, -3, 0, 1, 2, 300, 10**400, -0.5, 0.0, 0.25, 1.5, 1e300, math.nan, math.inf,
    -math.inf, 1j, "", "soft", "gain", "5", b"hard",
    (), (1,), (1, 2), (1, 2, 3), [1.5, 2, 2], ["a", 2, 3], {}, {"a": 1}, {1}, range(2), object(),
    int, Lif, Lif(), Source(), PCM,
    np.int64(2), np.uint8(1), np.float32(0.5), np.float64("nan"), np.bool_(True), np.zeros(2),
    np.array(1), np.zeros((2, 2, 2)),
]  # fmt: skip
WILD = st.one_of(
    st.sampled_from(SINGLE),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=3),
    st.complex_numbers(),
    st.lists(st.integers(-1, 3), max_size=3),
    st.tuples(st.floats(), st.floats(), st.floats()),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)


def is_nonsense(value: Any, kind: Any) -> bool:
    """Whether a value that was accepted is not what its annotation says."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is bool:
        return type(value) is not bool
    if kind is int:
        return type(value) is not int
    if kind is float:
        return type(value) is not float or not math.isfinite(value)
    if kind is str:
        return not isinstance(value, str)
    if origin is Literal:
        return value not in arguments or type(value) is not str
    if origin in (Union, UnionType):
        return not (value is None and NoneType in arguments) and all(
            is_nonsense(value, a) for a in arguments
        )
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return type(value) is not tuple or any(
            is_nonsense(v, k) for v, k in zip(value, kinds, strict=True)
        )
    return isinstance(origin or kind, type) and not isinstance(value, origin or kind)


def valid_or_refused(value: Any, changed: Field[Any], wild: Any) -> None:
    """Put a value into a field: either a valid object comes out, or one of our errors in one
    line.
    """
    try:
        made = replace(value, **{changed.name: wild})
    except NeurohwError as error:
        assert "\n" not in str(error)
        return
    if (type(value).__name__, changed.name) not in {
        ("Population", "neuron"),
        ("Projection", "connection"),
    }:
        assert not is_nonsense(getattr(made, changed.name), changed.type)


@pytest.mark.parametrize("value", VALID, ids=lambda value: type(value).__name__)
def test_every_field_takes_what_it_means_and_nothing_else(value: Any) -> None:
    for changed in fields(value):
        for wild in SINGLE:
            valid_or_refused(value, changed, wild)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(FIELDS), WILD)
def test_any_value_of_any_field_is_valid_or_refused(
    place: tuple[Any, Field[Any]], wild: Any
) -> None:
    valid_or_refused(*place, wild)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lif(refractory=1.5), "Lif.refractory must be a whole number, 0 or more, not 1.5"),
        (
            lambda: Lif(refractory=True),
            "Lif.refractory must be a whole number, 0 or more, not True",
        ),
        (lambda: Lif(strict=1), "Lif.strict must be True or False, not 1"),
        (lambda: Lif(math.nan), "Lif.decay must be a number, in 0..1, not nan"),
        (lambda: Lif(threshold=math.inf), "Lif.threshold must be a number, above 0, not inf"),
        (lambda: Lif(v_reset=-math.inf), "Lif.v_reset must be a number, finite, not -inf"),
        (
            lambda: Lif(adaptation=(0.5, 0.5)),
            r"Lif.adaptation must be a Adaptation, not \(0.5, 0.5\)",
        ),
        (
            lambda: Adaptation(0.5, math.inf),
            "Adaptation.strength must be a number, 0 or more, not inf",
        ),
        (lambda: Integrator("0.5"), "Integrator.decay must be a number, in 0..1, not '0.5'"),
        (lambda: Astrocyte(2), "Astrocyte.decay must be a number, in 0..1, not 2"),
        (
            lambda: Population("h", 3.5, Lif()),
            ("population 'h': Population.size must be a whole number, at least 1, not 3.5"),
        ),
        (lambda: Population(3, 3, Lif()), "population name must be a str, not 3"),
        (lambda: Population("h", 3, Lif), "population 'h': neuron is a model such as Lif"),
        (lambda: Population("h", 3, "lif"), "population 'h': neuron is a model such as Lif"),
        (
            lambda: Projection("a", "b", delay=1.5),
            ("projection 'a_to_b': Projection.delay must be a whole number, 0 or more, not 1.5"),
        ),
        (
            lambda: Projection("a", "b", max_delay=2.5),
            "Projection.max_delay must be a whole number, 0 or more, not 2.5",
        ),
        (lambda: Projection("a", "b", connection=Sparse), "connection is one such as Dense"),
        (
            lambda: Network(NETWORK.populations, NETWORK.projections, dt=math.inf),
            "Network.dt must be a number, above 0, not inf",
        ),
        (
            lambda: Network(NETWORK.populations, "ab"),
            "Network.projections must be a tuple, not 'ab'",
        ),
        (
            lambda: Network(NETWORK.populations, [3]),
            r"Network.projections\[0\] must be a Projection, not 3",
        ),
        (lambda: Sparse(2.5), "Sparse.synapses must be a whole number, at least 1, not 2.5"),
        (
            lambda: Convolution((1, 4.5, 4), 1, 3),
            (
                r"Convolution.input_shape\[1\] must be a "
                r"whole number, at least 1, not 4.5"
            ),
        ),
        (
            lambda: Convolution((1, 4, 4), 1, 2.5),
            "Convolution.kernel must be a whole number, at least 1, not 2.5",
        ),
        (
            lambda: Convolution((1, 4, 4), 1, (1, 2, 3)),
            (
                r"Convolution.kernel is one whole number "
                r"or \(vertical, horizontal\)"
            ),
        ),
        (
            lambda: Modulation("a", "b", "multiply"),
            "Modulation.effect must be 'threshold' or 'gain', not 'multiply'",
        ),
        (
            lambda: TrainConfig(surrogate="foo"),
            ("TrainConfig.surrogate must be 'arctan', 'fast_sigmoid' or 'triangular', not 'foo'"),
        ),
        (
            lambda: TrainConfig(label_smoothing=2),
            ("TrainConfig.label_smoothing must be a number, 0 or more and below 1, not 2"),
        ),
        (
            lambda: TrainConfig(learning_rate=math.inf),
            "TrainConfig.learning_rate must be a number, above 0, not inf",
        ),
        (
            lambda: TrainConfig(epochs=-1),
            "TrainConfig.epochs must be a whole number, at least 1, not -1",
        ),
        (
            lambda: TrainConfig(batch_size=0),
            "TrainConfig.batch_size must be a whole number, at least 1, not 0",
        ),
        (
            lambda: TrainConfig(weight_bits=9),
            "TrainConfig.weight_bits must be a whole number, in 2..8, not 9",
        ),
        (
            lambda: TrainConfig(readout="mean"),
            ("TrainConfig.readout must be 'rate', 'membrane' or 'first_spike', not 'mean'"),
        ),
        (lambda: TrainConfig(seed=-1), "TrainConfig.seed must be a whole number"),
        (
            lambda: LiquidConfig(degree=2.5),
            "LiquidConfig.degree must be a whole number, at least 1, not 2.5",
        ),
        (lambda: LiquidConfig("cube"), "LiquidConfig.topology must be 'grid'.* not 'cube'"),
        (
            lambda: Stdp(trace_decay=1.0),
            "Stdp.trace_decay must be a number, 0 or more and below 1, not 1",
        ),
        (
            lambda: AstrocyteControl(time_constant=0.5),
            ("AstrocyteControl.time_constant must be a number, at least 1, not 0.5"),
        ),
        (lambda: Faults(0.7, 0.7), "sum is at most 1"),
        (lambda: Faults(math.nan), "Faults.stuck_low must be a number, in 0..1, not nan"),
        (lambda: Converter(4.5), "Converter.bits must be a whole number, in 1..24, not 4.5"),
        (lambda: Wires(math.inf), "Wires.segment_ohm must be a number, 0 or more, not inf"),
        (
            lambda: CrossbarMapping(tile_rows=0),
            ("CrossbarMapping.tile_rows must be a whole number, at least 1, not 0"),
        ),
        (
            lambda: device_named("additive", fraction=-0.1),
            ("device 'additive': Additive.fraction must be a number, 0 or more, not -0.1"),
        ),
        (
            lambda: device_named("pcm", t0_seconds=0),
            "Pcm.t0_seconds must be a number, above 0, not 0",
        ),
        (
            lambda: program(TRAINED, "pcm", 0),
            ("the device of projection 'input_to_hidden1' must be a Device, not 'pcm'"),
        ),
        (lambda: program(TRAINED, PCM, 1.5), "the seed of a chip must be a whole number"),
        (
            lambda: TrainedNetwork(NETWORK, TRAINED.parameters, 2.5),
            "TrainedNetwork.steps must be a whole number, at least 1, not 2.5",
        ),
        (
            lambda: TrainedNetwork(NETWORK, {**TRAINED.parameters, "output.bias": ["a", "b"]}, 4),
            "'output.bias' holds no numbers",
        ),
        (
            lambda: quantize(TRAINED, bits=4.5),
            "bits of the weights must be a whole number, in 2..8, not 4.5",
        ),
        (
            lambda: quantize(TRAINED, membrane_cap=0),
            "membrane_cap must be a whole number, in 1..63, not 0",
        ),
        (
            lambda: quantize(TRAINED, resolution_bits=-1),
            "resolution_bits is a whole number of 0 to 16, not -1",
        ),
        (
            lambda: quantize(TRAINED, max_count=0),
            "max_count must be a whole number, in 1..255, not 0",
        ),
        (lambda: quantize(TRAINED, steps=0), "steps must be a whole number, at least 1, not 0"),
        (
            lambda: quantize(TRAINED, decay="exact"),
            "decay must be 'auto', 'shift' or 'multiply', not 'exact'",
        ),
        (
            lambda: quantize(TRAINED, common_scale="output"),
            "a collection of populations, not the text 'output'",
        ),
        (
            lambda: emit(quantize(TRAINED), lanes=0),
            "lanes must be a whole number, at least 1, not 0",
        ),
        (
            lambda: emit(quantize(TRAINED), lanes=3.5),
            "lanes must be a whole number, at least 1, not 3.5",
        ),
        (
            lambda: emit(quantize(TRAINED), memory_style="fast"),
            "memory_style must be 'auto'.* not 'fast'",
        ),
        (
            lambda: feed_forward([3, 2.5]),
            "Population.size must be a whole number, at least 1, not 2.5",
        ),
        (lambda: feed_forward(3), "sizes 3 must name"),
    ],
)
def test_a_refusal_names_field_value_and_limit(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(NeurohwError, match=message):
        make()


def test_numbers_of_numpy_become_python_s_own() -> None:
    neuron = Lif(
        np.float32(0.5), threshold=np.int64(2), refractory=np.uint8(3), strict=np.bool_(True)
    )
    assert [
        type(v) for v in (neuron.decay, neuron.threshold, neuron.refractory, neuron.strict)
    ] == [float, float, int, bool]
    assert neuron == Lif(0.5, threshold=2.0, refractory=3, strict=True)
    assert type(Population("h", np.int32(4), Lif()).size) is int
    assert Convolution([1, 4, 4], 1, np.int64(3)).kernel == (3, 3)
    assert TrainConfig(epochs=np.int64(3)).to_json()["epochs"] == 3


def test_ranges_say_what_they_hold() -> None:
    assert [str(r) for r in (ANY, at_least(0), at_least(2), Range(0, open_low=True),
        Range(0, 1))] == [
        "finite", "0 or more", "at least 2", "above 0", "in 0..1"
    ]  # fmt: skip
    half_open = Range(0, 1, open_high=True)
    assert str(half_open) == "0 or more and below 1"
    assert [half_open.holds(x) for x in (0, 0.5, 1, -1, math.nan)] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_single_checks() -> None:
    assert (whole("n", np.int8(3)), real("x", 2), flag("b", np.bool_(False))) == (3, 2.0, False)
    assert type(choice("c", np.str_("a"), ("a", "b"))) is str
    with pytest.raises(InvalidData, match="n must be a whole number, not 'x'"):
        whole("n", "x", error=InvalidData)
    with pytest.raises(InvalidModel, match="c must be 'a', not 1"):
        choice("c", 1, ("a",))
    assert checked("f", print, Callable) is print  # an annotation that is no class is not checked
    with pytest.raises(
        InvalidModel, match=r"x must be a number, finite, not array\(\[0\., .*\.\.\.$"
    ):
        real("x", np.zeros(100))


def test_surrogates_of_the_configuration_are_those_that_there_are() -> None:
    assert get_args(Surrogate) == tuple(SURROGATES)


def test_an_annotation_as_text_is_left_alone() -> None:
    namespace: dict[str, Any] = {}
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
        "class C:\n    x: int = 0\n"
    )
    exec(compile(source, "c", "exec", dont_inherit=True), namespace)
    value = namespace["C"]("any")
    check_fields(value)
    assert value.x == "any"
