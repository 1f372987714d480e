# SPDX-License-Identifier: Apache-2.0
"""Datasets of recorded spikes: events in time, binned into counts [sample, step, channel].

spike_file   one .npz: t_ms, ch, offsets, labels, and speaker and index where there are speakers
(spoken digits)
shd, ssc     the HDF5 files of the Heidelberg Spiking Datasets (Cramer et al., 2020), as they are
distributed, unpacked
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohw.data.dataset import PARTS, Dataset, stratified_split, whole_numbers
from neurohw.data.stepping import as_doubles, duration, step_of, whole
from neurohw.errors import InvalidData
from neurohw.storage import write_file

HEIDELBERG_CHANNELS = 700
PIECE = 1 << 20  # cells, and events, that are counted at once, to bound memory
WHOLE = ("ch", "offsets", "labels", "channels", "speaker", "index")  # arrays of a file of spikes
HEIDELBERG_PIECE = 512  # recordings of a file that are read at once


@dataclass(frozen=True)
class Recordings:
    """Events of many recordings, one after the other.

    time: in seconds, from 0, floats of any width or whole numbers, and channel, each [event]; both
    are kept as they are. offsets [recording + 1]: where each recording begins and ends. labels,
    speakers [recording]; speakers is None where they are unknown. What a time means exactly: see
    `neurohw.data.stepping`.
    Raises InvalidData for arrays that do not match, times that are no finite numbers, and what
    should be whole and is not.
    """

    name: str
    time: NDArray[Any]
    channel: NDArray[Any]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    channels: int
    speakers: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        whole(self.channels, f"{self.name}: channels", 1)
        for key in ("channel", "offsets", "labels", "speakers"):
            values = getattr(self, key)
            if values is not None and (
                not isinstance(values, np.ndarray) or values.dtype.kind not in "iu"
            ):
                object.__setattr__(self, key, whole_numbers(values, f"{self.name}: {key}"))
        if self.time.dtype.kind not in "iuf" or not np.isfinite(self.time).all():
            raise InvalidData(
                f"{self.name}: times must be finite numbers, these are {self.time.dtype}"
            )
        if len(self.offsets) != len(self.labels) + 1 or not len(self.labels):
            raise InvalidData(
                f"{self.name}: {len(self.labels)} labels, but {len(self.offsets)} offsets"
            )
        if (
            len(self.time) != len(self.channel)
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.time)
        ):
            raise InvalidData(
                f"{self.name}: {len(self.time)} times, {len(self.channel)} channels, offsets "
                f"{self.offsets[0]} to {self.offsets[-1]}"
            )
        if np.any(np.diff(self.offsets) < 0):
            raise InvalidData(f"{self.name}: the offsets fall")
        if len(self.channel) and not (
            self.channel.min() >= 0 and self.channel.max() < self.channels
        ):
            raise InvalidData(
                f"{self.name}: channels {self.channel.min()} to {self.channel.max()} lie "
                f"outside 0..{self.channels - 1}"
            )
        if len(self.time) and not self.time.min() >= 0:
            raise InvalidData(f"{self.name}: times begin at {self.time.min()}, 0 or more is needed")
        if self.speakers is not None and len(self.speakers) != len(self.labels):
            raise InvalidData(
                f"{self.name}: {len(self.labels)} labels, but {len(self.speakers)} speakers"
            )

    def counts(
        self,
        steps: int,
        step_duration: float,
        merge: int = 1,
        origin: ArrayLike | None = None,
        saturate: bool = False,
    ) -> NDArray[np.uint8]:
        """Counts [recording, step, channel / merge]: `merge` neighbouring channels are summed.

        Events after the last step are left out.
        step_duration: in seconds, see `step_of`. origin: time in seconds at which step 0 begins, of
        all recordings or [recording]. saturate: counts above 255 become 255.
        Memory: the result, and a few MiB. Raises InvalidData, naming the recording, for an event
        before the origin, for a count above 255, and, unless an origin is given, for a recording of
        which nothing would be left.
        """
        steps, merge = whole(steps, "steps", 1), whole(merge, "merge", 1)
        step, width, count = duration(step_duration), -(-self.channels // merge), len(self.labels)
        result = np.zeros((count, steps, width), np.uint8)
        origins = np.asarray(0 if origin is None else origin)
        if origins.shape not in ((), (count,)):
            raise InvalidData(
                f"{self.name}: origins have shape {origins.shape}, one number or [{count}] "
                "is needed"
            )
        begin = 0
        while begin < count:
            fitting = (
                int(np.searchsorted(self.offsets, self.offsets[begin] + PIECE, side="right")) - 1
            )
            end = min(max(min(fitting, begin + PIECE // (steps * width)), begin + 1), count)
            end = begin + 1 if origins.ndim else end
            events = slice(self.offsets[begin], self.offsets[end])
            sample = np.repeat(np.arange(end - begin), np.diff(self.offsets[begin : end + 1]))
            when = step_of(
                self.time[events], step, steps, float(origins[begin] if origins.ndim else origins)
            )
            self._check_steps(when, sample, begin, steps, origin is None)
            inside = (when < steps).nonzero()[0]
            place = (sample[inside] * steps + when[inside]) * width + self.channel[events][
                inside
            ] // merge
            total = np.bincount(place.astype(np.int64), minlength=(end - begin) * steps * width)
            if total.max(initial=0) > 255 and not saturate:
                at = np.unravel_index(int(total.argmax()), (end - begin, steps, width))
                raise InvalidData(
                    f"{self.name}: recording {begin + int(at[0])} has a count of {total.max()} "
                    f"in step {at[1]}, channel {at[2]}; at most 255 fit: use shorter steps or a "
                    "smaller merge, or allow 255 in its place with saturate=True"
                )
            result[begin:end] = np.minimum(total, 255).reshape(end - begin, steps, width)
            begin = end
        result.setflags(write=False)
        return result

    def _check_steps(
        self,
        step: NDArray[np.int64],
        sample: NDArray[np.int64],
        begin: int,
        steps: int,
        whole_recordings: bool,
    ) -> None:
        """Raise InvalidData for events before step 0, and, if `whole_recordings`, where only later
        ones are.

        begin: number of the first recording.
        """
        if step.min(initial=0) < 0:
            number = begin + int(sample[step < 0][0])
            raise InvalidData(
                f"{self.name}: recording {number} has an event before the origin; give an "
                "earlier one"
            )
        events, inside = np.bincount(sample), np.bincount(sample, step < steps)
        lost = np.flatnonzero((events > 0) & (inside == 0))
        if whole_recordings and len(lost):
            number = begin + int(lost[0])
            first = self.time[self.offsets[number] : self.offsets[number + 1]].min()
            raise InvalidData(
                f"{self.name}: recording {number} begins at {first} s, after the last of {steps} "
                "steps, so that nothing would be left of it: give the origin (the time at which "
                "its step 0 begins; 0 if that is meant), or more steps"
            )


def spike_file(path: str | Path) -> tuple[Recordings, NDArray[np.int64] | None]:
    """Recordings of an .npz with t_ms, ch, offsets and labels, and its array `index`, if it has
    one; InvalidData naming the file.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidData(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [n for n in ("t_ms", "ch", "offsets", "labels") if n not in file.files]
            if missing:
                raise InvalidData(
                    f"{path}: arrays {', '.join(missing)} are missing; it holds "
                    f"{', '.join(file.files)}"
                )
            arrays = {n: file[n] for n in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidData(f"{path}: broken or not an .npz file ({error})") from error
    numbers = {n: whole_numbers(arrays[n], f"{path}, {n}") for n in WHOLE if n in arrays}
    if arrays["t_ms"].dtype.kind not in "iuf":
        raise InvalidData(f"{path}, t_ms: milliseconds are numbers, not {arrays['t_ms'].dtype}")
    channels = (
        numbers["channels"].item() if "channels" in numbers else len(arrays.get("centre_hz", []))
    )
    recordings = Recordings(
        str(path),
        as_doubles(arrays["t_ms"]) / 1000,
        numbers["ch"],
        numbers["offsets"],
        numbers["labels"],
        channels or int(numbers["ch"].max(initial=0)) + 1,
        numbers.get("speaker"),
    )
    return recordings, numbers.get("index")


def write_counts(path: str | Path, dataset: Dataset, force: bool = False) -> None:
    """Write a dataset of spikes as one compressed .npz, from which `read_counts` gives an equal
    one.
    """
    arrays = {f"{a}_{part}": getattr(dataset, f"{a}_{part}") for part in PARTS for a in "xy"}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, **arrays, name=np.array(dataset.name), classes=np.array(dataset.classes)
    )
    write_file(path, buffer.getvalue(), "spikes", force)


def read_counts(path: str | Path) -> Dataset:
    """The dataset that `write_counts` wrote; InvalidData naming the file."""
    path = Path(path)
    if not path.is_file():
        raise InvalidData(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {f"{a}_{part}": file[f"{a}_{part}"] for part in PARTS for a in "xy"}
            return Dataset(str(file["name"]), **arrays, classes=int(file["classes"]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidData(f"{path}: not a dataset of spikes ({error})") from error


def _dataset(
    name: str,
    counts: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    validation: float,
    seed: int,
) -> Dataset:
    kept, held = stratified_split(labels[train], validation, seed)
    parts = {"train": train[kept], "validation": train[held], "test": test}
    arrays: dict[str, Any] = {f"x_{p}": counts[i] for p, i in parts.items()} | {
        f"y_{p}": labels[i] for p, i in parts.items()
    }
    for array in arrays.values():
        array.setflags(write=False)  # else the dataset copies it
    return Dataset(name, **arrays, classes=int(labels.max()) + 1)


def spoken_digits(
    path: str | Path,
    test_speaker: int | None = None,
    steps: int = 70,
    step_duration: float = 0.01,
    validation: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Spoken digits as spikes.

    Test part: the recordings 0 to 4 of every speaker and digit (the official split), or all of
    `test_speaker`.

    path: see `spike_file`. validation: fraction of the rest, stratified, drawn from `seed`.
    """
    recordings, index = spike_file(path)
    if test_speaker is None:
        if index is None:
            raise InvalidData(
                f"{path}: the official split needs the array `index`; name a test speaker instead"
            )
        tested, name = index < 5, "spoken-digits"
    else:
        if recordings.speakers is None or not np.any(recordings.speakers == test_speaker):
            known = [] if recordings.speakers is None else np.unique(recordings.speakers).tolist()
            raise InvalidData(f"{path}: there is no speaker {test_speaker}; it holds {known}")
        tested, name = recordings.speakers == test_speaker, f"spoken-digits-speaker{test_speaker}"
    counts = recordings.counts(steps, step_duration)
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    return _dataset(name, counts, recordings.labels, train, test, validation, seed)


def heidelberg_pieces(path: Path) -> Iterator[tuple[int, int, Recordings]]:
    """(first, all, recordings) of one file of SHD or SSC, HEIDELBERG_PIECE recordings at a time.

    It holds spikes/times in seconds, spikes/units 0..699 and labels. first: number of the first
    recording of the piece; all: how many the file has. Raises InvalidData naming the file.
    """
    import h5py  # local: only this function needs it

    if not path.is_file():
        packed = path.with_name(path.name + ".gz")
        hint = f"; unpack {packed.name} first" if packed.is_file() else ""
        raise InvalidData(f"{path}: there is no such file{hint}")
    try:
        with h5py.File(path, "r") as file:
            count = len(file["labels"])
            for begin in range(0, count, HEIDELBERG_PIECE):
                here = slice(begin, begin + HEIDELBERG_PIECE)
                times, units = list(file["spikes/times"][here]), list(file["spikes/units"][here])
                if [len(t) for t in times] != [len(u) for u in units]:
                    raise InvalidData(f"{path}: times and units of a recording differ in number")
                recordings = Recordings(
                    f"{path}, recordings from {begin} on" if begin else str(path),
                    np.concatenate(times),
                    np.concatenate(units),
                    np.cumsum([0, *(len(t) for t in times)]),
                    file["labels"][here],
                    HEIDELBERG_CHANNELS,
                    file["extra/speaker"][here] if "extra/speaker" in file else None,
                )
                yield begin, count, recordings
    except (OSError, KeyError) as error:
        raise InvalidData(
            f"{path}: not a file of the Heidelberg Spiking Datasets ({error})"
        ) from error


def heidelberg_counts(
    path: Path, steps: int, step_duration: float, merge: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Counts, as of `Recordings.counts`, and labels of a file; of its events a piece is in
    memory.
    """
    counts, labels = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    for begin, total, recordings in heidelberg_pieces(path):
        part = recordings.counts(steps, step_duration, merge)
        if begin == 0:
            counts, labels = np.empty((total, *part.shape[1:]), np.uint8), np.empty(total, np.int64)
        counts[begin : begin + len(part)], labels[begin : begin + len(part)] = (
            part,
            recordings.labels,
        )
    if not labels.size:
        raise InvalidData(f"{path}: it holds no recordings")
    counts.setflags(write=False)
    return counts, labels


def shd(
    folder: str | Path,
    steps: int = 100,
    step_duration: float = 0.01,
    merge: int = 5,
    validation: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Spiking Heidelberg Digits from shd_train.h5 and shd_test.h5:

    20 classes, 10,420 recordings, 700 channels, `merge` of them summed.

    There is no official validation part: `validation` of the training part is held out, stratified,
    drawn from `seed`; the test part is never chosen on.
    """
    files = [Path(folder) / f"shd_{part}.h5" for part in ("train", "test")]
    (train, own), (test, others) = (
        heidelberg_counts(file, steps, step_duration, merge) for file in files
    )
    everything = np.arange(len(own) + len(others))
    border = len(own)
    counts, labels = np.concatenate([train, test]), np.concatenate([own, others])
    return _dataset(
        "shd", counts, labels, everything[:border], everything[border:], validation, seed
    )


def ssc(
    folder: str | Path, steps: int = 100, step_duration: float = 0.01, merge: int = 5
) -> Dataset:
    """Spiking Speech Commands from ssc_train.h5, ssc_valid.h5 and ssc_test.h5:

    35 classes, the official parts, 700 channels, `merge` of them summed.
    """
    names = {"train": "train", "validation": "valid", "test": "test"}
    arrays: dict[str, Any] = {}
    for part, name in names.items():
        file = Path(folder) / f"ssc_{name}.h5"
        arrays[f"x_{part}"], arrays[f"y_{part}"] = heidelberg_counts(
            file, steps, step_duration, merge
        )
    return Dataset(
        "ssc", **arrays, classes=max(int(arrays[f"y_{part}"].max()) for part in names) + 1
    )
