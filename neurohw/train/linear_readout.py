# SPDX-License-Identifier: Apache-2.0
"""A linear readout of spike counts, trained by gradient: the third phase of Ivanov & Michmizos
(NeurIPS 2021).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from neurohw.checks import POSITIVE, SEED, at_least, real, whole
from neurohw.errors import InvalidData
from neurohw.reservoir.readout import LinearReadout, check_counts, normalised, without_bias
from neurohw.train.inference import torch_threads


def soft_targets(labels: Tensor, classes: int) -> Tensor:
    """softmax(one-hot) [sample, class]: of ten classes, 0.232 for the true one and 0.085 for each
    other.
    """
    return torch.softmax(one_hot(labels, classes).float(), dim=1)


def fit_linear_readout(
    counts: NDArray[Any],
    labels: NDArray[np.int64],
    validation_counts: NDArray[Any],
    validation_labels: NDArray[np.int64],
    classes: int | None = None,
    epochs: int = 100,
    batch_size: int = 250,
    learning_rate: float = 0.1,
    weight_decay: float = 5e-10,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int, float], None] | None = None,
) -> LinearReadout:
    """Cross-entropy of W x / m + b with `soft_targets` by Adadelta; the weights of the epoch that
    is best on the validation samples.

    x: counts [sample, neuron] over their sum;
    m: the largest x of a batch. W and b begin at 0. The readout has no bias: with m fixed to the
        mean of the epoch's batches, it is folded into the weights (`neurohw.reservoir.readout`),
        and the validation judges what is folded.
    seed: of the order of samples.
    threads: of the processor, another number of which adds in another order.
    progress: called with (epoch from 1, epochs, validation accuracy). info holds `epoch` and
        `validation_accuracy`.
    Raises InvalidData for samples that do not match, InvalidModel for values out of range.
    """
    check_counts(counts, labels)
    if validation_counts.shape != (len(validation_labels), counts.shape[1]) or not len(
        validation_labels
    ):
        raise InvalidData(
            f"validation counts {validation_counts.shape} do not match "
            f"{len(validation_labels)} labels and {counts.shape[1]} neurons"
        )
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("threads", threads)):
        whole(name, value, at_least(1))
    whole("seed", seed, SEED)
    real("learning_rate", learning_rate, POSITIVE)
    real("weight_decay", weight_decay, at_least(0))
    largest_label = int(max(labels.max(), validation_labels.max()))
    classes = (
        largest_label + 1
        if classes is None
        else whole("classes", classes, at_least(largest_label + 1))
    )
    x = torch.from_numpy(normalised(counts).astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    weight = torch.zeros((classes, counts.shape[1]), requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.Adadelta([weight, bias], lr=learning_rate, weight_decay=weight_decay)
    generator = torch.Generator().manual_seed(seed)
    best = LinearReadout(np.zeros(weight.shape), np.zeros(classes), {"validation_accuracy": -1.0})
    with torch_threads(threads):
        for epoch in range(1, epochs + 1):
            largest = []
            for chosen in torch.randperm(len(y), generator=generator).split(batch_size):
                batch = x[chosen]
                scale = batch.max().clamp(min=torch.finfo(batch.dtype).tiny)
                loss = cross_entropy(
                    batch / scale @ weight.T + bias, soft_targets(y[chosen], classes)
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                largest.append(float(scale))
            per_count = weight.detach().double().numpy() / np.mean(largest)
            folded = without_bias(per_count, bias.detach().double().numpy())
            found = LinearReadout(
                folded,
                np.zeros(classes),
                {"method": "adadelta", "normalised": True, "epoch": epoch},
            )
            accuracy = float((found.predict(validation_counts) == validation_labels).mean())
            found.info["validation_accuracy"] = accuracy
            if accuracy > best.info["validation_accuracy"]:
                best = found
            if progress is not None:
                progress(epoch, epochs, accuracy)
    return best
