# SPDX-License-Identifier: Apache-2.0
"""Folders of speech, the checksum of recordings, downloads that fail, and the command that
hears.
"""

import dataclasses
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from neurohw.cli.app import app
from neurohw.data import Cochlea, read_counts, spike_file, spoken_digits
from neurohw.data.speech import (
    FSDD_SOUNDS,
    Sound,
    digit_sounds,
    download_fsdd,
    hear,
    hear_to_file,
    sounds_digest,
    speech_commands,
    write_spikes,
)
from neurohw.errors import CannotWrite, InvalidData
from tests.shared_data import shared_data

RATE = 8000


def tone(frequency: float, milliseconds: int = 120) -> np.ndarray:
    return (
        20000 * np.sin(2 * np.pi * frequency * np.arange(RATE * milliseconds // 1000) / RATE)
    ).astype(np.int16)


@pytest.fixture
def digits_folder(tmp_path: Path) -> Path:
    """Digits 0 and 1 by two speakers, indices 3 to 6: two tones."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for digit in (0, 1):
        for speaker in ("theo", "anna"):
            for index in range(3, 7):
                wavfile.write(
                    folder / f"{digit}_{speaker}_{index}.wav",
                    RATE,
                    tone(400 + 1500 * digit + 5 * index),
                )
    (folder / "readme.txt").write_text("no sound")
    return folder


def test_a_folder_of_digits_becomes_spikes(digits_folder: Path, tmp_path: Path) -> None:
    sounds = digit_sounds(digits_folder)
    assert [s.name for s in sounds[:2]] == ["0_anna_3.wav", "0_anna_4.wav"] and len(sounds) == 16
    told: list[float] = []
    recordings, index = hear(sounds, Cochlea(channels=16), lambda text, done: told.append(done))
    assert told[-1] == 1.0 and index.tolist() == [3, 4, 5, 6] * 4
    assert (
        recordings.speakers is not None
        and recordings.speakers.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    )
    write_spikes(tmp_path / "spikes.npz", recordings, index)
    again, read_index = spike_file(tmp_path / "spikes.npz")
    assert again.channels == 16 and np.array_equal(again.channel, recordings.channel)
    assert (
        np.allclose(again.time, recordings.time)
        and read_index is not None
        and np.array_equal(read_index, index)
    )
    finer = dataclasses.replace(recordings, time=recordings.time + 0.0004)
    with pytest.raises(InvalidData, match="whole milliseconds, speech has an event at"):
        write_spikes(tmp_path / "finer.npz", finer)
    data = spoken_digits(tmp_path / "spikes.npz", steps=12, validation=0.25)
    assert len(data.y_test) == 8 and data.features == 16
    # the two tones are heard at two places
    low, high = (data.x_train[data.y_train == d].sum((0, 1)).argmax() for d in (0, 1))
    assert low < high


def test_the_command_hears(
    digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(
        ["hear", str(digits_folder), "--out", str(tmp_path / "out.npz"), "--channels", "8"],
        standalone_mode=False,
    )
    assert "16 recordings" in capsys.readouterr().out
    assert spike_file(tmp_path / "out.npz")[0].channels == 8


def test_what_is_no_speech_is_named(digits_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="nowhere: there is no such folder"):
        digit_sounds(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidData, match="7_jackson_32.wav"):
        digit_sounds(tmp_path / "empty")
    (digits_folder / "2_theo_1.wav").write_bytes(b"RIFF")
    with pytest.raises(InvalidData, match="2_theo_1.wav: not a readable"):
        digit_sounds(digits_folder)
    wavfile.write(digits_folder / "2_theo_1.wav", RATE, np.zeros((50, 2), np.int16))
    with pytest.raises(InvalidData, match="2_theo_1.wav: int16 of shape .50, 2."):
        digit_sounds(digits_folder)


def archive(path: Path, folder: Path) -> str:
    with tarfile.open(path, "w:gz") as file:
        for wav in sorted(folder.glob("*.wav")):
            file.add(wav, f"release-1/recordings/{wav.name}")
    return path.as_uri()


def test_a_download_is_compared_with_its_checksum(digits_folder: Path, tmp_path: Path) -> None:
    url = archive(tmp_path / "release.tar.gz", digits_folder)
    sounds = digit_sounds(digits_folder)
    downloaded = download_fsdd(url, sounds_digest(sounds))
    assert [s.name for s in downloaded] == [s.name for s in sounds]
    with pytest.raises(InvalidData, match="16 recordings have the checksum"):
        download_fsdd(url)
    with pytest.raises(InvalidData, match="cannot be reached.*name its folder"):
        download_fsdd((tmp_path / "nothing.tar.gz").as_uri())
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InvalidData, match="not a readable archive"):
        download_fsdd((tmp_path / "broken.tar.gz").as_uri())


def test_the_checksum_is_that_of_the_published_recordings() -> None:
    with np.load(shared_data("fsdd/fsdd.npz")) as file:
        a = {name: file[name] for name in file.files}
    sounds = [
        Sound(
            f"{a['labels'][n]}_{a['speakers'][a['speaker'][n]]}_{a['index'][n]}.wav",
            a["wave"][a["offsets"][n] : a["offsets"][n + 1]],
            int(a["rate"]),
            int(a["labels"][n]),
        )
        for n in range(3000)
    ]
    assert sounds_digest(sounds) == FSDD_SOUNDS == sounds_digest(sounds[::-1])
    sounds[5].wave[0] += 1
    assert sounds_digest(sounds) != FSDD_SOUNDS


def test_speech_commands_have_their_official_parts(tmp_path: Path) -> None:
    for word, frequency in (("yes", 500), ("no", 2000), ("_background_noise_", 100)):
        (tmp_path / word).mkdir()
        for n in range(4):
            wavfile.write(tmp_path / word / f"{n}.wav", RATE, tone(frequency + 20 * n))
    (tmp_path / "validation_list.txt").write_text("yes/2.wav\nno/2.wav\n")
    (tmp_path / "testing_list.txt").write_text("yes/3.wav\n")
    data = speech_commands(tmp_path, steps=12, cochlea=Cochlea(channels=12))
    assert [len(data.part(p)[1]) for p in ("train", "validation", "test")] == [5, 2, 1]
    assert data.y_test.tolist() == [1] and data.classes == 2 and data.steps == 12  # no, yes
    assert "2 words, recordings: 5 train" in hear_to_file(str(tmp_path), tmp_path / "heard.npz", 12)
    again = read_counts(tmp_path / "heard.npz")
    assert (
        again.name == "speech-commands"
        and again.steps == 100
        and np.array_equal(again.y_train, data.y_train)
    )
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(InvalidData, match="broken.npz: not a dataset of spikes"):
        read_counts(tmp_path / "broken.npz")
    (tmp_path / "testing_list.txt").unlink()
    with pytest.raises(InvalidData, match="testing_list.txt"):
        speech_commands(tmp_path)


def test_archives_in_memory_are_read(digits_folder: Path) -> None:
    from neurohw.data.speech import read_sound

    path = digits_folder / "0_anna_3.wav"
    assert np.array_equal(
        read_sound(path)[1], read_sound(Path("x.wav"), io.BytesIO(path.read_bytes()).getvalue())[1]
    )


def test_hear_does_not_replace_another_file(
    digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before it listens."""
    out = tmp_path / "mine.npz"
    np.savez(out, measured=np.arange(3))
    before = out.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("neurohw.data.speech.hear", lambda *_: pytest.fail("the work began"))
        with pytest.raises(CannotWrite, match=r"mine\.npz: it carries no seal of neurohw"):
            hear_to_file(str(digits_folder), out, 4)
    assert out.read_bytes() == before
    hear_to_file(str(digits_folder), out, 4, force=True)
    hear_to_file(str(digits_folder), out, 4)
    assert spike_file(out)[0].channels == 4
