# SPDX-License-Identifier: Apache-2.0
"""Every argument of every neuron of snnTorch: exact against its own run, or refused by name.

The right value is always snnTorch 1.0.0's own simulation of the same layer in float64.
"""

import inspect
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn

from neurohw import Integrator, Lif
from neurohw.errors import InvalidModel, NeurohwError, Unsupported
from neurohw.interop.snntorch import from_snntorch
from neurohw.interop.snntorch.cells import cell_of
from neurohw.interop.snntorch.probe import check_neurons
from tests.interop.snntorch.judge import assert_same, neuron, scaled

SIZE = 6
EXACT = None  # in the tables: the value is imported and gives snnTorch's spikes


def at_zero(x: torch.Tensor) -> torch.Tensor:
    return (x >= 0).to(x.dtype)


def half_a_step(x: torch.Tensor) -> torch.Tensor:
    return (x > 0).to(x.dtype) * 0.5


def vector(low: float, high: float) -> torch.Tensor:
    return torch.linspace(low, high, SIZE)


COMMON: dict[str, list[tuple[Any, str | None]]] = {
    "beta": [
        (0.0, EXACT),
        (1.0, EXACT),
        (1.7, EXACT),  # snnTorch clamps it to 0..1
        (torch.tensor(0.8, dtype=torch.float64), EXACT),
        (torch.tensor([0.8]), EXACT),
        (vector(0.1, 0.9), EXACT),
        (vector(0.1, 0.9)[None], EXACT),
        (torch.rand(4), r"beta has shape \(4,\), its layer \(6,\)"),
        (torch.rand(2, SIZE), r"beta has shape \(2, 6\)"),  # other neurons for other samples
    ],
    "threshold": [
        (1, EXACT),
        (0.7, EXACT),
        (vector(0.5, 1.5), EXACT),
        (vector(-0.5, 1.5), "threshold -0.5 cannot be expressed"),
        (0.0, "threshold 0.0 cannot be expressed"),
        (float("nan"), "threshold nan"),
    ],
    "spike_grad": [
        (surrogate.fast_sigmoid(slope=25), EXACT),
        (surrogate.spike_rate_escape(), EXACT),
        (surrogate.SSO(), EXACT),
        (surrogate.LSO(), "its spike_grad fails with TypeError"),  # in snnTorch, too
        (surrogate.triangular(), EXACT),
        (at_zero, EXACT),
        (half_a_step, "spike_grad is not 0 below the threshold"),
    ],
    "surrogate_disable": [(True, EXACT)],
    "init_hidden": [(True, EXACT)],
    "inhibition": [(True, "inhibition cannot be expressed")],
    "learn_beta": [(True, EXACT)],
    "learn_threshold": [(True, EXACT)],
    "reset_mechanism": [("subtract", EXACT), ("zero", EXACT), ("none", EXACT)],
    "state_quant": [(lambda x: x, "state_quant cannot be expressed")],
    "output": [(True, EXACT)],
}
GRADED: dict[str, list[tuple[Any, str | None]]] = {
    "graded_spikes_factor": [(2.0, "graded_spikes_factor other than 1"), (torch.ones(SIZE), EXACT)],
    "learn_graded_spikes_factor": [(True, EXACT)],
}
ALPHA: dict[str, list[tuple[Any, str | None]]] = {
    "alpha": [
        (0.9, EXACT),
        (vector(0.85, 0.95), EXACT),
        (torch.rand(4) * 0.05 + 0.9, r"alpha has shape \(4,\)"),
    ],
    "learn_alpha": [(True, EXACT)],
}
IMPOSSIBLE = "snnTorch's own constructor fails"
TWICE = "gives back a threshold"
DELAY: dict[str, list[tuple[Any, str | None]]] = {"reset_delay": [(False, TWICE)]}
RECURRENT: dict[str, list[tuple[Any, str | None]]] = {
    "learn_recurrent": [(False, EXACT)],
    # these four exclude one another and have tests of their own below
    "V": [],
    "all_to_all": [],
    "linear_features": [],
    "conv2d_channels": [],
    "kernel_size": [],
}
TABLES: dict[str, dict[str, list[tuple[Any, str | None]]]] = {
    "Leaky": COMMON | GRADED | DELAY,
    "Synaptic": COMMON | ALPHA | DELAY,
    "RLeaky": COMMON | RECURRENT | DELAY,
    # snnTorch ignores it: the next step's reset is the same (docs of the package)
    "RSynaptic": COMMON | ALPHA | RECURRENT | {"reset_delay": [(False, EXACT)]},
    "Alpha": COMMON
    | {
        "alpha": ALPHA["alpha"][:2],
        "learn_alpha": [(True, IMPOSSIBLE)],
        "beta": [(0.2, EXACT), (vector(0.2, 0.7), EXACT), (0.0, EXACT)],
        "reset_mechanism": [
            ("subtract", "Alpha with reset_mechanism 'subtract'"),
            ("zero", EXACT),
            ("none", EXACT),
        ],
    },
    "Lapicque": COMMON
    | {
        "beta": [],  # tested below, without R and C
        "learn_beta": [],
        "R": [(3.0, EXACT), (vector(2.0, 4.0), IMPOSSIBLE)],
        "C": [(3.0, EXACT), (vector(2.0, 4.0), IMPOSSIBLE)],
        "time_step": [(0.5, EXACT), (9.0, r"time_step / \(R C\) is 1.125")],
    },
}
CASES = [
    pytest.param(kind, argument, value, refusal, id=f"{kind}-{argument}-{number}")
    for kind, table in TABLES.items()
    for argument, values in table.items()
    for number, (value, refusal) in enumerate(values)
]


