# SPDX-License-Identifier: Apache-2.0
"""All steps of a population in one kernel on a GPU, forward and back:

`scan.cpp` and `neuron.h` in Triton, called by `scan.py` for tensors on CUDA.

Equations, their order, arguments and what is kept for the gradient are those of `neuron.h`.
Multiply and add are not fused, so that spikes and membranes are those of `functional.lif_step` to
the last bit; gradients are to rounding.

[sample, neuron] is one axis to a program, which takes `BLOCK` neighbours of it through all steps,
one per thread: neighbouring threads read neighbouring addresses whatever the number of neurons is,
and states stay in registers. Loads of the steps ahead are in flight while a step is computed
(STAGES), because one thread per neuron and sample is too few to hide the latency of memory
otherwise.

Floor: each array is moved once. In bytes per neuron, sample and step, of b = 4 (float32) or 8
(float64):

    forward    read currents b, write spikes b, u - threshold b, membranes b where wanted
               3 b, or 4 b
    backward   read u - threshold b, gradients by spikes b, by membranes b where given, write b
               3 b, or 4 b

The time of a call is at least this over the bandwidth of a copy: `benchmarks/gpu_scan.py` measures
both. Spikes have the type of the currents because a matrix product reads them next; bits would save
2 b of the forward pass only where the product unpacked them itself.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 128  # of [sample, neuron]: one per thread of WARPS
WARPS = 4
STAGES = 4  # steps whose loads are in flight
OPTIONS = {"num_warps": WARPS, "enable_fp_fusion": False}


@triton.jit
def constant(constants, row: tl.constexpr, place, inside, neurons):  # type: ignore[no-untyped-def]
    """A row of the constants [6, neuron] of the neurons at flat places: decay, synapse decay,
    threshold, reset value, adaptation decay, adaptation strength.
    """
    return tl.load(constants + row * neurons + place % neurons, mask=inside, other=0)


@triton.jit
def forward_kernel(  # type: ignore[no-untyped-def]
    currents,
    constants,
    spikes,
    above,
    membrane,
    steps,
    size,
    neurons,
    reset: tl.constexpr,
    refractory: tl.constexpr,
    integrates: tl.constexpr,
    strict: tl.constexpr,
    keeps_membrane: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """One block of the flat axis [sample, neuron] of length `size`.

    reset: 0 none, 1 soft, 2 hard, 3 soft and one step late, as in neuron.h.
    """
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < size
    decay = constant(constants, 0, place, inside, neurons)
    synapse_decay = constant(constants, 1, place, inside, neurons)
    base = constant(constants, 2, place, inside, neurons)
    v_reset = constant(constants, 3, place, inside, neurons)
    adaptation_decay = constant(constants, 4, place, inside, neurons)
    adaptation_strength = constant(constants, 5, place, inside, neurons)
    zero = tl.zeros([block], decay.dtype)
    v, c, a, late = zero, zero, zero, zero
    left = tl.zeros([block], tl.int32)
    for _ in tl.range(0, steps, num_stages=stages):
        c = synapse_decay * c + tl.load(currents + place, mask=inside, other=0)
        threshold = base + a
        drive = c
        if reset == 3:
            drive = c - threshold * late  # of the spike before
        u = decay * v + drive
        x = u - threshold
        if strict:
            fires = u > threshold
        else:
            fires = u >= threshold
        after = u
        if reset == 1:
            after = x
        if reset == 2:
            after = v_reset
        if refractory > 0:
            held = left > 0
            fires = fires & (left == 0)
            left = tl.where(fires, refractory, tl.maximum(left - 1, 0))
            x = tl.where(held, float("nan"), x)
            following = tl.where(fires, after, u)
            if integrates:
                v = following
            else:
                v = tl.where(held, v, following)
        else:
            v = tl.where(fires, after, u)
        fired = fires.to(decay.dtype)
        late = fired
        a = adaptation_decay * a + adaptation_strength * fired
        tl.store(spikes + place, fired, mask=inside)
        tl.store(above + place, x, mask=inside)
        if keeps_membrane:
            tl.store(membrane + place, v, mask=inside)
        place += size


@triton.jit
def bump(x, surrogate: tl.constexpr, slope: tl.constexpr):  # type: ignore[no-untyped-def]
    """d spike / d u at x = u - threshold: the table in surrogate.py."""
    if surrogate == 0:
        y = x * (1.5707963267948966 * slope)
        value = (0.5 * slope) / (1 + y * y)
    elif surrogate == 1:
        y = 1 + slope * tl.abs(x)
        value = 1 / (y * y)
    else:
        y = slope * tl.abs(x)
        value = tl.where(y < 1, slope * (1 - y), tl.zeros_like(y))
    return value


@triton.jit
def backward_kernel(  # type: ignore[no-untyped-def]
    above,
    constants,
    by_spikes,
    by_membrane,
    by_currents,
    steps,
    size,
    neurons,
    reset: tl.constexpr,
    surrogate: tl.constexpr,
    slope: tl.constexpr,
    integrates: tl.constexpr,
    strict: tl.constexpr,
    through_reset: tl.constexpr,
    has_spikes: tl.constexpr,
    has_membrane: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
):
    """From the last step to the first; v, c and a are gradients by the state after the step."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < size
    decay = constant(constants, 0, place, inside, neurons)
    synapse_decay = constant(constants, 1, place, inside, neurons)
    base = constant(constants, 2, place, inside, neurons)
    adaptation_decay = constant(constants, 4, place, inside, neurons)
    adaptation_strength = constant(constants, 5, place, inside, neurons)
    zero = tl.zeros([block], decay.dtype)
    v, c, a = zero, zero, zero
    place += tl.cast(size, tl.int64) * (steps - 1)
    for _ in tl.range(0, steps, num_stages=stages):
        x = tl.load(above + place, mask=inside, other=0)
        held = x != x
        if integrates:
            kept = tl.zeros([block], tl.int1)
        else:
            kept = held
        if strict:
            fired = x > 0
            counts = (x > 0) | (x < 0)  # PyTorch's `where` has no gradient at the very threshold
        else:
            fired = x >= 0
            counts = x == x
        by_v = v
        if has_membrane:
            by_v = v + tl.load(by_membrane + place, mask=inside, other=0)
        by_spike = adaptation_strength * a
        if has_spikes:
            by_spike = tl.load(by_spikes + place, mask=inside, other=0) + by_spike
        if reset == 1 and through_reset:
            by_spike = by_spike - by_v * base
        by_x = tl.where(counts, by_spike, zero) * bump(tl.where(held, zero, x), surrogate, slope)
        cut = kept
        by_threshold = -by_x
        if reset == 1:
            by_threshold = by_threshold - tl.where(fired, by_v, zero)
        if reset == 2:
            cut = kept | fired
        by_u = tl.where(cut, zero, by_v) + by_x
        v = tl.where(kept, by_v, decay * by_u)
        a = adaptation_decay * a + by_threshold
        c = synapse_decay * c + by_u
        tl.store(by_currents + place, c, mask=inside)
        place -= size


