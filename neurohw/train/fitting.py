# SPDX-License-Identifier: Apache-2.0
"""Training: from a network and a dataset to a TrainedNetwork."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from neurohw.checks import argument, exactly
from neurohw.data import Dataset, Encoder
from neurohw.data.dataset import known_order
from neurohw.errors import InvalidData, InvalidModel
from neurohw.network import Network, TrainedNetwork
from neurohw.readout import Readout, check_readout, default_readout
from neurohw.stimulus import Spikes, samples_first
from neurohw.storage import digest
from neurohw.train import distributed
from neurohw.train.augment import shift_and_rotate, vary_spikes
from neurohw.train.checkpoint import read_checkpoint, write_checkpoint
from neurohw.train.clip import weight_clipper
from neurohw.train.config import TrainConfig
from neurohw.train.device_noise import ChipNoise
from neurohw.train.inference import torch_threads
from neurohw.train.module import IMPLEMENTS, SpikingModule
from neurohw.train.readout import scores
from neurohw.train.recurrence import scale_recurrence
from neurohw.train.truncation import backward_in_windows, check_truncation

Metrics = dict[str, float]
Progress = Callable[[int, int, Metrics], None]
EVALUATION_BATCH = 500


def check_fit(network: Network, dataset: Dataset, config: TrainConfig) -> None:
    """Raise Unsupported for what training does not name, InvalidData or InvalidModel if the dataset
    or the configuration does not suit the network.
    """
    IMPLEMENTS.check(network)
    if dataset.features != network.input.size:
        raise InvalidData(
            f"dataset {dataset.name!r} has {dataset.features} features, but the network "
            f"{network.input.size} inputs"
        )
    if dataset.classes > network.output.size:
        raise InvalidData(
            f"dataset {dataset.name!r} has {dataset.classes} classes, but the network "
            f"{network.output.size} outputs"
        )
    if (config.shift or config.rotation) and dataset.image is None:
        raise InvalidModel(
            f"shift and rotation need images, and the features of dataset {dataset.name!r} are none"
        )
    check_readout(network, config.readout or default_readout(network))


def evaluate(
    module: SpikingModule,
    encoder: Encoder,
    x: NDArray[Any] | Spikes,
    y: NDArray[np.int64],
    readout: Readout,
    noise: ChipNoise | None = None,
    joined: bool = False,
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy of the module in evaluation mode on samples x with labels y
    [sample].

    x: features [sample, feature], or `Spikes`.

    noise: every EVALUATION_BATCH samples are on a chip of their own, the same chips at every call.
    joined: the batches are divided among the processes of `neurohw.train.distributed`, all of which
        must call; the figures are the same to the last bit.
    """
    argument("evaluate: module", module, SpikingModule)
    argument("evaluate: encoder", encoder, Encoder, error=InvalidData)
    if not isinstance(x, Spikes) and x.ndim == 3:
        x = samples_first(x, encoder.steps, "the array of samples")
    training = module.training
    module.eval()
    device = _device_of(module)
    processes, own = (distributed.count(), distributed.rank()) if joined else (1, 0)
    figures: list[tuple[float, float] | None] = []
    with torch.no_grad():
        for number, start in enumerate(range(0, len(y), EVALUATION_BATCH)):
            if number % processes != own:
                figures.append(None)
                continue
            labels = torch.from_numpy(y[start : start + EVALUATION_BATCH].copy()).to(device)
            here = slice(start, start + EVALUATION_BATCH)
            counts = encoder.encode(
                x.part(here) if isinstance(x, Spikes) else x[here], (0, start)
            ).counts
            if noise is not None:
                noise.draw(0, start)
            values = scores(
                module(torch.from_numpy(counts).to(device), states=False, hidden=False),
                module.network,
                readout,
            )
            right = float((values.argmax(1) == labels).sum())
            figures.append((right, float(cross_entropy(values, labels, reduction="sum"))))
    if noise is not None:
        noise.clear()
    module.train(training)
    right, loss = 0.0, 0.0
    for pair in distributed.joined_figures(figures) if joined else [f for f in figures if f]:
        right, loss = right + pair[0], loss + pair[1]
    return right / len(y), loss / len(y)


def _device_of(module: SpikingModule) -> torch.device:
    return next(module.parameters()).device


