# SPDX-License-Identifier: Apache-2.0
"""One job: a chip from its seed, judged at every time.

Pure: the same experiment and seed give the same numbers to the last bit, wherever it runs.

Networks that a chip reads back run in the training module in float64 (`neurohw.train.inference`),
which computes what the reference does, faster; with read noise at every step, or converters, the
chip itself runs. Samples come in chunks of a size that belongs to the definition, because read
noise is drawn by chunk and sums of another shape may round otherwise; for the same reason a job
uses one thread.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurohw.golden.native import run_native
from neurohw.integers import quantize
from neurohw.memristor import Chip
from neurohw.network import Network, TrainedNetwork
from neurohw.noise.experiment import Experiment
from neurohw.noise.outcome import Outcome
from neurohw.readout import scores
from neurohw.stimulus import Spikes
from neurohw.trace import Trace

# samples at once in a network and on a chip, fewer where they do not fit
CHUNK, CHIP_CHUNK = 500, 2000
CHUNK_VALUES = 1 << 23  # neurons times steps times samples of a chunk

# by time: scores [sample, class], spikes by population
Scored = list[tuple[NDArray[Any], dict[str, int]]]
Run = Callable[[NDArray[np.uint8], int], Scored]  # of the counts of a chunk, and its number


def judge_chip(experiment: Experiment, seed: int) -> Outcome:
    """The outcome of the chip of a seed at the experiment's times."""
    with single_threaded():
        chip, scenario = experiment.chip(seed), experiment.scenario
        times = experiment.times
        if scenario.converts or (scenario.read_noise == "step" and _has_read_noise(chip, times)):
            runs = [_chip_run(experiment.at(chip, t), experiment, t) for t in times]
            return Outcome.together([_judged(experiment, 1, CHIP_CHUNK, run) for run in runs])
        read = 0 if scenario.read_noise == "read" else None
        networks = [experiment.at(chip, t).network(t, read, scenario.compensate) for t in times]
        return _judged(
            experiment, len(times), CHUNK, _network_run(networks, experiment, scenario.bits)
        )


def judge_ideal(experiment: Experiment, bits: int | None = None) -> Outcome:
    """The outcome, as of one time, of the network without any hardware, batch normalisation folded;

    bits: of its weights quantized, None for float.
    """
    with single_threaded():
        return _judged(
            experiment, 1, CHUNK, _network_run([experiment.trained.folded()], experiment, bits)
        )


def _has_read_noise(chip: Chip, times: tuple[float, ...]) -> bool:
    moments = (crossbar.read_moments(max(times))[1:] for crossbar in chip.crossbars.values())
    return any(variance is not None for pair in moments for variance in pair)


def chunk_size(network: Network, steps: int, most: int) -> int:
    """Samples that are simulated at once, at most `most`."""
    return max(1, min(most, CHUNK_VALUES // (steps * sum(p.size for p in network.populations))))


def _judged(experiment: Experiment, count: int, most: int, run: Run) -> Outcome:
    """The outcome at `count` times of all chunks together."""
    network, labels = experiment.trained.network, experiment.labels
    outputs = network.output.size
    confusion = np.zeros((count, outputs, outputs), np.int64)
    spikes = {p.name: [0] * count for p in network.populations}
    size = chunk_size(network, len(experiment.spikes), most)
    for number, start in enumerate(range(0, len(labels), size)):
        here = slice(start, start + size)
        for index, (values, fired) in enumerate(run(experiment.spikes[:, here], number)):
            np.add.at(confusion[index], (labels[here], values.argmax(axis=1)), 1)
            for name, sent in fired.items():
                spikes[name][index] += sent
    return Outcome(confusion, {name: tuple(sent) for name, sent in spikes.items()})


def _of_trace(trace: Trace, experiment: Experiment) -> tuple[NDArray[Any], dict[str, int]]:
    fired = {name: int(array.sum(dtype=np.int64)) for name, array in trace.spikes.items()}
    return scores(trace, experiment.trained.network, experiment.readout), fired


def _chip_run(chip: Chip, experiment: Experiment, time_seconds: float) -> Run:
    scenario, states = experiment.scenario, experiment.readout == "membrane"
    noise = scenario.read_noise == "step"
    return lambda spikes, number: [
        _of_trace(
            chip.run(Spikes(spikes), time_seconds, states, number, scenario.compensate, noise),
            experiment,
        )
    ]


def _network_run(networks: list[TrainedNetwork], experiment: Experiment, bits: int | None) -> Run:
    states = experiment.readout == "membrane"
    if bits is not None:
        most = max(int(experiment.spikes.max()), 1)
        integers = [
            quantize(network, bits, max_count=most, steps=len(experiment.spikes))
            for network in networks
        ]
        return lambda spikes, number: [
            _of_trace(run_native(model, Spikes(spikes), states, threads=1), experiment)
            for model in integers
        ]
    from neurohw.train.inference import Judge  # local: loads torch

    assert experiment.readout is not None
    judge = Judge(networks, experiment.readout)
    return lambda spikes, number: [(judged.scores, judged.spikes) for judged in judge(spikes)]


_lock = threading.Lock()
_jobs = 0
_limits: Any = None


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for linear algebra while any job runs in this process, also where several run
    beside each other in threads of it.
    """
    global _jobs, _limits
    with _lock:
        if _jobs == 0:
            _limits = threadpool_limits(1)
        _jobs += 1
    try:
        yield
    finally:
        with _lock:
            _jobs -= 1
            if _jobs == 0:
                _limits.restore_original_limits()