def lif_scan(
    currents: Tensor,
    constants: Tensor,
    reset: int,
    surrogate: int,
    slope: float,
    refractory: int,
    integrates: bool,
    strict: bool,
    through_reset: bool,
    membrane: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """`scan.lif_scan` for tensors on a GPU, or on the processor under Triton's interpreter."""
    currents, constants = currents.contiguous(), constants.contiguous()
    steps, samples, neurons = currents.shape
    spikes, above = torch.empty_like(currents), torch.empty_like(currents)
    v = torch.empty_like(currents) if membrane else currents.new_empty(0)
    if currents.numel():
        with torch.cuda.device_of(currents):
            forward_kernel[(triton.cdiv(samples * neurons, BLOCK),)](
                currents,
                constants,
                spikes,
                above,
                v if membrane else spikes,
                steps,
                samples * neurons,
                neurons,
                reset=reset,
                refractory=refractory,
                integrates=integrates,
                strict=strict,
                keeps_membrane=membrane,
                block=BLOCK,
                stages=STAGES,
                **OPTIONS,
            )
    return spikes, above, v


def lif_scan_gradient(
    above: Tensor,
    constants: Tensor,
    by_spikes: Tensor | None,
    by_membrane: Tensor | None,
    reset: int,
    surrogate: int,
    slope: float,
    refractory: int,
    integrates: bool,
    strict: bool,
    through_reset: bool,
) -> Tensor:
    """`scan.lif_scan_gradient` for tensors on a GPU, or on the processor under Triton's
    interpreter.
    """
    above, constants = above.contiguous(), constants.contiguous()
    by_spikes = by_spikes.contiguous() if by_spikes is not None else None
    by_membrane = by_membrane.contiguous() if by_membrane is not None else None
    steps, samples, neurons = above.shape
    result = torch.empty_like(above)
    if above.numel():
        with torch.cuda.device_of(above):
            backward_kernel[(triton.cdiv(samples * neurons, BLOCK),)](
                above,
                constants,
                above if by_spikes is None else by_spikes,
                above if by_membrane is None else by_membrane,
                result,
                steps,
                samples * neurons,
                neurons,
                reset=reset,
                surrogate=surrogate,
                slope=slope,
                integrates=integrates,
                strict=strict,
                through_reset=through_reset,
                has_spikes=by_spikes is not None,
                has_membrane=by_membrane is not None,
                block=BLOCK,
                stages=STAGES,
                **OPTIONS,
            )
    return result