@pytest.mark.parametrize("kind", TABLES)
def test_the_table_has_every_argument(kind: str) -> None:
    """A later snnTorch with an argument more fails here, before it is read as something else."""
    assert set(inspect.signature(getattr(snn, kind)).parameters) == set(TABLES[kind])


@pytest.mark.parametrize(("kind", "argument", "value", "refusal"), CASES)
def test_an_argument_is_exact_or_refused(
    kind: str, argument: str, value: Any, refusal: str | None
) -> None:
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    reset = "zero" if kind == "Alpha" else "subtract"
    gain = {"Alpha": 8.0, "Synaptic": 0.8, "RSynaptic": 0.8, "Lapicque": 5.0}.get(kind, 2.0)
    if refusal is IMPOSSIBLE:
        with pytest.raises((TypeError, RuntimeError)):
            neuron(kind, reset, SIZE, generator, **{argument: value})
        return
    layer = neuron(kind, reset, SIZE, generator, **{argument: value})
    row = [scaled(nn.Linear(7, SIZE), gain), layer]
    if refusal is EXACT:
        assert_same(row, (7,), highest=3)
    else:
        with pytest.raises((InvalidModel, Unsupported), match=rf"layer '1' .{kind}.*{refusal}"):
            from_snntorch(row, 7)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky", "RSynaptic"])
def test_both_delays_of_the_zero_reset(kind: str) -> None:
    for delay in (True, False):
        torch.manual_seed(2)
        generator = torch.Generator().manual_seed(2)
        layer = neuron(kind, "zero", SIZE, generator, reset_delay=delay)
        assert_same([scaled(nn.Linear(7, SIZE), 2.0), layer], (7,), highest=3)


def test_rsynaptic_ignores_reset_delay_and_the_import_says_so() -> None:
    """Its forward computes the early reset into a local variable (snnTorch 1.0.0)."""
    generator = torch.Generator().manual_seed(2)
    torch.manual_seed(2)
    layer = neuron("RSynaptic", "zero", SIZE, generator, reset_delay=False)
    model = assert_same([scaled(nn.Linear(7, SIZE), 2.0), layer], (7,))
    assert model.network.output.neuron.refractory == 1  # type: ignore[union-attr]
    [note] = model.info["notes"]
    assert "layer '1' (RSynaptic)" in note and "ignores reset_delay=False" in note


@pytest.mark.parametrize("change", ["assigned", "loaded"])
def test_a_reset_mechanism_changed_after_construction_is_the_old_one(change: str) -> None:
    """snnTorch binds its step in the constructor: neither an assignment nor a state dict changes
    it.
    """
    torch.manual_seed(0)
    layer = snn.Leaky(0.7, threshold=0.5)
    if change == "assigned":
        layer.reset_mechanism = "zero"
    else:
        layer.load_state_dict(snn.Leaky(0.7, threshold=0.5, reset_mechanism="zero").state_dict())
    model = assert_same([scaled(nn.Linear(7, SIZE), 2.0), layer], (7,))
    assert model.network.output.neuron.reset == "soft"  # type: ignore[union-attr]
    assert "changed after construction; snnTorch keeps 'subtract'" in model.info["notes"][0]


