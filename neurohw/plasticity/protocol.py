# SPDX-License-Identifier: Apache-2.0
"""The two phases of a plastic liquid: weights are initialised by a stream of samples, then every
sample is encoded beginning from these weights.

    initialise   sample after sample from rest, the weights are carried over
    encode       every sample from rest and from the same weights, which its own plasticity changes
                 while it is heard; the amplitudes fade

Both go on where they stopped if they are given a checkpoint, and end with the same numbers as
without an interruption and for any number of threads.

    liquid = grid_liquid(784)                                    # neurohw.reservoir
    rule, rates = nalsm(liquid.inhibitory), intensity_rates(images)
    trained = initialise(liquid.trained, rule, Bernoulli(rates, seed=1), checkpoint="weights")
    counts = encode(trained, rule, Bernoulli(rates, seed=2))     # for a linear readout

Source: Ivanov & Michmizos (NeurIPS 2021).
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData
from neurohw.network import TrainedNetwork
from neurohw.plasticity.native import PlasticKernel
from neurohw.plasticity.rule import Plasticity
from neurohw.plasticity.stimulus import Bernoulli, Stimulus
from neurohw.storage import check_folder, digest, load_value, save_value

Progress = Callable[[int, int], None]
KIND = "plastic-run"
BATCH = 100  # samples between two looks at the clock


def _identity(phase: str, kernel: PlasticKernel, stimulus: Stimulus, steps: int) -> str:
    """Digest of everything that the result depends on."""
    rule, arrays = kernel.plasticity, dict[str, NDArray[Any]]()
    fields: dict[str, Any] = {
        "phase": phase,
        "network": kernel.trained.digest(),
        "steps": steps,
        "rule": None,
    }
    if rule is not None:
        parts = {"stdp": rule.stdp, "astrocyte": rule.astrocyte}
        fields["rule"] = {name: part and dataclasses.asdict(part) for name, part in parts.items()}
        fields["rule"] |= {
            "plastic": [dataclasses.asdict(p) for p in rule.projections],
            "fading": rule.fading,
        }
        arrays["inhibitory"] = rule.inhibitory
    if isinstance(stimulus, Bernoulli):
        fields["drawn"] = [stimulus.seed, stimulus.refractory]
        arrays["rates"] = stimulus.rates
    else:
        fields["inputs"] = stimulus.inputs
        arrays |= {"step": stimulus.step, "channel": stimulus.channel, "offsets": stimulus.offsets}
    return digest(KIND, fields, arrays)


def _run(
    samples: int,
    identity: str | None,
    checkpoint: Path | None,
    seconds: float,
    progress: Progress | None,
    arrays: dict[str, NDArray[Any]],
    work: Callable[[int, int], None],
) -> None:
    """work(begin, end) for all samples in batches;

    `arrays` are what it changes, and are saved and restored in place.
    """
    done = 0
    if checkpoint is not None:
        check_folder(checkpoint, KIND)
    if checkpoint is not None and (checkpoint / "value.json").is_file():
        fields, saved = load_value(checkpoint, KIND)
        if fields["identity"] == identity:
            done = int(fields["done"])
            for name, array in arrays.items():
                array[...] = saved[name]
    last = time.monotonic()
    while done < samples:
        end = min(done + BATCH, samples)
        work(done, end)
        done = end
        if checkpoint is not None and (done == samples or time.monotonic() - last >= seconds):
            save_value(
                checkpoint, KIND, {"identity": identity, "done": done, "samples": samples}, arrays
            )
            last = time.monotonic()
        if progress:
            progress(done, samples)


def initialise(
    trained: TrainedNetwork,
    plasticity: Plasticity,
    stimulus: Stimulus,
    steps: int = 20,
    checkpoint: Path | str | None = None,
    checkpoint_seconds: float = 10.0,
    progress: Progress | None = None,
) -> TrainedNetwork:
    """The network with the weights that all samples of the stimulus leave, each heard for `steps`
    steps from rest, in their order.

    checkpoint: folder, written at most every `checkpoint_seconds`; called again, an interrupted run
        goes on from there. One that belongs to another network, rule or stimulus is overwritten.
        progress(samples done, samples): called now and then.
    Raises InvalidModel and Unsupported as `PlasticKernel`, InvalidData for a stimulus that does not
    fit, BrokenFile for a damaged checkpoint.
    """
    kernel = PlasticKernel(trained, plasticity)
    folder = Path(checkpoint) if checkpoint is not None else None
    identity = _identity("initialise", kernel, stimulus, steps) if folder else None

    def work(begin: int, end: int) -> None:
        kernel.run(stimulus, steps, begin, end, carry=True)

    _run(stimulus.samples, identity, folder, checkpoint_seconds, progress, kernel.rows(), work)
    weights = {f"{name}.weight": weight for name, weight in kernel.weights().items()}
    info = {**trained.info, "initialised": {"samples": stimulus.samples, "steps": steps}}
    return TrainedNetwork(
        trained.network, {**trained.parameters, **weights}, trained.steps, info, trained.digest()
    )


def encode(
    trained: TrainedNetwork,
    plasticity: Plasticity | None,
    stimulus: Stimulus,
    steps: int = 250,
    fading: float = 0.99,
    checkpoint: Path | str | None = None,
    checkpoint_seconds: float = 30.0,
    progress: Progress | None = None,
    threads: int | None = None,
) -> NDArray[np.uint16]:
    """Spike counts [sample, neuron] of every sample, heard for `steps` steps from rest and from the
    network's weights.

    plasticity: what changes the weights within a sample, its amplitudes fading by the factor
        `fading` per step instead of its own; None: nothing.
    threads: over samples, by default one per processor; counts do not depend on it. The rest is as
        in `initialise`.
    """
    kernel = PlasticKernel(trained, plasticity and dataclasses.replace(plasticity, fading=fading))
    folder = Path(checkpoint) if checkpoint is not None else None
    identity = _identity("encode", kernel, stimulus, steps) if folder else None
    counts = np.zeros((stimulus.samples, trained.network.output.size), np.uint16)

    def work(begin: int, end: int) -> None:
        counts[begin:end] = kernel.run(stimulus, steps, begin, end, threads=threads).counts

    _run(stimulus.samples, identity, folder, checkpoint_seconds, progress, {"counts": counts}, work)
    return counts


def spikes_of(
    trained: TrainedNetwork,
    plasticity: Plasticity | None,
    stimulus: Stimulus,
    samples: int,
    steps: int = 250,
    fading: float = 0.99,
) -> NDArray[np.uint8]:
    """Spikes [time, sample, neuron] of the first samples, as `encode` hears them, for measures like
    the branching factor.
    """
    if not 1 <= samples <= stimulus.samples:
        raise InvalidData(f"the stimulus holds {stimulus.samples} samples, not {samples}")
    kernel = PlasticKernel(trained, plasticity and dataclasses.replace(plasticity, fading=fading))
    spikes = kernel.run(stimulus, steps, 0, samples, record=("spikes",)).spikes
    assert spikes is not None
    return spikes.transpose(1, 0, 2)
