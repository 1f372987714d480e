# SPDX-License-Identifier: Apache-2.0
"""Topologies of liquids against what their definitions expect, and the value that holds them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse.csgraph import shortest_path

from neurohw.errors import BrokenFile, InvalidModel
from neurohw.neurons import Lif
from neurohw.reference import run_reference
from neurohw.reservoir import (
    Liquid,
    PerKind,
    build,
    gaussian_reservoir,
    grid_liquid,
    random_liquid,
    small_world_liquid,
)
from neurohw.stimulus import Spikes

BUILDERS: dict[str, Callable[..., Liquid]] = {
    "grid": lambda seed: grid_liquid(13, (4, 5, 3), seed=seed),
    "small world": lambda seed: small_world_liquid(13, 60, 6, 0.3, seed=seed),
    "random": lambda seed: random_liquid(13, 60, probability=0.1, seed=seed),
    "in-degree": lambda seed: random_liquid(13, 60, in_degree=5, seed=seed),
    "gaussian": lambda seed: gaussian_reservoir(13, 60, density=0.2, input_density=0.5, seed=seed),
}


def ends(liquid: Liquid, projection: str = "liquid_to_liquid") -> tuple[Any, Any, Any]:
    arrays = liquid.trained.parameters
    source, target = (arrays[f"{projection}.{end}"].astype(int) for end in ("source", "target"))
    return source, target, arrays[f"{projection}.weight"]


@pytest.mark.parametrize("name", BUILDERS)
def test_no_pair_twice_and_the_seed_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    liquid = BUILDERS[name](3)
    for projection, sources in (("liquid_to_liquid", 60), ("input_to_liquid", 13)):
        source, target, _ = ends(liquid, projection)
        assert len(np.unique(source * 60 + target)) == len(source)
        assert source.max() < sources and target.max() < 60
        assert np.all(np.diff(source * 60 + target) > 0)  # in the order (source, target)
    assert BUILDERS[name](3).digest() == liquid.digest() != BUILDERS[name](4).digest()
    monkeypatch.setattr(build, "BLOCK", 137)  # how many pairs are drawn at once changes nothing
    assert BUILDERS[name](3).digest() == liquid.digest()


@pytest.mark.parametrize("name", [n for n in BUILDERS if n != "gaussian"])
def test_signs_follow_the_source(name: str) -> None:
    liquid = BUILDERS[name](1)
    source, target, weight = ends(liquid)
    assert np.all(source != target)
    assert np.array_equal(weight < 0, liquid.inhibitory[source]) and np.all(np.abs(weight) == 1)
    assert liquid.inhibitory.sum() == 12
    _, _, weight = ends(liquid, "input_to_liquid")
    assert len(weight) == round(0.15 * 13 * 60) and set(weight) == {-1.0, 1.0}


def test_weights_by_kind() -> None:
    liquid = random_liquid(
        5, 40, probability=0.5, weight=PerKind(1.0, 2.0, 3.0, 4.0), input_weight=0.5
    )
    source, target, weight = ends(liquid)
    pre, post = liquid.inhibitory[source], liquid.inhibitory[target]
    for kind, value in (
        ((False, False), 1.0),
        ((False, True), 2.0),
        ((True, False), -3.0),
        ((True, True), -4.0),
    ):
        assert set(weight[(pre == kind[0]) & (post == kind[1])]) == {value}
    assert set(np.abs(ends(liquid, "input_to_liquid")[2])) == {0.5}


def test_a_grid_connects_by_kind_and_distance() -> None:
    liquid = grid_liquid(1, (10, 10, 10), seed=5)
    assert liquid.positions is not None
    assert liquid.positions[0].tolist() == [0, 0, 0] and liquid.positions[123].tolist() == [1, 2, 3]
    source, target, _ = ends(liquid)
    connected = np.zeros((1000, 1000), bool)
    connected[source, target] = True
    distance = np.sqrt(((liquid.positions[:, None] - liquid.positions[None]) ** 2).sum(2))
    inhibitory = liquid.inhibitory
    # METHODS: p(i -> j) = C exp(-(D/3)^2), written out pair by pair
    for pre, post, c in (
        (False, False, 0.2),
        (False, True, 0.1),
        (True, False, 0.3),
        (True, True, 0.05),
    ):
        kind = (inhibitory[:, None] == pre) & (inhibitory[None] == post) & ~np.eye(1000, dtype=bool)
        for near, far in ((0.5, 1.2), (1.2, 2.5), (2.5, 4.0), (4.0, 20.0)):
            pairs = kind & (distance > near) & (distance <= far)
            p = c * np.exp(-((distance[pairs] / 3) ** 2))
            deviation = connected[pairs].sum() - p.sum()
            assert abs(deviation) < 4.5 * np.sqrt((p * (1 - p)).sum()), (pre, post, near, deviation)


def test_an_elongated_grid_measures_distance_in_its_own_axes() -> None:
    liquid = grid_liquid(1, (30, 2, 1), probability=PerKind(1.0, 1.0, 1.0, 1.0), length=0.5, seed=0)
    source, target, _ = ends(liquid)
    assert liquid.positions is not None
    distance = np.abs(liquid.positions[source] - liquid.positions[target]).sum(1)
    assert np.mean(distance == 1) > 0.9  # exp(-4) for neighbours, exp(-16) for the next


def test_a_random_liquid_has_its_probability_or_its_in_degree() -> None:
    source, target, _ = ends(random_liquid(2, 400, probability=0.07, seed=2))
    pairs = 400 * 399
    assert abs(len(source) - 0.07 * pairs) < 4.5 * np.sqrt(pairs * 0.07 * 0.93)
    source, target, _ = ends(random_liquid(2, 400, in_degree=9, seed=2))
    assert np.all(np.bincount(target, minlength=400) == 9)
    out = np.bincount(source, minlength=400)
    assert abs(out.var() - 9) < 4  # sources are drawn evenly: a binomial of mean 9


def test_small_worlds_lie_between_ring_and_random_graph() -> None:
    def clustering_and_path(rewiring: float) -> tuple[float, float, float]:
        source, target, _ = ends(small_world_liquid(1, 300, 10, rewiring, seed=1))
        graph = np.zeros((300, 300))
        graph[source, target] = 1
        assert np.all(graph.sum(1) == 10) and len(source) == 3000
        gap = np.minimum((source - target) % 300, (target - source) % 300)
        triangles = (graph @ graph) * graph
        paths = shortest_path(graph, unweighted=True)
        return (
            triangles.sum() / (graph @ graph).sum(),
            paths[np.isfinite(paths)].mean(),
            np.mean(gap <= 5),
        )

    ring, small, random = (clustering_and_path(p) for p in (0.0, 0.1, 1.0))
    assert ring[2] == 1.0
    stayed = 0.9 + 0.1 * 10 / 299
    assert abs(small[2] - stayed) < 4.5 * np.sqrt(stayed * (1 - stayed) / 3000)
    assert small[0] > 0.6 * ring[0] > 3 * random[0]  # as clustered as the ring
    assert small[1] < 0.4 * ring[1] and small[1] < 1.6 * random[1]  # as short as the random graph


def test_a_crowded_ring_rewires_without_doubles() -> None:
    source, target, _ = ends(small_world_liquid(1, 13, 6, 1.0, seed=0))
    assert len(np.unique(source * 13 + target)) == 13 * 6 and np.all(source != target)


def test_gaussian_weights() -> None:
    liquid = gaussian_reservoir(30, 150, scale=0.2, input_scale=0.05, density=0.5, seed=3)
    _, _, weight = ends(liquid)
    assert len(weight) == 150 * 150 // 2 and not liquid.inhibitory.any()
    assert abs(weight.mean()) < 4.5 * 0.2 / np.sqrt(len(weight))
    assert abs(weight.std() - 0.2) < 4.5 * 0.2 / np.sqrt(2 * len(weight))
    _, _, weight = ends(liquid, "input_to_liquid")
    assert len(weight) == 30 * 150 and abs(weight.std() - 0.05) < 0.004
    source, _, _ = ends(gaussian_reservoir(30, 150))
    assert len(source) == 150 * 150


def test_a_liquid_runs_as_any_network() -> None:
    liquid = grid_liquid(20, (3, 3, 3), input_weight=9.0, input_density=0.5, seed=1)
    spikes = Spikes((np.random.default_rng(0).random((40, 2, 20)) < 0.3).astype(np.uint8))
    trace = run_reference(liquid.trained, spikes)
    assert trace.spikes["liquid"].sum() > 10
    assert not trace.spikes["liquid"][0].any()  # every synapse takes a step


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid_liquid(3, (4, 0, 2)), "shape"),
        (lambda: grid_liquid(3, (3, 3, 3), length=0.0), "length"),
        (lambda: grid_liquid(3, (3, 3, 3), probability=PerKind(0.1, 1.2, 0, 0)), "probability.ei"),
        (lambda: grid_liquid(3, (3, 3, 3), probability=PerKind(0, 0, 0, 0)), "liquid_to_liquid"),
        (lambda: grid_liquid(3, (3, 3, 3), input_density=0.0), "input_to_liquid"),
        (lambda: grid_liquid(3, (3, 3, 3), input_density=1.5), "density"),
        (lambda: grid_liquid(3, (3, 3, 3), excitatory=-0.1), "excitatory"),
        (lambda: random_liquid(3, 10), "either"),
        (lambda: random_liquid(3, 10, probability=0.1, in_degree=2), "either"),
        (lambda: random_liquid(3, 10, in_degree=10), r"1\.\.9"),
        (lambda: small_world_liquid(3, 20, 5), "even"),
        (lambda: small_world_liquid(3, 20, 12), "half of the 19"),
        (lambda: small_world_liquid(3, 20, 4, -0.5), "rewiring"),
        (lambda: gaussian_reservoir(3, 10, scale=0.0), "scale"),
    ],
)
def test_what_cannot_be_built_is_refused(make: Callable[[], Liquid], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        make()


def test_a_liquid_is_saved_whole(tmp_path: Path) -> None:
    for name in ("grid", "gaussian"):
        liquid = BUILDERS[name](2)
        assert liquid.save(tmp_path / name) == liquid.digest()
        loaded = Liquid.load(tmp_path / name)
        assert loaded.digest() == liquid.digest() and loaded.network == liquid.network
        assert np.array_equal(loaded.inhibitory, liquid.inhibitory)
        assert (loaded.positions is None) == (name == "gaussian")
    with pytest.raises(BrokenFile):
        Liquid.load(tmp_path / "gone")


def test_a_liquid_refuses_what_it_is_not() -> None:
    liquid = BUILDERS["grid"](0)
    with pytest.raises(InvalidModel, match="inhibitory"):
        Liquid(liquid.trained, liquid.inhibitory[1:])
    with pytest.raises(InvalidModel, match="positions"):
        Liquid(liquid.trained, liquid.inhibitory, np.zeros((60, 2)))
    populations = (liquid.network.input, replace(liquid.network.output, name="other"))
    projections = (replace(liquid.network.projections[0], target="other"),)
    network = replace(liquid.network, populations=populations, projections=projections)
    arrays = {
        k.replace("to_liquid", "to_other"): v
        for k, v in liquid.trained.parameters.items()
        if "input_" in k
    }
    arrays |= {"other.bias": np.zeros(60), "other.threshold": np.ones(60)}
    with pytest.raises(InvalidModel, match="a liquid has populations"):
        Liquid(replace(liquid.trained, network=network, parameters=arrays), liquid.inhibitory)
    assert isinstance(liquid.network.output.neuron, Lif)
