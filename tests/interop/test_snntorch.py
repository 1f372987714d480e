"""snnTorch: imported modules give snnTorch's own spikes in float64, exported ones ours."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import nn

from neurohw import Integrator, Lif, TrainedNetwork, feed_forward, first_mismatch, quantize, run_golden, run_reference
from neurohw.engines import engine_named
from neurohw.engines.features import FEATURES
from neurohw.errors import BrokenFile, InvalidData, InvalidModel, NeurohwError, Unsupported
from neurohw.interop.snntorch import export, from_snntorch, import_script, to_snntorch
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Source
from tests.random_networks import random_trained

STEPS, SAMPLES = 30, 6


def simulate(module: nn.Module, x: NDArray[Any]) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """snnTorch itself: spikes and membranes of every spiking layer, by position."""
    module = module.double().eval()
    state: dict[int, Any] = {}
    record: dict[int, list[Any]] = {}
    with torch.no_grad():
        for step in torch.from_numpy(x).double():
            value = step
            for i, layer in enumerate(module.children()):
                if isinstance(layer, snn.SpikingNeuron):
                    out = layer(value, *state.get(i, ()))
                    value = out[0].double()
                    recurrent = isinstance(layer, snn.RLeaky | snn.RSynaptic)
                    state[i] = (value, *out[1:]) if recurrent else out[1:]
                    record.setdefault(i, []).append((value.flatten(1).numpy(), out[-1].flatten(1).numpy().copy()))
                else:
                    value = layer(value)
    return {i: (np.array([a for a, _ in r]), np.array([b for _, b in r])) for i, r in record.items()}


def assert_same(
    module: nn.Module, shape: tuple[int, ...], seed: int = 0, membranes: bool = False, least: int = 30
) -> TrainedNetwork:
    """The import gives the module's own spikes, at rates that mean something."""
    rng = np.random.default_rng(seed)
    x = (rng.random((STEPS, SAMPLES, *shape)) < 0.3).astype(np.uint8)
    expected = simulate(module, x)
    model = from_snntorch(module, shape, STEPS)
    trace = run_reference(model, x.reshape(STEPS, SAMPLES, -1))
    assert expected
    for i, (spikes, mem) in expected.items():
        name = f"layer{i}"
        assert np.array_equal(trace.spikes[name], spikes), (i, model.network.population(name))
        assert spikes.sum() > least and spikes.mean() < 0.7
        if membranes:
            assert np.allclose(trace.states[f"v.{name}"], mem, atol=1e-9)
    return model


def scaled(layer: Any, factor: float) -> Any:
    with torch.no_grad():
        layer.weight *= factor
    return layer


def neuron(kind: str, reset: str, size: int, generator: torch.Generator, **more: Any) -> Any:
    beta, alpha = 0.5 + 0.3 * torch.rand(size, generator=generator), 0.85 + 0.1 * torch.rand(size, generator=generator)
    threshold = 0.5 + torch.rand(size, generator=generator)
    common = {"beta": beta, "threshold": threshold, "reset_mechanism": reset, **more}
    if kind in ("RLeaky", "RSynaptic"):
        common["linear_features"] = size
    return getattr(snn, kind)(**({"alpha": alpha} if kind in ("Synaptic", "RSynaptic", "Alpha") else {}), **common)


CASES = [
    (kind, reset)
    for kind in ("Leaky", "Synaptic", "RLeaky", "RSynaptic", "Alpha")
    for reset in ("subtract", "zero", "none")
    if (kind, reset) != ("Alpha", "subtract")
]


