# SPDX-License-Identifier: Apache-2.0
"""The module inside what PyTorch wraps modules in: compiled, under autocast, in DataParallel
(DistributedDataParallel: `test_distributed.py`).
"""

import pytest
import torch

from neurohw import Lif
from tests.train.test_chain import module_of, recurrent_network


@pytest.fixture
def plain():
    """A module, a stimulus, and what the module alone makes of it."""
    module = module_of(recurrent_network(Lif(0.5), skip=False))
    spikes = (torch.rand(6, 4, 40, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    return module, spikes, *outcome(module, module, spikes)


def outcome(module, wrapped, spikes):
    """Arrays and gradients."""
    module.zero_grad()
    arrays = wrapped(spikes, states=False)
    arrays["v.output"][-1].square().sum().backward()
    return {n: t.detach() for n, t in arrays.items()}, [p.grad.clone() for p in module.parameters()]


def check(found, gradients, arrays, expected):
    assert all(torch.equal(found[name], array) for name, array in arrays.items())
    for a, b in zip(gradients, expected, strict=True):
        scale = max(1.0, float(b.abs().max()))
        torch.testing.assert_close(a / scale, b / scale, rtol=1e-5, atol=1e-5)


def test_compiled(plain):
    """By the operators that are registered with PyTorch: their shapes and gradients are traced, not
    their code.
    """
    module, spikes, arrays, gradients = plain
    torch._dynamo.reset()
    check(*outcome(module, torch.compile(module, backend="aot_eager"), spikes), arrays, gradients)


def test_autocast(plain):
    module, spikes, arrays, gradients = plain
    with torch.autocast("cpu", torch.bfloat16):
        check(*outcome(module, module, spikes), arrays, gradients)


def test_data_parallel(plain):
    module, spikes, arrays, gradients = plain
    check(*outcome(module, torch.nn.DataParallel(module, dim=1), spikes), arrays, gradients)
