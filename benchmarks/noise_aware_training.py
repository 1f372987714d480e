"""MNIST on resistive memory: what every device costs a plain network, and what training with its noise and calibration give back.

    python benchmarks/noise_aware_training.py MNIST WORK [--chips 20] [--images 10000] [--epochs 5] [--processes 1] [--devices pcm reram_wan ...]

MNIST: see `neurohw.data.load`. WORK: a folder for trained networks, checkpoints and finished chips, from which an interrupted run goes on. The network is that
of the recipe "mnist", 784-128-10 in 4 steps, trained as it says ("plain"). It is then trained on for --epochs with the noise of one device at all times of the
table, weights clipped at 2 standard deviations of their layer (noise-aware). Writes noise_aware_training.md and .png beside this file unless told otherwise.
"""

import argparse
import io
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neurohw import TrainedNetwork, load_trained, quantize, save
from neurohw.data import Dataset, Encoder, load
from neurohw.golden.native import run_native
from neurohw.memristor import KINDS, CrossbarMapping, Device, device_named
from neurohw.noise import Experiment, Scenario, Study, monte_carlo, processes, serial, time_text
from neurohw.noise import statistics as statistics_of
from neurohw.noise.summary import spread_text
from neurohw.readout import accuracy, scores
from neurohw.storage import write_atomically
from neurohw.train import DeviceNoise, SpikingModule, TrainConfig, fit
from neurohw.train.device_noise import ChipNoise
from neurohw.train.recipes import Recipe, recipe_named

TIMES = (25.0, 3600.0, 86400.0, 365 * 86400.0)
MAPPING = CrossbarMapping(scale_per="column")
CALIBRATION_IMAGES = 500
CLIP = 2.0
PLAIN, CALIBRATED, AWARE = "plain", "plain, calibrated", "noise-aware, calibrated"
POINT = 1.0  # losses above it are to be recovered


def drifts(device: Device) -> bool:
    """Whether the device's model knows of time; the others are judged once, for all times."""
    return device.characterized_seconds > 0 and not type(device).drifted is Device.drifted


def times_of(device: Device) -> tuple[float, ...]:
    """The times of the table at which chips have to be judged."""
    return TIMES if drifts(device) else TIMES[:1]


def tuning(recipe: Recipe, device: Device, epochs: int) -> TrainConfig:
    """How the plain network is trained on for a device."""
    noise = DeviceNoise(device, MAPPING, times_seconds=times_of(device), compensate=drifts(device))
    return replace(
        recipe.config, epochs=epochs, learning_rate=2e-3, weight_decay=0.0, device_noise=noise, weight_clip=CLIP
    )


def scenarios(device: Device) -> dict[str, Scenario]:
    """The hardware as it comes, and as a user who calibrates sets it up: scales per column, drift compensation, columns recalibrated at every time."""
    as_it_comes = Scenario(device)
    set_up = Scenario(device, MAPPING, compensate=drifts(device), recalibrate="columns")
    return {PLAIN: as_it_comes, CALIBRATED: set_up, AWARE: set_up}


