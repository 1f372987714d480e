"""Datasets: the digits that come with scikit-learn, and MNIST-like files."""

import gzip
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data.dataset import Dataset, stratified_split
from neurohw.errors import InvalidData

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
    """1,797 handwritten digits of 8x8 pixels in 0..1 (UCI Optical Recognition of Handwritten Digits, test part).

    test: fraction of all samples; validation: fraction of the rest. Both are stratified by class and drawn from `seed`.
    """
    from sklearn.datasets import load_digits  # local: only this function needs scikit-learn

    bunch = load_digits()
    x, y = (bunch.data / 16.0).astype(np.float32), bunch.target.astype(np.int64)
    rest, tested = stratified_split(y, test, seed)
    kept, held = stratified_split(y[rest], validation, seed + 1)
    train, check = rest[kept], rest[held]
    return Dataset("digits", x[train], y[train], x[check], y[check], x[tested], y[tested], 10, (8, 8))


def read_idx(path: Path) -> NDArray[Any]:
    """The array of an idx file, plain or gzip-compressed; InvalidData, naming the file, for anything else."""
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
            f"{path}: holds {len(raw) - start} bytes, its shape {shape} needs {expected}; get the file again"
        )
    return np.frombuffer(raw, kind, offset=start).reshape(shape)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise InvalidData(f"{path}: arrays {', '.join(missing)} are missing; it holds {', '.join(file.files)}")
            return {name: file[name] for name in ARRAYS}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidData(f"{path}: broken or not an .npz file ({error})") from error


def _read_idx_folder(folder: Path) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, prefix in IDX_NAMES.items():
        found = sorted(p for p in folder.iterdir() if p.is_file() and p.name.startswith(prefix))
        if not found:
            raise InvalidData(
                f"{folder}: no file {prefix}-idx*-ubyte or {prefix}-idx*-ubyte.gz; an MNIST folder holds "
                f"{', '.join(IDX_NAMES.values())}, or one .npz"
            )
        arrays[name] = read_idx(found[0])
    return arrays


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """x_train, y_train, x_test, y_test as stored, from an .npz, a folder with one .npz, or a folder of idx files."""
    if path.is_dir():
        archives = sorted(path.glob("*.npz"))
        if len(archives) > 1:
            raise InvalidData(f"{path}: holds {len(archives)} .npz files; name the one to load")
        return _read_npz(archives[0]) if archives else _read_idx_folder(path)
    if not path.exists():
        raise InvalidData(f"{path}: no such file or folder")
    if path.suffix != ".npz":
        raise InvalidData(
            f"{path}: unknown kind of dataset; give an .npz with {', '.join(ARRAYS)} or a folder of idx files"
        )
    return _read_npz(path)


def _features(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Features [sample, feature] as they are stored, once they are known to be some."""
    if values.ndim < 2 or values.size == 0:
        raise InvalidData(f"{where}: shape {values.shape} holds no samples of features")
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise InvalidData(f"{where}: features are {values.dtype}; uint8 in 0..255 or floats in 0..1 are needed")
    return values.reshape(len(values), -1)


def _scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Features in 0..1, not to be written to: 8-bit integers are divided by 255, floats are taken as they are."""
    if values.dtype == np.uint8:
        scaled: NDArray[np.float32] = np.divide(values, np.float32(255), dtype=np.float32)
    else:
        scaled = values.astype(np.float32)
    scaled.setflags(write=False)
    return scaled


def load(path: str | Path, validation: float = 1 / 12, seed: int = 0) -> Dataset:
    """A dataset from files, with the official test part; a stratified `validation` fraction of the training part is held out.

    path: an .npz with x_train, y_train, x_test, y_test; a folder with one such .npz; or a folder of MNIST idx files, also
    gzip-compressed. Raises InvalidData, naming the file, for anything unknown, broken, empty or mismatched.
    """
    path = Path(path)
    arrays = read_arrays(path)
    x = {part: _features(arrays[f"x_{part}"], f"{path}, x_{part}") for part in ("train", "test")}
    y = {}
    for part in ("train", "test"):
        labels = arrays[f"y_{part}"]
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(x[part]):
            raise InvalidData(
                f"{path}, y_{part}: {labels.dtype} of shape {labels.shape}; {len(x[part])} whole labels are needed"
            )
        y[part] = labels.astype(np.int64)
    if x["train"].shape[1] != x["test"].shape[1]:
        raise InvalidData(f"{path}: {x['train'].shape[1]} training features, but {x['test'].shape[1]} in the test part")
    shape = arrays["x_train"].shape[1:]
    kept, held = stratified_split(y["train"], validation, seed)
    name = path.stem if path.suffix else path.name
    return Dataset(
        name,
        _scaled(x["train"][kept]),
        y["train"][kept],
        _scaled(x["train"][held]),
        y["train"][held],
        _scaled(x["test"]),
        y["test"],
        int(max(y["train"].max(), y["test"].max())) + 1,
        (int(shape[0]), int(shape[1])) if len(shape) == 2 else None,
    )