def test_a_half_changed_reset_is_refused() -> None:
    layer = snn.Leaky(0.7, reset_mechanism="none", reset_delay=False)
    layer.reset_mechanism = "zero"
    with pytest.raises(Unsupported, match="layer '1'.*changed from 'none' after construction"):
        from_snntorch([nn.Linear(3, 2), layer], 3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"beta": 0.8},
        {"beta": torch.tensor([0.6])},
        {"beta": 0.8, "time_step": 2},
        {"beta": 0.8, "R": 3.0},
        {"beta": 0.8, "C": 3.0},
        {"R": 2.0, "C": 3.0, "beta": False},
        {"beta": 0.8, "learn_beta": True, "reset_mechanism": "zero"},
        {"beta": 0.8, "reset_mechanism": "none"},
    ],
)
def test_lapicque_is_an_rc_circuit(arguments: dict[str, Any]) -> None:
    """mem = (1 - dt/(R C)) mem + dt/C input; beta only sets R C when the layer is made."""
    torch.manual_seed(0)
    row = [scaled(nn.Linear(7, SIZE), 12.0), snn.Lapicque(threshold=0.5, **arguments)]
    assert_same(row, (7,), highest=2)


def test_a_lapicque_of_a_small_beta_has_a_negative_decay() -> None:
    """1 - log(1 / 0.3) = -0.2: snnTorch computes R C from beta exactly and then steps by Euler."""
    with pytest.raises(Unsupported, match=r"layer '1' .Lapicque.: time_step / \(R C\) is 1.20"):
        from_snntorch([nn.Linear(3, 2), snn.Lapicque(0.3)], 3)


def test_a_lapicque_goes_on_with_its_first_beta() -> None:
    torch.manual_seed(0)
    layer = snn.Lapicque(0.8, threshold=0.5)
    layer.beta.fill_(0.1)
    model = assert_same([scaled(nn.Linear(7, SIZE), 12.0), layer], (7,))
    assert model.network.output.neuron.decay == pytest.approx(1 + np.log(0.8))


@pytest.mark.parametrize("kind", ["RLeaky", "RSynaptic"])
@pytest.mark.parametrize(
    "value", [0.5, torch.tensor([0.5]), vector(-1.0, 0.5), vector(-1.0, 0.5)[None]]
)
def test_a_one_to_one_recurrence(kind: str, value: Any) -> None:
    torch.manual_seed(3)
    more = {"alpha": 0.6} if kind == "RSynaptic" else {}
    layer = getattr(snn, kind)(**more, beta=0.7, V=value, all_to_all=False, threshold=0.6)
    assert_same([scaled(nn.Linear(7, SIZE), 2.0), layer], (7,), highest=2)


@pytest.mark.parametrize("kind", ["RLeaky", "RSynaptic"])
@pytest.mark.parametrize("kernel", [3, (3, 1)])
def test_a_convolutional_recurrence(kind: str, kernel: Any) -> None:
    torch.manual_seed(3)
    more = {"alpha": 0.6} if kind == "RSynaptic" else {}
    layer = getattr(snn, kind)(
        **more, beta=0.7, conv2d_channels=3, kernel_size=kernel, threshold=torch.ones(3, 1, 1) * 0.6
    )
    assert_same([scaled(nn.Conv2d(1, 3, 3, padding=1), 2.0), layer], (1, 4, 5), highest=2)


def test_a_recurrence_of_another_kind_is_refused() -> None:
    layer = snn.RLeaky(0.5, linear_features=4)
    layer.recurrent = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(
        Unsupported, match="layer '1' .RLeaky., its recurrent Sequential: this layer cannot"
    ):
        from_snntorch([nn.Linear(3, 4), layer], 3)
    layer.recurrent = nn.Identity()
    with pytest.raises(
        Unsupported, match="layer '1' .RLeaky.: its recurrent Identity has no weights"
    ):
        from_snntorch([nn.Linear(3, 4), layer], 3)


@pytest.mark.parametrize("name", ["beta", "threshold"])
@pytest.mark.parametrize(
    "shape", [(), (1,), (5,), (4, 5), (4, 1), (3, 1, 1), (1, 3, 1, 1), (3, 4, 5), (3, 1, 5)]
)
def test_a_parameter_lies_where_pytorch_broadcasts_it(name: str, shape: tuple[int, ...]) -> None:
    """[n] lies along the columns of [channel, row, column]: the last axes are lined up."""
    torch.manual_seed(4)
    arguments = {"beta": 0.7, "threshold": 0.5} | {name: 0.2 + 0.7 * torch.rand(shape)}
    row = [scaled(nn.Conv2d(2, 3, 3, padding=1), 2.0), snn.Leaky(**arguments)]
    model = assert_same(row, (2, 4, 5), highest=2)
    assert model.network.output.channels == (
        3 if shape in ((), (1,), (3, 1, 1), (1, 3, 1, 1)) else None
    )


