# SPDX-License-Identifier: Apache-2.0
"""Encoders: values 0..1 to spike counts. All but `rate` are deterministic.

The functions give arrays uint8 [time, sample, neuron], an `Encoder` gives `Spikes`.

rate      a spike with probability x in every step, from an explicit seed
phase     floor((t+1) x + offset) - floor(t x + offset): the same rate without chance, evenly spaced
latency   one spike at step floor((1 - x) T): brighter is earlier; x = 0 never fires
direct    round(x levels) in every step, a constant current
spikes    counts that are spikes already, [sample, time, neuron], at most `levels` in a step

`floor` means that of the number that a float stands for: x = 0.8 has (1 - x) 10 = 2, though floats
give 1.9999999999999996. See `phase` and `latency`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohw.data.dataset import whole_numbers
from neurohw.data.stepping import SLACK, step_of, whole
from neurohw.errors import InvalidData
from neurohw.stimulus import Spikes, samples_first

Kind = Literal["rate", "phase", "latency", "direct", "spikes"]
Counts = NDArray[np.uint8]
Values = NDArray[np.floating[Any]]


def check_values(x: Values) -> None:
    """Raise InvalidData unless x is [sample, neuron] with values in 0..1."""
    if x.ndim != 2 or 0 in x.shape:
        raise InvalidData(f"values have shape {x.shape}, an encoder needs [sample, neuron]")
    if x.dtype.kind not in "fbui":
        raise InvalidData(f"values are {x.dtype}, an encoder needs numbers")
    low, high = float(x.min()), float(x.max())
    if not (low >= 0.0 and high <= 1.0):  # also false for nan
        raise InvalidData(
            f"values range from {low:g} to {high:g}: an encoder needs 0..1, so scale them first"
        )


def rate(x: Values, steps: int, seed: int | list[int]) -> Counts:
    """Bernoulli spikes of probability x, [time, sample, neuron]; the same seed gives the same
    spikes.
    """
    generator = np.random.default_rng(seed)
    counts = np.empty((steps, *x.shape), np.uint8)
    for t in range(steps):  # step by step, to hold the random numbers of one at a time
        counts[t] = generator.random(x.shape, dtype=np.float32) < x
    return counts


def phase(x: Values, steps: int, offset: float = 0.0) -> Counts:
    """A spike whenever a phase that grows by x per step from `offset` passes a whole number, [time,
    sample, neuron].

    A phase that misses it by SLACK units in its last place is there: 100 times 0.57 are 57.
    """
    counts = np.empty((steps, *x.shape), np.uint8)
    before = np.floor(x * 0 + offset)
    for t in range(steps):
        reached = (t + 1) * x + offset
        after = np.floor(reached + SLACK * np.spacing(reached))
        counts[t] = after - before
        before = after
    return counts


def latency(x: Values, steps: int) -> Counts:
    """One spike at step min(floor((1 - x) T), T - 1), none for x = 0, [time, sample, neuron].

    Step k and those after it have x <= (T - k) / T: this border is rounded once, to the type of x,
    and one that x exceeds by SLACK roundings of a number near 1 still counts.
    """
    values = x if x.dtype.kind == "f" else x.astype(np.float64)
    borders = (np.arange(1, steps) / steps).astype(values.dtype)
    when = steps - 1 - np.searchsorted(borders + SLACK * np.finfo(values.dtype).eps, values)
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
    origin: float | None = None,
    saturate: bool = False,
) -> Counts:
    """Counts [time, neuron] of the events of one recording; neuron = (polarity height + y) width +
    x.

    size: (height, width). time: in any unit, and step_duration and origin in the same one, see
    `step_of`. origin: the time at which step 0 begins, by default 0. Events after the last step are
    left out. saturate: counts above 255 become 255.
    Raises InvalidData for lists of different lengths, events outside the sensor or before the
    origin, a count above 255, and, unless an origin is given, a recording of which nothing would be
    left.
    """
    height, width = (
        whole(n, f"{name} of the sensor", 1)
        for n, name in zip(size, ("height", "width"), strict=True)
    )
    steps, polarities = whole(steps, "steps", 1), whole(polarities, "polarities", 1)
    columns, rows, signs = (
        whole_numbers(a, f"event {n}") for a, n in ((x, "x"), (y, "y"), (polarity, "p"))
    )
    times = np.asarray(time)
    if len({a.shape for a in (columns, rows, signs, times)}) != 1 or times.ndim != 1:
        raise InvalidData(
            "event lists differ in length: x, y, p, t have "
            f"{[a.shape for a in (columns, rows, signs, times)]}"
        )
    for name, values, limit in (
        ("x", columns, width),
        ("y", rows, height),
        ("p", signs, polarities),
    ):
        if np.any((values < 0) | (values >= limit)):
            wrong = values[(values < 0) | (values >= limit)][0]
            raise InvalidData(f"event {name} = {wrong} lies outside 0..{limit - 1}")
    step = step_of(times, step_duration, steps, 0 if origin is None else origin)
    if np.any(step < 0):
        raise InvalidData(
            f"event time {times.min():g} lies before {origin or 0}: give the start of the "
            "recording as origin"
        )
    inside = step < steps
    if origin is None and len(times) and not inside.any():
        raise InvalidData(
            f"the recording begins at {times.min()}, after the last of {steps} steps of "
            f"{step_duration}, so that nothing would be left of it: give its start as origin "
            "(0 if that is meant), or more steps"
        )
    neuron = (signs * height + rows) * width + columns
    cells = polarities * height * width
    counts = np.bincount(step[inside] * cells + neuron[inside], minlength=steps * cells)
    if counts.max() > 255 and not saturate:
        at, channel = divmod(int(counts.argmax()), cells)
        raise InvalidData(
            f"neuron {channel} has a count of {counts.max()} in step {at}, at most 255 fit: use "
            "shorter steps, or allow 255 in its place with saturate=True"
        )
    return np.minimum(counts, 255).astype(np.uint8).reshape(steps, cells)


@dataclass(frozen=True)
class Encoder:
    """An encoder and its parameters.

    steps: T.
    levels: largest count of `direct` and `spikes`.
    offset: initial phase of `phase`, 0..1 (1/2 rounds the number of spikes to the nearest).
    seed: of `rate`.
    saturate: counts of `spikes` above `levels` become `levels`, else they are refused.
    Raises InvalidData for an unknown kind, a value out of range, and a number that is not whole
    where one is needed.
    """

    kind: Kind
    steps: int
    levels: int = 1
    offset: float = 0.0
    seed: int = 0
    saturate: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InvalidData(
                f"unknown encoder {self.kind!r}: known are {', '.join(get_args(Kind))}"
            )
        for name, smallest, largest in (("steps", 1, None), ("levels", 1, 255), ("seed", 0, None)):
            value = whole(getattr(self, name), f"encoder {self.kind!r}: {name}", smallest, largest)
            object.__setattr__(self, name, value)
        if isinstance(self.offset, str | bool) or not 0.0 <= self.offset < 1.0:
            raise InvalidData(
                f"encoder {self.kind!r}: offset lies in 0..1 (1 excluded), not {self.offset!r}"
            )
        if not isinstance(self.saturate, bool) or (self.saturate and self.kind != "spikes"):
            raise InvalidData(
                f"encoder {self.kind!r}: saturate={self.saturate!r}; True or False, and True "
                "for `spikes` alone"
            )

    @property
    def max_count(self) -> int:
        """The largest count that can occur, as `quantize` needs it."""
        return self.levels if self.kind in ("direct", "spikes") else 1

    def encode(self, x: NDArray[Any] | Spikes, stream: tuple[int, ...] = ()) -> Spikes:
        """Spikes of values [sample, neuron] in 0..1, or of spike counts uint8 [sample, time,
        neuron].

        x: samples of a Dataset (`Dataset.samples`), or an array. stream: numbers beside the seed
        that give `rate` other spikes, for instance one set per training epoch.
        Raises InvalidData for values outside 0..1, for spikes of another shape or type or whose
        axes cannot be told apart, and for counts above `levels`.
        """
        x = x if isinstance(x, Spikes) else np.asarray(x)
        if self.kind == "spikes":
            return self._checked(x)
        if isinstance(x, Spikes):
            raise InvalidData(
                f"encoder {self.kind!r} takes values [sample, neuron] in 0..1, these are spikes: "
                "use the encoder 'spikes'"
            )
        check_values(x)
        encoders: dict[str, Callable[[], Counts]] = {
            "rate": lambda: rate(x, self.steps, [self.seed, *stream]),
            "phase": lambda: phase(x, self.steps, self.offset),
            "latency": lambda: latency(x, self.steps),
            "direct": lambda: direct(x, self.steps, self.levels),
        }
        return Spikes(encoders[self.kind]())

    def _checked(self, x: NDArray[Any] | Spikes) -> Spikes:
        """Recorded spikes, once they fit."""
        given = x
        if not isinstance(given, Spikes):
            if given.ndim != 3 or given.dtype != np.uint8:
                raise InvalidData(
                    f"spikes are {given.dtype} of shape {given.shape}, the encoder needs uint8 "
                    f"[sample, {self.steps}, neuron]"
                )
            given = samples_first(given, self.steps, "the array of spikes")
        if given.steps != self.steps:
            raise InvalidData(
                f"spikes have {given.steps} steps, the encoder needs {self.steps}: uint8 "
                f"[sample, {self.steps}, neuron]"
            )
        largest = int(given.counts.max())
        if largest > self.levels and not self.saturate:
            raise InvalidData(
                f"spikes have a count of {largest}, encoder {self.kind!r} allows {self.levels} "
                f"in a step: give levels={largest}, or saturate=True to cut them"
            )
        return Spikes(np.ascontiguousarray(np.minimum(given.counts, self.levels)))

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