@pytest.mark.parametrize(("kind", "reset"), CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_neuron_and_reset_gives_snntorchs_spikes(kind: str, reset: str, seed: int) -> None:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    gain = {"Alpha": 6.0, "Synaptic": 0.8, "RSynaptic": 0.8}.get(kind, 2.0)
    module = nn.Sequential(
        scaled(nn.Linear(12, 16), gain),
        neuron(kind, reset, 16, generator),
        scaled(nn.Linear(16, 7), gain),
        neuron(kind, reset, 7, generator),
    )
    assert_same(module, (12,), seed, membranes=kind in ("Leaky", "RLeaky") and reset == "subtract", least=5)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky"])
def test_a_reset_in_the_step_of_the_spike(kind: str) -> None:
    torch.manual_seed(5)
    generator = torch.Generator().manual_seed(5)
    module = nn.Sequential(scaled(nn.Linear(12, 16), 2.0), neuron(kind, "zero", 16, generator, reset_delay=False))
    model = assert_same(module, (12,))
    assert not model.network.output.neuron.delayed_reset  # type: ignore[union-attr]


def test_a_convolutional_stack_with_normalisation_and_pooling() -> None:
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6, eps=1e-3),
        nn.AvgPool2d(2),
        snn.Leaky(0.8, threshold=0.3, reset_mechanism="zero"),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        scaled(nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2), 2.0),
        snn.Synaptic(0.5, 0.7, threshold=0.5),
        nn.AvgPool2d((2, 1)),
        nn.Flatten(),
        scaled(nn.Linear(8, 5), 3.0),
        nn.BatchNorm1d(5),
        snn.Leaky(0.9, threshold=0.4),
    )
    for layer in module:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.1, 0.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0.2, 0.2)
    rng = np.random.default_rng(1)
    x = (rng.random((STEPS, SAMPLES, 2, 12, 8)) < 0.4).astype(np.uint8)
    expected = simulate(module, x)
    model = from_snntorch(module, (2, 12, 8), STEPS)
    names = [p.name for p in model.network.populations]
    assert names == ["input", "layer3", "layer4", "layer7", "layer12"]
    trace = run_reference(model, x.reshape(STEPS, SAMPLES, -1))
    for i, (spikes, _) in expected.items():
        assert 0.01 < spikes.mean() < 0.7
        assert np.array_equal(trace.spikes[f"layer{i}"], spikes), i
    assert model.network.population("layer3").channels == 6
    integers = quantize(model, 8)
    golden = run_golden(integers, x.reshape(STEPS, SAMPLES, -1))
    assert golden.spikes["layer12"].any()


def test_convolutional_and_one_to_one_recurrence() -> None:
    torch.manual_seed(7)
    module = nn.Sequential(
        scaled(nn.Conv2d(1, 3, 3, padding=1), 2.0),
        snn.RLeaky(0.7, all_to_all=True, conv2d_channels=3, kernel_size=3, threshold=0.5),
        nn.Flatten(),
        nn.Linear(48, 6),
        snn.RLeaky(0.8, V=torch.linspace(-1, 0.5, 6), all_to_all=False, threshold=0.3),
    )
    model = assert_same(module, (1, 4, 4))
    assert {p.name: p.delay for p in model.network.projections}["layer1_to_layer1"] == 1


@pytest.mark.parametrize("seed", range(8))
def test_random_stacks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    layers: list[Any] = []
    size = int(rng.integers(5, 15))
    first = size
    for _ in range(int(rng.integers(1, 4))):
        after = int(rng.integers(5, 15))
        kind, reset = CASES[int(rng.integers(len(CASES)))]
        gain = {"Alpha": 6.0, "Synaptic": 1.0, "RSynaptic": 1.0}.get(kind, 2.5)
        layers += [scaled(nn.Linear(size, after), gain), neuron(kind, reset, after, generator)]
        size = after
    x = (rng.random((STEPS, SAMPLES, first)) < 0.3).astype(np.uint8)
    expected = simulate(nn.Sequential(*layers), x)
    trace = run_reference(from_snntorch(nn.Sequential(*layers), first, STEPS), x)
    assert all(np.array_equal(trace.spikes[f"layer{i}"], spikes) for i, (spikes, _) in expected.items())


def test_the_check_would_notice_another_convention() -> None:
    """The same module read with a reset in its own step, or firing at the threshold, gives other spikes."""
    torch.manual_seed(1)
    module = nn.Sequential(scaled(nn.Linear(12, 16), 2.0), snn.Leaky(0.5, threshold=0.5))
    with torch.no_grad():  # coarse numbers, so that membranes meet the threshold
        module[0].weight.copy_((module[0].weight * 4).round() / 4)
        module[0].bias.zero_()
    model = assert_same(module, (12,))
    x = (np.random.default_rng(0).random((STEPS, SAMPLES, 12)) < 0.3).astype(np.uint8)
    right = run_reference(model, x)
    for change in ({"delayed_reset": False}, {"strict": False}, {"reset": "hard"}):
        output = model.network.output
        wrong = dataclasses.replace(output, neuron=dataclasses.replace(output.neuron, **change))
        network = dataclasses.replace(model.network, populations=(model.network.input, wrong))
        other = run_reference(TrainedNetwork(network, model.parameters, STEPS), x)
        assert not np.array_equal(right.spikes["layer1"], other.spikes["layer1"]), change