def test_as_many_columns_as_channels_are_columns_all_the_same() -> None:
    torch.manual_seed(4)
    layer = snn.Leaky(torch.tensor([0.1, 0.5, 0.9]), threshold=0.5)
    model = assert_same([scaled(nn.Conv2d(2, 3, 3, padding=1), 2.0), layer], (2, 4, 3))
    decay = model.parameters["layer1.decay"].reshape(3, 4, 3)
    assert np.allclose(decay, np.array([0.1, 0.5, 0.9])[None, None])


def test_one_value_per_channel_in_one_axis_is_refused_with_the_cure() -> None:
    row = [nn.Conv2d(2, 3, 3, padding=1), snn.Leaky(torch.rand(3))]
    with pytest.raises(
        InvalidModel, match=r"layer '1' .Leaky.: beta.*channel has shape \(3, 1, 1\)"
    ):
        from_snntorch(row, (2, 4, 5))


@pytest.mark.parametrize("reset", ["none", "zero"])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_a_layer_that_never_fires_is_a_readout(kind: str, reset: str) -> None:
    more = {"alpha": 0.6} if kind == "Synaptic" else {}
    layer = getattr(snn, kind)(
        **more, beta=0.9, threshold=float("inf"), reset_mechanism=reset, output=True
    )
    model = assert_same([nn.Linear(7, SIZE), layer], (7,), least=0)
    assert type(model.network.output.neuron) is Integrator


def test_a_subtraction_of_an_infinite_threshold_is_refused() -> None:
    """0 times infinity: snnTorch's own membrane is NaN from the first step on."""
    with pytest.raises(Unsupported, match="layer '1' .Leaky.: threshold inf cannot be expressed"):
        from_snntorch([nn.Linear(3, 2), snn.Leaky(0.9, threshold=float("inf"))], 3)


def test_a_spike_function_that_is_1_at_0_fires_at_the_threshold() -> None:
    torch.manual_seed(0)
    weighted = nn.Linear(7, SIZE)
    with torch.no_grad():  # coarse numbers, so that membranes meet the threshold
        weighted.weight.copy_((weighted.weight * 8).round() / 4)
        weighted.bias.zero_()
    for function, strict in ((None, True), (at_zero, False)):
        row = [weighted, snn.Leaky(0.5, threshold=0.5, spike_grad=function)]
        model = assert_same(row, (7,))
        assert model.network.output.neuron.strict is strict  # type: ignore[union-attr]


class Louder(snn.Leaky):
    """A subclass that computes something else."""

    def forward(self, input_: torch.Tensor, mem: Any = None) -> Any:
        return super().forward(input_ * 2, mem)


OTHERS = [
    (lambda: Louder(0.5), "'1' .Louder.: a subclass of Leaky"),
    (lambda: snn.LeakyParallel(4, 4), "'1' .LeakyParallel.: this layer cannot stand"),
    (
        lambda: snn.SLSTM(4, 4),
        "'1' .SLSTM.: this neuron cannot be expressed; known are Leaky, Synaptic",
    ),
    (lambda: snn.LinearLeaky(0.5, in_features=4, out_features=4), "'1' .LinearLeaky.: this neuron"),
]


@pytest.mark.parametrize(("make", "message"), OTHERS)
def test_other_neurons_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(NeurohwError, match=f"layer {message}"):
        from_snntorch([nn.Linear(3, 4), make()], 3)


def test_hooks_are_refused() -> None:
    layer = snn.Leaky(0.5)
    layer.register_forward_hook(lambda module, args, output: None)
    with pytest.raises(Unsupported, match="layer '1' .Leaky.: it has hooks"):
        from_snntorch([nn.Linear(3, 4), layer], 3)


def test_the_run_of_a_layer_catches_a_wrong_import() -> None:
    """Each of these cells is one convention off; the layer's own run must tell."""
    layer = snn.Leaky(0.7, threshold=1.0)
    cell = cell_of(layer, "it", (SIZE,))
    check_neurons("it", layer, cell, (SIZE,), None)
    assert isinstance(cell.neuron, Lif)
    wrong: list[dict[str, Any]] = [
        {"delayed_reset": False},
        {"reset": "hard"},
        {"reset": "none"},
        {"refractory": 1, "delayed_reset": False},
    ]
    for change in wrong:
        other = cell_of(layer, "it", (SIZE,))
        other.neuron = Lif(**(vars(cell.neuron) | change))
        with pytest.raises(Unsupported, match="it: run by snnTorch 1.0.0 it gives"):
            check_neurons("it", layer, other, (SIZE,), None)
    layer.state_function = lambda x: x  # whatever a user may have put there
    with pytest.raises(Unsupported, match="it: run by snnTorch"):
        check_neurons("it", layer, cell, (SIZE,), None)
    with pytest.raises(Unsupported, match="its state_function is none of snnTorch's"):
        cell_of(layer, "it", (SIZE,))
