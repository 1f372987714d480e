# SPDX-License-Identifier: Apache-2.0
"""Reading NIR graphs: one number for a population, what is refused, and what is warned of."""

import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from neurohw import run_reference
from neurohw.errors import InvalidModel, Unsupported
from neurohw.interop.nir import DoubtfulImport, check_nir, from_nir
from tests.interop.test_nir import STIMULUS, graph_of, lif, membranes

quietly = pytest.mark.filterwarnings("ignore::neurohw.interop.nir.DoubtfulImport")


def node_of(kind: str, shape: tuple[int, ...]) -> Any:
    def full(value: float) -> Any:
        return np.full(shape, value) if shape else np.array(value)

    leak = {"r": full(2.0), "v_leak": full(0.25)}
    if kind == "IF":
        return nir.IF(r=full(100.0), v_threshold=full(1.5))
    if kind == "LIF":
        return nir.LIF(tau=full(0.01), v_threshold=full(0.5), **leak)
    if kind == "LI":
        return nir.LI(tau=full(0.01), **leak)
    if kind == "Threshold":
        return nir.Threshold(full(0.5))
    taus = {
        "tau_syn": full(0.005),
        "tau_mem": full(0.01),
        "r": full(2.0),
        "v_leak": full(0.0),
        "w_in": full(3.0),
    }
    return nir.CubaLI(**taus) if kind == "CubaLI" else nir.CubaLIF(v_threshold=full(0.5), **taus)


