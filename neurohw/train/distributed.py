# SPDX-License-Identifier: Apache-2.0
"""One training by several processes, on one machine or many, as `torchrun` starts them:

`torchrun --nproc-per-node 2 -m neurohw train digits`.

Every process takes its part of the samples of every batch. Its loss is the sum over its samples
divided by the number of all samples, and gradients are summed over the processes, so that they are
those of the mean over the joined batch however uneven the parts are. Batch normalisation takes the
statistics of the joined batch. What is random (order, augmentation, rate coding, dropout) is drawn
by every process for the joined batch, from the one seed of the training, and each takes its part of
it. So the result is that of one process, up to the rounding of sums; parameters are equal to the
last bit in all processes, since each adds the same sums. A batch of fewer samples than processes is
computed as a whole by each of them.

Gradients are summed here and not by DistributedDataParallel, for reasons given in docs/adr/0022.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed
from torch.nn import Parameter
from torch.nn import functional as nn_functional

from neurohw import processes
from neurohw.errors import InvalidData, MissingTool, NeurohwError

T = TypeVar("T")
MOMENTUM = 0.1  # of running statistics, as in PyTorch


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that `torchrun` has started, until the end of the block; nothing without
    it, or where they are joined already.
    """
    if processes.count() == 1 or distributed.is_initialized():
        yield
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
        # A thread of gloo may still hold the tensor of the last message, and a process that ends
        # meanwhile is aborted: it ends when all are here. A barrier has no tensor.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """The processes that are joined."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def own_device(kind: str) -> torch.device:
    """The device of this process: "cpu" or "cuda", of which every process of a machine takes one.

    Raises MissingTool where there is none for it.
    """
    if kind == "cpu":
        return torch.device(kind)
    local, here = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if kind != "cuda" or local >= here:
        raise MissingTool(
            f"device {kind!r} for process {local} of this machine: PyTorch finds {here} GPUs "
            "here; train on 'cpu', or start as many processes as there are GPUs"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, in every process; an error of this package is raised in all of
    them.
    """
    if count() == 1:
        return make()
    result: list[Any] = [None, None]
    if rank() == 0:
        try:
            result[0] = make()
        except NeurohwError as error:
            result[1] = error
    distributed.broadcast_object_list(result, src=0)
    if result[1] is not None:
        raise result[1]
    made: T = result[0]
    return made


def check_same(identity: str) -> None:
    """Raise InvalidData, in every process, unless all were started for the same training."""
    if count() == 1:
        return
    found: list[str | None] = [None] * count()
    distributed.all_gather_object(found, identity)
    other = [number for number, value in enumerate(found) if value != found[0]]
    if other:
        raise InvalidData(
            f"processes {other} have another network, dataset or configuration than process "
            "0: start all of them with the same arguments and data"
        )


class Part(NamedTuple):
    """The samples begin..end - 1 that this process takes of a batch of `size`.

    share: of its mean loss in that of the batch.
    whole: every process computes the batch as a whole, since it has fewer samples than there are
        processes.
    """

    begin: int
    end: int
    size: int
    share: float
    whole: bool

    @property
    def own(self) -> slice:
        """The samples of this process."""
        return slice(self.begin, self.end)


def part_of(size: int) -> Part:
    """The part that this process takes of a batch of `size` samples."""
    number, processes_ = rank(), count()
    if size < processes_:
        return Part(0, size, size, 1 / processes_, True)
    begin, end = (size * k // processes_ for k in (number, number + 1))
    return Part(begin, end, size, (end - begin) / size, processes_ == 1)


def sum_gradients(
    parameters: Iterable[Parameter], loss: Tensor, right: Tensor, part: Part
) -> tuple[Tensor, Tensor]:
    """Add up gradients in place, losses (each times its share) and samples that were right, over
    all processes, in one message; returns loss and samples of the batch.
    """
    if count() == 1:
        return loss, right
    gradients = [p.grad for p in parameters if p.grad is not None]
    once = right.to(loss) / (count() if part.whole else 1)
    message = torch.cat(
        [g.reshape(-1) for g in gradients] + [torch.stack([loss, once]).to(gradients[0])]
    )
    distributed.all_reduce(message)
    pieces = message.split([g.numel() for g in gradients] + [2])
    for gradient, piece in zip(gradients, pieces[:-1], strict=True):
        gradient.copy_(piece.view_as(gradient))
    return pieces[-1][0], pieces[-1][1].round()


def joined_figures(figures: list[tuple[float, float] | None]) -> list[tuple[float, float]]:
    """Pairs of figures, each made by one process (None in the others), in all of them."""
    table = torch.tensor([pair or (0.0, 0.0) for pair in figures], dtype=torch.float64)
    if count() > 1:
        distributed.all_reduce(table)
    return [(first, second) for first, second in table.tolist()]


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of the sum of their losses is summed,
    too.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = x.clone()
        distributed.all_reduce(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        result = gradients[0].clone()
        distributed.all_reduce(result)
        return result


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor,
    beta: Tensor,
    epsilon: float,
    part: Part | None,
) -> Tensor:
    """gamma (x - E x) / sqrt(Var x + epsilon) + beta of x [row, parameter, place] in training, E
    and Var over rows and places of all processes.

    mean, variance [parameter] are the running statistics, and move towards those of the batch (Var
    with n - 1). Ioffe and Szegedy 2015.
    """
    if part is None or part.whole:
        return nn_functional.batch_norm(x, mean, variance, gamma, beta, training=True, eps=epsilon)
    number = x.numel() // x.shape[1] // (part.end - part.begin) * part.size

    def spread(values: Tensor) -> Tensor:
        return values[None, :, None]

    average: Tensor = _Sum.apply(x.sum((0, 2))) / number  # type: ignore[no-untyped-call]
    centred = x - spread(average)
    square: Tensor = _Sum.apply((centred**2).sum((0, 2))) / number  # type: ignore[no-untyped-call]
    with torch.no_grad():
        mean.lerp_(average, MOMENTUM)
        variance.lerp_(square * (number / max(number - 1, 1)), MOMENTUM)
    return centred * spread(gamma / torch.sqrt(square + epsilon)) + spread(beta)
