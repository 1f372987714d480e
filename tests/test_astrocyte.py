# SPDX-License-Identifier: Apache-2.0
"""Astrocytes and their modulations, in float64 and in integers: hand-calculated steps, the plain
Lif as a special case, proved widths, refusals.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Astrocyte,
    Integrator,
    Lif,
    Modulation,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    digest_of,
    feed_forward,
    first_mismatch,
    load_quantized,
    load_trained,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.connections import Sparse
from neurohw.errors import InvalidModel, PrecisionWarning
from neurohw.fixedpoint import IntFormat, MultiplyDecay, NoDecay, ShiftDecay
from neurohw.integers import (
    QuantizedModulation,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
    dequantize,
)
from neurohw.network import FloatArray
from neurohw.neurons import Neuron
from neurohw.stimulus import Spikes
from tests.random_networks import random_graph, random_stimulus, random_trained


def modulated(
    effect: str, cells: Neuron, size: int = 1, domains: int = 1, **astrocyte: float
) -> Network:
    """input -> cells and input -> astrocyte, which acts on cells."""
    return Network(
        (
            Population("input", 1, Source()),
            Population("astrocyte", domains, Astrocyte(**astrocyte)),
            Population("cells", size, cells),
        ),
        (Projection("input", "astrocyte"), Projection("input", "cells")),
        modulations=(Modulation("astrocyte", "cells", effect),),  # type: ignore[arg-type]
    )


def with_parameters(network: Network, **changes: list[float]) -> TrainedNetwork:
    """Weights of 1 and no biases or offsets, but for `changes`, named with __ for a dot."""
    parameters: dict[str, FloatArray] = {
        n: (np.ones if n.endswith(("weight", "threshold")) else np.zeros)(shape)
        for n, shape in network.shapes().items()
    }
    for name, values in changes.items():
        parameters[name.replace("__", ".")] = (
            np.reshape(values, parameters[name.replace("__", ".")].shape) * 1.0
        )
    return TrainedNetwork(network, parameters, 8)


def ones(steps: int, *counts: int) -> np.ndarray:
    return np.array(counts or [1] * steps, np.uint8).reshape(steps, 1, 1)


def test_a_threshold_rises_with_the_level_of_the_step_before() -> None:
    """Astrocyte without leak, weight 1/2, offset -1/2: levels -1/2 | 0, 1/2, 1, 3/2; thresholds 1,
    1, 3/2, 2, 5/2 against u = 1 at every step: equality fires.
    """
    network = modulated("threshold", Lif(decay=0.0), decay=1.0)
    trained = with_parameters(network, input_to_astrocyte__weight=[0.5], astrocyte__offset=[-0.5])
    trace = run_reference(trained, ones(5))
    assert trace.states["v.astrocyte"][:, 0, 0].tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert trace.spikes["cells"][:, 0, 0].tolist() == [1, 1, 0, 0, 0]
    assert trace.states["v.cells"][:, 0, 0].tolist() == [0, 0, 1, 1, 1]
    assert not trace.spikes["astrocyte"].any()


def test_a_gain_scales_the_sum_and_not_the_bias() -> None:
    """offset 0, no leak, weight ln 3: gains 2 sigmoid(0, ln 3, 2 ln 3) = 1, 3/2, 9/5; membranes
    without leak add up 1/4 + gain.
    """
    network = modulated("gain", Integrator(), decay=1.0)
    network = dataclasses.replace(
        network, modulations=(Modulation("astrocyte", "cells", "gain", max_gain=2.0),)
    )
    trained = with_parameters(network, input_to_astrocyte__weight=[np.log(3)], cells__bias=[0.25])
    v = run_reference(trained, ones(3)).states["v.cells"][:, 0, 0]
    np.testing.assert_allclose(v, [1.25, 3.0, 5.05], rtol=0, atol=1e-12)


def test_domains_are_blocks_of_neurons() -> None:
    """One domain for all, one for a block of two, one for every neuron: only the neurons of a
    raised domain stay below their threshold.
    """
    for domains, silent in ((1, {0, 1, 2, 3}), (2, {2, 3}), (4, {3})):
        network = modulated("threshold", Lif(decay=0.0), 4, domains, decay=1.0)
        offsets = [0.0] * (domains - 1) + [0.5]
        fired = run_reference(with_parameters(network, astrocyte__offset=offsets,
            input_to_astrocyte__weight=[0.0] * domains), ones(2)).spikes["cells"]  # fmt: skip
        assert set(np.flatnonzero(fired[0, 0] == 0)) == silent


def test_integration_goes_on_in_refractory_steps() -> None:
    """Weight 3/4, no leak, refractory 2:

    3/4, 3/2 fires -> 1/2, 5/4 and 2 barred, 11/4 fires -> 7/4.
    """
    network = feed_forward([1, 1], output=Lif(1.0, refractory=2, integrates_refractory=True))
    trained = with_parameters(network, input_to_output__weight=[0.75])
    for trace, unit in (
        (run_reference(trained, ones(5)), 1.0),
        (run_golden(quantize(trained), ones(5)), None),
    ):
        v = trace.states["v.output"][:, 0, 0]
        assert trace.spikes["output"][:, 0, 0].tolist() == [0, 1, 0, 0, 1]
        np.testing.assert_allclose(v / (unit or v[1] * 2), [0.75, 0.5, 1.25, 2.0, 1.75], rtol=0.05)
    held = dataclasses.replace(trained, network=feed_forward([1, 1], output=Lif(1.0, refractory=2)))
    assert run_reference(held, ones(5)).states["v.output"][:, 0, 0].tolist() == [
        0.75,
        0.5,
        0.5,
        0.5,
        0.25,
    ]


def integers(
    modulation: QuantizedModulation,
    target: Neuron,
    threshold: int,
    offset: int,
    astrocyte_weight: int,
) -> QuantizedNetwork:
    """The network of `modulated` in integers: an astrocyte without leak; weight 10 and bias 3 of a
    target that forgets at once.
    """
    network = modulated("threshold" if modulation.table is None else "gain", target, decay=1.0)
    zero, wide = np.array([0]), IntFormat(16)
    return QuantizedNetwork(
        network,
        {
            "astrocyte": QuantizedPopulation(
                zero,
                np.array([1]),
                zero,
                NoDecay(),
                None,
                wide,
                wide,
                wide,
                offset=np.array([offset]),
            ),
            "cells": QuantizedPopulation(
                np.array([3]),
                np.array([threshold]),
                zero,
                MultiplyDecay(4096),
                None,
                wide,
                wide,
                wide,
            ),
        },
        {
            "input_to_astrocyte": QuantizedProjection(np.array([[astrocyte_weight]]), 8),
            "input_to_cells": QuantizedProjection(np.array([[10]]), 8),
        },
        8,
        modulations={
            "astrocyte_threshold_cells"
            if modulation.table is None
            else "astrocyte_gain_cells": modulation
        },
    )


@pytest.mark.parametrize(
    ("shift", "offset", "weight", "rises"),
    [
        (0, -3, 2, [0, 0, 1, 3]),
        (1, -3, 3, [0, 0, 1, 3]),
        (-2, -1, 1, [0, 0, 4, 8]),
        (0, 5, -4, [5, 1, 0, 0]),
    ],
)
def test_integer_threshold(shift: int, offset: int, weight: int, rises: list[int]) -> None:
    """Levels offset, offset + weight, ...: rectified, then shifted. u = 13 and threshold 13 - rise
    + (0 | 1) shows the rise: it fires at equality alone.
    """
    for t, rise in enumerate(rises):
        for above in (0, 1):
            model = integers(
                QuantizedModulation(shift), Lif(0.0), 13 - rise + above, offset, weight
            )
            fired = run_golden(model, ones(t + 1)).spikes["cells"][t, 0, 0]
            assert fired == 1 - above, (t, rise)


def test_integer_gain_floors_and_clips_its_index() -> None:
    """shift 1: levels -300, -3, -2, 0, 1, 2, 127 and 400 read entries 0, 62, 63, 64, 64, 65, 127
    and 127; 10 g / 256 floors, and the bias of 3 stays.
    """
    table = np.arange(128) * 8
    table[62] = 255  # 10 * 255 / 256 = 9.96
    for level, entry in (
        (-300, 0),
        (-3, 62),
        (-2, 63),
        (0, 64),
        (1, 64),
        (2, 65),
        (127, 127),
        (400, 127),
    ):
        model = integers(QuantizedModulation(1, table), Integrator(0.0), 1, level, 0)
        v = run_golden(model, ones(1)).states["v.cells"][0, 0, 0]
        assert v == 3 + 10 * int(table[entry]) // 256, level
    negative = dataclasses.replace(model, projections={**model.projections,
        "input_to_cells": QuantizedProjection(np.array([[-1]]), 8)})  # fmt: skip
    # -1 * 1016 / 256 = -3.97
    assert run_golden(negative, ones(1)).states["v.cells"][0, 0, 0] == 3 - 4


def unmodulated(trained: TrainedNetwork) -> TrainedNetwork:
    """The same network without its astrocyte."""
    network = trained.network
    kept = Network(
        tuple(p for p in network.populations if not isinstance(p.neuron, Astrocyte)),
        tuple(p for p in network.projections if p.target != "astrocyte"),
    )
    return TrainedNetwork(
        kept, {k: v for k, v in trained.parameters.items() if "astrocyte" not in k}, trained.steps
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_without_weights_and_leak_and_with_a_large_offset_a_gain_is_the_plain_network(
    seed: int, bits: int
) -> None:
    """decay 0, no weights, offset 40: the gain is 1 in float64 and 256/256 in integers, and every
    spike and membrane is that of the plain network.
    """
    rng = np.random.default_rng(seed)
    size, refractory = int(rng.integers(1, 9)), int(rng.integers(3))
    lif = Lif(0.75, synapse_decay=0.5 if rng.random() < 0.5 else None, refractory=refractory,
        integrates_refractory=rng.random() < 0.5)  # fmt: skip
    network = Network(
        (
            Population("input", 6, Source()),
            Population("astrocyte", size, Astrocyte(0.0)),
            Population("cells", size, lif),
        ),
        (
            Projection("input", "cells"),
            Projection("cells", "cells", 1),
            Projection("cells", "astrocyte"),
        ),
        modulations=(Modulation("astrocyte", "cells", "gain"),),
    )
    drawn = random_trained(rng, network, 10).parameters
    zero = {"cells_to_astrocyte.weight": np.zeros((size, size)), "astrocyte.bias": np.zeros(size)}
    trained = TrainedNetwork(network, drawn | zero | {"astrocyte.offset": np.full(size, 40.0)}, 10)
    spikes = random_stimulus(rng, network, 10, 4)
    plain = unmodulated(trained)
    assert first_mismatch(run_reference(plain, spikes), run_reference(trained, spikes)) is None
    assert (
        first_mismatch(
            run_golden(quantize(plain, bits), spikes), run_golden(quantize(trained, bits), spikes)
        )
        is None
    )
    off = dataclasses.replace(
        trained, parameters=trained.parameters | {"astrocyte.offset": np.full(size, -1.0)}
    )
    assert (
        size < 3
        or first_mismatch(run_reference(plain, spikes), run_reference(off, spikes)) is not None
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 3))
def test_no_state_of_a_modulated_network_leaves_its_proved_range(
    seed: int, bits: int, max_count: int
) -> None:
    """Random and extreme parameters and stimuli: in the proved formats and in 60-bit formats
    everything is equal, levels and thresholds fit.
    """
    rng = np.random.default_rng(seed)
    network = random_graph(rng, frozenset({"astrocyte", "integrates_refractory", "recurrence",
        "adaptation", "delayed_reset", "no_reset", "sparse"}))  # fmt: skip
    trained = random_trained(rng, network, 12)
    if rng.random() < 0.5:  # everything pulls one way
        extreme = {k: np.abs(v) * rng.choice([1.0, 20.0]) if k.endswith(("weight",
            "offset")) else v for k, v in trained.parameters.items()}  # fmt: skip
        trained = dataclasses.replace(trained, parameters=extreme)
    model = quantize(trained, bits, max_count=max_count)
    wide = {
        n: dataclasses.replace(
            p, membrane=IntFormat(60), current=IntFormat(60), accumulator=IntFormat(60)
        )
        for n, p in model.populations.items()
    }
    stimulus = random_stimulus(rng, network, 12, 5, max_count)
    stimulus[:, 0] = max_count
    narrow = run_golden(model, stimulus)
    assert (
        first_mismatch(run_golden(dataclasses.replace(model, populations=wide), stimulus), narrow)
        is None
    )
    for name, q in model.populations.items():
        assert q.membrane.allows(narrow.states[f"v.{name}"]) and q.current.allows(
            narrow.states[f"c.{name}"]
        )
    for modulation in network.modulations:
        source, target = model.populations[modulation.source], model.populations[modulation.target]
        levels = narrow.states[f"v.{modulation.source}"] + network.population(
            modulation.source
        ).expand(source.offset)  # type: ignore[arg-type]
        assert source.membrane.allows(levels)
        if modulation.effect == "threshold":
            assert target.membrane.allows(
                model.modulations[modulation.name].values(levels) + target.threshold.max()
            )


def test_quantized_modulations_follow_the_float_ones() -> None:
    """The levels of a gain's table are 1/8 to 1/4 apart, thresholds keep their value, a slow shift
    does not stall, and 8 bits change few spikes.
    """
    rng = np.random.default_rng(4)
    network = Network(
        (Population("input", 12, Source()), Population("slow", 3, Astrocyte(1 - 2.0**-6)),
            Population("cells", 9, Lif(0.75)), Population("fast", 9, Astrocyte(0.5)),
            Population("output", 9, Lif(0.5))),
        (Projection("input", "slow"), Projection("input", "cells"), Projection("cells", "fast"),
            Projection("cells", "output")),
        modulations=(Modulation("slow", "cells", "gain", 2.0),
            Modulation("fast", "output", "threshold")),
    )  # fmt: skip
    trained = random_trained(rng, network, 30)
    model = quantize(trained, 8)
    report = model.info["populations"]
    gain = model.modulations["slow_gain_cells"]
    delta = report["slow"]["unit"][0] * 2.0**gain.shift
    assert 0.125 <= delta < 0.25 and gain.table is not None and gain.table.max() <= 1023
    np.testing.assert_allclose(
        gain.table / 256, 2 / (1 + np.exp(-(np.arange(128) - 63.5) * delta)), atol=1 / 512
    )
    # in 30 steps (1 - (63/64)^30) 63 = 23.7 units, an eighth of a weight step with 8 bits
    assert report["slow"]["guard_bits"] == 8 and model.populations["slow"].decay == ShiftDecay(6)
    units = np.array(report["output"]["unit"])
    rise = model.modulations["fast_threshold_output"]
    assert np.all(units == report["fast"]["unit"][0] * 2.0**rise.shift)
    stimulus = Spikes(random_stimulus(rng, network, 30, 30))
    expected, actual = run_reference(trained, stimulus), run_golden(model, stimulus)
    rounded = run_reference(dequantize(model), stimulus)
    for name in ("cells", "output"):
        assert expected.spikes[name].mean() > 0.02
        assert np.mean(expected.spikes[name] != actual.spikes[name]) < 0.03
        assert np.mean(expected.spikes[name] != rounded.spikes[name]) < 0.03
    assert not np.array_equal(run_reference(unmodulated(_renamed(trained)),
        stimulus).spikes["cells"], expected.spikes["cells"])  # fmt: skip


def gained(max_gain: float, weights: list[float], offset: float, level_weight: float, cells: Neuron,
    steps: int) -> tuple[TrainedNetwork, Spikes]:  # fmt: skip
    """Inputs -> one cell whose sum an astrocyte scales, and inputs that spike in a fifth of the
    steps.
    """
    size = len(weights)
    network = Network(
        (
            Population("input", size, Source()),
            Population("astrocyte", 1, Astrocyte(0.9)),
            Population("cells", 1, cells),
        ),
        (Projection("input", "astrocyte"), Projection("input", "cells")),
        modulations=(Modulation("astrocyte", "cells", "gain", max_gain),),
    )
    parameters = {
        "input_to_astrocyte.weight": np.full((1, size), level_weight),
        "input_to_cells.weight": np.array([weights]),
        "astrocyte.bias": np.zeros(1),
        "astrocyte.offset": np.array([offset]),
        "cells.bias": np.zeros(1),
    }
    if isinstance(cells, Lif):
        parameters["cells.threshold"] = np.ones(1)
    spikes = np.random.default_rng(0).random((steps, 4, size)) < 0.2
    return TrainedNetwork(network, parameters, steps), Spikes(spikes.astype(np.uint8))


@pytest.mark.parametrize("max_gain", [1.0, 0.5, 0.01, 0.002])
@pytest.mark.parametrize("decay", [1.0, 0.9])
@pytest.mark.parametrize("offset", [1.0, -2.0])
def test_gains_keep_the_spikes_of_weights_on_the_grid(
    max_gain: float, decay: float, offset: float
) -> None:
    """Weights of 1 and 7 steps: what changes is the table and what its product floors, which took a
    quarter of the spikes, and all of them at a gain of 0.002, whose table was 0.
    """
    weights = [0.7 / max_gain] + [0.1 / max_gain] * 9
    trained, spikes = gained(max_gain, weights, offset, 0.1, Lif(decay), 500)
    model = quantize(trained, 4)
    assert model.info["warnings"] == []
    wanted = run_reference(trained, spikes, states=False).spikes["cells"].sum()
    found = run_golden(model, spikes, states=False).spikes["cells"].sum()
    assert wanted > 20
    assert abs(int(found) - int(wanted)) <= max(0.06 * wanted, 2)
    back = dequantize(model).parameters["input_to_cells.weight"]
    np.testing.assert_allclose(back, [weights], rtol=1e-9)


@pytest.mark.parametrize("max_gain", [1.0, 0.01])
def test_a_readout_of_small_gains_keeps_its_sums(max_gain: float) -> None:
    """Floors were a unit a step, a tenth of a weight step and more."""
    weights = [0.7 / max_gain] + [0.1 / max_gain] * 9
    trained, spikes = gained(max_gain, weights, 1.0, 0.1, Integrator(1.0), 200)
    model = quantize(trained, 4)
    unit = model.info["populations"]["cells"]["unit"][0]
    wanted = run_reference(trained, spikes).states["v.cells"]
    found = run_golden(model, spikes).states["v.cells"] * unit
    np.testing.assert_allclose(found[-1], wanted[-1], rtol=0.03)


def test_a_gain_at_rest_that_the_table_misses_is_told() -> None:
    """Offset -6, and levels above 0 happen: 1/404 is 1/256 in the table."""
    trained, _ = gained(1.0, [50.0, 5.0], -6.0, 1.0, Lif(1.0), 500)
    with pytest.warns(
        PrecisionWarning, match="'astrocyte_gain_cells': at rest in domain 0 the gain 0.00247"
    ):
        quantize(trained, 8)


def test_a_gain_too_small_for_the_table_is_told() -> None:
    trained, _ = gained(1e-7, [7e6, 1e6], 1.0, 0.1, Lif(1.0), 100)
    with pytest.warns(PrecisionWarning, match="at its highest level .* in the table of gains"):
        quantize(trained, 4)


def test_levels_of_coarse_astrocytes_have_units_of_what_they_move() -> None:
    """A weight of 100 moves the threshold of 1: an offset of 0.1 was less than a unit."""
    network = modulated("threshold", Lif(0.5), decay=0.5)
    trained = with_parameters(network, input_to_astrocyte__weight=[100.0], astrocyte__offset=[0.1])
    model = quantize(trained, 4)
    unit = model.info["populations"]["astrocyte"]["unit"][0]
    assert unit * int(model.populations["astrocyte"].offset[0]) == pytest.approx(0.1, abs=1 / 128)


def _renamed(trained: TrainedNetwork) -> TrainedNetwork:
    """input -> cells of the network above, beside an astrocyte that does nothing."""
    network = trained.network
    populations = (
        network.populations[0],
        Population("astrocyte", 1, Astrocyte()),
        network.populations[2],
    )
    kept = Network(
        populations,
        (Projection("input", "cells"), Projection("input", "astrocyte")),
        modulations=(Modulation("astrocyte", "cells", "gain"),),
    )
    own = {
        k: trained.parameters[k] for k in ("input_to_cells.weight", "cells.bias", "cells.threshold")
    }
    rest = {k: np.zeros(s) for k, s in kept.shapes().items() if "astrocyte" in k}
    return TrainedNetwork(kept, own | rest, trained.steps)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_saved_and_loaded_networks_are_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_graph(rng, frozenset({"astrocyte", "integrates_refractory"}))
    assert Network.from_json(network.to_json()) == network
    trained = random_trained(rng, network)
    model = quantize(trained, 4)
    with tempfile.TemporaryDirectory() as folder:
        save(trained, Path(folder) / "t")
        save(model, Path(folder) / "q")
        assert load_trained(Path(folder) / "t").digest() == trained.digest()
        loaded = load_quantized(Path(folder) / "q")
    assert loaded.network == network and loaded.to_parts()[0] == model.to_parts()[0]
    assert all(np.array_equal(loaded.to_parts()[1][k], a) for k, a in model.to_parts()[1].items())


def test_networks_without_astrocytes_are_saved_as_before() -> None:
    """What is not there is not written: digests of older files stay valid."""
    network = feed_forward([2, 2], output=Lif())
    trained = with_parameters(network)
    assert set(network.to_json()) == {"dt", "populations", "projections"}
    assert "modulations" not in quantize(trained).to_parts()[0]
    assert trained.digest() == "07b1583315a0b66866b1f48fffd9b5a94971d06a22c34a1ddd560a1b2af9e079"
    assert (
        digest_of(quantize(trained))
        == "55824db9566eac0b12d389f967a94d82b894ff89c99d29edda341bf4c9908b90"
    )


CELLS, ASTROCYTE = Population("cells", 4, Lif()), Population("astrocyte", 2, Astrocyte())
INPUT, READOUT = Population("input", 3, Source()), Population("output", 2, Integrator())
PLAIN = (
    Projection("input", "cells"),
    Projection("input", "astrocyte"),
    Projection("cells", "output"),
)


@pytest.mark.parametrize(
    ("populations", "projections", "modulations", "message"),
    [
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (),
            "'astrocyte' is an Astrocyte that modulates nothing",
        ),
        (
            (INPUT, CELLS, Population("readout", 2, Integrator()), ASTROCYTE),
            (*PLAIN[:2], Projection("cells", "readout")),
            (Modulation("astrocyte", "cells", "gain"),),
            "'astrocyte' is an Astrocyte and the last",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (Modulation("cells", "cells", "gain"),),
            "'cells_gain_cells'.*'cells' is a Lif; only an Astrocyte",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (Modulation("astrocyte", "output", "threshold"),),
            "'astrocyte_threshold_output'.*is a Integrator; only a Lif",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (Modulation("astrocyte", "input", "gain"),),
            "is a Source; a gain acts on",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (Modulation("astrocyte", "astrocyte", "gain"),),
            "is a Astrocyte; a gain acts on",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (Modulation("astrocyte", "nowhere", "gain"),),
            "'astrocyte_gain_nowhere': there is no population 'nowhere'",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            PLAIN,
            (
                Modulation("astrocyte", "cells", "gain"),
                Modulation("astrocyte", "cells", "gain", 2.0),
            ),
            "defined 2 times",
        ),
        (
            (INPUT, dataclasses.replace(ASTROCYTE, size=3), CELLS, READOUT),
            PLAIN,
            (Modulation("astrocyte", "cells", "gain"),),
            "3 domains of 'astrocyte' do not divide the 4 neurons",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            (*PLAIN, Projection("astrocyte", "output")),
            (Modulation("astrocyte", "cells", "gain"),),
            "an Astrocyte sends no spikes",
        ),
        (
            (INPUT, ASTROCYTE, CELLS, READOUT),
            (Projection("input", "cells", batch_norm=True), *PLAIN[1:]),
            (Modulation("astrocyte", "cells", "gain"),),
            "'input_to_cells' has batch normalisation",
        ),
    ],
)
def test_refusals_name_the_node(populations, projections, modulations, message) -> None:
    with pytest.raises(InvalidModel, match=message):
        Network(populations, projections, modulations=modulations)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Modulation("a", "b", "weight"), "'threshold' or 'gain', not 'weight'"),
        (
            lambda: Modulation("a", "b", "gain", 4.0),
            "'a_gain_b': Modulation.max_gain must be a number, above 0 and below 4, not 4",
        ),
        (lambda: Modulation("a", "b", "gain", 0.0), "not 0"),
        (lambda: Modulation("a", "b", "threshold", 2.0), "belongs to the effect 'gain'"),
        (lambda: Lif(delayed_reset=True, integrates_refractory=True), "exclude each other"),
    ],
)
def test_bad_parameters(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidModel, match=message):
        make()


def test_two_astrocytes_may_not_share_an_effect() -> None:
    with pytest.raises(
        InvalidModel,
        match=(
            "'b_gain_cells': population 'cells' has another gain|"
            "'astrocyte_gain_cells'.*has another gain"
        ),
    ):
        Network(
            (INPUT, ASTROCYTE, Population("b", 1, Astrocyte()), CELLS, READOUT),
            (*PLAIN, Projection("input", "b")),
            modulations=(
                Modulation("astrocyte", "cells", "gain"),
                Modulation("b", "cells", "gain"),
            ),
        )


def test_integers_that_do_not_fit_are_refused() -> None:
    good = integers(QuantizedModulation(1, np.arange(128)), Integrator(0.0), 1, 0, 0)
    name = "astrocyte_gain_cells"
    for modulations, message in (
        ({}, "do not match"),
        ({name: QuantizedModulation(0)}, "has a table"),
        (
            {name: QuantizedModulation(-1, np.arange(128))},
            "shift must be a whole number, in 0..62, not -1",
        ),
        ({name: QuantizedModulation(0, np.arange(64))}, "shape"),
        ({name: QuantizedModulation(0, np.arange(128) * 9)}, "1026.*0..1023"),
    ):
        with pytest.raises(InvalidModel, match=message):
            dataclasses.replace(good, modulations=modulations)
    bare = good.populations | {
        "astrocyte": dataclasses.replace(good.populations["astrocyte"], offset=None)
    }
    with pytest.raises(InvalidModel, match="'astrocyte'.*integer offset"):
        dataclasses.replace(good, populations=bare)


def test_learned_steps_need_a_power_of_two_for_a_threshold() -> None:
    trained = with_parameters(modulated("threshold", Lif(0.5)), input_to_cells__weight=[0.7])
    learned = dataclasses.replace(
        trained, parameters=trained.parameters | {"input_to_cells.step": np.array([0.3])}
    )
    with pytest.raises(InvalidModel, match="'cells' takes part in a threshold modulation"):
        quantize(learned)
    exact = dataclasses.replace(
        trained, parameters=trained.parameters | {"input_to_cells.step": np.array([0.25])}
    )
    assert quantize(exact).projections["input_to_cells"].weight[0, 0] == 3


def test_a_large_sparse_population_is_quantized_like_a_dense_one() -> None:
    """Rows of a sparse projection, sorted once, are the rows of the same dense projection."""
    rng = np.random.default_rng(2)
    network = feed_forward([40, 30], output=Lif())
    dense = random_trained(rng, network)
    weight = dense.parameters["input_to_output.weight"] * (rng.random((30, 40)) < 0.3)
    target, source = np.nonzero(weight)
    order = rng.permutation(len(target))
    sparse_network = dataclasses.replace(network, projections=(Projection("input", "output",
        connection=Sparse(len(target))),))  # fmt: skip
    arrays = {
        "weight": weight[target, source][order],
        "target": target[order] * 1.0,
        "source": source[order] * 1.0,
    }
    rest = {k: v for k, v in dense.parameters.items() if k.startswith("output.")}
    sparse = quantize(
        TrainedNetwork(
            sparse_network, rest | {f"input_to_output.{k}": v for k, v in arrays.items()}, 5
        ),
        4,
    )
    full = quantize(
        dataclasses.replace(dense, parameters=rest | {"input_to_output.weight": weight}), 4
    )
    assert sparse.info == full.info | {"populations": sparse.info["populations"]}
    assert (
        sparse.info["populations"]["output"]["unit"] == full.info["populations"]["output"]["unit"]
    )
    back = np.zeros_like(weight, dtype=np.int64)
    q = sparse.projections["input_to_output"]
    back[q.target, q.source] = q.weight
    assert np.array_equal(back, full.projections["input_to_output"].weight)
