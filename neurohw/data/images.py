# SPDX-License-Identifier: Apache-2.0
"""Datasets: the digits that come with scikit-learn, and MNIST-like files."""

import gzip
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurohw.data.dataset import Dataset, stratified_split, whole_numbers
from neurohw.data.stepping import whole
from neurohw.errors import InvalidData
from neurohw.stimulus import Spikes

Kind = Literal["values", "spikes"]
BRIGHT = 128  # 8-bit images have pixels of half the range and more
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
IDX_NAMES = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}
IDX_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
}


def digits(test: float = 0.25, validation: float = 0.1, seed: int = 0) -> Dataset:
    """1,797 handwritten digits of 8x8 pixels in 0..1 (UCI Optical Recognition of Handwritten
    Digits, test part).

    test: fraction of all samples;
    validation: fraction of the rest. Both are stratified by class and drawn from `seed`.
    """
    from sklearn.datasets import load_digits  # local: only this function needs scikit-learn

    bunch = load_digits()
    x, y = (bunch.data / 16.0).astype(np.float32), bunch.target.astype(np.int64)
    rest, tested = stratified_split(y, test, seed)
    kept, held = stratified_split(y[rest], validation, seed + 1)
    train, check = rest[kept], rest[held]
    return Dataset(
        "digits", x[train], y[train], x[check], y[check], x[tested], y[tested], 10, (8, 8)
    )


def read_idx(path: Path) -> NDArray[Any]:
    """The array of an idx file, plain or gzip-compressed;

    InvalidData, naming the file, for anything else.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidData(f"{path}: broken gzip file ({error}); get the file again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES or raw[3] == 0:
        raise InvalidData(f"{path}: not an idx file: it starts with {raw[:4].hex() or 'nothing'}")
    kind, axes = IDX_TYPES[raw[2]], raw[3]
    start = 4 + 4 * axes
    if len(raw) < start:
        raise InvalidData(f"{path}: truncated within its header of {start} bytes")
    shape = struct.unpack(f">{axes}I", raw[4:start])
    expected = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if len(raw) - start != expected:
        raise InvalidData(
            f"{path}: holds {len(raw) - start} bytes, its shape {shape} needs {expected}; "
            "get the file again"
        )
    return np.frombuffer(raw, kind, offset=start).reshape(shape)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise InvalidData(
                    f"{path}: arrays {', '.join(missing)} are missing; it holds "
                    f"{', '.join(file.files)}"
                )
            if "x_validation" in file.files:
                raise InvalidData(
                    f"{path}: it has a validation part of its own, as `write_counts` writes: "
                    "use read_counts"
                )
            return {name: file[name] for name in ARRAYS}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidData(f"{path}: broken or not an .npz file ({error})") from error


def _read_idx_folder(folder: Path) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, prefix in IDX_NAMES.items():
        found = sorted(p for p in folder.iterdir() if p.is_file() and p.name.startswith(prefix))
        if not found:
            raise InvalidData(
                f"{folder}: no file {prefix}-idx*-ubyte or {prefix}-idx*-ubyte.gz; an MNIST "
                f"folder holds {', '.join(IDX_NAMES.values())}, or one .npz"
            )
        arrays[name] = read_idx(found[0])
    return arrays


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """x_train, y_train, x_test, y_test as stored, from an .npz, a folder with one .npz, or a folder
    of idx files.
    """
    if path.is_dir():
        archives = sorted(path.glob("*.npz"))
        if len(archives) > 1:
            raise InvalidData(f"{path}: holds {len(archives)} .npz files; name the one to load")
        return _read_npz(archives[0]) if archives else _read_idx_folder(path)
    if not path.exists():
        raise InvalidData(f"{path}: no such file or folder")
    if path.suffix != ".npz":
        raise InvalidData(
            f"{path}: unknown kind of dataset; give an .npz with {', '.join(ARRAYS)} or a "
            "folder of idx files"
        )
    return _read_npz(path)


def _kind(values: NDArray[Any], where: str, images: bool) -> Kind:
    """What an array is, by its type, shape and range; InvalidData where it could be several things.

    images: it is from a file of images.
    """
    if images or values.dtype.kind not in "buif" or values.ndim < 3 or not values.size:
        return "values"
    no_image = values.dtype.kind in "bui" and values.dtype != np.uint8
    # spikes are whole and few, 8-bit images have bright pixels, images in 0..1 have fractions
    if no_image or (np.all(values == np.floor(values)) and values.max() < BRIGHT):
        raise InvalidData(
            f"{where}: {values.dtype} of shape {values.shape} with whole values up to "
            f"{values.max()} could be spike counts [sample, step, neuron] or images: "
            'say kind="spikes" or kind="values"'
        )
    return "values"


def _features(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Features [sample, feature] as they are stored, once they are known to be some."""
    if values.ndim < 2 or values.size == 0:
        raise InvalidData(f"{where}: shape {values.shape} holds no samples of features")
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise InvalidData(
            f"{where}: features are {values.dtype}; uint8 in 0..255 or floats in 0..1 are needed"
        )
    return values.reshape(len(values), -1)