def _make_optimizer(module: SpikingModule, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam or AdamW; only weights decay, and delays and the shifts of decays have learning rates of
    their own.
    """
    weights = [p for n, p in module.named_parameters() if n.endswith("__weight")]
    delays = [p for n, p in module.named_parameters() if n.endswith("__delay")]
    shifts = [p for n, p in module.named_parameters() if n.endswith("__shift")]
    others = [
        p
        for n, p in module.named_parameters()
        if not n.endswith(("__weight", "__delay", "__shift"))
    ]
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    parameter_groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if delays:
        parameter_groups.append(
            {"params": delays, "weight_decay": 0.0, "lr": config.delay_learning_rate}
        )
    if shifts:
        parameter_groups.append(
            {"params": shifts, "weight_decay": 0.0, "lr": config.decay_learning_rate}
        )
    return kind(parameter_groups, lr=config.learning_rate)


def _backward(
    module: SpikingModule,
    counts: torch.Tensor,
    labels: torch.Tensor,
    config: TrainConfig,
    readout: Readout,
    share: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add the gradient of a batch's mean cross-entropy times `share`; returns scores [sample,
    class] and that loss, detached.
    """

    def loss_of(values: torch.Tensor) -> torch.Tensor:
        return cross_entropy(values, labels, label_smoothing=config.label_smoothing) * share

    if config.truncation is not None and config.truncation < len(counts):
        return backward_in_windows(module, counts, config.truncation, readout, loss_of)
    values = scores(module(counts, states=False, hidden=False), module.network, readout)
    loss = loss_of(values)
    loss.backward()
    return values.detach(), loss.detach()


def _is_drawn(encoder: Encoder, config: TrainConfig) -> bool:
    """True where the spikes of a sample are random: then every process draws those of the joined
    batch, whose stream is that of one process.
    """
    varied = (
        config.shift
        or config.rotation
        or config.time_shift
        or config.channel_shift
        or config.event_drop
    )
    return encoder.kind == "rate" or bool(varied)


def _train_epoch(
    module: SpikingModule,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    dataset: Dataset,
    encoder: Encoder,
    config: TrainConfig,
    readout: Readout,
    generator: torch.Generator,
    epoch: int,
    noise: ChipNoise | None,
    clip_weights: Callable[[], None],
) -> Metrics:
    """One pass over the training part; returns the mean loss and the accuracy on the (augmented)
    training samples.
    """
    module.train()
    count = len(dataset.y_train)
    order = torch.randperm(count, generator=generator)
    right, total, device = 0, 0.0, _device_of(module)
    drawn = _is_drawn(encoder, config)
    for start in range(0, count, config.batch_size):
        chosen = order[start : start + config.batch_size].numpy()
        part = module.part = distributed.part_of(len(chosen))
        labels = torch.from_numpy(dataset.y_train[chosen])[part.own].to(device)
        if not drawn:
            chosen = chosen[part.own]
        x = dataset.x_train[chosen]
        if config.shift or config.rotation:
            assert dataset.image is not None
            x = shift_and_rotate(
                torch.from_numpy(x), dataset.image, config.shift, config.rotation, generator
            ).numpy()
        counts = encoder.encode(known_order(x), (1, epoch, start)).counts
        counts = vary_spikes(
            counts, config.time_shift, config.channel_shift, config.event_drop, generator
        )
        counts = np.ascontiguousarray(counts[:, part.own]) if drawn else counts
        optimizer.zero_grad(set_to_none=True)
        if noise is not None:
            noise.draw(1, epoch, start)
        values, loss = _backward(
            module, torch.from_numpy(counts).to(device), labels, config, readout, part.share
        )
        correct = (values.argmax(1) == labels).sum()
        loss, correct = distributed.sum_gradients(module.parameters(), loss, correct, part)
        optimizer.step()
        module.clamp()
        clip_weights()
        scheduler.step()
        right += int(correct)
        total += float(loss) * part.size
    module.part = None
    if noise is not None:
        noise.clear()
    return {"train_loss": total / count, "train_accuracy": right / count}


def fit(
    network: Network | TrainedNetwork,
    dataset: Dataset,
    encoder: Encoder,
    config: TrainConfig | None = None,
    run_folder: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
) -> TrainedNetwork:
    """Train with cross-entropy on the readout, and return the parameters of the epoch with the best
    validation accuracy.

    network: a TrainedNetwork is trained on, for instance with weight_bits.
    run_folder: `checkpoint.pt` is written there after every epoch; called again, an interrupted
        training goes on and ends bit for bit as if it had never stopped.
    progress: called after each epoch with (epoch from 1, epochs, metrics). The `info` of the result
        holds configuration, encoder, history and the best epoch; its parent is the digest of the
        dataset. One configuration gives one result.
    device: "cpu", or "cuda" for a GPU. Several processes started by `torchrun`, which all call,
        train one network together and all return it (`neurohw.train.distributed`); the first one
        writes and calls `progress`. Device and number of processes change results by rounding
        alone, and an interrupted training may go on with others.
    Raises InvalidData or InvalidModel if network, dataset and configuration do not suit each other,
    MissingTool without such a device.
    """
    if not isinstance(network, Network):
        exactly("fit: network", network, TrainedNetwork, Network)
    argument("fit: dataset", dataset, Dataset, error=InvalidData)
    argument("fit: encoder", encoder, Encoder, error=InvalidData)
    argument("fit: config", config, TrainConfig, type(None))
    config = config or TrainConfig()
    folder = Path(run_folder) if run_folder else None
    with torch_threads(config.threads), distributed.joined():
        return _fit(
            network, dataset, encoder, config, folder, progress, distributed.own_device(device)
        )


def _fit(
    network: Network | TrainedNetwork,
    dataset: Dataset,
    encoder: Encoder,
    config: TrainConfig,
    run_folder: Path | None,
    progress: Progress | None,
    device: torch.device,
) -> TrainedNetwork:
    initial = network if isinstance(network, TrainedNetwork) else None
    network = network.network if isinstance(network, TrainedNetwork) else network
    check_fit(network, dataset, config)
    check_truncation(network, config.truncation, encoder.steps)
    readout = config.readout or default_readout(network)
    source = dataset.digest()
    described = {
        "network": network.to_json(),
        "encoder": encoder.to_json(),
        "config": config.to_json(),
        "initial": initial.digest() if initial else "",
    }
    identity = digest("training", {**described, "dataset": source}, {})
    distributed.check_same(identity)
    module = SpikingModule(
        network,
        config.surrogate,
        config.slope,
        config.weight_bits,
        config.seed,
        detach_reset=config.detach_reset,
        learn_delays=config.learn_delays,
        dropout=config.dropout,
        learn_decays=config.learn_decays,
    )
    if initial is not None:
        module.load_trained(initial)
    if config.spectral_radius is not None:
        scale_recurrence(module, config.spectral_radius)
    module.to(device)
    noise = (
        ChipNoise(module, config.device_noise, config.seed)
        if config.device_noise is not None
        else None
    )
    clip_weights = weight_clipper(module, config)
    optimizer = _make_optimizer(module, config)
    batches = -(-len(dataset.y_train) // config.batch_size)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * batches)
    generator = module.generator = torch.Generator().manual_seed(config.seed + 1)
    history: list[Metrics] = []
    best: dict[str, Any] = {"epoch": 0, "accuracy": -1.0, "loss": 0.0, "module": {}}
    saved = distributed.from_first(
        lambda: read_checkpoint(run_folder, identity) if run_folder else None
    )
    if saved is not None:
        module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        scheduler.load_state_dict(saved["scheduler"])
        generator.set_state(saved["generator"])
        history, best = saved["history"], saved["best"]
    for epoch in range(len(history) + 1, config.epochs + 1):
        if (
            config.patience is not None
            and epoch - 1 - best["epoch"] >= config.patience
            and best["epoch"]
        ):
            break
        module.annealing = min(1.0, (epoch - 1) / max(config.delay_annealing * config.epochs, 1.0))
        metrics = _train_epoch(
            module,
            optimizer,
            scheduler,
            dataset,
            encoder,
            config,
            readout,
            generator,
            epoch,
            noise,
            clip_weights,
        )
        accuracy, loss = evaluate(
            module,
            encoder,
            dataset.samples("validation"),
            dataset.y_validation,
            readout,
            noise,
            joined=True,
        )
        metrics |= {"validation_accuracy": accuracy, "validation_loss": loss}
        history.append(metrics)
        if (accuracy, -loss) > (best["accuracy"], -best["loss"]):
            state = copy.deepcopy(module.state_dict())
            best = {"epoch": epoch, "accuracy": accuracy, "loss": loss, "module": state}
        if run_folder and distributed.rank() == 0:
            write_checkpoint(
                run_folder,
                {
                    "identity": identity,
                    "module": module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scheduler": scheduler.state_dict(),
                    "generator": generator.get_state(),
                    "history": history,
                    "best": best,
                },
            )
        if progress and distributed.rank() == 0:
            progress(epoch, config.epochs, metrics)
    module.load_state_dict(best["module"])
    info = {
        "dataset": dataset.name,
        "encoder": described["encoder"],
        "config": described["config"],
        "initial": described["initial"],
        "readout": readout,
        "best_epoch": best["epoch"],
        "history": history,
    }
    return module.to_trained(encoder.steps, info, source)
