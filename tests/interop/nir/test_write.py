# SPDX-License-Identifier: Apache-2.0
"""NIR files for other tools: their own importers run them as we do; files for everybody can be read
by everybody.
"""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nir
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
from neurohw.errors import BrokenFile, Unsupported
from neurohw.interop.nir import TARGETS, from_nir, notes_for, to_nir, write_nir
from tests.interop.data.record_exports import HERE as DATA
from tests.interop.target_cases import NAMES, STEPS, case_named
from tests.random_networks import random_trained

pytestmark = pytest.mark.filterwarnings("ignore::neurohw.interop.nir.DoubtfulImport")


def arrays_of(graph: Any) -> dict[str, Any]:
    return {
        f"{name}.{key}": np.asarray(value)
        for name, node in graph.nodes.items()
        for key, value in node.to_dict().items()
        if isinstance(value, np.ndarray | tuple)
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_computes_the_network_that_was_written_for_it(name: str) -> None:
    """The right spikes are those of the tool's own importer and simulation, recorded by
    tests/interop/data/record_imports.py.
    """
    target, model = case_named(name)
    with np.load(DATA / f"for_{name}.npz") as file:
        assert str(file["version"]) == TARGETS[target].version
        recorded = nir.read(io.BytesIO(file["nir"].tobytes()), type_check=False)
        spikes, theirs = file["spikes"], file["out"]
    written = arrays_of(to_nir(model, target))
    for key, value in arrays_of(
        recorded
    ).items():  # the recording is of the file that is written today
        assert np.array_equal(value, written[key]), key
    trace = run_reference(model, spikes[:, None])
    output, late = model.network.output, 2 * TARGETS[target].rows[0].conventions.latency
    if isinstance(output.neuron, Integrator):
        assert np.allclose(trace.states[f"v.{output.name}"][:, 0], theirs, rtol=1e-5, atol=1e-5)
    else:
        assert theirs.sum() > 15 and np.array_equal(
            trace.spikes[output.name][: STEPS - late, 0], theirs[late:]
        )


@pytest.mark.parametrize("name", NAMES)
def test_export_for_a_tool_and_import_give_the_same_network(name: str, tmp_path: Path) -> None:
    target, model = case_named(name)
    write_nir(model, tmp_path / "net.nir", target=target)
    again = from_nir(tmp_path / "net.nir")
    assert again.network == model.network and again.steps == model.steps
    assert set(again.parameters) == set(model.parameters)
    assert all(np.array_equal(again.parameters[k], v) for k, v in model.parameters.items())


def dense(neuron: Any, output: Any = None, **parameters: Any) -> TrainedNetwork:
    model = random_trained(
        np.random.default_rng(3), feed_forward([4, 3, 2], neuron, output or neuron), STEPS
    )
    plain = {k: np.zeros_like(v) for k, v in model.parameters.items() if k.endswith("bias")}
    plain |= {k: np.ones_like(v) for k, v in model.parameters.items() if k.endswith("threshold")}
    return replace(model, parameters=model.parameters | plain | parameters)


SINABS, SNNTORCH = Lif(0.875, 1.0), Lif(0.875, 1.0, "hard", strict=True)
REFUSED = [
    ("snntorch", lambda: dense(SINABS), "hidden1.*Leaky, zero.*reset='hard' instead of 'soft'"),
    ("snntorch", lambda: dense(Lif(0.875, 1.0, "hard")), "hidden1.*strict=True instead of False"),
    (
        "norse",
        lambda: dense(replace(SNNTORCH, delayed_reset=True)),
        "hidden1.*delayed_reset=False instead of True",
    ),
    ("norse", lambda: dense(replace(SNNTORCH, v_reset=-0.25)), "hidden1.*v_reset"),
    (
        "snntorch",
        lambda: dense(SNNTORCH, Integrator(0.9)),
        "'output'.*reads no readout.*--to snntorch",
    ),
    ("norse", lambda: dense(SNNTORCH, Integrator(0.9)), "'output'.*reads no readout"),
    (
        "sinabs",
        lambda: dense(replace(SINABS, synapse_decay=0.5)),
        "hidden1.*reads no neuron with a synaptic current",
    ),
    ("rockpool", lambda: dense(SINABS), "hidden1.*nir.LIF for tau_mem"),
    (
        "snntorch",
        lambda: dense(SNNTORCH, **{"hidden1.threshold": np.array([1.0, 2.0, 1.0])}),
        "hidden1.*one threshold for a population",
    ),
    (
        "spikingjelly",
        lambda: dense(
            replace(SNNTORCH, strict=False), **{"hidden1.decay": np.array([0.5, 0.25, 0.5])}
        ),
        "hidden1.*one decay for a population",
    ),
    (
        "spikingjelly",
        lambda: dense(Lif(0.0, 1.0, "hard")),
        "hidden1.*no decay of 0",
    ),
    (
        "spyx",
        lambda: dense(
            Lif(0.875, 1.0, strict=True, delayed_reset=True), **{"output.bias": np.ones(2)}
        ),
        "'output'.*answer 1 step late.*delay of 1",
    ),
]


@pytest.mark.parametrize(("target", "model", "words"), REFUSED)
def test_what_a_tool_would_change_is_refused(target: str, model: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        to_nir(model(), target)


def test_delays_and_recurrence_are_not_written_for_a_tool() -> None:
    populations = (
        Population("input", 3, Source()),
        Population("a", 2, SINABS),
        Population("b", 2, SINABS),
    )
    arrays = {
        "input_to_a.weight": np.ones((2, 3)),
        "a_to_b.weight": np.ones((2, 2)),
        **{
            f"{p}.{k}": v
            for p in "ab"
            for k, v in (("bias", np.zeros(2)), ("threshold", np.ones(2)))
        },
    }
    late = Network(populations, (Projection("input", "a"), Projection("a", "b", delay=2)))
    with pytest.raises(Unsupported, match="a_to_b.*reads no Delay"):
        to_nir(TrainedNetwork(late, arrays, 5), "sinabs")
    loop = Network(
        populations, (Projection("input", "a"), Projection("a", "b"), Projection("b", "b", delay=1))
    )
    with pytest.raises(Unsupported, match="b_to_b.*recurrence is not written for sinabs"):
        to_nir(TrainedNetwork(loop, arrays | {"b_to_b.weight": np.ones((2, 2))}, 5), "sinabs")
    with pytest.raises(Unsupported, match="no tool 'nengo'.*known are snntorch"):
        to_nir(TrainedNetwork(loop, arrays | {"b_to_b.weight": np.ones((2, 2))}, 5), "nengo")
    # a step of delay is what spyx has between its neurons anyway, biases and all
    neuron = Lif(1.0, 1.0, strict=True)
    spyx = (populations[0], Population("a", 2, neuron), Population("b", 2, neuron))
    network = Network(spyx, (Projection("input", "a"), Projection("a", "b", delay=1)))
    graph = to_nir(TrainedNetwork(network, arrays | {"b.bias": np.ones(2)}, 5), "spyx")
    assert not any(type(node).__name__ == "Delay" for node in graph.nodes.values())


def test_what_remains_to_be_done_in_the_tool_is_said() -> None:
    """sinabs fires several spikes a step where two thresholds can be reached at once; a small drive
    cannot.
    """
    small = {
        "input_to_hidden1.weight": np.full((3, 4), 0.1),
        "hidden1_to_output.weight": np.full((2, 3), 0.1),
    }
    assert notes_for(dense(SINABS, **small), "sinabs") == []
    large = small | {"input_to_hidden1.weight": np.full((3, 4), 0.5)}
    assert "SingleSpike" in notes_for(dense(SINABS, **large), "sinabs")[0]
    assert "min_v_mem" in notes_for(dense(Lif(1.0, 1.0), **small), "sinabs")[0]


# --- files for everybody ---


def nodes_in(path: Path) -> dict[str, dict[str, Any]]:
    with h5py.File(path) as file:
        return {n: {k: v[()] for k, v in g.items()} for n, g in file["node/nodes"].items()}


def test_v_reset_is_left_out_where_it_is_0(tmp_path: Path) -> None:
    """nir 1.0.4's LIF, IF and CubaLIF have no field v_reset, and refuse a file with one (sinabs
    3.1.3 and rockpool 3.1.0 pin that nir).
    """
    for neuron in (SNNTORCH, Lif(1.0, 1.0), Lif(0.5, 1.0, synapse_decay=0.5)):
        write_nir(dense(neuron), tmp_path / "net.nir")
        assert all("v_reset" not in node for node in nodes_in(tmp_path / "net.nir").values())
        assert from_nir(tmp_path / "net.nir").network.output.neuron == neuron
    write_nir(dense(replace(SNNTORCH, v_reset=-0.25)), tmp_path / "net.nir")
    assert np.all(nodes_in(tmp_path / "net.nir")["population_output"]["v_reset"] == -0.25)


def test_a_dense_layer_is_an_affine(tmp_path: Path) -> None:
    """sinabs 3.1.3's from_nir has no case for nir.Linear and leaves it out of the network without a
    word.
    """
    write_nir(dense(SINABS), tmp_path / "net.nir")
    kinds = [node["type"] for node in nodes_in(tmp_path / "net.nir").values()]
    assert kinds.count(b"Affine") == 2 and b"Linear" not in kinds


def test_options_read_the_graph_and_not_the_metadata(tmp_path: Path) -> None:
    model = dense(Lif(0.875, 1.0, strict=True))
    write_nir(model, tmp_path / "net.nir")
    assert from_nir(tmp_path / "net.nir").network == model.network
    assert from_nir(tmp_path / "net.nir", steps=7).steps == 7
    other = from_nir(tmp_path / "net.nir", strict=False)
    assert other.network.output.neuron == Lif(0.875, 1.0)
    assert {c["from"] for c in other.info["import"]["conventions"]} == {
        "given",
        "metadata of the file",
    }
    plain = from_nir(tmp_path / "net.nir", written_by="nir")
    assert plain.info["import"]["assumed"] == []
    assert {c["from"] for c in plain.info["import"]["conventions"]} == {"NIR's definitions"}
    assert plain.network.output.neuron.reset == "hard"  # type: ignore[union-attr]
    write_nir(dense(SINABS), tmp_path / "sinabs.nir", target="sinabs")
    halved = from_nir(tmp_path / "sinabs.nir", strict=True).network.output.neuron
    assert isinstance(halved, Lif) and halved.reset == "soft"
    assert np.isclose(halved.decay, 0.875, atol=1e-7)


def test_a_graph_that_was_changed_after_it_was_written(tmp_path: Path) -> None:
    write_nir(dense(SINABS), tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    graph.nodes["weight_hidden1_to_output"].weight *= 2
    nir.write(tmp_path / "changed.nir", graph)
    with pytest.raises(
        Unsupported, match="changed.nir.*changed after this program wrote them.*--from nir"
    ):
        from_nir(tmp_path / "changed.nir")
    again = from_nir(tmp_path / "changed.nir", written_by="nir", reset="soft", strict=False)
    name = "population_hidden1_to_population_output.weight"
    assert np.allclose(
        again.parameters[name], 2 * dense(SINABS).parameters["hidden1_to_output.weight"]
    )
    graph.metadata["neurohw"] = "{"
    nir.write(tmp_path / "broken.nir", graph)
    with pytest.raises(BrokenFile, match="metadata are damaged"):
        from_nir(tmp_path / "broken.nir")


def _metadata(file: Any, change: dict[str, Any]) -> None:
    text = file["node/metadata/neurohw"]
    text[()] = json.dumps(json.loads(text[()]) | change)


CHANGES = [
    lambda file: _metadata(file, {"steps": 7}),
    lambda file: _metadata(file, {"conventions": {"dt": 0.5}}),
    lambda file: file["node/metadata/parameters/hidden1.bias"].write_direct(np.ones(3)),
    lambda file: file["node/nodes/input/shape"].write_direct(np.array([2])),
    lambda file: file["node/nodes/output/shape"].write_direct(np.array([1])),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("target", [None, "sinabs"])
def test_no_part_of_the_metadata_and_no_shape_can_be_changed(
    change: Any, target: str | None, tmp_path: Path
) -> None:
    write_nir(dense(SINABS), tmp_path / "net.nir", target=target)
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        change(file)
    with pytest.raises(Unsupported, match="changed after this program wrote them"):
        from_nir(tmp_path / "net.nir")


def test_a_convolutions_shapes_are_in_the_digest(tmp_path: Path) -> None:
    target, model = case_named("sinabs_image0")
    for node, name in (("Flatten", "input_type"), ("Conv2d", "input_shape")):
        write_nir(model, tmp_path / "net.nir", target=target, force=True)
        from_nir(tmp_path / "net.nir")
        with h5py.File(tmp_path / "net.nir", "r+") as file:
            held = next(n for n in file["node/nodes"].values() if n["type"][()] == node.encode())
            if name == "input_shape":
                held[name][...] = np.asarray(held[name]) + 1
            else:
                held["start_dim"][...] = 1
        with pytest.raises(Unsupported, match="changed after this program wrote them"):
            from_nir(tmp_path / "net.nir")