@pytest.mark.rtl
def test_an_imported_module_reaches_the_rtl() -> None:
    torch.manual_seed(2)
    generator = torch.Generator().manual_seed(2)
    module = nn.Sequential(
        scaled(nn.Linear(12, 10), 0.8),
        neuron("RSynaptic", "subtract", 10, generator),
        scaled(nn.Linear(10, 8), 6.0),
        neuron("Alpha", "zero", 8, generator),
        scaled(nn.Linear(8, 6), 2.0),
        neuron("Leaky", "zero", 6, generator),
    )
    model = assert_same(module, (12,), least=3)
    integers = quantize(model, 6)
    x = (np.random.default_rng(0).random((STEPS, SAMPLES, 12)) < 0.3).astype(np.uint8)
    golden = run_golden(integers, x)
    assert golden.spikes["layer3"].any()
    rtl = engine_named("rtl").run(integers, x, lanes=4, idle=0.2, backpressure=0.2, optimize=False)
    assert first_mismatch(golden, rtl) is None


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (lambda: [nn.Linear(3, 3), snn.Leaky(0.5, inhibition=True)], Unsupported, "layer '1' .Leaky.: inhibition"),
        (lambda: [nn.Linear(3, 3), snn.Leaky(0.5, graded_spikes_factor=2.0)], Unsupported, "layer '1'.*graded"),
        (lambda: [nn.Linear(3, 3), snn.Leaky(0.5, reset_delay=False)], Unsupported, "layer '1'.*reset_delay=False"),
        (
            lambda: [nn.Linear(3, 3), snn.Alpha(0.9, 0.5, reset_mechanism="subtract")],
            Unsupported,
            "layer '1'.*Alpha.*inhibitory",
        ),
        (lambda: [nn.Linear(3, 3), snn.Leaky(0.5, threshold=-1.0)], Unsupported, "layer '1'.*threshold -1"),
        (lambda: [nn.Linear(3, 3), snn.Leaky(torch.rand(4))], InvalidModel, "layer '1'.*beta has shape"),
        (lambda: [nn.Linear(3, 3), nn.ReLU(), snn.Leaky(0.5)], Unsupported, "layer '1' .ReLU."),
        (lambda: [nn.Linear(3, 3), nn.Linear(3, 3), snn.Leaky(0.5)], Unsupported, "layer '1' .Linear.*second weighted"),
        (lambda: [nn.Linear(4, 3), snn.Leaky(0.5)], InvalidModel, "layer '0'.*weight has shape"),
        (lambda: nn.Transformer(8, 2, 1, 1), Unsupported, "layer '0' .Transformer."),
    ],
)
def test_what_cannot_be_exact_is_refused(module: Any, error: type[NeurohwError], message: str) -> None:
    with pytest.raises(error, match=message):
        from_snntorch(module(), 3)


def test_a_maximum_of_currents_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), snn.Leaky(0.5))
    with pytest.raises(Unsupported, match="layer '1' .MaxPool2d.*maximum of currents"):
        from_snntorch(module, (1, 8, 8))


# --- export ----------------------------------------------------------------------------------------------------------


def exportable() -> TrainedNetwork:
    leaky = Lif(0.7, 1.0, "soft", strict=True, delayed_reset=True)
    synaptic = Lif(0.6, 1.0, "hard", synapse_decay=0.5, strict=True, refractory=1)
    network = Network(
        (
            Population("input", 9, Source()),
            Population("first", 8, leaky),
            Population("second", 6, synaptic),
            Population("output", 4, Integrator(0.9)),
        ),
        (
            Projection("input", "first"),
            Projection("first", "first", 1),
            Projection("first", "second"),
            Projection("second", "output"),
        ),
    )
    return random_trained(np.random.default_rng(5), network, 20)


