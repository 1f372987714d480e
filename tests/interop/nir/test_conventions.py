# SPDX-License-Identifier: Apache-2.0
"""Every row of `--from` against the tool that wrote the file and its own simulation."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from neurohw import Lif
from neurohw.errors import InvalidModel, Unsupported
from neurohw.interop.nir import TOOLS, Conventions, DoubtfulImport, from_nir
from tests.interop.data.record_exports import SNNTORCH, snntorch_spikes
from tests.interop.nir.judges import JUDGES, PAGE, Judge, measured, page_with_tables
from tests.interop.test_nir import graph_of
from tests.shared_data import shared_data

PEERS = {  # file: tool, options beside --from, the file with its input and spikes
    "snn_leaky_subtract": ("snntorch", {}, "snn_leaky_subtract"),
    "snn_rsyn_subtract": ("snntorch", {}, "snn_rsyn_subtract"),
    "snn_syn_zero": ("snntorch", {"reset": "zero"}, "snn_syn_zero"),
    "cnn_snn_pad1": ("snntorch", {}, "cnn_snn_pad1"),
    "sj_lif": ("spikingjelly", {}, "sj_lif"),
    "sj_cuba": ("spikingjelly", {}, "sj_cuba"),
    "sinabs_iaf_sq_single": ("sinabs", {}, "sinabs_iaf_sq_single"),
    "sinabs_lif_sq_single": ("sinabs", {}, "sinabs_lif_sq_single"),
    "norse_iaf_0.001": ("norse", {}, "norse_iaf"),
    "norse_lifbox_0.001": ("norse", {}, "norse_lifbox"),
    "norse_lifbox_1.0": ("norse", {}, "norse_lifbox"),
    "rockpool_lif1": ("rockpool", {}, "rockpool_lif1"),
    "spyx_if": ("spyx", {}, "spyx_if"),
}


@pytest.mark.parametrize("judge", JUDGES, ids=lambda j: f"{j.tool}_{j.case}")
def test_a_file_equals_the_tool_that_wrote_it(judge: Judge) -> None:
    """The right values are the tool's own spikes (snnTorch runs here, the others are recorded), and
    its membranes of readouts.
    """
    model = judge.read()
    taken = {row["written as"] for row in model.info["import"]["populations"]}
    assert judge.module in taken
    compared, differ, fired = measured(judge.tool, judge.case)
    assert differ == 0 and compared >= 60 * 12 - 20 and fired > 20
    assert model.info["import"]["assumed"] == [] and model.info["import"]["warnings"] == []


def test_every_row_has_a_judge() -> None:
    rows = {(tool.name, row.module) for tool in TOOLS.values() for row in tool.rows}
    assert rows == {(judge.tool, judge.module) for judge in JUDGES}


@pytest.mark.parametrize("case", SNNTORCH)
def test_snntorch_computes_what_was_recorded(case: str) -> None:
    import importlib.metadata

    from tests.interop.nir.judges import DATA

    with np.load(DATA / f"snntorch_{case}.npz") as file:
        assert (
            str(file["version"])
            == importlib.metadata.version("snntorch")
            == TOOLS["snntorch"].version
        )
        for name, spikes in zip(("hidden", "out"), snntorch_spikes(case), strict=True):
            assert np.array_equal(file[name], spikes)


def test_the_page_shows_these_rows_and_counts() -> None:
    page = PAGE.read_text()
    assert page_with_tables(page) == page, "run python -m tests.interop.nir.judges"


@pytest.mark.parametrize("name", PEERS)
def test_networks_that_others_exported_equal_them_with_from_alone(name: str) -> None:
    from neurohw import run_reference

    folder = shared_data("models/peers")
    tool, options, beside = PEERS[name]
    model = from_nir(folder / f"{name}.nir", written_by=tool, **options)
    with np.load(folder / f"{beside}_in.npz") as file:
        trace = run_reference(model, file["spikes"][:, None])
    ahead = {r["population"]: int(r["ahead"]) for r in model.info["import"]["populations"]}
    with np.load(folder / f"{beside}_peer.npz") as file:
        for population, expected in zip(
            model.network.populations[1:], (file["hidden"], file["out"]), strict=True
        ):
            late = ahead[population.name]
            ours = trace.spikes[population.name][:, 0]
            assert np.array_equal(ours[: len(ours) - late], expected[late:])


@pytest.mark.parametrize(("tool", "case"), [("sinabs", "lif_multi"), ("rockpool", "lif_multi")])
def test_several_spikes_a_step_are_named(tool: str, case: str) -> None:
    """sinabs (MultiSpike) and rockpool fire up to 6 and 4 times in a step of these recordings,
    which their files do not say.
    """
    judge = Judge(tool, case, "LIF, norm_input=True" if tool == "sinabs" else "LIFNeuronTorch")
    assert judge.recorded()[1].max() > 1
    model = judge.read()
    [note] = [n for n in model.info["import"]["notes"] if "several spikes a step" in n]
    names = [p.name for p in model.network.populations[1:]]
    assert f"{', '.join(names)} can reach two thresholds at once" in note
    assert judge.differences(model)[1] > 0


def test_options_override_the_tool() -> None:
    judge = Judge("snntorch", "synaptic_zero", "Synaptic and RSynaptic, zero")
    neuron = judge.read(written_by="snntorch", reset="hard").network.output.neuron
    assert isinstance(neuron, Lif) and (neuron.reset, neuron.refractory, neuron.delayed_reset) == (
        "hard",
        1,
        False,
    )
    assert judge.read(written_by="snntorch", reset="zero").network.output.neuron == neuron
    other = judge.read(
        written_by="snntorch", reset="hard", refractory=0, strict=False
    ).network.output.neuron
    assert isinstance(other, Lif) and (other.refractory, other.strict) == (0, False)
    late = judge.read(written_by="snntorch", delayed_reset=True, reset="hard").network.output.neuron
    assert isinstance(late, Lif) and late.delayed_reset and late.refractory == 0
    # without the tool, the same by single options
    alone = judge.read(
        dt=1e-4,
        discretisation="forward_euler",
        reset="hard",
        refractory=1,
        gain="one",
        current_gain="one",
    )
    assert alone.network.output.neuron == neuron and judge.differences(alone)[1] == 0


def test_the_step_is_found_in_the_numbers() -> None:
    """SpikingJelly's export_to_nir(dt=1e-3) and rockpool's dt=2e-3 write r = tau/dt and r = tau
    exp(-dt/tau)/dt.
    """
    for tool, case, dt in (
        ("spikingjelly", "lif_dt", 1e-3),
        ("rockpool", "lif_dt", 2e-3),
        ("rockpool", "lif", 1e-3),
    ):
        model = Judge(tool, case, "").read(written_by=tool)
        assert model.network.dt == dt
        [line] = [c for c in model.info["import"]["conventions"] if c["what"] == "dt"]
        assert line["from"].startswith("from r of node")
    seconds = Judge("norse", "lifbox_dt1", "").read(written_by="norse")
    assert (
        seconds.network.dt == 1e-3
        and "to_nir(dt=1)" in seconds.info["import"]["conventions"][0]["from"]
    )
    product = Judge("norse", "lifbox", "").read(written_by="norse")
    assert (
        product.network.dt == 1e-3
        and product.info["import"]["conventions"][0]["value"] == "1e-06 s"
    )


def test_the_wrong_tool_is_refused() -> None:
    with pytest.raises(Unsupported, match="snntorch 1.0.0 writes no IF .*, only LIF, CubaLIF"):
        Judge("sinabs", "iaf", "").read(written_by="snntorch")
    with pytest.raises(Unsupported, match="r is 1, and snnTorch 1.0.0 writes tau / 1e-4"):
        Judge("sinabs", "lif", "").read(written_by="snntorch")
    with pytest.raises(Unsupported, match="no tool 'brian2'.*known are snntorch, spikingjelly"):
        Judge("sinabs", "lif", "").read(written_by="brian2")


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_a_decay_of_0_is_read_from_snntorchs_rounded_numbers(kind: str) -> None:
    """snnTorch computes tau = 1e-4 / (1 - beta) in float32: for beta 0 a little less than 1e-4."""
    import nir

    tau = np.float32(1e-4) / (1 - np.zeros(2, np.float32))
    assert tau.dtype == np.float32 and np.all(tau.astype(np.float64) < 1e-4)
    rest = {"v_leak": 0 * tau, "v_threshold": np.ones(2, np.float32), "r": tau / np.float32(1e-4)}
    cell = (
        nir.LIF(tau=tau, **rest)
        if kind == "LIF"
        else nir.CubaLIF(tau_syn=tau, tau_mem=tau, w_in=tau / np.float32(1e-4), **rest)
    )
    model = from_nir(graph_of(nir.Linear(np.ones((2, 3))), cell), written_by="snntorch")
    neuron = model.network.output.neuron
    assert isinstance(neuron, Lif)
    assert (neuron.decay, neuron.synapse_decay) == (0, None if kind == "LIF" else 0)
    assert np.all(model.parameters["input_to_n1.weight"] == 1)
    conventions = Conventions(1e-4, "forward_euler")
    with pytest.raises(InvalidModel, match="shorter than dt"):
        conventions.decay(np.array([0.99999e-4]), "n1")
    assert conventions.decay(np.array([1.00001e-4]), "n1")[0] > 0


def test_every_option_of_snntorchs_modules_is_in_the_file_or_in_the_list() -> None:
    import inspect

    import snntorch
    import torch

    in_the_file = {
        *("self", "beta", "alpha", "threshold", "V", "all_to_all", "linear_features"),
        *("conv2d_channels", "in_channels", "out_channels", "kernel_size", "stride", "dilation"),
        *("groups", "bias", "in_features", "out_features", "start_dim", "end_dim"),
    }
    of_the_training = {
        *("spike_grad", "surrogate_disable", "init_hidden", "output", "device", "dtype"),
        *("learn_alpha", "learn_beta", "learn_threshold", "learn_recurrent"),
        "learn_graded_spikes_factor",
    }
    lost = TOOLS["snntorch"].lost.replace(",", "").split()
    for module in (
        *(snntorch.Leaky, snntorch.RLeaky, snntorch.Synaptic, snntorch.RSynaptic),
        *(torch.nn.Linear, torch.nn.Conv2d, torch.nn.AvgPool2d, torch.nn.Flatten),
    ):
        options = set(inspect.signature(module.__init__).parameters)
        missing = options - in_the_file - of_the_training
        if module is torch.nn.Conv2d:
            missing -= {"padding"}
        assert missing <= set(lost), (module, missing)


def test_nobody_saying_anything_is_said_aloud(tmp_path: Path) -> None:
    """snnTorch's own file without --from: step, discretisation and reset are then wrong."""
    judge = Judge("snntorch", "leaky", "Leaky, subtract")
    path = judge.write(tmp_path)
    said = (
        "nobody said.*dt 0.001 s, discretisation exponential_euler, reset to v_reset, its timing "
        "at "
        "once, comparison fires at > threshold, input gain 6.3212.*snntorch, spiki"
    )
    with pytest.warns(DoubtfulImport, match=said):
        model = from_nir(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = from_nir(path, written_by="snntorch")
    assumed = ["dt", "discretisation", "reset", "delayed_reset", "strict", "gain"]
    assert model.info["import"]["assumed"] == assumed
    assert judge.differences(model)[1] > 100 and judge.differences(right)[1] == 0
    with pytest.warns(DoubtfulImport, match="Assumed: discretisation exponential_euler, reset to"):
        half = from_nir(path, dt=1e-4)
    assert half.info["import"]["assumed"] == assumed[1:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dt": 0}, "dt must be above 0"),
        ({"dt": float("inf")}, "dt must be above 0 s and finite"),
        ({"reset": "softly"}, "reset is soft, hard or none"),
        ({"gain": "two"}, "gain is nir, one or decay"),
        ({"refractory": -1}, "refractory counts steps, 0 or more"),
        (
            {"recurrent_delay": 1.5},
            r"recurrent_delay \(--recurrent-delay\) counts steps, 1 or more",
        ),
        ({"steps": 0}, "steps counts steps, 1 or more"),
        ({"flatten": "rows"}, "flatten is channels_first or channels_last"),
    ],
)
def test_conventions_that_mean_nothing_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidModel, match=words):
        Conventions(**change)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="no convention speed"):
        from_nir("nowhere.nir", speed=1)
