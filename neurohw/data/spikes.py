"""Datasets of recorded spikes: events in time, binned into counts [sample, step, channel].

spike_file   one .npz: t_ms, ch, offsets, labels, and speaker and index where there are speakers (spoken digits)
shd, ssc     the HDF5 files of the Heidelberg Spiking Datasets (Cramer et al., 2020), as they are distributed, unpacked
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data.dataset import PARTS, Dataset, stratified_split
from neurohw.errors import InvalidData
from neurohw.storage import write_file

HEIDELBERG_CHANNELS = 700


@dataclass(frozen=True)
class Recordings:
    """Events of many recordings, one after the other.

    time: in seconds, from 0, and channel, each [event]; offsets [recording + 1]: where each recording begins and ends. labels, speakers
    [recording]; speakers is None where they are unknown.
    Raises InvalidData for arrays that do not match.
    """

    name: str
    time: NDArray[np.float32]
    channel: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    channels: int
    speakers: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.labels) + 1 or not len(self.labels):
            raise InvalidData(f"{self.name}: {len(self.labels)} labels, but {len(self.offsets)} offsets")
        if len(self.time) != len(self.channel) or self.offsets[0] != 0 or self.offsets[-1] != len(self.time):
            raise InvalidData(
                f"{self.name}: {len(self.time)} times, {len(self.channel)} channels, offsets {self.offsets[0]} to {self.offsets[-1]}"
            )
        if np.any(np.diff(self.offsets) < 0):
            raise InvalidData(f"{self.name}: the offsets fall")
        if len(self.channel) and not (self.channel.min() >= 0 and self.channel.max() < self.channels):
            raise InvalidData(
                f"{self.name}: channels {self.channel.min()} to {self.channel.max()} lie outside 0..{self.channels - 1}"
            )
        if len(self.time) and not self.time.min() >= 0:
            raise InvalidData(f"{self.name}: times begin at {self.time.min()}, 0 or more is needed")
        if self.speakers is not None and len(self.speakers) != len(self.labels):
            raise InvalidData(f"{self.name}: {len(self.labels)} labels, but {len(self.speakers)} speakers")

    def counts(self, steps: int, step_duration: float, merge: int = 1) -> NDArray[np.uint8]:
        """Counts [recording, step, channel / merge]: `merge` neighbouring channels are summed; later events are left out, counts stop at 255."""
        if steps < 1 or not step_duration > 0 or merge < 1:
            raise InvalidData(f"steps {steps}, step_duration {step_duration} s and merge {merge} must be above 0")
        width = -(-self.channels // merge)
        sample = np.repeat(np.arange(len(self.labels)), np.diff(self.offsets))
        # a time on a border belongs to the step that begins there, in spite of rounding
        step = np.floor(self.time.astype(np.float64) / step_duration + 1e-4).astype(np.int64)
        inside = step < steps
        place = (sample[inside] * steps + step[inside]) * width + self.channel[inside] // merge
        total = np.bincount(place, minlength=len(self.labels) * steps * width)
        return np.minimum(total, 255).astype(np.uint8).reshape(len(self.labels), steps, width)


def spike_file(path: str | Path) -> tuple[Recordings, NDArray[np.int64] | None]:
    """Recordings of an .npz with t_ms, ch, offsets and labels, and its array `index`, if it has one; InvalidData naming the file."""
    path = Path(path)
    if not path.is_file():
        raise InvalidData(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [n for n in ("t_ms", "ch", "offsets", "labels") if n not in file.files]
            if missing:
                raise InvalidData(f"{path}: arrays {', '.join(missing)} are missing; it holds {', '.join(file.files)}")
            arrays = {n: file[n] for n in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidData(f"{path}: broken or not an .npz file ({error})") from error
    channels = (
        int(arrays["channels"])
        if "channels" in arrays
        else len(arrays.get("centre_hz", [])) or int(arrays["ch"].max()) + 1
    )
    recordings = Recordings(
        str(path),
        arrays["t_ms"].astype(np.float32) / np.float32(1000),
        arrays["ch"].astype(np.int64),
        arrays["offsets"].astype(np.int64),
        arrays["labels"].astype(np.int64),
        channels,
        arrays["speaker"].astype(np.int64) if "speaker" in arrays else None,
    )
    return recordings, arrays["index"].astype(np.int64) if "index" in arrays else None


def write_counts(path: str | Path, dataset: Dataset, force: bool = False) -> None:
    """Write a dataset of spikes as one compressed .npz, from which `read_counts` gives an equal one."""
    arrays = {f"{a}_{part}": getattr(dataset, f"{a}_{part}") for part in PARTS for a in "xy"}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, name=np.array(dataset.name), classes=np.array(dataset.classes))
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
    return Dataset(name, **arrays, classes=int(labels.max()) + 1)


def spoken_digits(
    path: str | Path,
    test_speaker: int | None = None,
    steps: int = 70,
    step_duration: float = 0.01,
    validation: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Spoken digits as spikes. Test part: the recordings 0 to 4 of every speaker and digit (the official split), or all of `test_speaker`.

    path: see `spike_file`. validation: fraction of the rest, stratified, drawn from `seed`.
    """
    recordings, index = spike_file(path)
    if test_speaker is None:
        if index is None:
            raise InvalidData(f"{path}: the official split needs the array `index`; name a test speaker instead")
        tested, name = index < 5, "spoken-digits"
    else:
        if recordings.speakers is None or not np.any(recordings.speakers == test_speaker):
            known = [] if recordings.speakers is None else np.unique(recordings.speakers).tolist()
            raise InvalidData(f"{path}: there is no speaker {test_speaker}; it holds {known}")
        tested, name = recordings.speakers == test_speaker, f"spoken-digits-speaker{test_speaker}"
    counts = recordings.counts(steps, step_duration)
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    return _dataset(name, counts, recordings.labels, train, test, validation, seed)


