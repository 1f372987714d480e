# SPDX-License-Identifier: Apache-2.0
"""Projections in PyTorch: the current that spikes make, as differentiable functions of the weights.

The meaning is that of `neurohw.connections.delay_matrices`. A convolution stays a convolution, and
a sparse projection sparse (`neurohw.train.sparse`).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from neurohw.connections import Convolution, Dense, Sparse
from neurohw.errors import Unsupported
from neurohw.network import Population, Projection
from neurohw.support import attributes
from neurohw.train.events import product
from neurohw.train.sparse import layout, sparse_product

# what `operators` computes
CONNECTIONS = {
    Dense: attributes(),
    Sparse: attributes("synapses"),
    Convolution: attributes("input_shape channels kernel stride padding dilation groups"),
}

# (delay, spikes [..., source] -> current [..., target])
Operator = tuple[int, Callable[[Tensor], Tensor]]


def per_weight(
    projection: Projection, target: Population, values: Tensor, ends: Tensor | None
) -> Tensor:
    """Values of the target [parameter], shaped to be multiplied with the weight;

    ends: `target` of a Sparse projection.
    """
    match projection.connection:
        case Dense():
            return values.repeat_interleave(target.size // target.parameters)[:, None]
        case Sparse():
            assert ends is not None
            return values.repeat_interleave(target.size // target.parameters)[ends.long()]
        case Convolution():
            return values[:, None, None, None]
        case _:
            raise Unsupported(
                f"projection {projection.name!r}: training knows no connection "
                f"{projection.connection!r}"
            )


def _dense(weight: Tensor, spikes: Tensor) -> Tensor:
    return product(spikes, weight)


def _convolution(connection: Convolution, weight: Tensor, spikes: Tensor) -> Tensor:
    flat = spikes.reshape(-1, *connection.input_shape)
    current = nn_functional.conv2d(
        flat,
        weight,
        None,
        connection.stride,
        connection.padding,
        connection.dilation,
        connection.groups,
    )
    return current.reshape(*spikes.shape[:-1], -1)


def operators(
    projection: Projection,
    source: Population,
    target: Population,
    weight: Tensor,
    arrays: dict[str, Tensor],
) -> list[Operator]:
    """The projection by delay, in increasing order.

    arrays: `source`, `target` and `delay`, where the projection has them; `spread` [..., step], the
        share of every step where delays learn.
    """

    def sparse(weight: Tensor, here: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """The synapses, or those that are `here`."""
        targets, sources = arrays["target"], arrays["source"]
        if here is not None:
            targets, sources, weight = targets[here], sources[here], weight[here]
        where = layout(targets, sources, (target.size, source.size))
        return lambda spikes: sparse_product(spikes, weight, where)

    def undelayed(weight: Tensor) -> Callable[[Tensor], Tensor]:
        match projection.connection:
            case Dense():
                return partial(_dense, weight)
            case Sparse():
                return sparse(weight)
            case Convolution():
                return partial(_convolution, projection.connection, weight)
            case _:
                raise Unsupported(
                    f"projection {projection.name!r}: training knows no connection "
                    f"{projection.connection!r}"
                )

    if "spread" in arrays:  # delays that learn: every step of the range takes part
        shares = arrays["spread"].unbind(-1)
        if projection.delay_per == "source":
            whole = undelayed(weight)
            return [
                (projection.delay + k, lambda spikes, p=p: whole(spikes * p))  # type: ignore[misc]
                for k, p in enumerate(shares)
            ]
        return [(projection.delay + k, undelayed(weight * p)) for k, p in enumerate(shares)]
    if "delay" not in arrays:
        return [(projection.delay, undelayed(weight))]
    delays = arrays["delay"]
    result: list[Operator] = []
    for delay in torch.unique(delays):
        # no synapse is multiplied for another delay than its own
        if isinstance(projection.connection, Sparse):
            of_synapse = (
                delays if projection.delay_per == "synapse" else delays[arrays["source"].long()]
            )
            result.append(
                (int(delay), sparse(weight, torch.nonzero(of_synapse == delay).squeeze(1)))
            )
            continue
        here = (delays == delay).to(weight.dtype)
        if projection.delay_per == "source":
            whole = undelayed(weight)
            result.append((int(delay), lambda spikes, whole=whole, here=here: whole(spikes * here)))  # type: ignore[misc]
        else:
            result.append((int(delay), undelayed(weight * here)))
    return result


def delayed(spikes: Tensor, delay: int) -> Tensor:
    """Spikes [time, ...] `delay` steps later, zero before."""
    if delay == 0:
        return spikes
    steps = spikes.shape[0]
    kept = spikes[: max(steps - delay, 0)]
    return torch.cat([torch.zeros_like(spikes[: min(delay, steps)]), kept])
