# SPDX-License-Identifier: Apache-2.0
"""Datasets of recorded spikes: binning by hand, splits, the Heidelberg files, and files that cannot
be read.
"""

import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurohw.data import Recordings, coincidences, shd, spike_file, spoken_digits, ssc
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
    assert counts[0].tolist() == [
        [2, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]
    # the event at 0.5 s is left out
    assert counts[1, 1].tolist() == [0, 0, 0, 2, 0] and counts.sum() == 6
    assert recordings().counts(4, 0.01, merge=2)[0].tolist() == [
        [2, 0, 0],
        [1, 0, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([1])}, "1 labels, but 3 offsets"),
        ({"offsets": np.array([0, 5, 6])}, "7 times"),
        ({"offsets": np.array([0, 9, 7])}, "offsets fall"),
        ({"channels": 4}, "channels 0 to 4 lie outside 0..3"),
        ({"time": np.full(7, -1.0, np.float32)}, "times begin at -1"),
        ({"speakers": np.array([1, 2, 3])}, "3 speakers"),
        ({"labels": np.array([1, 0.5])}, "labels: whole numbers are needed, not 0.5"),
        (
            {"channel": np.array([0, 0, 1, 4, 2, 3, 2.5])},
            "channel: whole numbers are needed, not 2.5",
        ),
        ({"time": np.array([0, 0, 0, 0, 0, 0, np.nan])}, "finite"),
        ({"time": np.array([0, 0, 0, 0, 0, 0, np.inf], np.float32)}, "finite"),
        ({"channels": 5.5}, "channels must be a whole number"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        recordings(**changes)
    for arguments in (
        (0, 0.01),
        (3.5, 0.01),
        (4, 0.0),
        (4, float("nan")),
        (4, 0.01, 0),
        (4, 0.01, 1.5),
    ):
        with pytest.raises(InvalidData, match="must be"):
            recordings().counts(*arguments)  # type: ignore[arg-type]


def one_channel(time: np.ndarray) -> Recordings:
    return Recordings(
        "one", time, np.zeros(len(time), int), np.array([0, len(time)]), np.array([0]), 1
    )


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(("unit", "count"), [(1e-3, 4000), (1e-4, 20000)])
def test_an_event_a_step_is_an_event_a_step(kind: type, unit: float, count: int) -> None:
    """Times k * unit, as they are written, divided or multiplied: each is alone in step k, though
    floats put k * unit / unit just below k.
    """
    for times in (np.arange(count) * unit, np.arange(count) / (1 / unit)):
        assert one_channel(times.astype(kind)).counts(count, unit).ravel().tolist() == [1] * count


def test_whole_milliseconds_of_a_file_are_exact(tmp_path: Path) -> None:
    for unit, milliseconds in ((1e-3, np.arange(4000)), (1e-4, np.arange(20000) / 10)):
        count = len(milliseconds)
        lists = {
            "ch": np.zeros(count, int),
            "offsets": np.array([0, count]),
            "labels": np.array([0]),
        }
        np.savez(tmp_path / "f.npz", t_ms=milliseconds, **lists)  # type: ignore[arg-type]
        assert np.all(spike_file(tmp_path / "f.npz")[0].counts(count, unit) == 1)


def test_half_precision_means_its_decimal() -> None:
    """Times of the Heidelberg files are float16, in which 0.1 is 0.0999755859375: it is step 10 of
    10 ms all the same.
    """
    times = np.round(np.arange(100) * 0.01, 2).astype(np.float16)
    assert one_channel(times).counts(100, 0.01).ravel().tolist() == [1] * 100


def test_recordings_that_do_not_start_at_0() -> None:
    later = recordings(time=np.array([3.0, 3.009, 3.01, 3.031, 3.5, 3.01, 3.01]))
    with pytest.raises(
        InvalidData, match=r"hand: recording 0 begins at 3.0 s.*nothing would be left.*origin"
    ):
        later.counts(4, 0.01)
    assert np.array_equal(later.counts(4, 0.01, origin=3.0), recordings().counts(4, 0.01))
    assert np.array_equal(later.counts(4, 0.01, origin=[3.0, 3.01])[1, 0], [0, 0, 0, 2, 0])
    assert later.counts(4, 0.01, origin=0).sum() == 0  # said so
    with pytest.raises(InvalidData, match="recording 1 has an event before the origin"):
        later.counts(4, 0.01, origin=[3.0, 3.02])
    with pytest.raises(InvalidData, match=r"origins have shape \(3,\)"):
        later.counts(4, 0.01, origin=[3.0, 3.0, 3.0])


def test_counts_above_255_are_named_or_saturate() -> None:
    many = one_channel(np.full(256, 0.02))
    with pytest.raises(
        InvalidData, match="one: recording 0 has a count of 256 in step 2, channel 0"
    ):
        many.counts(3, 0.01)
    assert many.counts(3, 0.01, saturate=True).ravel().tolist() == [0, 0, 255]


def test_counting_takes_the_memory_of_its_result() -> None:
    """17 bytes a cell would be 24 GiB for Spiking Speech Commands; the cells here are uint8, and a
    few MiB of a piece.
    """
    rng = np.random.default_rng(0)
    count, events = 1000, 40
    many = Recordings(
        "many",
        rng.random(count * events).astype(np.float16),
        rng.integers(0, 700, count * events).astype(np.uint16),
        np.arange(count + 1) * events,
        np.zeros(count, int),
        700,
    )
    tracemalloc.start()
    counts = many.counts(50, 0.02)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts.nbytes == count * 50 * 700 and peak < counts.nbytes + 30 * 2**20
    whole = many.counts(50, 0.02, merge=700)
    assert np.array_equal(whole[:, :, 0], counts.sum(axis=2))
    by_hand = np.zeros(counts.shape, int)
    # of the decimals
    step = np.array([int(Fraction(str(t)) / Fraction("0.02")) for t in many.time])
    inside = step < 50
    np.add.at(
        by_hand,
        (np.repeat(np.arange(count), events)[inside], step[inside], many.channel[inside]),
        1,
    )
    assert np.array_equal(by_hand, counts)


def digits_file(path: Path) -> Path:
    """12 recordings of 2 digits by 2 speakers, indices 4 to 6."""
    labels, speaker, index = (
        a.ravel() for a in np.meshgrid([0, 1], [0, 1], [4, 5, 6], indexing="ij")
    )
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
                values = (
                    np.linspace(0, 1, 5 + n % 3)
                    if name == "times"
                    else rng.integers(0, 700, 5 + n % 3)
                )
                data[n] = values.astype(kind)
        file["labels"] = np.arange(count) % classes
        file["extra/speaker"] = np.arange(count) % 3


def test_heidelberg_files(tmp_path: Path) -> None:
    for name, count in (
        ("shd_train", 40),
        ("shd_test", 7),
        ("ssc_train", 12),
        ("ssc_valid", 5),
        ("ssc_test", 6),
    ):
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
    with pytest.raises(
        InvalidData, match=r"shd_train.h5: there is no such file; unpack shd_train.h5.gz"
    ):
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


def test_coincidences_differ_in_order_only() -> None:
    data = coincidences(classes=3, channels=8, samples=50, seed=4)
    assert np.array_equal(data.x_train.sum(1), np.ones((150, 8)))  # every channel fires once
    assert data.x_train.sum(2).max() == 1  # no two together
    assert len({s.tobytes() for s in data.x_train}) > 20
    again = coincidences(classes=3, channels=8, samples=50, seed=4)
    assert (
        data.digest()
        == again.digest()
        != coincidences(classes=3, channels=8, samples=50, seed=5).digest()
    )
    with pytest.raises(InvalidData, match="use more channels"):
        coincidences(classes=30, channels=3)
