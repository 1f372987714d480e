# SPDX-License-Identifier: Apache-2.0
"""The work that training benchmarks give to every framework: sizes, spikes, labels and initial
weights from one seed, with NumPy alone.

    u[t] = DECAY v[t-1] + I[t],  s[t] = u[t] >= 1,  v[t] = u[t] - s[t]
           in two hidden populations, the first one recurrent if wanted (one step of delay)
    y[t] = DECAY y[t-1] + I[t]
           in the output: the scores are y after the last step

Weights are normal; their mean is found by bisection such that hidden neurons fire as often as
inputs do, so that a workload has one density.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DECAY = 0.95
SPREAD = 0.3  # standard deviation of the current of a step
CALIBRATION = 16  # samples that the bisection looks at


@dataclass(frozen=True)
class Workload:
    """A network inputs-width-width-classes and its batch;

    density: part of the inputs that fire in a step.
    """

    inputs: int = 700
    width: int = 256
    classes: int = 20
    recurrent: bool = False
    steps: int = 100
    batch: int = 128
    density: float = 0.05
    threads: int = 2
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    @property
    def name(self) -> str:
        """The network, as 700-256-256-20, with (r) behind a recurrent population."""
        recurrent = "(r)" if self.recurrent else ""
        return f"{self.inputs}-{self.width}{recurrent}-{self.width}-{self.classes}"


def _spikes(currents: FloatArray, recurrent: FloatArray | None) -> FloatArray:
    """Spikes [time, sample, neuron] of a hidden population."""
    v = np.zeros_like(currents[0])
    fired = np.zeros_like(currents)
    for t, current in enumerate(currents):
        v = DECAY * v + current
        if recurrent is not None and t:
            v += fired[t - 1] @ recurrent.T
        fired[t] = v >= 1
        v -= fired[t]
    return fired


def _hidden(
    spikes: FloatArray, width: int, recurrent: bool, density: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray | None, FloatArray]:
    """Weights [target, source] whose neurons fire with `density`, recurrent weights or None, and
    the spikes.
    """
    sources = spikes.shape[2]
    normal = (
        rng.standard_normal((width, sources), dtype=np.float32)
        * SPREAD
        / np.sqrt(density * sources)
    )
    among = None
    if recurrent:
        among = (
            rng.standard_normal((width, width), dtype=np.float32)
            * SPREAD
            / np.sqrt(2 * density * width)
        )
    varied, counts = spikes @ normal.T, spikes.sum(2, keepdims=True)
    low, high = -2.0, 2.0  # the mean current of a step
    for _ in range(20):
        mean = (low + high) / 2
        rate = _spikes(varied + np.float32(mean / (density * sources)) * counts, among).mean()
        low, high = (mean, high) if rate < density else (low, mean)
    weight = normal + np.float32((low + high) / 2 / (density * sources))
    return weight, among, _spikes(spikes @ weight.T, among)


def arrays(workload: Workload) -> dict[str, NDArray[Any]]:
    """`spikes` [time, sample, input] as bits along the last axis, `labels`, the weights `w1`, `w2`,
    `w3` and perhaps `recurrent` [target, source], and the `rates` of both hidden populations at the
    start, from the samples of the calibration.
    """
    rng = np.random.default_rng(workload.seed)
    shape = (workload.steps, workload.batch, workload.inputs)
    fires = rng.random(shape, dtype=np.float32) < workload.density
    labels = rng.integers(workload.classes, size=workload.batch)
    seen = fires[:, :CALIBRATION].astype(np.float32)
    w1, recurrent, first = _hidden(seen, workload.width, workload.recurrent, workload.density, rng)
    w2, _, second = _hidden(first, workload.width, False, workload.density, rng)
    w3 = rng.standard_normal((workload.classes, workload.width), dtype=np.float32)
    w3 *= SPREAD / np.sqrt(workload.density * workload.width)
    rates = np.array([first.mean(), second.mean()])
    found = {
        "spikes": np.packbits(fires, axis=2),
        "labels": labels,
        "w1": w1,
        "w2": w2,
        "w3": w3,
        "rates": rates,
    }
    return found if recurrent is None else found | {"recurrent": recurrent}


def save(workload: Workload, path: Path) -> None:
    """Write the arrays of a workload for the processes of all frameworks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, inputs=workload.inputs, **arrays(workload))  # type: ignore[arg-type]
    temporary.replace(path)


def spikes_of(loaded: Mapping[str, NDArray[Any]]) -> FloatArray:
    """The stimulus of a saved workload, float32 [time, sample, input]."""
    return np.unpackbits(loaded["spikes"], axis=2, count=int(loaded["inputs"])).astype(np.float32)
