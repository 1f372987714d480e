# SPDX-License-Identifier: Apache-2.0
"""snnTorch: imported modules give snnTorch's own spikes in float64."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from neurohw import TrainedNetwork, first_mismatch, quantize, run_golden, run_reference
from neurohw.engines import engine_named
from neurohw.errors import BrokenFile, InvalidData, Unsupported
from neurohw.interop.snntorch import from_snntorch, import_script
from tests.interop.snntorch.judge import (
    SAMPLES,
    STEPS,
    assert_same,
    counts,
    neuron,
    scaled,
    simulate,
)

CASES = [
    (kind, reset)
    for kind in ("Leaky", "Synaptic", "RLeaky", "RSynaptic", "Alpha", "Lapicque")
    for reset in ("subtract", "zero", "none")
    if (kind, reset) != ("Alpha", "subtract")
]


@pytest.mark.parametrize(("kind", "reset"), CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_neuron_and_reset_gives_snntorchs_spikes(kind: str, reset: str, seed: int) -> None:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    gain = {"Alpha": 6.0, "Synaptic": 0.8, "RSynaptic": 0.8, "Lapicque": 5.0}.get(kind, 2.0)
    module = nn.Sequential(
        scaled(nn.Linear(12, 16), gain),
        neuron(kind, reset, 16, generator),
        scaled(nn.Linear(16, 7), gain),
        neuron(kind, reset, 7, generator),
    )
    assert_same(module, (12,), seed, highest=1 + seed, least=5)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky"])
def test_a_reset_in_the_step_of_the_spike(kind: str) -> None:
    torch.manual_seed(5)
    generator = torch.Generator().manual_seed(5)
    layer = neuron(kind, "zero", 16, generator, reset_delay=False)
    module = nn.Sequential(scaled(nn.Linear(12, 16), 2.0), layer)
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
    expected = simulate(list(module), x)
    model = from_snntorch(module, (2, 12, 8), STEPS)
    names = [p.name for p in model.network.populations]
    assert names == ["input", "layer3", "layer4", "layer7", "layer12"]
    trace = run_reference(model, x.reshape(STEPS, SAMPLES, -1))
    for i, (spikes, _) in expected.items():
        if i < 0:
            continue
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
        gains = {"Alpha": 6.0, "Synaptic": 1.0, "RSynaptic": 1.0, "Lapicque": 6.0}
        gain = gains.get(kind, 2.5)
        layers += [scaled(nn.Linear(size, after), gain), neuron(kind, reset, after, generator)]
        size = after
    x = counts(rng, (first,), highest=1 + seed % 4)
    expected = simulate(layers, x)
    trace = run_reference(from_snntorch(nn.Sequential(*layers), first, STEPS), x)
    for i, (spikes, _) in expected.items():
        assert i < 0 or np.array_equal(trace.spikes[f"layer{i}"], spikes)


def test_the_check_would_notice_another_convention() -> None:
    """The same module read with a reset in its own step, or firing at the threshold, gives other
    spikes.
    """
    torch.manual_seed(1)
    module = nn.Sequential(scaled(nn.Linear(12, 16), 2.0), snn.Leaky(0.5, threshold=0.5))
    with torch.no_grad():  # coarse numbers, so that membranes meet the threshold
        module[0].weight.copy_((module[0].weight * 4).round() / 4)
        module[0].bias.zero_()
    model = assert_same(module, (12,))
    x = counts(np.random.default_rng(0), (12,))
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
    x = counts(np.random.default_rng(0), (12,))
    golden = run_golden(integers, x)
    assert golden.spikes["layer3"].any()
    rtl = engine_named("rtl").run(integers, x, lanes=4, idle=0.2, backpressure=0.2, optimize=False)
    assert first_mismatch(golden, rtl) is None


def test_scripts_that_hold_no_network_are_named(tmp_path: Path) -> None:
    script = tmp_path / "some.py"
    with pytest.raises(InvalidData, match="some.py: there is no such file"):
        import_script(script, "net")
    for text, name in (("x = 1 / 0", "ZeroDivisionError"), ("raise SystemExit(3)", "SystemExit")):
        script.write_text(text)
        with pytest.raises(BrokenFile, match=f"some.py: the script fails with {name}"):
            import_script(script, "net")
    script.write_text(SCRIPT)
    for name in ("net", "layers", "Net", "build"):
        assert import_script(script, name).network.input.size == 3, name
    with pytest.raises(InvalidData, match="defines no 'other'"):
        import_script(script, "other")
    with pytest.raises(InvalidData, match="input-shape"):
        import_script(script, "bad")
    with pytest.raises(Unsupported, match="some.py:bad: layer '0' .ReLU."):
        import_script(script, "bad", (3,))
    with pytest.raises(
        InvalidData, match="some.py:number: a module or a list of layers is needed, not a int"
    ):
        import_script(script, "number", (3,))
    with pytest.raises(InvalidData, match="some.py:mixed: entry 1 of the list is a str"):
        import_script(script, "mixed", (3,))
    with pytest.raises(BrokenFile, match=r"some.py: Needy\(\) fails with TypeError"):
        import_script(script, "Needy", (3,))


SCRIPT = """
from torch import nn
import snntorch as snn

net = nn.Sequential(nn.Linear(3, 2), snn.Leaky(0.5))
layers = [net[0], net[1]]
bad = nn.Sequential(nn.ReLU())
number = 3
mixed = [net[0], "leaky"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.lif = snn.Leaky(0.5, init_hidden=True)

    def forward(self, x):
        return self.lif(self.fc(x))


def build():
    return Net()


class Needy(Net):
    def __init__(self, size):
        super().__init__()
"""


def test_rows_in_rows_are_one_row() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 6), snn.Leaky(0.7, threshold=0.3), nn.Linear(6, 4), snn.Leaky(0.8)]
    inner = nn.Sequential(*layers[:2])
    nested = from_snntorch(nn.Sequential(inner, nn.Sequential(nn.Sequential(*layers[2:]))), 5)
    flat = from_snntorch(layers, 5)
    assert [p.name for p in nested.network.populations] == ["input", "layer0_1", "layer1_0_1"]
    assert [v.tolist() for v in nested.parameters.values()] == [
        v.tolist() for v in flat.parameters.values()
    ]
    assert from_snntorch([inner, *layers[2:]], 5).network.output.size == 4


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_any_precision_are_taken_as_they_are(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(5, 6), snn.Leaky(torch.tensor(0.3), threshold=0.7)).to(kind)
    model = from_snntorch(layers, 5)
    weight = layers[0].weight.detach().double().numpy()
    assert np.array_equal(model.parameters["input_to_layer1.weight"], weight)
    assert model.network.output.neuron.decay == layers[1].beta.double().item()


def test_the_version_is_kept_and_a_module_is_left_as_it_was() -> None:
    """A module in training, with states and their graph from a run, is imported and not touched."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.5, init_hidden=True), nn.Dropout())
    out = module(torch.ones(2, 3))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    mem = module[1].mem
    model = from_snntorch(module, 3)
    assert model.info == {"source": "snnTorch", "version": snn.__version__}
    assert module.training and module[1].mem is mem and mem.grad_fn is not None
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert module[0].weight.dtype == torch.float32 and out.dtype == torch.float32