def heidelberg_file(path: Path) -> Recordings:
    """Recordings of one HDF5 file of SHD or SSC: spikes/times in seconds, spikes/units 0..699, labels; InvalidData naming the file."""
    import h5py  # local: only this function needs it

    if not path.is_file():
        packed = path.with_name(path.name + ".gz")
        hint = f"; unpack {packed.name} first" if packed.is_file() else ""
        raise InvalidData(f"{path}: there is no such file{hint}")
    try:
        with h5py.File(path, "r") as file:
            times, units = list(file["spikes/times"][:]), list(file["spikes/units"][:])
            labels = np.asarray(file["labels"][:], np.int64)
            speakers = np.asarray(file["extra/speaker"][:], np.int64) if "extra/speaker" in file else None
    except (OSError, KeyError) as error:
        raise InvalidData(f"{path}: not a file of the Heidelberg Spiking Datasets ({error})") from error
    if [len(t) for t in times] != [len(u) for u in units]:
        raise InvalidData(f"{path}: times and units of a recording differ in number")
    empty = np.zeros(0, np.float32)
    return Recordings(
        str(path),
        np.concatenate([*times, empty]).astype(np.float32),
        np.concatenate([*units, empty]).astype(np.int64),
        np.cumsum([0, *(len(t) for t in times)]),
        labels,
        HEIDELBERG_CHANNELS,
        speakers,
    )


def shd(
    folder: str | Path,
    steps: int = 100,
    step_duration: float = 0.01,
    merge: int = 5,
    validation: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Spiking Heidelberg Digits from shd_train.h5 and shd_test.h5: 20 classes, 10,420 recordings, 700 channels, `merge` of them summed.

    There is no official validation part: `validation` of the training part is held out, stratified, drawn from `seed`; the test part is never chosen on.
    """
    train, test = (heidelberg_file(Path(folder) / f"shd_{part}.h5") for part in ("train", "test"))
    counts = np.concatenate([r.counts(steps, step_duration, merge) for r in (train, test)])
    labels = np.concatenate([train.labels, test.labels])
    everything = np.arange(len(labels))
    border = len(train.labels)
    return _dataset("shd", counts, labels, everything[:border], everything[border:], validation, seed)


def ssc(folder: str | Path, steps: int = 100, step_duration: float = 0.01, merge: int = 5) -> Dataset:
    """Spiking Speech Commands from ssc_train.h5, ssc_valid.h5 and ssc_test.h5: 35 classes, the official parts, 700 channels, `merge` of them summed."""
    names = {"train": "train", "validation": "valid", "test": "test"}
    files = {part: heidelberg_file(Path(folder) / f"ssc_{name}.h5") for part, name in names.items()}
    arrays: dict[str, Any] = {f"x_{p}": r.counts(steps, step_duration, merge) for p, r in files.items()}
    arrays |= {f"y_{p}": r.labels for p, r in files.items()}
    return Dataset("ssc", **arrays, classes=max(int(r.labels.max()) for r in files.values()) + 1)
