# SPDX-License-Identifier: Apache-2.0
"""Input spikes whose order of axes is known, and what may be given to a model.

Engines, traces and encoders hold [time, sample, neuron]; datasets and files [sample, time, neuron].
`Spikes` says which of both an array is. A bare array is taken where only one order is possible for
a model that was trained on `steps` steps, else refused: see `check_order`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData

CURE = (
    "wrap it: Spikes.time_first(array) for [time, sample, neuron], as traces hold it, or "
    "Spikes.sample_first(array) for [sample, time, neuron], as datasets and files hold it"
)


class _Population(Protocol):
    @property
    def size(self) -> int: ...


class _Network(Protocol):
    @property
    def input(self) -> _Population: ...


class Timed(Protocol):
    """A model: a network, and the steps of a sample as trained."""

    @property
    def network(self) -> _Network: ...
    @property
    def steps(self) -> int: ...


class Proved(Timed, Protocol):
    """A model in integers, whose widths are proved for `steps` steps and counts up to
    `max_count`.
    """

    @property
    def max_count(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spike counts of known order.

    counts: uint8 [time, sample, neuron], whole numbers 0..255; an array of bytes is not copied.
    Raises InvalidData for another shape, an empty array, and values that are no such counts.
    """

    counts: NDArray[np.uint8]

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", whole_counts(self.counts))

    @staticmethod
    def time_first(array: NDArray[Any]) -> "Spikes":
        """Of an array [time, sample, neuron]: `Encoder.encode`, `Trace.spikes`."""
        return Spikes(array)

    @staticmethod
    def sample_first(array: NDArray[Any]) -> "Spikes":
        """Of an array [sample, time, neuron]: datasets, files of `run` and `crosscheck`."""
        array = np.asanyarray(array)
        return Spikes(array.swapaxes(0, 1) if array.ndim == 3 else array)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.counts.shape[0])

    @property
    def samples(self) -> int:
        """Number of samples."""
        return int(self.counts.shape[1])

    @property
    def neurons(self) -> int:
        """Number of input neurons."""
        return int(self.counts.shape[2])

    def part(self, chosen: slice | NDArray[np.integer]) -> "Spikes":
        """The chosen samples: a view of a slice, a copy of indices."""
        return Spikes(self.counts[:, chosen])


def whole_counts(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An array [time, sample, neuron] as uint8; InvalidData unless it holds whole counts 0..255."""
    array = np.asanyarray(array)
    if array.ndim != 3:
        raise InvalidData(f"stimulus has shape {array.shape}, [time, sample, neuron] is needed")
    if 0 in array.shape:
        raise InvalidData(
            f"stimulus of shape {array.shape} is empty: at least one step and one sample are needed"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "buif":
        raise InvalidData(f"stimulus of type {array.dtype}: whole counts of 0 or more are needed")
    # nan is neither
    if array.dtype.kind in "if" and not np.all((array >= 0) & (array == np.floor(array))):
        raise InvalidData("stimulus must hold whole counts of 0 or more")
    if array.max() > 255:
        raise InvalidData(
            f"stimulus holds a count of {array.max():g}, at most 255 are allowed in one step"
        )
    return array.astype(np.uint8)


def why_exchanged(time: int, samples: int, steps: int) -> str:
    """Why time and sample of an array may be exchanged, for a model of `steps`; "" if not."""
    if time == samples == 1 or (samples != steps and (time == steps or samples == 1)):
        return ""
    if time == samples == steps:
        reason = f"both of its first axes have the {steps} steps of the model"
    elif samples == steps:
        reason = f"its samples are {steps}, the steps of the model, and its steps {time}"
    else:
        reason = f"neither of its first axes has the {steps} steps of the model"
    return f"{reason}, so that time and sample may be exchanged"


def check_order(given: Spikes, steps: int, where: str, cure: str = CURE) -> None:
    """Raise InvalidData unless an array that was read as `given` can only be in this order.

    Taken are `steps` steps of another number of samples, and a single sample of any other length.
    Everything else might as well have time and sample exchanged. where: the array, in words.
    """
    reason = why_exchanged(given.steps, given.samples, steps)
    if reason:
        raise InvalidData(f"{where}: {reason}; {cure}")


def samples_first(array: NDArray[Any], steps: int, where: str, cure: str = CURE) -> Spikes:
    """A bare array [sample, time, neuron] for a model of `steps` steps;

    InvalidData as `check_order`.
    """
    given = Spikes.sample_first(array)
    check_order(given, steps, f"{where} of shape {np.shape(array)}", cure)
    return given


def stimulus_of(model: Timed, spikes: Spikes | NDArray[Any]) -> Spikes:
    """The counts of `spikes`, `Spikes` or an array [time, sample, neuron], checked against a model.

    Raises InvalidData where they do not fit the input, and for an array whose order is not known:
    see `check_order`.
    """
    given = spikes if isinstance(spikes, Spikes) else Spikes.time_first(spikes)
    check_inputs(given, model.network)
    if given is not spikes:
        check_order(given, model.steps, f"stimulus of shape {given.counts.shape}")
    return given


def check_inputs(spikes: Spikes, network: _Network) -> None:
    """Raise InvalidData unless the spikes have the neurons of the network's input."""
    size = network.input.size
    if spikes.neurons != size:
        raise InvalidData(
            f"stimulus has shape {spikes.counts.shape}, the network needs [time, sample, {size}]"
        )


def is_beyond(model: Proved, steps: int, count: int, allowed: bool) -> bool:
    """Whether so many steps, or a largest count of `count`, are beyond what the widths of a model
    are proved for.

    Raises InvalidData if they are, unless `allowed`: then states may saturate.
    """
    if steps <= model.steps and count <= model.max_count:
        return False
    if allowed:
        return True
    found, proved = (
        (f"{steps} steps", f"{model.steps}")
        if steps > model.steps
        else (f"a count of {count}", f"{model.max_count}")
    )
    raise InvalidData(
        f"the stimulus has {found}, the widths of this model are proved for {proved}: beyond "
        "that its states can saturate. "
        f"Prove it for the stimulus in Python, quantize(trained, steps={max(steps, model.steps)}, "
        f"max_count={max(count, model.max_count)}), or allow it with beyond_proof=True "
        "(--beyond-proof), which marks the result"
    )


def proved_stimulus(
    model: Proved, spikes: Spikes | NDArray[Any], allowed: bool = False
) -> tuple[Spikes, bool]:
    """As `stimulus_of` for a model in integers, and whether it is beyond the proof
    (`is_beyond`).
    """
    given = stimulus_of(model, spikes)
    return given, is_beyond(model, given.steps, int(given.counts.max()), allowed)
