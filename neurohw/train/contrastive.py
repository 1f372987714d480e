# SPDX-License-Identifier: Apache-2.0
"""One space for two modalities: contrastive projections of spike counts, and nothing of it sees the
classes that are held out.

Every modality has a head that makes unit vectors of its counts x,

    z = GELU(W (sqrt(x) - mean) / spread + b),   e = z / |z|

mean and spread those of the training samples (the root makes the variance of counts about equal). A
batch holds the same number of samples of every class and of both modalities; with Z_ij = e_i . f_j
/ temperature, i of the first and j of the second modality, and P_ij = 1 where both have one class,
over the sum of its row,

    loss = 1/2 mean_i sum_j -P_ij log softmax_j Z_ij  +  1/2 mean_j sum_i -P_ji log softmax_i Z_ij

With one sample of every class in a batch this is the symmetric InfoNCE loss of CLIP (Radford et
al., ICML 2021); with more, all samples of the class are positives, as in supervised contrastive
learning (Khosla et al., NeurIPS 2020), because two recordings of one digit are no negatives of each
other.

Source of the task: Lin et al., resistive memory-based zero-shot liquid state machine: heads of one
layer with GELU to 64 dimensions on the counts of fixed random encoders.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import gelu, log_softmax, normalize

from neurohw.errors import InvalidData, InvalidModel
from neurohw.train.inference import torch_threads

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]
SMALLEST_SPREAD = 1e-2  # of roots of counts: a neuron that hardly ever fires is not blown up


@dataclass(frozen=True)
class Head:
    """One modality's projection. mean, spread [neuron]: of the roots of its training counts; weight
    [dimension, neuron], bias [dimension].
    """

    mean: FloatArray
    spread: FloatArray
    weight: FloatArray
    bias: FloatArray

    def embed(self, counts: NDArray[Any]) -> FloatArray:
        """Unit vectors [sample, dimension] of counts [sample, neuron].

        Raises InvalidData for another number of neurons.
        """
        if counts.ndim != 2 or counts.shape[1] != len(self.mean):
            raise InvalidData(
                f"counts have shape {counts.shape}, the head needs [sample, {len(self.mean)}]"
            )
        inputs = torch.from_numpy((np.sqrt(counts, dtype=np.float64) - self.mean) / self.spread)
        return _unit(inputs, torch.from_numpy(self.weight), torch.from_numpy(self.bias)).numpy()


@dataclass(frozen=True)
class Contrastive:
    """Heads of both modalities. info: classes, temperature and last loss of the training."""

    first: Head
    second: Head
    info: dict[str, Any]


def _unit(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return normalize(gelu(inputs @ weight.T + bias), dim=1)


def info_nce(first: Tensor, second: Tensor, same: Tensor, temperature: Tensor | float) -> Tensor:
    """The loss of the module.

    first, second: unit vectors [sample, dimension];
    same: bool [sample of first, sample of second], every row and column with a True.
    """
    similarity = first @ second.T / temperature
    positive = same.to(similarity.dtype)
    rows = positive / positive.sum(dim=1, keepdim=True)
    columns = positive / positive.sum(dim=0, keepdim=True)
    forth = -(rows * log_softmax(similarity, dim=1)).sum(dim=1).mean()
    back = -(columns * log_softmax(similarity, dim=0)).sum(dim=0).mean()
    return (forth + back) / 2


def _members(labels: Labels, classes: list[int], name: str) -> list[NDArray[np.int64]]:
    found = [np.flatnonzero(labels == c) for c in classes]
    for c, members in zip(classes, found, strict=True):
        if not len(members):
            raise InvalidData(
                f"the {name} modality has no sample of class {c}: it cannot be paired"
            )
    return found


def fit_contrastive(
    first: NDArray[Any],
    first_labels: Labels,
    second: NDArray[Any],
    second_labels: Labels,
    classes: Collection[int],
    dimensions: int = 64,
    steps: int = 500,
    samples_per_class: int = 8,
    temperature: float = 0.1,
    learn_temperature: bool = False,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.1,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Contrastive:
    """Train both heads on samples paired by class.

    first, second: counts [sample, neuron] with their labels, of any two numbers of samples and
        neurons.
    classes: those that are paired; samples of other classes are not looked at, not even for mean
        and spread. A step draws samples_per_class samples of every class and modality. AdamW whose
        rate falls to 0 along a cosine; the temperature is fixed unless learn_temperature.
    seed: of initial weights and of draws.
    threads: of the processor.
    progress: called with (step from 1, steps).
    Raises InvalidData for counts and labels that do not match and a class without samples,
    InvalidModel for values out of range.
    """
    chosen = sorted(classes)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise InvalidModel(f"a contrast needs at least 2 different classes, not {chosen}")
    for name, value in (
        ("dimensions", dimensions),
        ("steps", steps),
        ("samples_per_class", samples_per_class),
        ("temperature", temperature),
    ):
        if not value > 0:
            raise InvalidModel(f"{name} of contrastive training must be above 0, not {value}")
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    inputs, scales, members, parameters = [], [], [], []
    for name, counts, labels in (("first", first, first_labels), ("second", second, second_labels)):
        if counts.ndim != 2 or labels.shape != counts.shape[:1]:
            raise InvalidData(
                f"{name} modality: counts {counts.shape} and labels {labels.shape} are not "
                "[sample, neuron] and [sample]"
            )
        seen = np.isin(labels, chosen)
        roots = np.sqrt(counts[seen], dtype=np.float64)
        mean, spread = roots.mean(axis=0), np.maximum(roots.std(axis=0), SMALLEST_SPREAD)
        members.append(_members(labels[seen], chosen, name))
        inputs.append(torch.from_numpy(((roots - mean) / spread).astype(np.float32)))
        scales.append((mean, spread))
        neurons = counts.shape[1]
        weight = torch.randn((dimensions, neurons), generator=generator) / neurons**0.5
        parameters.append((weight.requires_grad_(), torch.zeros(dimensions, requires_grad=True)))
    logarithm = torch.tensor(float(np.log(temperature)), requires_grad=learn_temperature)
    groups: list[dict[str, Any]] = [
        {"params": [p for pair in parameters for p in pair], "weight_decay": weight_decay}
    ]
    if learn_temperature:
        groups.append({"params": [logarithm], "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    label = torch.arange(len(chosen)).repeat_interleave(samples_per_class)
    same = label[:, None] == label[None, :]
    loss = torch.zeros(())
    with torch_threads(threads):
        for step in range(1, steps + 1):
            vectors = []
            for x, groups_of, (weight, bias) in zip(inputs, members, parameters, strict=True):
                drawn = np.concatenate([rng.choice(m, samples_per_class) for m in groups_of])
                vectors.append(_unit(x[torch.from_numpy(drawn)], weight, bias))
            loss = info_nce(vectors[0], vectors[1], same, logarithm.exp())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(step, steps)
    heads = [
        Head(mean, spread, *(p.detach().double().numpy() for p in pair))
        for (mean, spread), pair in zip(scales, parameters, strict=True)
    ]
    info = {
        "classes": chosen,
        "temperature": float(logarithm.detach().exp()),
        "loss": float(loss.detach()),
    }
    return Contrastive(heads[0], heads[1], info)
