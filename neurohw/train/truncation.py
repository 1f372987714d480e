# SPDX-License-Identifier: Apache-2.0
"""Backpropagation through time in windows: memory for one window instead of all steps (Williams and
Peng 1990, truncated backpropagation through time).

The forward pass is that of all steps: states and the spikes that are still on their way cross the
border of a window. The gradient crosses it in one place only, the readout: scores so far, and
membrane and synaptic current of the output population itself. They are sums over time, so that a
loss at the end reaches the work of every window. Everything else, states of the other populations
and spikes that arrive later, is a constant to the window that receives it.

A first pass without gradients finds the state at the beginning of every window; then the windows
are taken from the last to the first, each run again with gradients, and each handing its gradient
by the readout to the one before. That is one more forward pass than without windows, save for the
last window.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from neurohw.errors import InvalidModel
from neurohw.network import Network
from neurohw.readout import Readout
from neurohw.train.functional import Carried
from neurohw.train.module import SpikingModule
from neurohw.train.readout import Tally, advance, start


def check_truncation(network: Network, window: int | None, steps: int) -> None:
    """Raise InvalidModel where `steps` steps would be cut into windows, and a batch normalisation
    needs the statistics of all of them.
    """
    if window is None or window >= steps:
        return
    for projection in network.projections:
        if projection.batch_norm:
            raise InvalidModel(
                f"projection {projection.name!r}: its batch normalisation is over all {steps} "
                f"steps of a sample and cannot be trained in windows of {window} steps; remove "
                "it, or train without truncation"
            )


def _crossing(module: SpikingModule, carried: Carried, tally: Tally) -> list[Tensor]:
    """What a gradient may cross a window's border by."""
    own = carried.states.get(module.network.output.name)
    return [*tally] + ([own.v, own.c] if own is not None else [])


def backward_in_windows(
    module: SpikingModule,
    spikes: Tensor,
    window: int,
    readout: Readout,
    loss: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Add the truncated gradient of loss(scores) to the parameters' `grad`; returns scores [sample,
    class] and the loss, both detached.

    spikes: counts [time, sample, input neuron].
    window: steps, the last one may be shorter. With window >= time the gradient is the whole one.
    Raises InvalidModel for a window below 1 step, and for batch normalisation over several windows.
    """
    steps = spikes.shape[0]
    if window < 1:
        raise InvalidModel(
            f"a window of truncated backpropagation has at least 1 step, not {window}"
        )
    check_truncation(module.network, window, steps)
    begins = range(0, steps, window)
    like = module.array(f"{module.network.output.name}.bias").new_zeros(
        spikes.shape[1], module.network.output.size
    )
    carried, tally = Carried({}, {}), start(like)
    # at the beginning of every window, with the state of the dropout
    entered: list[tuple[Carried, Tally, Tensor]] = []

    def run(begin: int, carried: Carried, tally: Tally) -> tuple[Carried, Tally]:
        result, following = module.advance(spikes[begin : begin + window], carried)
        return following, advance(tally, result, module.network, readout, steps - begin)

    for begin in begins:
        entered.append(
            (carried.detached(), Tally(*(t.detach() for t in tally)), module.generator.get_state())
        )
        if begin != begins[-1]:
            with torch.no_grad():
                carried, tally = run(begin, carried, tally)
    last = value = like
    given: list[Tensor | None] = []
    for begin, (carried, tally, drawn) in zip(reversed(begins), reversed(entered), strict=True):
        inputs = [t.requires_grad_() for t in _crossing(module, carried, tally)]
        module.generator.set_state(drawn)
        carried, tally = run(begin, carried, tally)
        if begin == begins[-1]:
            after = module.generator.get_state()
            last, value = tally.scores, loss(tally.scores)
            value.backward()  # type: ignore[no-untyped-call]
        else:
            pairs = zip(_crossing(module, carried, tally), given, strict=True)
            known = [(t, g) for t, g in pairs if g is not None and t.requires_grad]
            if known:
                torch.autograd.backward([t for t, _ in known], [g for _, g in known])
        given = [t.grad for t in inputs]
    module.generator.set_state(after)
    return last.detach(), value.detach()
