# SPDX-License-Identifier: Apache-2.0
"""The scan in Triton against the scan of `functional.lif_step` in PyTorch, run by
`test_scan_triton.py`: on a GPU, or in a process with TRITON_INTERPRET=1.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.neurons import Adaptation, Integrator, Lif
from neurohw.train import scan, scan_triton
from neurohw.train.functional import Constants
from neurohw.train.functional import scan as slow_scan
from neurohw.train.surrogate import SLOPES, surrogate
from tests.train.test_scan import DECAYS, NEURONS, both

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True, scope="module")
def triton_on_the_processor():
    """The operators call the kernels in Triton on the processor, too."""
    if DEVICE == "cpu":
        scan.lif_scan.register_kernel("cpu")(scan_triton.lif_scan)
        scan.lif_scan_gradient.register_kernel("cpu")(scan_triton.lif_scan_gradient)


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """Launches, counted: a test that never reached the kernels would show nothing."""
    counted = []
    for name in ("forward_kernel", "backward_kernel"):
        kernel = getattr(scan_triton, name)
        monkeypatch.setattr(scan_triton, name, Counted(kernel, counted))
    yield counted
    assert counted


class Counted:
    def __init__(self, kernel, counted):
        self.kernel, self.counted = kernel, counted

    def __getitem__(self, grid):
        self.counted.append(grid)
        return self.kernel[grid]


def check(neuron, name, slope, detach, single, shape, dtype, coarse, seed):
    """Spikes and membranes equal, gradients to rounding."""
    currents = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).to(
        DEVICE
    )
    if coarse:  # quarters: membranes meet the threshold exactly
        currents = (currents * 4).round() / 4
    assert scan.usable(neuron, currents, detach)
    fast, slow = both(neuron, currents, name, slope, detach, single)
    assert torch.equal(fast[0], slow[0])
    assert torch.equal(fast[1], slow[1])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    scale = max(1.0, float(slow[2].abs().max()))
    torch.testing.assert_close(fast[2] / scale, slow[2] / scale, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("reset", "refractory", "integrates"),
    [*itertools.product(["soft", "hard", "none"], [0, 2], [False, True])],
)
def test_every_branch(reset, refractory, integrates, strict, coarse):
    """coarse: with an adaptive threshold, all in quarters, which membranes meet exactly; otherwise
    with gradients through the reset.
    """
    neuron = Lif(
        1.0 if coarse else 0.9,
        reset=reset,
        v_reset=-0.5,
        synapse_decay=None if coarse else 0.25,
        refractory=refractory,
        adaptation=Adaptation(1.0, 0.25) if coarse else None,
        strict=strict,
        integrates_refractory=integrates,
    )
    check(neuron, "arctan", None, coarse, not coarse, (6, 2, 70), torch.float32, coarse, 1)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("synapse_decay", [None, 0.25])
def test_late_reset(synapse_decay, strict, coarse):
    neuron = Lif(
        1.0 if coarse else 0.9, synapse_decay=synapse_decay, strict=strict, delayed_reset=True
    )
    check(neuron, "arctan", None, True, not coarse, (6, 2, 70), torch.float32, coarse, 1)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    neuron=NEURONS | st.builds(Integrator, decay=DECAYS, synapse_decay=st.none() | DECAYS),
    name=st.sampled_from(sorted(SLOPES)),
    slope=st.none() | st.just(3.3),
    detach=st.booleans(),
    single=st.booleans(),
    shape=st.sampled_from([(1, 1, 1), (7, 3, 5), (4, 2, 64), (3, 2, 131)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    coarse=st.booleans(),
    seed=st.integers(0, 99),
)
def test_as_in_pytorch(neuron, name, slope, detach, single, shape, dtype, coarse, seed):
    detach = detach or (isinstance(neuron, Lif) and neuron.adaptation is not None)
    check(neuron, name, slope, detach, single, shape, dtype, coarse, seed)


@pytest.mark.parametrize("by", ["spikes", "membranes"])
def test_a_gradient_by_one_result_alone(by):
    neuron = Lif(0.9, reset="soft", refractory=1, adaptation=Adaptation(0.9, 0.4))
    constants = Constants(0.9, None, 1.0, 0.0, 0.9, 0.4)
    gradients = []
    for run in ("fast", "slow"):
        currents = (
            torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
            .to(DEVICE)
            .requires_grad_()
        )
        if run == "fast":
            spikes, v = scan.fast_scan(
                neuron, constants, currents, "triangular", None, True, by == "membranes"
            )
        else:
            record = slow_scan(neuron, constants, currents, surrogate("triangular"))
            spikes, v = record.spikes, record.v
        (spikes if by == "spikes" else v).square().sum().backward()
        gradients.append(currents.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
    assert float(gradients[0].abs().sum()) > 0


def test_constants_that_are_not_contiguous_and_strided_currents(calls):
    currents = (
        torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(3)).to(DEVICE).transpose(1, 2)
    )
    constants = torch.tensor([0.9, 0.5, 1.0, 0.0, 0.8, 0.1]).to(DEVICE)[:, None].expand(6, 5)
    arguments = (1, 0, 2.0, 0, False, False, False, True)
    strided = scan.lif_scan(currents, constants, *arguments)
    dense = scan.lif_scan(currents.contiguous(), constants.contiguous(), *arguments)
    assert all(torch.equal(a, b) for a, b in zip(strided, dense, strict=True))
    assert len(calls) == 2