@quietly
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF", "LI", "CubaLI", "Threshold"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_number_is_for_every_neuron_of_the_population(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """As norse (0-d) and sinabs (0-d or [1]) write them; the same graph with the number written out
    three times is the judge.
    """
    weight = nir.Linear(np.arange(9.0).reshape(3, 3) / 8)
    path = tmp_path / "net.nir"
    with_one = graph_of(weight, node_of(kind, shape))
    if shape:
        nir.write(path, with_one)
    one = from_nir(path if shape else with_one, dt=1e-3)
    every = from_nir(graph_of(weight, node_of(kind, (3,))), dt=1e-3)
    assert one.network == every.network
    assert all(np.array_equal(one.parameters[k], v) for k, v in every.parameters.items())


@quietly
def test_one_number_after_a_convolution_and_in_a_row() -> None:
    """The shape of a population comes from what arrives, also through populations that do not say
    theirs.
    """
    convolution = nir.Conv2d((4, 4), np.ones((2, 1, 3, 3)), 1, 1, 1, 1, np.zeros(2))
    dense = nir.Affine(np.ones((3, 32)), np.zeros(3))
    flatten = nir.Flatten({"input": np.array([2, 4, 4])}, 0, -1)
    graph = graph_of(
        convolution, node_of("IF", ()), flatten, dense, node_of("LIF", (1,)), shape=(1, 4, 4)
    )
    network = from_nir(graph, dt=1e-3).network
    assert [(p.size, p.channels) for p in network.populations] == [(16, None), (32, 2), (3, None)]
    loop = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([3])}),
            "w": nir.Linear(np.eye(3)),
            "cell": node_of("LIF", ()),
            "back": nir.Linear(-np.eye(3)),
            "output": nir.Output({"output": np.array([3])}),
        },
        [("input", "w"), ("w", "cell"), ("cell", "back"), ("back", "cell"), ("cell", "output")],
        type_check=False,
    )
    assert [p.size for p in from_nir(loop, dt=1e-3).network.populations] == [3, 3]


@quietly
def test_a_wrong_number_of_values_is_still_refused() -> None:
    with pytest.raises(InvalidModel, match="n1.*has 2 neurons, 'n0' gives"):
        from_nir(graph_of(nir.Linear(np.ones((3, 3))), node_of("LIF", (2,))))


@quietly
def test_same_with_a_stride_is_refused() -> None:
    """PyTorch refuses it, JAX pads one side more than the other: it has no one meaning.

    With stride 1 both sides get the same zeros.
    """
    weight = np.random.default_rng(0).normal(size=(2, 1, 3, 3))
    spikes = np.zeros((1, 1, 16), np.uint8)
    spikes[0, 0, 5] = 1
    cells = nir.IF(np.ones((2, 4, 4)), np.full((2, 4, 4), 1e6))
    graph = graph_of(
        nir.Conv2d((4, 4), weight, 1, "same", 1, 1, np.zeros(2)), cells, shape=(1, 4, 4)
    )
    image = torch.from_numpy(spikes.reshape(1, 1, 4, 4)).double()
    expected = torch.nn.functional.conv2d(image, torch.from_numpy(weight), padding="same")
    assert np.allclose(membranes(from_nir(graph, dt=1.0), spikes)[0], expected.numpy().ravel())
    with pytest.raises(Unsupported, match="n0.*'same'.*stride"):
        from_nir(
            graph_of(
                nir.Conv2d((4, 4), weight, 2, "same", 1, 1, np.zeros(2)), cells, shape=(1, 4, 4)
            )
        )


@quietly
@pytest.mark.parametrize("pool", ["AvgPool2d", "SumPool2d"])
def test_a_pooling_between_convolution_and_neurons_is_folded(pool: str) -> None:
    """The right membranes are PyTorch's convolution and mean (or sum) over windows."""
    rng = np.random.default_rng(4)
    weight, bias = rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)
    spikes = (rng.random((1, 1, 72)) < 0.4).astype(np.uint8)
    window = getattr(nir, pool)(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    cells = nir.IF(np.ones((3, 3, 3)), np.full((3, 3, 3), 1e6))
    graph = graph_of(nir.Conv2d((6, 6), weight, 1, 1, 1, 1, bias), window, cells, shape=(2, 6, 6))
    image = torch.from_numpy(spikes.reshape(1, 2, 6, 6)).double()
    current = torch.nn.functional.conv2d(
        image, torch.from_numpy(weight), torch.from_numpy(bias), padding=1
    )
    expected = torch.nn.functional.avg_pool2d(current, 2) * (1 if pool == "AvgPool2d" else 4)
    assert np.allclose(membranes(from_nir(graph, dt=1.0), spikes)[0], expected.numpy().ravel())


def two_of(neurons: Any) -> Any:
    """3 inputs, weights of 1, two neurons."""
    return graph_of(nir.Linear(np.ones((2, 3))), neurons)


DOUBTFUL = [
    # IF at the default dt: 100 steps of dt r I = 1e-3 * (1 + 1 + 1) reach 0.3 of 1
    (nir.IF(np.ones(2), np.ones(2)), "'n1' can never fire: .* 0.3 of 1"),
    # sinabs' tau of 20 steps taken for 20 s: the gain 1 - exp(-1e-3/20) is 5e-5
    (lif(2, tau=np.full(2, 20.0)), "'n1' can never fire"),
    # norse's tau of 1e-5 at a step of 1e-3: exp(-100) is left of a membrane
    (lif(2, tau=np.full(2, 1e-5)), "'n1' forgets within a step.*3.72e-44"),
]


@pytest.mark.parametrize(("neurons", "words"), DOUBTFUL)
def test_a_dead_or_forgetful_network_is_warned_of(neurons: Any, words: str) -> None:
    chosen: dict[str, Any] = {
        "discretisation": "exponential_euler",
        "reset": "hard",
        "delayed_reset": False,
        "strict": True,
        "gain": "nir",
    }
    with pytest.warns(DoubtfulImport, match=words):
        model = from_nir(two_of(neurons), dt=1e-3, **chosen)
    report = model.info["import"]
    assert len(report["warnings"]) == 1 and report["assumed"] == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_nir(two_of(lif(2)), dt=1e-3, **chosen)


@quietly
def test_a_reset_that_would_be_ignored_is_refused() -> None:
    graph = graph_of(nir.Linear(np.ones((1, 3))), lif(1, v_reset=np.full(1, -0.5)))
    with pytest.raises(Unsupported, match="n1.*v_reset -0.5 would be ignored with reset 'soft'"):
        from_nir(graph, reset="soft")
    with pytest.raises(Unsupported, match="n1.*v_reset 2 is not below"):
        from_nir(graph_of(nir.Linear(np.ones((1, 3))), lif(1, v_reset=np.full(1, 2.0))))
    with pytest.raises(InvalidModel, match="n1.*delayed reset and 2 refractory"):
        from_nir(graph, reset="hard", delayed_reset=True, refractory=2)


@quietly
def test_a_membrane_that_is_handed_on_is_refused() -> None:
    """spyx writes its PSU_LIF as LI and Threshold; an Integrator here sends no spikes."""
    ones = np.ones(2)
    leaky = nir.LI(tau=0.01 * ones, r=ones, v_leak=0 * ones)
    graph = graph_of(nir.Linear(np.ones((2, 3))), leaky, nir.Threshold(ones))
    with pytest.raises(Unsupported, match="'n1' hands its membrane to 'n2'.*put a LIF"):
        from_nir(graph)


@quietly
def test_a_membrane_that_begins_at_its_reset() -> None:
    """SpikingJelly's membranes begin at v_reset and rest there: v = v + (v_reset - v + x) / tau,
    fires at v_threshold.
    """
    node = lif(
        1,
        tau=np.full(1, 2e-3),
        v_leak=np.full(1, -0.5),
        v_reset=np.full(1, -0.5),
        v_threshold=np.full(1, 0.25),
    )
    graph = graph_of(nir.Linear(np.array([[1.0, 0.5, 1.5]])), node)
    model = from_nir(
        graph, dt=1e-3, discretisation="forward_euler", strict=False, begins_at_reset=True
    )
    v, fired = -0.5, []
    for row in STIMULUS[:, 0]:
        v = v + (-0.5 - v + float(row @ [1.0, 0.5, 1.5])) / 2
        fired.append(v >= 0.25)
        v = -0.5 if fired[-1] else v
    assert 3 < sum(fired) < 37
    assert np.array_equal(run_reference(model, STIMULUS).spikes["n1"][:, 0, 0], fired)
    other = graph_of(nir.Linear(np.ones((1, 3))), lif(1, v_reset=np.full(1, -0.5)))
    with pytest.raises(Unsupported, match="n1.*begins at v_reset -0.5 and rests at another v_leak"):
        from_nir(other, begins_at_reset=True)


@quietly
def test_gains_that_the_author_left_out() -> None:
    """ "one": the weighted spikes enter as they are.

    "decay": times what is left of them after a step. "nir": (1 - decay) r.
    """
    weight = np.array([[1.0, 2.0, 4.0]])
    b, a = np.exp(-0.1), np.exp(-0.2)
    for gain, factor in (("one", 1.0), ("decay", b), ("nir", (1 - b) * 3)):
        model = from_nir(
            graph_of(nir.Linear(weight), lif(1, r=np.full(1, 3.0))), dt=1e-3, gain=gain
        )
        assert np.allclose(model.parameters["input_to_n1.weight"], factor * weight)
    ones = np.ones(1)
    node = nir.CubaLIF(
        tau_syn=5e-3 * ones,
        tau_mem=1e-2 * ones,
        r=3 * ones,
        v_leak=0 * ones,
        v_threshold=ones,
        w_in=2 * ones,
    )
    for gain, factor in (("one", 1.0), ("decay", a), ("nir", (1 - a) * 2)):
        model = from_nir(graph_of(nir.Linear(weight), node), dt=1e-3, gain="one", current_gain=gain)
        assert np.allclose(model.parameters["input_to_n1.weight"], factor * weight)
        assert model.info["import"]["populations"][0]["gain"] == f"{factor:.6g}"


@quietly
def test_a_bias_behind_two_edges_is_added_once() -> None:
    """What arrives at an Affine is summed before it: W (b + input) + bias.

    The judge has the same weights in a node for each edge, and the bias in one of them.
    """
    weight, bias = np.array([[2.0, -1.0, 0.5], [1.0, 1.0, 1.0]]), np.array([50.0, 20.0])
    shared: dict[str, Any] = {
        "input": nir.Input({"input": np.array([3])}),
        "b": nir.Linear(np.eye(3)),
        "h": lif(3),
        "a": nir.Affine(weight, bias),
        "l": lif(2),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("input", "b"), ("b", "h"), ("h", "a"), ("input", "a"), ("a", "l"), ("l", "output")]
    apart = shared | {"a2": nir.Linear(weight)}
    other = [*edges[:3], ("input", "a2"), ("a", "l"), ("a2", "l"), edges[-1]]
    one = from_nir(nir.NIRGraph(shared, edges, type_check=False), dt=1e-3)
    two = from_nir(nir.NIRGraph(apart, other, type_check=False), dt=1e-3)
    assert np.allclose(one.parameters["l.bias"], (1 - np.exp(-0.1)) * bias)
    assert one.network == two.network
    assert all(np.array_equal(one.parameters[k], v) for k, v in two.parameters.items())


@quietly
@pytest.mark.parametrize("convolution", [False, True])
def test_a_bias_in_a_loop_is_added_once(convolution: bool) -> None:
    """Input and spikes of the same neurons through one weighted node, and a Scale behind it."""
    rng = np.random.default_rng(2)
    shape = (2, 3, 3) if convolution else (4,)
    node = (
        nir.Conv2d((3, 3), rng.normal(size=(2, 2, 3, 3)), 1, 1, 1, 1, np.array([3.0, -5.0]))
        if convolution
        else nir.Affine(rng.normal(size=(4, 4)), np.arange(4.0))
    )
    nodes = {
        "input": nir.Input({"input": np.array(shape)}),
        "a": node,
        "s": nir.Scale(np.full(shape, 2.0)),
        "l": nir.IF(np.ones(shape), np.full(shape, 1e6)),
        "output": nir.Output({"output": np.array(shape)}),
    }
    edges = [("input", "a"), ("a", "s"), ("s", "l"), ("l", "a"), ("l", "output")]
    model = from_nir(nir.NIRGraph(nodes, edges, type_check=False), dt=1.0)
    assert len(model.network.projections) == 2
    assert np.array_equal(model.parameters["l.bias"], 2 * node.bias)


@quietly
def test_two_nodes_of_one_name_are_refused(tmp_path: Path) -> None:
    """A node called "s.lif" beside a subgraph "s" that holds "lif"."""
    inner = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([3])}),
            "lif": lif(3),
            "output": nir.Output({"output": np.array([3])}),
        },
        [("input", "lif"), ("lif", "output")],
        type_check=False,
    )
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(np.eye(3)),
        "s": inner,
        "w2": nir.Linear(np.ones((2, 3))),
        "s.lif": lif(2),
        "output": nir.Output({"output": np.array([2])}),
    }
    for order in (list(nodes), list(nodes)[::-1]):
        turned = {name: nodes[name] for name in order}
        names = list(nodes)
        graph = nir.NIRGraph(turned, list(zip(names, names[1:], strict=False)), type_check=False)
        with pytest.raises(Unsupported, match="'s.lif' is there twice.*rename"):
            from_nir(graph)
        nir.write(tmp_path / "net.nir", graph)
        problems = [f.problem for f in check_nir(tmp_path / "net.nir") if f.problem]
        assert any("rename" in p for p in problems)