def _largest(values: NDArray[Any], where: str) -> int:
    """What stands for 1 in 8-bit features: 255, or 1 where nothing is above it.

    InvalidData where it could be something in between.
    """
    top = int(values.max())
    if 1 < top < BRIGHT:
        raise InvalidData(
            f"{where}: uint8 values end at {top}, so that it is not known which of them stands "
            f"for 1: give largest={top} or largest=255"
        )
    return 1 if top <= 1 else 255


def _scaled(values: NDArray[Any], largest: int) -> NDArray[np.float32]:
    """Features in 0..1, not to be written to:

    8-bit integers are divided by `largest`, floats are taken as they are.
    """
    if values.dtype == np.uint8:
        scaled: NDArray[np.float32] = np.divide(values, np.float32(largest), dtype=np.float32)
    else:
        scaled = values.astype(np.float32)
    scaled.setflags(write=False)
    return scaled


def _counts(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Spike counts [sample, step, neuron] as uint8."""
    try:
        return Spikes.sample_first(values).counts.swapaxes(0, 1)
    except InvalidData as error:
        raise InvalidData(f"{where}: {error} (as spikes [sample, step, neuron])") from error


def load(
    path: str | Path,
    validation: float = 1 / 12,
    seed: int = 0,
    kind: Kind | None = None,
    largest: int | None = None,
) -> Dataset:
    """A dataset from files, with the official test part; a stratified `validation` fraction of the
    training part is held out.

    path: an .npz with x_train, y_train, x_test, y_test; a folder with one such .npz; or a folder of
        MNIST idx files, also gzip-compressed.
    kind: "values" (features or images, floats in 0..1 or uint8) or "spikes" (whole counts [sample,
        step, neuron]).
    largest: the uint8 that stands for 1.

    Without them, the arrays decide: idx files are values; so are two axes, and three or more with
    fractions or with values of BRIGHT and more; uint8 without values above 1 stand for themselves,
    with such of BRIGHT and more for 255ths. Everything else is refused.
    Raises InvalidData, naming the file, for anything unknown, ambiguous, broken, empty or
    mismatched.
    """
    path = Path(path)
    if kind not in (None, *get_args(Kind)):
        raise InvalidData(f"kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
    largest = None if largest is None else whole(largest, "largest", 1, 255)
    arrays = read_arrays(path)
    images = path.is_dir() and not any(path.glob("*.npz"))
    found = kind or _kind(arrays["x_train"], f"{path}, x_train", images)
    if largest is not None and (found == "spikes" or arrays["x_train"].dtype != np.uint8):
        raise InvalidData(
            f"{path}: largest={largest} is the value of uint8 features that stands for 1, these "
            f"are {found} of type {arrays['x_train'].dtype}"
        )
    as_read = _counts if found == "spikes" else _features
    x = {part: as_read(arrays[f"x_{part}"], f"{path}, x_{part}") for part in ("train", "test")}
    y = {}
    for part in ("train", "test"):
        labels = arrays[f"y_{part}"]
        if labels.ndim != 1 or labels.dtype.kind not in "iuf" or len(labels) != len(x[part]):
            raise InvalidData(
                f"{path}, y_{part}: {labels.dtype} of shape {labels.shape}; {len(x[part])} "
                "whole labels are needed"
            )
        y[part] = whole_numbers(labels, f"{path}, y_{part}")
    if x["train"].shape[1:] != x["test"].shape[1:]:
        own, other = (" x ".join(str(n) for n in x[part].shape[1:]) for part in ("train", "test"))
        raise InvalidData(f"{path}: {own} training features, but {other} in the test part")
    if x["train"].dtype != x["test"].dtype:
        raise InvalidData(f"{path}: x_train is {x['train'].dtype}, but x_test {x['test'].dtype}")
    shape = arrays["x_train"].shape[1:]
    kept, held = stratified_split(y["train"], validation, seed)
    name = path.stem if path.suffix else path.name
    parts = [x["train"][kept], x["train"][held], x["test"]]
    if found == "values":
        if largest is None and x["train"].dtype == np.uint8:
            largest = _largest(
                np.array([x[part].max() for part in x]), f"{path}, x_train and x_test"
            )
        parts = [_scaled(values, largest or 255) for values in parts]
    return Dataset(
        name,
        parts[0],
        y["train"][kept],
        parts[1],
        y["train"][held],
        parts[2],
        y["test"],
        int(max(y["train"].max(), y["test"].max())) + 1,
        (int(shape[0]), int(shape[1])) if len(shape) == 2 and found == "values" else None,
    )
