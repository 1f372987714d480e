# SPDX-License-Identifier: Apache-2.0
"""Event-driven products against matrix products, with gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.train import events


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 150) | st.just(2500),  # more than are gathered at once
    sources=st.sampled_from([1, 5, 64, 130]),
    targets=st.sampled_from([1, 10, 16, 129, 256]),
    density=st.sampled_from([0.0, 0.02, 0.2, 1.0]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
def test_as_a_matrix_product(rows, sources, targets, density, threads, seed):
    generator = torch.Generator().manual_seed(seed)
    spikes = torch.randint(1, 4, (rows, sources), generator=generator).float()
    spikes = spikes * (torch.rand(rows, sources, generator=generator) < density)
    spikes[0, 0] = -0.0
    weight = torch.randn(targets, sources, generator=generator)
    by = torch.randn(rows, targets, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        results = []
        for multiply in (events.event_product, lambda x, w: x @ w.T):
            x, w = spikes.clone().requires_grad_(), weight.clone().requires_grad_()
            y = multiply(x, w)
            (y * by).sum().backward()
            results.append((y.detach(), x.grad, w.grad))
    finally:
        torch.set_num_threads(before)
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_events_are_counted():
    """Below DENSEST the events are found; above, there are none and the matrix product is taken."""
    spikes = torch.zeros(4, 10)
    spikes[1, 3], spikes[1, 9], spikes[3, 0] = 1, 2, 3
    found = events.find_events(spikes)
    assert found.first.tolist() == [0, 0, 2, 2, 3]
    assert found.source.tolist() == [3, 9, 0] and found.value.tolist() == [1, 2, 3]
    assert events.find_events((spikes > 0).float()).value is None  # all of them are 1
    assert events.find_events(torch.ones(4, 10)) is None


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 150),
    sources=st.sampled_from([1, 15, 16, 63, 64, 65, 130, 700]),
    density=st.sampled_from([0.0, 0.02, 0.2, 1.0]),
    most=st.sampled_from([1, 255]),
    seed=st.integers(0, 99),
)
def test_bytes_are_as_floats(rows, sources, density, most, seed):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, most + 1, (rows, sources), generator=generator, dtype=torch.uint8)
    counts = counts * (torch.rand(rows, sources, generator=generator) < density)
    kinds = [counts, counts.float()] + ([counts.bool()] if most == 1 else [])
    found = [events.find_events(kind) for kind in kinds]
    for other in found[1:]:
        assert (other is None) == (found[0] is None)
        for a, b in zip(found[0] or (), other or (), strict=True):
            assert a is b is None or torch.equal(a, b)
    if found[0] is not None:
        dense = torch.zeros(rows, sources)
        row = torch.repeat_interleave(torch.arange(rows), found[0].first.diff())
        dense[row, found[0].source.long()] = 1.0 if found[0].value is None else found[0].value
        assert torch.equal(dense, counts.float())


def test_registered_operators():
    arguments = (torch.eye(5).requires_grad_(), torch.randn(3, 5, requires_grad=True))
    torch.library.opcheck(
        events.event_product,
        arguments,
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_of_any_shape(dtype):
    spikes = (torch.rand(20, 30, 60, generator=torch.Generator().manual_seed(0)) < 0.1).to(dtype)
    weight = torch.randn(40, 60, generator=torch.Generator().manual_seed(1), dtype=dtype)
    torch.testing.assert_close(events.product(spikes, weight), spikes @ weight.T)