@quietly
def test_names_that_become_one_stay_apart() -> None:
    """A dot becomes an underscore in a population's name, which another node may have."""
    layers = {"s.lif": lif(3), "s_lif": lif(3), "s lif": lif(3), "input": lif(3)}
    nodes: dict[str, Any] = {"start": nir.Input({"input": np.array([3])})}
    for place, (name, node) in enumerate(layers.items()):
        nodes |= {f"w{place}": nir.Linear(np.eye(3)), name: node}
    nodes["end"] = nir.Output({"output": np.array([3])})
    names = list(nodes)
    edges = list(zip(names, names[1:], strict=False))
    network = from_nir(nir.NIRGraph(nodes, edges, type_check=False), dt=1e-3).network
    assert len({p.name for p in network.populations}) == 5
    assert [len(network.into(p.name)) for p in network.populations] == [0, 1, 1, 1, 1]


@quietly
def test_the_padding_of_a_pooling_that_spyx_wrote_is_refused() -> None:
    """spyx 1.0.0 writes the sum of both sides: 1 for 5 rows in windows of 2, which JAX puts below.

    Read as NIR's padding it would move every window.
    """

    def pooled(padding: int, rows: int) -> Any:
        window = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([padding, padding]))
        weight = nir.Affine(np.ones((2, 9)), np.zeros(2))
        flatten = nir.Flatten({"input": np.array([1, 3, 3])}, 0, -1)
        cells = nir.IF(np.ones(2), np.ones(2))
        return graph_of(window, flatten, weight, cells, shape=(1, rows, rows))

    with pytest.raises(Unsupported, match=r"'n0'.*padding \[1, 1\] is the sum.*spyx 1.0.0"):
        from_nir(pooled(1, 5), written_by="spyx")
    assert from_nir(pooled(0, 6), written_by="spyx").network.output.size == 2
    assert from_nir(pooled(1, 5), dt=1.0).network.output.size == 2


@quietly
def test_a_delay_behind_a_bias_is_refused() -> None:
    """It would keep the bias away in its first steps; before the weights it keeps only spikes."""
    affine, delay = nir.Affine(np.ones((2, 3)), np.ones(2)), nir.Delay(np.full(2, 2e-3))
    cells = nir.IF(np.ones(2), np.full(2, 1e6))
    with pytest.raises(Unsupported, match="'n1': a delay of 0.002 s behind a bias.*before the"):
        from_nir(graph_of(affine, delay, cells), dt=1e-3)
    for layers in (
        (nir.Delay(np.full(3, 2e-3)), affine, cells),
        (nir.Linear(np.ones((2, 3))), delay, cells),
        (affine, nir.Delay(np.zeros(2)), cells),
    ):
        assert from_nir(graph_of(*layers), dt=1e-3).network.output.size == 2
