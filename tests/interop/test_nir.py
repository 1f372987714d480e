# SPDX-License-Identifier: Apache-2.0
"""NIR: published graphs, every primitive, round trips, and files that cannot be read."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.nir_lif import EQUAL, identify, recordings
from neurohw import (
    Integrator,
    Lif,
    TrainedNetwork,
    first_mismatch,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.engines import engine_named
from neurohw.engines.features import FEATURES as PROBES
from neurohw.engines.features import model_for
from neurohw.errors import BrokenFile, InvalidModel, NeurohwError, Unsupported
from neurohw.golden.native import run_native
from neurohw.interop.nir import from_nir, to_nir, write_nir
from neurohw.stimulus import Spikes
from tests.random_networks import FEATURES, random_graph, random_stimulus, random_trained
from tests.shared_data import shared_data

pytestmark = pytest.mark.filterwarnings("ignore::neurohw.interop.nir.DoubtfulImport")
UNSAYABLE = {"adaptation", "no_reset", "delayed_current", "clears_current", "synapse_delay",
    "astrocyte", "integrates_refractory"}  # fmt: skip
SAYABLE = FEATURES - UNSAYABLE

# left out where it is not installed; in CI it must be
LAVA = ("lava",) if importlib.util.find_spec("lava") or os.environ.get("CI") else ()


def graph_of(*layers: Any, size: int = 3, shape: tuple[int, ...] | None = None) -> Any:
    """Input -> layers in a row -> Output."""
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shape or (size,))})}
    nodes |= {f"n{i}": layer for i, layer in enumerate(layers)}
    nodes["output"] = nir.Output({"output": np.array([1])})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False)


def lif(size: int, **more: Any) -> Any:
    ones = np.ones(size)
    return nir.LIF(
        **{"tau": 0.01 * ones, "r": ones, "v_leak": 0 * ones, "v_threshold": ones, **more}
    )


def membranes(model: TrainedNetwork, spikes: NDArray[Any]) -> NDArray[np.float64]:
    return run_reference(model, spikes).states[f"v.{model.network.output.name}"][:, 0]


STIMULUS = (np.random.default_rng(0).random((40, 1, 3)) < 0.3).astype(np.uint8)


# --- published graphs
# ------------------------------------------------------------------------------------------------


def test_the_neuron_of_the_paper_in_a_dozen_simulators() -> None:
    data = shared_data("models/nir").parents[1]
    found = identify(data)
    assert all(match.spikes == 0 for _, match in found.values())
    identified = {name for name, (_, match) in found.items() if match.membrane < EQUAL}
    assert identified == {
        "lava_cpu_float",
        "nengo",
        "norse",
        "rockpool",
        "sinabs",
        "snntorch",
        "spinnaker2",
    }
    conventions = {name: (c.discretisation, c.reset, c.latency) for name, (c, _) in found.items()}
    assert conventions["norse"] == conventions["snntorch"] == ("forward_euler", "hard", 0)
    assert conventions["nengo"] == ("exponential_euler", "hard", 0)


def test_the_neuron_is_as_near_to_the_exact_solution_as_the_published_simulators() -> None:
    data = shared_data("models/nir").parents[1]
    every = recordings(data)
    stimulus = (every["norse"][:, 0] != 0).astype(np.uint8)[:, None, None]
    model = from_nir(data / "models/nir/01_lif__lif_norse.nir", dt=1e-4, steps=1000)
    ours = run_reference(model, stimulus)
    assert np.array_equal(ours.spikes["n1"][:, 0, 0], every["exact"][:, 2])
    exact = every["exact"][:, 1]

    def distance(v: NDArray[np.float64]) -> float:
        return float(np.abs(v - exact).max())

    spread = [
        distance(every[name][:, 1]) for name in ("norse", "rockpool", "sinabs", "lava_cpu_float")
    ]
    assert distance(ours.states["v.n1"][:, 0, 0]) <= max(spread)


def test_the_integer_neuron_fires_when_lavas_does() -> None:
    data = shared_data("models/nir").parents[1]
    every = recordings(data)
    stimulus = (every["norse"][:, 0] != 0).astype(np.uint8)[:, None, None]
    model = from_nir(
        data / "models/nir/01_lif__lif_norse.nir",
        dt=1e-4,
        discretisation="forward_euler",
        steps=1000,
    )
    spikes = run_golden(quantize(model, 8), stimulus).spikes["n1"][:, 0, 0]
    latency = 1  # a spike crosses Lava's Dense in one step
    for name in ("lava_cpu_fixed", "lava_loihi_fixed"):
        assert every[name][:, 2].sum() == 4
        assert np.array_equal(spikes[:-latency], every[name][latency:, 2])


def cnn_stimulus() -> NDArray[np.uint8]:
    """Two digits of the event camera, in 8 steps, [time, sample, polarity * row * column]."""
    with np.load(
        shared_data("nmnist_small")
        / next(p.name for p in shared_data("nmnist_small").glob("*.npz"))
    ) as file:
        offsets = file["test_offsets"]
        frames = np.zeros((8, 2, 2, 34, 34), np.uint8)
        for sample in range(2):
            part = slice(int(offsets[sample]), int(offsets[sample + 1]))
            time = np.minimum(file["test_t_us"][part].astype(int) // 40000, 7)
            where = (
                time,
                sample,
                file["test_p"][part].astype(int),
                file["test_y"][part].astype(int),
                file["test_x"][part].astype(int),
            )
            np.add.at(frames, where, 1)
    return np.minimum(frames, 3).reshape(8, 2, -1)


def test_the_published_cnn_runs_alike_in_every_engine() -> None:
    path = shared_data("models/nir/02_cnn__cnn_sinabs.nir")
    model = from_nir(path, dt=1.0, reset="soft", strict=False, steps=8)
    assert [p.size for p in model.network.populations] == [2312, 4096, 4096, 512, 256, 10]
    # the graph's own pooling and convolution, one after the other, give the same current as the
    # joined ones
    pooled = model.network.projections[2].connection
    assert pooled.kernel == (6, 6) and pooled.stride == (2, 2)  # type: ignore[union-attr]
    spikes = cnn_stimulus()
    reference = run_reference(model, spikes)
    assert all(reference.spikes[p.name].any() for p in model.network.populations)
    assert first_mismatch(reference, engine_named("torch").run(model, spikes), 1e-9) is None
    assert first_mismatch(reference, engine_named("brian2").run(model, spikes), 1e-9) is None
    integers = quantize(model, 8, max_count=3)
    golden = run_native(integers, spikes)
    assert golden.spikes["n12"].any()
    for engine in ("brian2", *LAVA):
        assert first_mismatch(golden, engine_named(engine).run(integers, spikes)) is None, engine


@pytest.mark.rtl
@pytest.mark.slow
def test_the_published_cnn_in_rtl() -> None:
    path = shared_data("models/nir/02_cnn__cnn_sinabs.nir")
    integers = quantize(from_nir(path, dt=1.0, reset="soft", strict=False, steps=8), 8, max_count=3)
    spikes = cnn_stimulus()
    assert (
        first_mismatch(
            run_native(integers, spikes), engine_named("rtl").run(integers, spikes, lanes=16)
        )
        is None
    )


def braille() -> tuple[TrainedNetwork, NDArray[np.uint8]]:
    path = shared_data("models/nir/03_rnn__braille_noDelay_noBias_subtract.nir")
    model = from_nir(
        path, dt=1e-4, discretisation="forward_euler", reset="soft", delayed_reset=True, steps=60
    )
    rng = np.random.default_rng(4)
    return model, (rng.random((60, 4, 12)) < 0.15).astype(np.uint8)


def test_the_published_recurrent_network_equals_snntorch() -> None:
    import snntorch

    model, spikes = braille()
    path = shared_data("models/nir/03_rnn__braille_noDelay_noBias_subtract.nir")
    with h5py.File(path) as file:
        nodes = {
            n: {k: torch.tensor(v[()]).double() for k, v in g.items() if k != "type"}
            for n, g in file["node/nodes"].items()
            if "weight" in g or "tau_mem" in g
        }
    layers = []
    for name in ("lif1.lif", "lif2"):
        alpha, beta = (1 - 1e-4 / nodes[name][k] for k in ("tau_syn", "tau_mem"))
        layers.append((alpha, beta))
    first = snntorch.RSynaptic(*layers[0], linear_features=40, reset_mechanism="subtract").double()
    first.recurrent.weight.data = nodes["lif1.w_rec"]["weight"]
    first.recurrent.bias.data.zero_()
    second = snntorch.Synaptic(*layers[1], reset_mechanism="subtract").double()
    spike1, syn1, mem1 = first.init_rsynaptic()
    syn2, mem2 = second.init_synaptic()
    fired: list[list[NDArray[Any]]] = [[], []]
    for row in torch.from_numpy(spikes).double():
        spike1, syn1, mem1 = first(row @ nodes["fc1"]["weight"].T, spike1, syn1, mem1)
        spike1 = spike1.double()  # the surrogate answers in float32
        spike2, syn2, mem2 = second(spike1 @ nodes["fc2"]["weight"].T, syn2, mem2)
        fired[0].append(spike1.detach().numpy())
        fired[1].append(spike2.detach().numpy())
    trace = run_reference(model, spikes)
    for name, expected in zip(("lif1_lif", "lif2"), fired, strict=True):
        assert np.array(expected).sum() > 30
        assert np.array_equal(trace.spikes[name], np.array(expected))


def test_the_published_recurrent_network_runs_alike_in_every_engine() -> None:
    model, spikes = braille()
    reference = run_reference(model, spikes)
    for engine in ("torch", "brian2"):
        assert first_mismatch(reference, engine_named(engine).run(model, spikes), 1e-9) is None
    integers = quantize(model, 8, resolution_bits=4)  # Lava's states have 24 bits
    golden = run_golden(integers, spikes)
    assert golden.spikes["lif2"].any()
    for engine in ("native", "brian2", *LAVA):
        assert first_mismatch(golden, engine_named(engine).run(integers, spikes)) is None, engine


@pytest.mark.rtl
def test_the_published_recurrent_network_in_rtl() -> None:
    model, spikes = braille()
    integers = quantize(model, 8)
    rtl = engine_named("rtl").run(
        integers, spikes, lanes=8, idle=0.2, backpressure=0.2, optimize=False
    )
    assert first_mismatch(run_golden(integers, spikes), rtl) is None


# --- primitives
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("discretisation", ["exponential_euler", "forward_euler"])
def test_lif_by_hand(discretisation: str) -> None:
    weight = np.array([[2.0, 1.5, 1.0]])
    node = lif(
        1,
        r=np.array([3.0]),
        v_leak=np.array([0.2]),
        v_threshold=np.array([0.7]),
        v_reset=np.array([-0.1]),
    )
    model = from_nir(
        graph_of(nir.Affine(weight, np.array([0.1])), node), dt=1e-3, discretisation=discretisation
    )
    b = np.exp(-0.1) if discretisation == "exponential_euler" else 0.9
    v, expected = 0.0, []
    for row in STIMULUS[:, 0]:
        v = b * v + (1 - b) * (0.2 + 3.0 * (weight[0] @ row + 0.1))
        v = -0.1 if v > 0.7 else v
        expected.append(v)
    assert np.allclose(membranes(model, STIMULUS)[:, 0], expected, atol=1e-12) and -0.1 in expected


def test_cuba_lif_by_hand() -> None:
    ones = np.ones(1)
    node = nir.CubaLIF(
        tau_syn=0.004 * ones,
        tau_mem=0.01 * ones,
        r=2 * ones,
        v_leak=0.3 * ones,
        v_threshold=ones,
        w_in=5 * ones,
    )
    model = from_nir(graph_of(nir.Linear(np.array([[1.0, 2.0, 3.0]])), node), dt=1e-3, reset="soft")
    a, b, i, v, expected = np.exp(-0.25), np.exp(-0.1), 0.0, 0.0, []
    for row in STIMULUS[:, 0]:
        i = a * i + (1 - a) * 5 * float(row @ [1.0, 2.0, 3.0])
        v = b * v + (1 - b) * (0.3 + 2 * i)
        v -= v > 1
        expected.append(v)
    assert np.allclose(membranes(model, STIMULUS)[:, 0], expected, atol=1e-12)
    with pytest.raises(Unsupported, match="n1.*v_leak beside a bias"):
        from_nir(graph_of(nir.Affine(np.ones((1, 3)), ones), node), dt=1e-3)


def test_integrators_and_thresholds() -> None:
    ones = np.ones(2)
    weight = np.array([[1.0, 0.5, 0.25], [0.5, 0.5, 0.5]])
    model = from_nir(
        graph_of(nir.Linear(weight), nir.IF(r=ones, v_threshold=3 * ones)),
        dt=1.0,
        reset="soft",
        strict=False,
    )
    assert model.network.output.neuron == Lif(1.0, 3.0, "soft")
    leaky = from_nir(graph_of(nir.Linear(weight), nir.LI(tau=ones, r=ones, v_leak=ones)), dt=0.1)
    assert isinstance(leaky.network.output.neuron, Integrator)
    b = np.exp(-0.1)
    assert np.allclose(membranes(leaky, STIMULUS[:1])[0], (1 - b) * (1 + weight @ STIMULUS[0, 0]))
    cuba = nir.CubaLI(tau_syn=ones, tau_mem=ones, r=ones, v_leak=0 * ones)
    assert (
        from_nir(graph_of(nir.Linear(weight), cuba), dt=0.1).network.output.neuron.synapse_decay
        == b
    )  # type: ignore[union-attr]
    stateless = from_nir(graph_of(nir.Linear(weight), nir.Threshold(np.array([0.6, 0.9]))))
    fired = run_reference(stateless, STIMULUS).spikes["n1"][:, 0]
    assert np.array_equal(fired, STIMULUS[:, 0] @ weight.T > [0.6, 0.9])
    bare = from_nir(
        graph_of(nir.Linear(weight), lif(2), nir.Affine(np.ones((4, 2)), np.arange(4.0))), dt=1e-3
    )
    assert bare.network.output.neuron == Integrator(0.0) and bare.network.output.size == 4


def test_scale_delay_flatten_and_pooling_fold_exactly() -> None:
    rng = np.random.default_rng(3)
    image = (rng.random((12, 1, 2, 6, 4)) < 0.4).astype(np.uint8)
    convolution = nir.Conv2d((3, 2), rng.normal(size=(4, 2, 3, 3)), 1, 1, 1, 1, rng.normal(size=4))
    layers = [
        nir.Scale(np.full((2, 6, 4), 2.0)),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Delay(np.full((2, 3, 2), 2e-3)),
        convolution,
        nir.Scale(np.repeat([1.0, 2.0, 3.0, 0.5], 6).reshape(4, 3, 2)),
        nir.LIF(*(np.full((4, 3, 2), x) for x in (0.01, 1.0, 0.0, 1e6))),
    ]
    model = from_nir(graph_of(*layers, shape=(2, 6, 4)), dt=1e-3)
    assert model.network.projections[0].delay == 2 and model.network.output.channels == 4
    late = np.concatenate([np.zeros((2, 2, 6, 4)), image[:-2, 0]])
    pooled = torch.from_numpy(2 * late.reshape(12, 2, 3, 2, 2, 2).sum((3, 5)))
    current = torch.nn.functional.conv2d(
        pooled, torch.from_numpy(convolution.weight), torch.from_numpy(convolution.bias), padding=1
    ).numpy()
    current = current * np.array([1.0, 2.0, 3.0, 0.5])[:, None, None]
    v, expected = np.zeros((4, 3, 2)), []
    for row in current:
        v = np.exp(-0.1) * v + (1 - np.exp(-0.1)) * row
        expected.append(v.ravel())
    assert np.allclose(membranes(model, image.reshape(12, 1, -1)), expected, atol=1e-10)
    dense = graph_of(
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array([2, 3, 2])}, 0, -1),
        nir.Linear(np.arange(12.0)[None]),
        nir.IF(np.ones(1), np.full(1, 1e6)),
        shape=(2, 6, 4),
    )
    averaged = image[:, 0].reshape(12, 2, 3, 2, 2, 2).mean((3, 5)).reshape(12, -1)
    assert np.allclose(
        np.diff(membranes(from_nir(dense, dt=1.0), image.reshape(12, 1, -1))[:, 0], prepend=0),
        averaged @ np.arange(12.0),
    )


def test_one_dimensional_convolution_and_delays_per_neuron() -> None:
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(3, 2, 3))
    node = nir.Conv1d(8, weight, 2, 1, 1, 1, np.zeros(3))
    delay = nir.Delay(np.arange(16).reshape(2, 8) * 1e-3)
    model = from_nir(
        graph_of(delay, node, nir.IF(np.ones((3, 4)), np.full((3, 4), 1e6)), shape=(2, 8)), dt=1e-3
    )
    projection = model.network.projections[0]
    assert (projection.delay, projection.max_delay, projection.delay_per) == (0, 15, "source")
    spikes = np.zeros((20, 1, 16), np.uint8)
    spikes[0] = 1
    v = membranes(model, spikes)[-1] / 1e-3  # IF: dt r I
    expected = torch.nn.functional.conv1d(
        torch.ones(1, 2, 8).double(), torch.from_numpy(weight), stride=2, padding=1
    )
    assert np.allclose(v, expected.numpy().ravel())


def test_subgraphs_and_recurrence() -> None:
    inner = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([4])}),
            "cell": lif(4),
            "w": nir.Linear(-np.eye(4)),
            "output": nir.Output({"output": np.array([4])}),
        },
        [("input", "cell"), ("cell", "w"), ("w", "cell"), ("cell", "output")],
        type_check=False,
    )
    model = from_nir(graph_of(nir.Linear(np.ones((4, 3))), inner), dt=1e-3, recurrent_delay=2)
    assert [p.name for p in model.network.populations] == ["input", "n1_cell"]
    delays = {p.name: p.delay for p in model.network.projections}
    assert delays == {"input_to_n1_cell": 0, "n1_cell_to_n1_cell": 2}


# --- round trips
# --------------------------------------------------------------------------------------------------


def test_export_and_import_give_the_same_network(tmp_path: Path) -> None:
    features: set[str] = set()
    trips = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        network = random_graph(rng, SAYABLE)
        if any(getattr(p.neuron, "refractory", 0) for p in network.populations):
            continue
        trained = random_trained(rng, network, 7, each_neuron=True)
        path = tmp_path / "graph.nir"
        try:
            write_nir(trained, path)
        except Unsupported as error:
            assert "shape" in str(error) or "within a channel" in str(error), error
            continue
        again = from_nir(path)
        assert again.network == trained.network and again.steps == trained.steps
        assert set(again.parameters) == set(trained.parameters)
        assert all(np.array_equal(again.parameters[k], v) for k, v in trained.parameters.items())
        features |= {type(p.connection).__name__ for p in network.projections}
        trips += 1
    assert trips > 15 and features == {"Dense", "Sparse", "Convolution"}


def test_the_exported_graph_means_the_network_to_a_plain_reader() -> None:
    """Without our metadata, NIR's own definitions give the same spikes, reset and comparison being
    told.
    """
    compared = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        network = random_graph(
            rng, frozenset({"skip", "delay", "sparse", "convolution", "membrane_bias", "strict"})
        )
        neurons = [p.neuron for p in network.populations[1:] if isinstance(p.neuron, Lif)]
        if (
            any(n.refractory or n.decay == 1 and n.membrane_bias for n in neurons)
            or len({(n.reset, n.strict) for n in neurons}) != 1
        ):
            continue
        trained = random_trained(rng, network, 9)
        try:
            graph = to_nir(trained)
        except Unsupported:
            continue
        again = from_nir(
            graph,
            dt=network.dt,
            reset=neurons[0].reset,
            strict=neurons[0].strict,
            use_metadata=False,
        )
        spikes = Spikes(random_stimulus(rng, network, 9, 4))
        expected, actual = run_reference(trained, spikes), run_reference(again, spikes)
        ours = expected.states[f"v.{network.output.name}"]
        theirs = actual.states[f"v.{again.network.output.name}"]
        assert np.allclose(ours, theirs, atol=1e-9), seed
        assert all(
            np.array_equal(expected.spikes[p.name], actual.spikes[q.name])
            for p, q in zip(network.populations, again.network.populations, strict=True)
            if p.name == q.name
        )
        compared += 1
    assert compared >= 8


def test_what_nir_cannot_say_is_named() -> None:
    rng = np.random.default_rng(0)
    from neurohw import feed_forward

    neurons = (Lif(refractory=2), Lif(reset="none"), Lif(integrates_refractory=True))
    for neuron, feature in zip(
        neurons, ("refractory", "reset='none'", "integrates_refractory"), strict=True
    ):
        with pytest.raises(Unsupported, match=f"hidden1.*{feature}"):
            to_nir(random_trained(rng, feed_forward([3, 2, 2], neuron)))
    with pytest.raises(Unsupported, match="'astrocyte': export to NIR computes no Astrocyte"):
        to_nir(model_for(next(f for f in PROBES if f.name == "astrocyte: gain"), "float"))


# --- what is refused
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        (
            lambda: graph_of(nir.Linear(np.ones((2, 3))), nir.Linear(np.ones((2, 2))), lif(2)),
            Unsupported,
            "n1.*second weighted node",
        ),
        (
            lambda: graph_of(nir.Linear(np.ones((2, 4))), lif(2)),
            InvalidModel,
            "n0.*weight has shape .2, 4., its source has 3",
        ),
        (
            lambda: graph_of(nir.Linear(np.full((2, 3), np.nan)), lif(2)),
            InvalidModel,
            "n0.*weight holds nan",
        ),
        (lambda: graph_of(nir.Linear(np.ones((2, 3))), lif(3)), InvalidModel, "n1.*has 3 neurons"),
        (
            lambda: graph_of(nir.Linear(np.ones((2, 3))), lif(2, tau=np.zeros(2))),
            InvalidModel,
            "n1.*time constant",
        ),
        (
            lambda: graph_of(nir.Linear(np.ones((2, 3))), lif(2, v_threshold=np.zeros(2))),
            Unsupported,
            "n1.*threshold 0",
        ),
        (
            lambda: graph_of(nir.Delay(np.full(3, 1.5e-3)), nir.Linear(np.ones((2, 3))), lif(2)),
            Unsupported,
            "0.0015 s.*no whole number",
        ),
        (
            lambda: graph_of(nir.Linear(np.ones((2, 3))), nir.I(np.ones(2)), lif(2)),
            Unsupported,
            "n1.*'I'",
        ),
    ],
)
def test_a_graph_that_cannot_be_exact_is_refused(
    graph: Any, error: type[NeurohwError], message: str
) -> None:
    with pytest.raises(error, match=message):
        from_nir(graph(), dt=1e-3)


def test_short_time_constants_need_another_discretisation() -> None:
    graph = graph_of(nir.Linear(np.ones((2, 3))), lif(2))
    with pytest.raises(InvalidModel, match="n1.*shorter than dt"):
        from_nir(graph, dt=0.02, discretisation="forward_euler")
    assert from_nir(graph, dt=0.02).network.dt == 0.02


def saved(path: Path) -> Path:
    nir.write(path, graph_of(nir.Linear(np.ones((2, 3))), lif(2)))
    return path


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.nir")
    assert from_nir(good, dt=1e-3).network.output.size == 2
    half = tmp_path / "half.nir"
    half.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with pytest.raises(BrokenFile, match="half.nir: not a readable HDF5"):
        from_nir(half)
    with pytest.raises(BrokenFile, match="gone.nir"):
        from_nir(tmp_path / "gone.nir")

    def damaged(change: Any) -> Path:
        path = saved(tmp_path / "damaged.nir")
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def put(name: str, value: Any) -> Any:
        def change(file: Any) -> None:
            del file[name]
            file[name] = value

        return change

    cases = [
        (put("node/nodes/n1/type", "QIF"), Unsupported, "damaged.nir: node 'n1' is of type 'QIF'"),
        (put("version", "9.0"), Unsupported, "damaged.nir: written by NIR 9.0"),
        (
            put("node/nodes/n0/weight", np.full((2, 3), np.nan)),
            InvalidModel,
            "damaged.nir: node 'n0': weight holds nan",
        ),
        (
            put("node/nodes/n0/weight", np.ones((2, 5))),
            InvalidModel,
            "damaged.nir: node 'n0': weight has shape",
        ),
        (
            lambda file: file.pop("node/nodes/n1/tau"),
            BrokenFile,
            "damaged.nir: node 'n1': nir .* cannot read it .*'tau'",
        ),
        (lambda file: file.pop("version"), BrokenFile, "damaged.nir: no groups"),
        (
            lambda file: file.pop("node/nodes/n1/type"),
            BrokenFile,
            "damaged.nir: node 'n1' has no type",
        ),
        (
            put("node/edges", np.array([["input", "n7"]], dtype="S")),
            BrokenFile,
            "damaged.nir.*no node 'n7'|nir cannot read",
        ),
    ]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            from_nir(damaged(change), dt=1e-3)
