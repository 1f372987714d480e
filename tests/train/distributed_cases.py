# SPDX-License-Identifier: Apache-2.0
"""What processes started by `torchrun` compute together, and one alone: run by
`test_distributed.py`.

torchrun --nproc-per-node 2 tests/train/distributed_cases.py FOLDER {whole,interrupted}
"""

import os
import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from neurohw import Integrator, Lif, Network, Population, Projection, Source, feed_forward
from neurohw.connections import Convolution
from neurohw.data import Dataset, Encoder, digits
from neurohw.errors import InvalidData
from neurohw.neurons import Adaptation
from neurohw.train import SpikingModule, TrainConfig, distributed, fit
from neurohw.train import fitting as training
from neurohw.train.recipes import delayed, recipe_named

ENCODER = Encoder("rate", 4, seed=3)
NETWORK = feed_forward([64, 16, 10], Lif(0.5), Integrator())
CONFIG = TrainConfig(
    epochs=3,
    batch_size=33,
    shift=1,
    rotation=5,
    dropout=0.1,
    label_smoothing=0.1,
    weight_decay=0.01,
    device_noise=recipe_named("digits-pcm").config.device_noise,
    weight_clip=2.5,
)


def small() -> Dataset:
    """100 digits: batches of 33, 33, 33 and 1, of which the last has fewer samples than there are
    processes.
    """
    full = digits()
    return Dataset(
        "small",
        full.x_train[:100],
        full.y_train[:100],
        full.x_validation,
        full.y_validation,
        full.x_test,
        full.y_test,
        10,
        (8, 8),
    )


def recurrent() -> Network:
    populations = (
        Population("input", 12, Source()),
        Population("hidden", 8, Lif(0.9, reset="soft", adaptation=Adaptation(0.9, 0.1))),
        Population("output", 4, Integrator()),
    )
    return Network(
        populations,
        (
            Projection("input", "hidden"),
            Projection("hidden", "hidden", 1),
            Projection("hidden", "output"),
        ),
    )


def normalised() -> Network:
    convolution = Convolution((1, 4, 3), 3, (3, 3), padding=(1, 1))
    populations = (
        Population("input", 12, Source()),
        Population("filters", 36, Lif(0.5), 3),
        Population("hidden", 8, Lif(0.5)),
        Population("output", 4, Integrator()),
    )
    projections = (
        Projection("input", "filters", batch_norm=True, connection=convolution),
        Projection("filters", "hidden", batch_norm=True),
        Projection("hidden", "output"),
    )
    return Network(populations, projections)


# network, options of the module, configuration, samples of the batch
CASES = {
    "recurrent": (recurrent(), {"dropout": 0.3}, TrainConfig(), 7),
    "windows": (recurrent(), {"dropout": 0.3}, TrainConfig(truncation=3), 7),
    "normalised": (normalised(), {}, TrainConfig(label_smoothing=0.1), 5),
    "normalised, one sample": (normalised(), {}, TrainConfig(), 1),
    "delays": (delayed([12, 8, 4], Lif(0.5), 3), {"learn_delays": True}, TrainConfig(), 6),
    "quantized": (
        feed_forward([12, 8, 4], Lif(0.5), Integrator()),
        {"weight_bits": 4},
        TrainConfig(),
        3,
    ),
}


def batch(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    counts = (torch.rand(8, samples, 12, generator=generator) < 0.5).to(torch.uint8)
    return counts, torch.randint(4, (samples,), generator=generator)


def gradients(name: str) -> dict[str, torch.Tensor]:
    """Gradients and buffers after a batch, its loss and how many samples were right."""
    network, options, config, samples = CASES[name]
    module = SpikingModule(network, dtype=torch.float64, seed=1, **options)
    counts, labels = batch(samples)
    part = module.part = distributed.part_of(samples)
    labels = labels[part.own]
    values, loss = training._backward(
        module, counts[:, part.own], labels, config, "membrane", part.share
    )
    right = (values.argmax(1) == labels).sum()
    loss, right = distributed.sum_gradients(module.parameters(), loss, right, part)
    result = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    return (
        result
        | dict(module.named_buffers())
        | {"loss": loss, "right": right, "drawn": module.generator.get_state()}
    )


def wrapped() -> dict[str, torch.Tensor]:
    """Gradients by PyTorch's own DistributedDataParallel, of equal parts."""
    module = SpikingModule(recurrent(), dtype=torch.float64, seed=1)
    counts, labels = batch(6)
    part = distributed.part_of(6)
    parallel = (
        torch.nn.parallel.DistributedDataParallel(module) if distributed.count() > 1 else module
    )
    values = parallel(counts[:, part.own], states=False)["v.output"][-1]
    cross_entropy(values, labels[part.own]).backward()
    return {n: p.grad for n, p in module.named_parameters()}


def trained(folder: Path | None = None, dies: bool = False, seen: list[int] | None = None):
    """A training in float64, in which other sums differ in the last bits alone.

    dies: the first process is killed after two epochs.
    """

    def progress(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        if seen is not None:
            seen.append(epoch)
        if dies and epoch == 2:
            os._exit(9)

    single = training.SpikingModule

    class Double(single):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, dtype=torch.float64, **options)

    training.SpikingModule = Double
    try:
        return fit(NETWORK, small(), ENCODER, CONFIG, folder, progress)
    finally:
        training.SpikingModule = single


def main(folder: Path, what: str) -> None:
    torch.set_num_threads(1)
    with distributed.joined():
        own = distributed.rank()
        if what == "whole":
            seen: list[int] = []
            network = trained(seen=seen)
            try:
                distributed.check_same(f"process {own}")
                refused = ""
            except InvalidData as error:
                refused = str(error)
            content = {
                "gradients": {name: gradients(name) for name in CASES},
                "wrapped": wrapped(),
                "parameters": {n: torch.from_numpy(a) for n, a in network.parameters.items()},
                "history": network.info["history"],
                "seen": seen,
                "refused": refused,
            }
            torch.save(content, folder / f"whole-{own}.pt")
            distributed.from_first(lambda: None)  # nobody is killed before all have written
            trained(folder / f"checkpoint-{own}", dies=True)
        else:
            resumed: list[int] = []
            network = trained(folder / f"checkpoint-{own}", seen=resumed)
            parameters = {n: torch.from_numpy(a) for n, a in network.parameters.items()}
            torch.save(
                {"parameters": parameters, "history": network.info["history"], "seen": resumed},
                folder / f"resumed-{own}.pt",
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
