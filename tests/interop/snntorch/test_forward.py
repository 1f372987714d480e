# SPDX-License-Identifier: Apache-2.0
"""Modules whose order only their forward knows: run, compared, refused where they are no row."""

from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn
from torch.nn import functional

from neurohw import run_reference
from neurohw.errors import InvalidData, NeurohwError, Unsupported
from neurohw.interop.snntorch import from_snntorch
from neurohw.stimulus import Spikes

STEPS = 12


class Base(nn.Module):
    """Two layers of neurons, built as the tutorials of snnTorch do."""

    def __init__(self, hidden: bool = False, **more: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1 = nn.Linear(6, 8)
        self.lif1 = snn.Leaky(0.8, threshold=0.2, init_hidden=hidden)
        self.fc2 = nn.Linear(8, 4)
        self.lif2 = snn.Synaptic(0.7, 0.8, threshold=0.2, init_hidden=hidden, output=hidden)


class Tutorial(Base):
    """Time first, with states carried in forward; returns two stacks."""

    def forward(self, x: torch.Tensor) -> Any:
        mem1 = self.lif1.init_leaky()
        syn2, mem2 = self.lif2.init_synaptic()
        spikes, membranes = [], []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


class BatchFirst(Base):
    """Batch first, [batch, time, neuron], summed over time."""

    def forward(self, x: torch.Tensor) -> Any:
        mem1, syn2, mem2 = self.lif1.init_leaky(), *self.lif2.init_synaptic()
        total = []
        for step in range(x.size(1)):
            spk1, mem1 = self.lif1(self.fc1(x[:, step]), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            total.append(spk2)
        return torch.stack(total, 1).sum(1)


class Static(Base):
    """One constant input for a number of steps that the module holds."""

    num_steps = 9

    def forward(self, x: torch.Tensor) -> Any:
        mem1, syn2, mem2 = self.lif1.init_leaky(), *self.lif2.init_synaptic()
        spikes = []
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spikes.append(spk2)
        return {"spikes": torch.stack(spikes), "last": mem2}


class Hidden(Base):
    """One step a call, states inside the neurons."""

    def __init__(self) -> None:
        super().__init__(hidden=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class HiddenOverTime(Hidden):
    """A loop over time around it, states cleared by snnTorch's own helper."""

    def forward(self, x: torch.Tensor) -> Any:
        utils.reset(self)
        return [super(HiddenOverTime, self).forward(step)[0] for step in x]


class InBlocks(nn.Module):
    """Modules in modules, in an order that is not the one of their definition, views in between."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.ModuleDict({"fc": nn.Linear(48, 3), "lif": snn.Leaky(0.9, init_hidden=True)})
        self.body = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1),
            snn.Leaky(0.7, threshold=torch.ones(3, 1, 1) * 0.3, init_hidden=True),
            nn.MaxPool2d(1),
        )
        self.loss = nn.CrossEntropyLoss()  # has no part in forward, nor numbers of its own

    def forward(self, x: torch.Tensor) -> Any:
        x = self.body(x)
        return self.head["lif"](self.head["fc"](functional.dropout(x.view(len(x), -1), 0.0)))


class Readout(Hidden):
    """A linear layer at the end."""

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc2(self.lif1(self.fc1(x)))

    def __init__(self) -> None:
        super().__init__()
        del self.lif2


ROWS: list[tuple[Any, tuple[int, ...]]] = [
    (Tutorial, (6,)),
    (BatchFirst, (6,)),
    (Static, (6,)),
    (Static, (2, 3)),
    (Hidden, (6,)),
    (HiddenOverTime, (6,)),
    (InBlocks, (2, 4, 4)),
    (Readout, (6,)),
]


def by_hand(module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes of every neuron layer while the module itself runs, by its name; of a last Linear,
    values.
    """
    record: dict[str, list[np.ndarray]] = {}

    def keep(name: str) -> Any:
        def hook(layer: Any, args: Any, output: Any) -> None:
            value = output[0] if isinstance(output, tuple) else output
            record.setdefault(name, []).append(value.flatten(1).numpy().copy())

        return hook

    handles = [
        layer.register_forward_hook(keep(name)) for name, layer in module.named_modules() if name
    ]
    with torch.no_grad():
        data = torch.from_numpy(x).float()
        if isinstance(module, Tutorial | HiddenOverTime):
            module(data)
        elif isinstance(module, BatchFirst):
            module(data.transpose(0, 1))
        elif isinstance(module, Static):
            module(data[0])
        else:
            for step in data:
                module(step)
    for handle in handles:
        handle.remove()
    return {name: np.array(values) for name, values in record.items()}


@pytest.mark.parametrize(("make", "shape"), ROWS)
def test_a_module_that_runs_a_row_is_imported(make: Any, shape: tuple[int, ...]) -> None:
    """The judge is the module's own run in float32; these networks have no ties."""
    module = make()
    model = from_snntorch(module, shape)
    rng = np.random.default_rng(5)
    x = rng.integers(0, 3, (STEPS, 4, *shape)).astype(np.uint8)
    if make is Static:
        x = np.repeat(x[:1], Static.num_steps, axis=0)
    expected = by_hand(make(), x)
    trace = run_reference(model, Spikes(x.reshape(*x.shape[:2], -1)))
    compared = 0
    for population in model.network.populations[1:]:
        name = next((n for n in expected if n.replace(".", "_") == population.name), None)
        if name is None:
            assert population.name == "readout"
            assert np.allclose(trace.states["v.readout"], expected["fc2"], atol=1e-5)
            continue
        assert np.array_equal(trace.spikes[population.name], expected[name]), population
        compared += int(expected[name].sum())
    assert compared > 20


class Between(Hidden):
    def forward(self, x: torch.Tensor) -> Any:
        return self.lif2(torch.relu(self.fc2(self.lif1(self.fc1(x)))))


class Skip(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.fc2 = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> Any:
        spk = self.lif1(self.fc1(x))
        return self.lif2(self.fc2(spk) + spk)


class After(Hidden):
    def forward(self, x: torch.Tensor) -> Any:
        return 2 * super().forward(x)[0]


class Quiet(Skip):
    """A skip around a layer that is silent until its input is large."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.lif1.threshold.fill_(threshold)


class Membranes(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.lif1.output = True

    def forward(self, x: torch.Tensor) -> Any:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))[1]))


class Twice(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.fc2 = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> Any:
        return self.lif2(self.fc2(self.fc2(self.lif1(self.fc1(x)))))


class Unused(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))


class Forgets(Tutorial):
    def forward(self, x: torch.Tensor) -> Any:
        outs = []
        for step in x:
            spk1, _ = self.lif1(self.fc1(step), torch.zeros(len(step), 8))
            outs.append(self.lif2(self.fc2(spk1))[0])
        return torch.stack(outs)


class Clips(Hidden):
    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x.clamp(0, 1))


class ByStep(Hidden):
    calls = 0

    def forward(self, x: torch.Tensor) -> Any:
        self.calls += 1
        spk = self.lif1(self.fc1(x))
        return self.lif2(self.fc2(spk)) if self.calls % 2 else spk


class TakesStates(Base):
    def forward(self, x: torch.Tensor, mem1: torch.Tensor, syn2: torch.Tensor) -> Any:
        return x


class WithLayers(Hidden):
    """The layers in a list, and something else beside it that forward uses."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([self.fc1, self.lif1, self.fc2, self.lif2])
        self.mix = nn.Linear(6, 6)
        del self.fc1, self.lif1, self.fc2, self.lif2

    def forward(self, x: torch.Tensor) -> Any:
        y = x + self.mix(x)
        for layer in self.layers:
            y = layer(y)
        return y


REFUSED = [
    (Between, "layer 'lif2' takes something else than layer 'fc2' gives"),
    (Skip, "layer 'lif2' takes something else than layer 'fc2' gives"),
    (lambda: Quiet(30.0), "layer 'lif2' takes something else than layer 'fc2' gives"),
    (lambda: Quiet(1e9), "layer 'lif1' never fires on random counts"),
    (After, r"forward returns a tensor of shape \(5, 4\) that none of its layers gave"),
    (Membranes, "layer 'fc2' takes something else than layer 'lif1' gives"),
    (Twice, "layer 'fc2' .Linear.\": a second weighted node without a neuron before it"),
    (Unused, "'gate', 'scale': forward calls no such layer"),
    (Forgets, "layer 'lif1': forward gives [0-9]+ of [0-9]+ spikes other"),
    (
        Clips,
        "Clips: its forward could not be followed .a step: layer 'fc1' does not take the input",
    ),
    (ByStep, "step 1 calls .'fc1', 'lif1'., step 0 .'fc1', 'lif1', 'fc2', 'lif2'."),
    (TakesStates, "TakesStates: its forward could not be followed .a step: TypeError"),
    (WithLayers, "layer 'layers.0' takes something else than layer 'mix' gives"),
    (lambda: nn.Transformer(8, 2, 1, 1), "Transformer: its forward could not be followed"),
    (
        lambda: nn.Sequential(Base(), nn.Linear(4, 4)),
        "Sequential: its forward could not be followed",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_a_module_that_is_no_row_is_refused(make: Any, message: str) -> None:
    with pytest.raises(Unsupported, match=message) as caught:
        from_snntorch(make(), 6)
    assert "\n" not in str(caught.value)


def test_every_refusal_of_a_forward_says_what_to_do() -> None:
    with pytest.raises(Unsupported, match="hand its layers over in order, as a list"):
        from_snntorch(Between(), 6)
    module = Between()
    from_snntorch([module.fc1, module.lif1, module.fc2, module.lif2], 6)


def test_a_sequential_of_blocks_is_run() -> None:
    block = Hidden()
    block.lif2.output = False
    model = from_snntorch(nn.Sequential(block, nn.Linear(4, 3)), 6)
    assert [p.name for p in model.network.populations] == [
        "input",
        "layer0_lif1",
        "layer0_lif2",
        "readout",
    ]


class Fixed(Base):
    """As many steps as a literal of forward says, of an input that holds at least as many."""

    def __init__(self, steps: int, batch_first: bool) -> None:
        super().__init__()
        self.num_steps, self.batch_first = steps, batch_first

    def forward(self, x: torch.Tensor) -> Any:
        mem1, syn2, mem2 = self.lif1.init_leaky(), *self.lif2.init_synaptic()
        spikes = []
        for t in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x[:, t] if self.batch_first else x[t]), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("steps", [7, 20])
def test_a_loop_of_a_number_of_steps_is_the_number_of_the_model(
    steps: int, batch_first: bool
) -> None:
    model = from_snntorch(Fixed(steps, batch_first), 6)
    assert model.steps == steps
    assert model.info["steps"] == "as forward says; --steps changes it"
    assert from_snntorch(Fixed(steps, batch_first), 6, 30).steps == 30
    x = torch.randint(0, 3, (steps, 4, 6), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        data = x.float().transpose(0, 1) if batch_first else x.float()
        expected = Fixed(steps, batch_first)(data).numpy()
    assert expected.any()
    trace = run_reference(model, Spikes.time_first(x.numpy().astype(np.uint8)))
    assert np.array_equal(trace.spikes["lif2"], expected)


def test_the_steps_of_other_modules_are_a_default() -> None:
    assert from_snntorch(Static(), 6).steps == Static.num_steps
    for make in (Tutorial, Hidden):
        model = from_snntorch(make(), 6)
        assert model.steps == 100 and "steps" not in model.info


class First(Tutorial):
    """Both layers run, and spikes of the first come back."""

    def forward(self, x: torch.Tensor) -> Any:
        mem1, syn2, mem2 = self.lif1.init_leaky(), *self.lif2.init_synaptic()
        spikes = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            _, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spikes.append(spk1)
        return torch.stack(spikes)


class OfStep(Hidden):
    def forward(self, x: torch.Tensor) -> Any:
        spk = self.lif1(self.fc1(x))
        self.lif2(self.fc2(spk))
        return {"out": spk}


class All(Tutorial):
    def forward(self, x: torch.Tensor) -> Any:
        mem1, syn2, mem2 = self.lif1.init_leaky(), *self.lif2.init_synaptic()
        both = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            both.append((spk1, spk2))
        return [torch.stack(values) for values in zip(*both, strict=True)]


@pytest.mark.parametrize("make", [First, OfStep])
def test_a_forward_that_returns_an_earlier_layer_is_refused(make: Any) -> None:
    with pytest.raises(Unsupported, match="returns what layer 'lif1' gives, and runs on to") as e:
        from_snntorch(make(), 6)
    assert "'lif2', which would be the output" in str(e.value) and "\n" not in str(e.value)
    assert from_snntorch(All(), 6).network.output.name == "lif2"


@pytest.mark.parametrize("shape", [0, (3, -1), ()])
def test_a_shape_that_is_none_is_refused(shape: Any) -> None:
    with pytest.raises(InvalidData, match="shape of one step's input"):
        from_snntorch(Hidden(), shape)


def test_the_wrong_shape_is_one_line() -> None:
    with pytest.raises(NeurohwError) as caught:
        from_snntorch(Hidden(), 7)
    assert "\n" not in str(caught.value)
