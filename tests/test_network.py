# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    feed_forward,
    run_reference,
)
from neurohw.errors import InvalidModel
from tests.random_networks import random_stimulus, random_trained


def populations(*names: str) -> tuple[Population, ...]:
    return (Population("input", 3, Source()), *[Population(n, 2, Lif()) for n in names])


def test_zero_delay_cycle_is_named() -> None:
    loop = (Projection("input", "a"), Projection("a", "b"), Projection("b", "a"))
    with pytest.raises(InvalidModel, match="zero-delay cycle a -> b -> a.*delay of at least 1"):
        Network(populations("a", "b"), loop)


def test_cycle_with_delay_is_a_recurrence() -> None:
    network = Network(
        populations("a", "b"),
        (Projection("input", "a"), Projection("a", "b"), Projection("b", "a", delay=1)),
    )
    assert [p.name for p in network.update_order()] == ["a", "b"]


@pytest.mark.parametrize(
    ("projections", "message"),
    [
        ((Projection("input", "x"),), "no population 'x'"),
        ((Projection("a", "input"), Projection("input", "a")), "Source takes no synapses"),
        ((), "'a' has no incoming projection"),
        ((Projection("input", "a"), Projection("input", "a")), "defined 2 times"),
    ],
)
def test_bad_projections(projections: tuple[Projection, ...], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        Network(populations("a"), projections)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lif(threshold=0.0), "above 0"),
        (lambda: Lif(decay=1.5), "0..1, not 1.5"),
        (lambda: Lif(reset="both"), "'soft', 'hard' or 'none'"),  # type: ignore[arg-type]
        (lambda: Lif(refractory=-1), "0 or more, not -1"),
        (lambda: Lif(v_reset=2.0), "below the threshold"),
        (lambda: Population("a b", 1, Lif()), "'a b' must be"),
        (lambda: Population("a", 0, Lif()), "at least 1, not 0"),
        (lambda: Projection("a", "b", delay=-1), "not -1"),
        (lambda: Population("", 1, Lif()), "must be"),
    ],
)
def test_bad_parameters(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidModel, match=message):
        make()


def trained(**changes: np.ndarray) -> TrainedNetwork:
    network = feed_forward([3, 2])
    arrays = {"input_to_output.weight": np.zeros((2, 3)), "output.bias": np.zeros(2)}
    return TrainedNetwork(network, {**arrays, **changes}, 4)


def test_mismatched_shape_names_array_and_both_shapes() -> None:
    with pytest.raises(
        InvalidModel,
        match=r"'input_to_output.weight' has shape \(3, 2\), the network needs \(2, 3\)",
    ):
        trained(**{"input_to_output.weight": np.zeros((3, 2))})


def test_nan_weight_names_the_place() -> None:
    weight = np.zeros((2, 3))
    weight[1, 2] = np.nan
    with pytest.raises(InvalidModel, match=r"'input_to_output.weight' holds nan at \(1, 2\)"):
        trained(**{"input_to_output.weight": weight})


def test_unknown_and_missing_arrays() -> None:
    with pytest.raises(InvalidModel, match="'other' belongs to no"):
        trained(other=np.zeros(1))
    with pytest.raises(InvalidModel, match="'output.bias' of shape"):
        TrainedNetwork(feed_forward([3, 2]), {"input_to_output.weight": np.zeros((2, 3))}, 4)


def test_network_survives_json() -> None:
    network = feed_forward(
        [4, 3, 2],
        Lif(decay=0.75, reset="hard", v_reset=-0.5, synapse_decay=0.5, refractory=2),
        Integrator(0.9),
    )
    assert Network.from_json(network.to_json()) == network


def test_batch_norm_folds_exactly() -> None:
    """A folded network gives the current that normalisation gives, computed here from its
    definition.
    """
    rng = np.random.default_rng(5)
    plain = feed_forward([4, 3])
    network = Network(plain.populations, (Projection("input", "output", batch_norm=True),))
    model = random_trained(rng, network, steps=1)
    spikes = random_stimulus(rng, network, 1, 6)
    p = model.parameters
    raw = spikes[0] @ p["input_to_output.weight"].T
    normal = (
        p["input_to_output.gamma"]
        * (raw - p["input_to_output.mean"])
        / np.sqrt(p["input_to_output.variance"] + 1e-5)
    )
    expected = normal + p["input_to_output.beta"] + p["output.bias"]
    assert np.allclose(
        run_reference(model, spikes).states["c.output"][0], expected, rtol=0, atol=1e-12
    )
