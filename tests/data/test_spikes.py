"""Datasets of recorded spikes: binning by hand, splits, the Heidelberg files, and files that cannot be read."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurohw.data import Dataset, Encoder, Recordings, coincidences, shd, spike_file, spoken_digits, ssc
from neurohw.errors import InvalidData


def recordings(**changes: Any) -> Recordings:
    fields: dict[str, Any] = {
        "name": "hand",
        "time": np.array([0.0, 0.009, 0.010, 0.031, 0.5, 0.01, 0.01], np.float32),
        "channel": np.array([0, 0, 1, 4, 2, 3, 3]),
        "offsets": np.array([0, 5, 7]),
        "labels": np.array([1, 0]),
        "channels": 5,
    }
    return Recordings(**{**fields, **changes})


def test_counts_by_hand() -> None:
    counts = recordings().counts(4, 0.01)
    assert counts.shape == (2, 4, 5) and counts.dtype == np.uint8
    assert counts[0].tolist() == [[2, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert counts[1, 1].tolist() == [0, 0, 0, 2, 0] and counts.sum() == 6  # the event at 0.5 s is left out
    assert recordings().counts(4, 0.01, merge=2)[0].tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([1])}, "1 labels, but 3 offsets"),
        ({"offsets": np.array([0, 5, 6])}, "7 times"),
        ({"offsets": np.array([0, 9, 7])}, "offsets fall"),
        ({"channels": 4}, "channels 0 to 4 lie outside 0..3"),
        ({"time": np.full(7, -1.0, np.float32)}, "times begin at -1"),
        ({"speakers": np.array([1, 2, 3])}, "3 speakers"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        recordings(**changes)
    with pytest.raises(InvalidData, match="must be above 0"):
        recordings().counts(0, 0.01)


def digits_file(path: Path) -> Path:
    """12 recordings of 2 digits by 2 speakers, indices 4 to 6."""
    labels, speaker, index = (a.ravel() for a in np.meshgrid([0, 1], [0, 1], [4, 5, 6], indexing="ij"))
    count = len(labels)
    np.savez(
        path,
        t_ms=np.arange(2 * count, dtype=np.uint16),
        ch=np.tile([0, 2], count).astype(np.uint8),
        offsets=2 * np.arange(count + 1),
        labels=labels.astype(np.uint8),
        speaker=speaker.astype(np.uint8),
        index=index.astype(np.uint8),
        centre_hz=np.zeros(4, np.float32),
    )
    return path


def test_splits_of_spoken_digits(tmp_path: Path) -> None:
    path = digits_file(tmp_path / "spikes.npz")
    official = spoken_digits(path, steps=30, step_duration=0.001, validation=0.25)
    assert official.features == 4 and official.steps == 30 and official.classes == 2
    assert len(official.y_test) == 4 and len(official.y_train) + len(official.y_validation) == 8
    assert official.x_test.sum() == 8  # two events each
    left_out = spoken_digits(path, test_speaker=1, steps=30, step_duration=0.001)
    assert len(left_out.y_test) == 6 and left_out.name.endswith("speaker1")
    with pytest.raises(InvalidData, match="there is no speaker 7"):
        spoken_digits(path, test_speaker=7)


def heidelberg(path: Path, count: int, classes: int) -> None:
    rng = np.random.default_rng(count)
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (count,), dtype=h5py.vlen_dtype(kind))
            for n in range(count):
                values = np.linspace(0, 1, 5 + n % 3) if name == "times" else rng.integers(0, 700, 5 + n % 3)
                data[n] = values.astype(kind)
        file["labels"] = np.arange(count) % classes
        file["extra/speaker"] = np.arange(count) % 3


def test_heidelberg_files(tmp_path: Path) -> None:
    for name, count in (("shd_train", 40), ("shd_test", 7), ("ssc_train", 12), ("ssc_valid", 5), ("ssc_test", 6)):
        heidelberg(tmp_path / f"{name}.h5", count, 4)
    data = shd(tmp_path, validation=0.25)
    assert data.x_train.shape == (28, 100, 140) or data.x_train.shape[1:] == (100, 140)
    assert len(data.y_train) + len(data.y_validation) == 40 and len(data.y_test) == 7
    assert data.y_test.tolist() == [n % 4 for n in range(7)]  # the test part keeps its order
    assert data.x_test[0].sum() == 4  # the event at 1.0 s lies behind the last step
    commands = ssc(tmp_path, merge=10)
    assert [len(commands.part(p)[1]) for p in ("train", "validation", "test")] == [12, 5, 6]
    assert commands.features == 70
    (tmp_path / "shd_train.h5").unlink()
    (tmp_path / "shd_train.h5.gz").write_bytes(b"")
    with pytest.raises(InvalidData, match=r"shd_train.h5: there is no such file; unpack shd_train.h5.gz"):
        shd(tmp_path)
    (tmp_path / "shd_train.h5").write_bytes(b"no HDF5")
    with pytest.raises(InvalidData, match=r"shd_train.h5: not a file of the Heidelberg"):
        shd(tmp_path)


def test_spike_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="nothing.npz: there is no such file"):
        spike_file(tmp_path / "nothing.npz")
    np.savez(tmp_path / "half.npz", t_ms=np.zeros(1), ch=np.zeros(1))
    with pytest.raises(InvalidData, match="half.npz: arrays offsets, labels are missing"):
        spike_file(tmp_path / "half.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK broken")
    with pytest.raises(InvalidData, match="broken.npz: broken"):
        spike_file(tmp_path / "broken.npz")


def test_the_encoder_hands_spikes_through() -> None:
    x = np.zeros((2, 3, 4), np.uint8)
    x[1, 2, 3], x[0, 0, 1] = 9, 1
    counts = Encoder("spikes", steps=3, levels=4).encode(x)
    assert counts.shape == (3, 2, 4) and counts[2, 1, 3] == 4 and counts[0, 0, 1] == 1 and counts.sum() == 5
    assert Encoder("spikes", steps=3, levels=4).max_count == 4
    for wrong in (x.astype(np.float32), x[:, :2], x[0]):
        with pytest.raises(InvalidData, match=r"needs uint8 \[sample, 3, neuron\]"):
            Encoder("spikes", steps=3).encode(wrong)
    with pytest.raises(InvalidData, match=r"features \(2, 2, 4\)"):
        Dataset("d", x, np.zeros(2), x[:, :2], np.zeros(2), x, np.zeros(2), 1)


def test_coincidences_differ_in_order_only() -> None:
    data = coincidences(classes=3, channels=8, samples=50, seed=4)
    assert np.array_equal(data.x_train.sum(1), np.ones((150, 8)))  # every channel fires once
    assert data.x_train.sum(2).max() == 1  # no two together
    assert len({s.tobytes() for s in data.x_train}) > 20
    again = coincidences(classes=3, channels=8, samples=50, seed=4)
    assert data.digest() == again.digest() != coincidences(classes=3, channels=8, samples=50, seed=5).digest()
    with pytest.raises(InvalidData, match="use more channels"):
        coincidences(classes=30, channels=3)