def test_an_exported_module_gives_the_same_spikes_and_comes_back_the_same(tmp_path: Path) -> None:
    model = exportable()
    module = to_snntorch(model)
    assert any(p.requires_grad for p in module.parameters())
    x = (np.random.default_rng(1).random((20, 5, 9)) < 0.4).astype(np.uint8)
    with torch.no_grad():
        record = module(torch.from_numpy(x).double())
    trace = run_reference(model, x)
    for name in ("first", "second"):
        assert trace.spikes[name].sum() > 30
        assert np.array_equal(record[name].numpy(), trace.spikes[name])
    again = from_snntorch(module, 9, 20)

    def model_of(network: Network) -> list[Any]:
        # the model's threshold is only a default: the arrays are compared below
        return [
            dataclasses.replace(p.neuron, threshold=1.0) if isinstance(p.neuron, Lif) else p.neuron
            for p in network.populations
        ]

    assert model_of(again.network) == model_of(model.network)
    for name, other in (("first", "layer1"), ("second", "layer3")):
        assert np.array_equal(again.parameters[f"{other}.threshold"], model.parameters[f"{name}.threshold"])
    assert [p.size for p in again.network.populations] == [p.size for p in model.network.populations]
    ours, theirs = list(model.network.projections), list(again.network.projections)
    for projection in ours:
        ends = [[p.name for p in model.network.populations].index(n) for n in (projection.source, projection.target)]
        [other] = [
            q
            for q in theirs
            if [[p.name for p in again.network.populations].index(n) for n in (q.source, q.target)] == ends
        ]
        assert other.delay == projection.delay
        assert np.array_equal(again.parameters[f"{other.name}.weight"], model.parameters[f"{projection.name}.weight"])
    loss = sum(v.sum() for v in module(torch.from_numpy(x).double()).values())
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_an_exported_script_runs_without_the_framework(tmp_path: Path) -> None:
    model = exportable()
    assert export(model, tmp_path / "net.py") == [tmp_path / "net.py", tmp_path / "net.npz"]
    assert re.search(r"(import|from) neurohw", (tmp_path / "net.py").read_text()) is None
    x = (np.random.default_rng(1).random((5, 20, 9)) < 0.4).astype(np.uint8)
    np.savez(tmp_path / "in.npz", spikes=x)
    command = [sys.executable, "-I", "net.py", "--input", "in.npz", "--out", "out.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    trace = run_reference(model, x.transpose(1, 0, 2))
    with np.load(tmp_path / "out.npz") as out:
        for name in ("input", "first", "second"):
            assert np.array_equal(out[f"spikes.{name}"], trace.spikes[name].transpose(1, 0, 2))
    again = import_script(tmp_path / "net.py", "build")
    assert again.network.output.neuron == Integrator(0.9)


def test_a_convolution_survives_the_way_there_and_back() -> None:
    torch.manual_seed(4)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        snn.Leaky(0.8),
        nn.Flatten(),
        nn.Linear(48, 5),
        snn.Leaky(0.9, reset_mechanism="zero"),
    )
    model = from_snntorch(module.double(), (1, 4, 4))
    again = from_snntorch(to_snntorch(model), (1, 4, 4))
    assert [p.connection for p in again.network.projections] == [p.connection for p in model.network.projections]
    for mine, theirs in zip(model.parameters.values(), again.parameters.values(), strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("neuron_model", "message"),
    [
        (Lif(0.5), "hidden1.*at the threshold"),
        (Lif(0.5, strict=True), "hidden1.*no neuron with soft reset"),
        (Lif(0.5, strict=True, reset="hard", delayed_reset=True, v_reset=-0.5), "hidden1.*v_reset -0.5"),
        (Lif(0.5, strict=True, reset="hard", refractory=3), "hidden1.*3 refractory"),
        (
            Lif(0.5, strict=True, reset="hard", refractory=1, integrates_refractory=True),
            "hidden1.*integrates_refractory",
        ),
    ],
)
def test_what_snntorch_cannot_say_is_named(neuron_model: Lif, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        to_snntorch(random_trained(np.random.default_rng(0), feed_forward([3, 2, 2], neuron_model)))


def test_an_astrocyte_is_named() -> None:
    probe = next(f for f in FEATURES if f.name == "astrocyte: threshold")
    with pytest.raises(Unsupported, match="'astrocyte_threshold_cells': snnTorch cannot say an astrocyte"):
        to_snntorch(probe.make())


def test_scripts_that_hold_no_network_are_named(tmp_path: Path) -> None:
    script = tmp_path / "some.py"
    with pytest.raises(InvalidData, match="some.py: there is no such file"):
        import_script(script, "net")
    script.write_text("x = 1 / 0")
    with pytest.raises(BrokenFile, match="some.py: the script fails with ZeroDivisionError"):
        import_script(script, "net")
    script.write_text(
        "from torch import nn\nimport snntorch as snn\nnet = nn.Sequential(nn.Linear(3, 2), snn.Leaky(0.5))\nbad = nn.Sequential(nn.ReLU())\n"
    )
    assert import_script(script, "net").network.input.size == 3
    with pytest.raises(InvalidData, match="defines no 'other'"):
        import_script(script, "other")
    with pytest.raises(InvalidData, match="input-shape"):
        import_script(script, "bad")
    with pytest.raises(Unsupported, match="some.py:bad: layer '0' .ReLU."):
        import_script(script, "bad", (3,))