def trained_in(
    folder: Path, name: str, start: Recipe | TrainedNetwork, dataset: Dataset, encoder: Encoder, config: TrainConfig
) -> TrainedNetwork:
    """The network of that name in the folder if it was trained so, or else trained now, with a line per epoch."""
    path = folder / name
    if path.exists():
        found = load_trained(path)
        initial = start.digest() if isinstance(start, TrainedNetwork) else ""
        if found.info["config"] == config.to_json() and found.info["initial"] == initial and found.parent == dataset.digest():
            return found
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(f"train {name}", total=config.epochs)

        def show(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
            text = f"train {name}, validation {100 * metrics['validation_accuracy']:.2f} %"
            bar.update(task, completed=epoch, description=text)

        network = start if isinstance(start, TrainedNetwork) else start.network
        result = fit(network, dataset, encoder, config, folder / f"{name}_run", show)
    save(result, path)
    return result


def int4_accuracy(model: TrainedNetwork, encoder: Encoder, dataset: Dataset) -> float:
    """Accuracy of the integers on all test images, by the golden model."""
    integer = quantize(model, 4, max_count=encoder.max_count)
    values = [
        scores(run_native(integer, encoder.encode(dataset.x_test[k : k + 1000])), integer.network)
        for k in range(0, len(dataset.y_test), 1000)
    ]
    return accuracy(np.concatenate(values), dataset.y_test)


def judged(
    networks: dict[tuple[str, str], TrainedNetwork],
    dataset: Dataset,
    encoder: Encoder,
    images: int,
    chips: int,
    folder: Path,
    count: int,
) -> Study:
    """Chips of every (device, method), named "<device> <method>"."""
    labels = dataset.y_test[:images]
    spikes = encoder.encode(dataset.x_test[:images])
    typical = encoder.encode(dataset.x_validation[:CALIBRATION_IMAGES])
    experiments = {}
    for (kind, method), network in networks.items():
        device = device_named(kind)
        scenario = scenarios(device)[method]
        experiments[f"{kind} {method}"] = Experiment(network, scenario, times_of(device), spikes, labels, typical)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("chips", total=chips * len(experiments))
        executor = serial if count == 1 else processes(count)
        study = monte_carlo(
            experiments,
            range(chips),
            executor,
            folder,
            lambda _, done, total: bar.update(task, completed=done, total=total),
        )
    for job, error in study.failures.items():
        raise error from RuntimeError(f"chip {job.seed} of {job.name}")
    return study


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time per mini-batch: the training step, and drawing a chip, without and with compensation of drift."""

    step: float
    draw: float
    compensated: float
    random: float


def cost(recipe: Recipe, dataset: Dataset, repeats: int = 30) -> Cost:
    """Medians on one thread, of a step as in training (encoding and augmentation left out)."""
    torch.set_num_threads(1)
    module = SpikingModule(recipe.network).train()
    counts = torch.from_numpy(recipe.encoder.encode(dataset.x_train[: recipe.config.batch_size]))
    labels = torch.from_numpy(dataset.y_train[: recipe.config.batch_size])
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(0)
    weights = sum(int(np.prod(s)) for n, s in recipe.network.shapes().items() if n.endswith(".weight"))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        membrane = module(counts, states=False)["v.output"][-1]
        torch.nn.functional.cross_entropy(membrane, labels).backward()
        optimizer.step()

    noises = [ChipNoise(module, DeviceNoise(device_named("pcm"), MAPPING, compensate=c), 0) for c in (False, True)]
    calls = (step, lambda: noises[0].draw(0), lambda: noises[1].draw(0), lambda: torch.randn(weights, generator=generator))
    seconds = []
    for call in calls:
        times = []
        for _ in range(repeats + 3):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        seconds.append(statistics.median(times[3:]))
    return Cost(*seconds)


def main() -> None:
    """Train, judge, and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--devices", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    dataset, recipe = load(arguments.mnist), recipe_named("mnist")
    encoder, work = recipe.encoder, arguments.work
    assert recipe.finetune is not None
    plain = trained_in(work, "plain", recipe, dataset, encoder, recipe.config)
    int4 = trained_in(work, "int4", plain, dataset, encoder, recipe.finetune)
    networks: dict[tuple[str, str], TrainedNetwork] = {}
    for kind in arguments.devices:
        config = tuning(recipe, device_named(kind), arguments.epochs)
        aware = trained_in(work, f"aware_{kind}", plain, dataset, encoder, config)
        networks |= {(kind, PLAIN): plain, (kind, CALIBRATED): plain, (kind, AWARE): aware}
    study = judged(
        networks, dataset, encoder, arguments.images, arguments.chips, work / "chips", arguments.processes
    )
    page = table(study, arguments, int4_accuracy(int4, encoder, dataset), cost(recipe, dataset), dataset, recipe)
    write_atomically(arguments.out, page.encode())
    figure(study, arguments.devices, arguments.out.with_suffix(".png"))
    print(page)


if __name__ == "__main__":
    main()
