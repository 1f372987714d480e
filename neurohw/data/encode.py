"""Encoders: values 0..1 to spike counts, uint8 [time, sample, neuron]. All but `rate` are deterministic.

rate      a spike with probability x in every step, from an explicit seed
phase     floor((t+1) x + offset) - floor(t x + offset): the same rate without chance, evenly spaced
latency   one spike at step floor((1 - x) T): brighter is earlier; x = 0 never fires
direct    round(x levels) in every step, a constant current
spikes    counts that are spikes already, [sample, time, neuron], at most `levels` in a step
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohw.errors import InvalidData

Kind = Literal["rate", "phase", "latency", "direct", "spikes"]
Counts = NDArray[np.uint8]
Values = NDArray[np.floating[Any]]


def check_values(x: Values) -> None:
    """Raise InvalidData unless x is [sample, neuron] with values in 0..1."""
    if x.ndim != 2 or 0 in x.shape:
        raise InvalidData(f"values have shape {x.shape}, an encoder needs [sample, neuron]")
    low, high = float(x.min()), float(x.max())
    if not (low >= 0.0 and high <= 1.0):  # also false for nan
        raise InvalidData(f"values range from {low:g} to {high:g}: an encoder needs 0..1, so scale them first")


def rate(x: Values, steps: int, seed: int | list[int]) -> Counts:
    """Bernoulli spikes of probability x, [time, sample, neuron]; the same seed gives the same spikes."""
    generator = np.random.default_rng(seed)
    counts = np.empty((steps, *x.shape), np.uint8)
    for t in range(steps):  # step by step, to hold the random numbers of one at a time
        counts[t] = generator.random(x.shape, dtype=np.float32) < x
    return counts


def phase(x: Values, steps: int, offset: float = 0.0) -> Counts:
    """A spike whenever a phase that grows by x per step from `offset` passes a whole number, [time, sample, neuron]."""
    counts = np.empty((steps, *x.shape), np.uint8)
    before = np.floor(x * 0 + offset)
    for t in range(steps):
        after = np.floor((t + 1) * x + offset)
        counts[t] = after - before
        before = after
    return counts


def latency(x: Values, steps: int) -> Counts:
    """One spike at step min(floor((1 - x) T), T - 1), none for x = 0, [time, sample, neuron]."""
    when = np.minimum(np.floor((1 - x) * steps), steps - 1)
    when = np.where(x > 0, when, steps)
    return (when == np.arange(steps)[:, None, None]).astype(np.uint8)


def direct(x: Values, steps: int, levels: int = 1) -> Counts:
    """round(x levels) in every step, [time, sample, neuron]."""
    return np.repeat(np.round(x * levels).astype(np.uint8)[None], steps, axis=0)


def events(
    x: ArrayLike,
    y: ArrayLike,
    polarity: ArrayLike,
    time: ArrayLike,
    size: tuple[int, int],
    steps: int,
    step_duration: float,
    polarities: int = 2,
) -> Counts:
    """Counts [time, neuron] of the events of one recording; neuron = (polarity height + y) width + x.

    size: (height, width). time: in any unit, from 0, and step_duration in the same unit. Later events are left out; counts stop at 255.
    Raises InvalidData for lists of different lengths and events outside the sensor.
    """
    height, width = size
    columns, rows, signs = (np.asarray(a, dtype=np.int64) for a in (x, y, polarity))
    times = np.asarray(time, dtype=np.float64)
    if len({a.shape for a in (columns, rows, signs, times)}) != 1 or times.ndim != 1:
        raise InvalidData(
            f"event lists differ in length: x, y, p, t have {[a.shape for a in (columns, rows, signs, times)]}"
        )
    for name, values, limit in (("x", columns, width), ("y", rows, height), ("p", signs, polarities)):
        if np.any((values < 0) | (values >= limit)):
            wrong = values[(values < 0) | (values >= limit)][0]
            raise InvalidData(f"event {name} = {wrong} lies outside 0..{limit - 1}")
    if np.any(times < 0):
        raise InvalidData(f"event time {times.min():g} lies before 0: subtract the start of the recording")
    step = np.floor(times / step_duration).astype(np.int64)
    inside = step < steps
    neuron = (signs * height + rows) * width + columns
    counts = np.zeros((steps, polarities * height * width), np.int64)
    np.add.at(counts, (step[inside], neuron[inside]), 1)
    return np.minimum(counts, 255).astype(np.uint8)


@dataclass(frozen=True)
class Encoder:
    """An encoder and its parameters.

    steps: T. levels: largest count of `direct` and `spikes`. offset: initial phase of `phase`, 0..1 (1/2 rounds the number of spikes to the nearest).
    seed: of `rate`. Raises InvalidData for an unknown kind or a value out of range.
    """

    kind: Kind
    steps: int
    levels: int = 1
    offset: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InvalidData(f"unknown encoder {self.kind!r}: known are {', '.join(get_args(Kind))}")
        if self.steps < 1:
            raise InvalidData(f"encoder {self.kind!r}: steps must be at least 1, not {self.steps}")
        if not 1 <= self.levels <= 255:
            raise InvalidData(f"encoder {self.kind!r}: levels lie in 1..255, not {self.levels}")
        if not 0.0 <= self.offset < 1.0:
            raise InvalidData(f"encoder {self.kind!r}: offset lies in 0..1 (1 excluded), not {self.offset}")

    @property
    def max_count(self) -> int:
        """The largest count that can occur, as `quantize` needs it."""
        return self.levels if self.kind in ("direct", "spikes") else 1

    def encode(self, x: NDArray[Any], stream: tuple[int, ...] = ()) -> Counts:
        """Counts, uint8 [time, sample, neuron], of values [sample, neuron] in 0..1, or of spikes [sample, time, neuron].

        stream: numbers beside the seed that give `rate` other spikes, for instance one set per training epoch.
        Raises InvalidData for values outside 0..1, and for spikes of another shape or type.
        """
        if self.kind == "spikes":
            if x.ndim != 3 or x.dtype != np.uint8 or x.shape[1] != self.steps:
                raise InvalidData(
                    f"spikes are {x.dtype} of shape {x.shape}, the encoder needs uint8 [sample, {self.steps}, neuron]"
                )
            return np.ascontiguousarray(np.minimum(x, self.levels).transpose(1, 0, 2))
        check_values(x)
        encoders: dict[str, Callable[[], Counts]] = {
            "rate": lambda: rate(x, self.steps, [self.seed, *stream]),
            "phase": lambda: phase(x, self.steps, self.offset),
            "latency": lambda: latency(x, self.steps),
            "direct": lambda: direct(x, self.steps, self.levels),
        }
        return encoders[self.kind]()

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal encoder."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Encoder":
        """The encoder that `to_json` wrote; InvalidData for a missing or unknown field."""
        try:
            return Encoder(**value)
        except TypeError as error:
            raise InvalidData(f"encoder: {error}") from error
