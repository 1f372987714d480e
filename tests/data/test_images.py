# SPDX-License-Identifier: Apache-2.0
"""Datasets: splits, files that are right, and files that are not."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurohw.data import Dataset, digits, load
from neurohw.data.dataset import stratified_split
from neurohw.data.images import read_idx
from neurohw.errors import InvalidData

RNG = np.random.default_rng(0)
ARRAYS = {
    "x_train": RNG.integers(0, 256, (60, 4, 3), dtype=np.uint8),
    "y_train": np.arange(60, dtype=np.uint8) % 3,
    "x_test": RNG.integers(0, 256, (9, 4, 3), dtype=np.uint8),
    "y_test": np.arange(9, dtype=np.uint8) % 3,
}
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, compressed: bool) -> None:
    for name, array in zip(NAMES, ARRAYS.values(), strict=True):
        content = idx_bytes(array)
        (folder / (name + ".gz" if compressed else name)).write_bytes(
            gzip.compress(content) if compressed else content
        )


def test_digits_are_split_by_class_without_overlap() -> None:
    dataset = digits()
    assert dataset.image == (8, 8) and dataset.classes == 10
    parts = [dataset.part(name) for name in ("train", "validation", "test")]
    assert sum(len(y) for _, y in parts) == 1797
    assert 0.2 <= len(parts[2][1]) / 1797 <= 0.26
    for _, y in parts:
        share = np.bincount(y, minlength=10) / len(y)
        assert share.min() > 0.08 and share.max() < 0.12
    assert dataset.digest() == digits().digest() != digits(seed=1).digest()
    assert dataset.x_train.max() == 1.0 and not dataset.x_train.flags.writeable


def test_a_split_takes_every_sample_once() -> None:
    labels = np.repeat(np.arange(4), [2, 10, 50, 7])
    kept, taken = stratified_split(labels, 0.2, 3)
    assert np.array_equal(np.sort(np.concatenate([kept, taken])), np.arange(len(labels)))
    assert np.bincount(labels[taken]).tolist() == [1, 2, 10, 1]
    with pytest.raises(InvalidData, match="class 1 has 1"):
        stratified_split(np.array([0, 0, 1]), 0.5, 0)
    for fraction in (1.0, float("nan")):
        with pytest.raises(InvalidData, match="fraction"):
            stratified_split(labels, fraction, 0)
    for seed in (-1, 0.5):
        with pytest.raises(InvalidData, match="seed"):
            stratified_split(labels, 0.5, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["npz", "folder", "idx", "gz"])
def test_every_form_of_file_gives_the_same_dataset(tmp_path: Path, form: str) -> None:
    path = tmp_path / "set.npz" if form == "npz" else tmp_path / "set"
    if form != "npz":
        path.mkdir()
    if form in ("npz", "folder"):
        np.savez(path if form == "npz" else path / "any.npz", **ARRAYS)
    else:
        write_idx(path, form == "gz")
    dataset = load(path)
    assert (dataset.name, dataset.image, dataset.classes, dataset.features) == (
        "set",
        (4, 3),
        3,
        12,
    )
    assert (len(dataset.y_train), len(dataset.y_validation), len(dataset.y_test)) == (54, 6, 9)
    np.testing.assert_allclose(dataset.x_test, ARRAYS["x_test"].reshape(9, 12) / 255, atol=1e-6)
    assert np.array_equal(dataset.y_test, ARRAYS["y_test"])
    together = np.concatenate([dataset.x_train, dataset.x_validation])
    assert sorted(map(tuple, together)) == sorted(
        map(tuple, (ARRAYS["x_train"].reshape(60, 12) / np.float32(255)))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("y_test"), "y_test"),
        (lambda a: a.update(y_train=a["y_train"][:-1]), "60 whole labels"),
        (lambda a: a.update(y_test=a["y_test"] * 0.5), "y_test: whole numbers are needed, not 0.5"),
        (
            lambda a: a.update(y_test=a["y_test"] * np.nan),
            "y_test: whole numbers are needed, not nan",
        ),
        (lambda a: a.update(y_test=a["y_test"].astype(str)), "whole labels"),
        (lambda a: a.update(x_test=a["x_test"][:, :3]), "training features"),
        (lambda a: a.update(x_test=a["x_test"][:0], y_test=a["y_test"][:0]), "no samples"),
        (lambda a: a.update(x_train=a["x_train"][:0], y_train=a["y_train"][:0]), "no samples"),
        (lambda a: a.update(x_train=a["x_train"].astype(np.int64)), "int64"),
        (lambda a: a.update(x_train=a["x_train"] * 1.0), "x_train is float64, but x_test uint8"),
        (
            lambda a: a.update(x_train=a["x_train"] * 1.0, x_test=a["x_test"] * 1.0),
            "0..1 is needed",
        ),
        (
            lambda a: a.update(x_train=a["x_train"] * np.nan, x_test=a["x_test"] * 1.0),
            "0..1 is needed",
        ),
        (lambda a: a.update(x_validation=a["x_train"]), "use read_counts"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[dict], object], message: str
) -> None:
    arrays = dict(ARRAYS)
    change(arrays)
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(InvalidData, match=message):
        load(tmp_path / "set.npz")


def saved(path: Path, **changes: object) -> Path:
    np.savez(path / "set.npz", **{**ARRAYS, **changes})  # type: ignore[arg-type]
    return path / "set.npz"


def test_spikes_are_never_taken_for_pixels(tmp_path: Path) -> None:
    """uint8 [n, T, F] with few spikes: neither divided by 255 nor flattened; without a word which
    of both it is, refused.
    """
    spikes = {
        f"x_{part}": RNG.integers(0, 3, (n, 4, 3), dtype=np.uint8)
        for part, n in (("train", 60), ("test", 9))
    }
    for kind in (np.uint8, np.int64, np.float32, bool):
        typed = {name: array.astype(kind) for name, array in spikes.items()}
        with pytest.raises(
            InvalidData, match=r'could be spike counts .* say kind="spikes" or kind="values"'
        ):
            load(saved(tmp_path, **typed))
        dataset = load(saved(tmp_path, **typed), kind="spikes")
        assert dataset.steps == 4 and dataset.features == 3 and dataset.image is None
        assert dataset.x_test.dtype == np.uint8 and np.array_equal(dataset.x_test, typed["x_test"])
    for wrong, message in (
        (spikes["x_test"] * 0.5, "whole counts"),
        (spikes["x_test"] * np.nan, "whole counts"),
        (spikes["x_test"].astype(int) - 1, "whole counts"),
        (spikes["x_test"].astype(int) + 300, "at most 255"),
        (spikes["x_test"][:, 0], "stimulus has shape"),
    ):
        with pytest.raises(InvalidData, match=f"x_test: .*{message}"):
            load(saved(tmp_path, x_train=spikes["x_train"], x_test=wrong), kind="spikes")
    with pytest.raises(InvalidData, match="kind is one of values, spikes, not 'sound'"):
        load(saved(tmp_path), kind="sound")  # type: ignore[arg-type]


def test_images_of_0_and_1_stay_as_they_are(tmp_path: Path) -> None:
    black_and_white = {
        name: (ARRAYS[name] > 127).astype(np.uint8) for name in ("x_train", "x_test")
    }
    for dataset in (
        load(saved(tmp_path, **black_and_white), kind="values"),
        load(
            saved(
                tmp_path,
                **{name: array.reshape(len(array), -1) for name, array in black_and_white.items()},
            )
        ),
    ):
        assert set(np.unique(dataset.x_test)) == {0.0, 1.0}
        assert np.array_equal(dataset.x_test, black_and_white["x_test"].reshape(9, 12))
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, array in zip(NAMES, ({**ARRAYS, **black_and_white}).values(), strict=True):
        (folder / name).write_bytes(idx_bytes(array))
    assert set(np.unique(load(folder).x_train)) == {0.0, 1.0}  # idx files are images


def test_the_value_that_stands_for_1_is_known_or_given(tmp_path: Path) -> None:
    """Images of 17 greys in uint8 end at 16: divided by 255 they would be all but black."""
    greys = {
        name: (ARRAYS[name] // 16 + ARRAYS[name] // 255).reshape(len(ARRAYS[name]), -1)
        for name in ("x_train", "x_test")
    }
    with pytest.raises(InvalidData, match="uint8 values end at 16.*give largest=16 or largest=255"):
        load(saved(tmp_path, **greys))
    assert np.array_equal(
        load(saved(tmp_path, **greys), largest=16).x_test, greys["x_test"] / np.float32(16)
    )
    with pytest.raises(InvalidData, match=r"largest must be in 1\.\.255"):
        load(saved(tmp_path, **greys), largest=0)
    with pytest.raises(InvalidData, match="0..1 is needed"):
        load(saved(tmp_path, **greys), largest=8)
    floats = {name: array / 16 for name, array in greys.items()}
    with pytest.raises(InvalidData, match="largest=16 is the value of uint8 features"):
        load(saved(tmp_path, **floats), largest=16)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="no such file"):
        load(tmp_path / "absent.npz")
    with pytest.raises(InvalidData, match="train-images"):
        load(tmp_path)
    (tmp_path / "set.csv").write_text("1,2")
    with pytest.raises(InvalidData, match="unknown kind"):
        load(tmp_path / "set.csv")
    np.savez(tmp_path / "a.npz", **ARRAYS)
    for content in (b"", b"PK\x03\x04 and nothing", (tmp_path / "a.npz").read_bytes()[:900]):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(InvalidData, match=r"broken\.npz"):
            load(tmp_path / "broken.npz")
    with pytest.raises(InvalidData, match="name the one"):
        load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x02\x08\x01",
        b"\0\0\x08\x03\0\0",
        b"\0\0\x55\x01\0\0\0\0",
        idx_bytes(ARRAYS["x_test"])[:-1],
        gzip.compress(b"\0" * 99, mtime=0)[:-4],
    ],
    ids=["empty", "wrong start", "no shape", "unknown type", "a byte short", "half a gzip file"],
)
def test_broken_idx_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(InvalidData, match="train-images-idx3-ubyte"):
        read_idx(path)


def test_a_dataset_checks_its_parts() -> None:
    x, y = np.zeros((4, 6), np.float32), np.array([0, 1, 0, 1])
    assert Dataset("ok", x, y, x, y, x, y, 2, (2, 3)).features == 6
    with pytest.raises(InvalidData, match="train"):
        Dataset("wrong", x, y[:3], x, y, x, y, 2)
    with pytest.raises(InvalidData, match="test: labels"):
        Dataset("wrong", x, y, x, y, x, y + 1, 2)
    with pytest.raises(InvalidData, match="validation: features range"):
        Dataset("wrong", x, y, x + 2, y, x, y, 2)
    with pytest.raises(InvalidData, match="no image"):
        Dataset("wrong", x, y, x, y, x, y, 2, (2, 2))
    for labels, message in (
        (y * 0.5, "train, labels: whole numbers are needed, not 0.5"),
        (y * np.nan, "train, labels: whole numbers"),
        (y.astype(str), "train, labels: whole numbers are needed, not <U"),
        (-y, "train: labels -1..0"),
    ):
        with pytest.raises(InvalidData, match=message):
            Dataset("wrong", x, labels, x, y, x, y, 2)
    with pytest.raises(InvalidData, match="test: features range from nan"):
        Dataset("wrong", x, y, x, y, x * np.nan, y, 2)
    spikes = np.zeros((4, 5, 6), np.uint8)
    with pytest.raises(
        InvalidData, match="test: features are float32 .4, 6.; every part has spike counts"
    ):
        Dataset("mixed", spikes, y, spikes, y, x, y, 2)
    with pytest.raises(InvalidData, match="test: features are float64 .4, 5, 6.; every part"):
        Dataset("mixed", spikes, y, spikes, y, spikes * 1.0, y, 2)
    for classes in (0, 2.0, True):
        with pytest.raises(InvalidData, match="classes must be"):
            Dataset("wrong", x, y, x, y, x, y, classes)  # type: ignore[arg-type]
    with pytest.raises(InvalidData, match="unknown part"):
        Dataset("ok", x, y, x, y, x, y, 2).part("holdout")
