# SPDX-License-Identifier: Apache-2.0
"""Folders of recorded speech, heard by a cochlea: the Free Spoken Digit Dataset and Google Speech
Commands.

    digits      files <digit>_<speaker>_<index>.wav, and the release of 3,000 of them by name
                ("fsdd")
    commands    one folder per word, with validation_list.txt and testing_list.txt (Warden, 2018)

Hearing takes milliseconds per recording: `write_spikes` keeps the result as one file, which
`spoken_digits` and `spike_file` read.
"""

import hashlib
import io
import re
import struct
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from neurohw.data.cochlea import Cochlea
from neurohw.data.dataset import PARTS, Dataset
from neurohw.data.spikes import Recordings, write_counts
from neurohw.data.stepping import as_doubles
from neurohw.errors import InvalidData
from neurohw.storage import check_file, write_file

DIGIT_NAME = re.compile(r"([0-9])_([A-Za-z]+)_([0-9]+)\.wav")
FSDD_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
)
# SHA-256 of names and samples, whatever the archive they come in; see `sounds_digest`
FSDD_SOUNDS = "7b0c70d19a2a6f8efba7a34353901e524959b76724499c33ba98c19a195db2ba"
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Sound:
    """One recording: int16 samples, samples per second, the file's name without folder, and what it
    says.
    """

    name: str
    wave: NDArray[np.int16]
    rate: int
    label: int
    speaker: str = ""
    index: int = 0


def read_sound(path: Path, content: bytes | None = None) -> tuple[int, NDArray[np.int16]]:
    """(samples per second, samples) of a 16-bit .wav file with one channel, or of the content of
    one; InvalidData naming the file.
    """
    try:
        rate, wave = wavfile.read(io.BytesIO(content if content is not None else path.read_bytes()))
    except (OSError, ValueError, EOFError, struct.error) as error:
        raise InvalidData(f"{path}: not a readable .wav file ({error})") from error
    if wave.dtype != np.int16 or wave.ndim != 1 or not len(wave):
        raise InvalidData(
            f"{path}: {wave.dtype} of shape {wave.shape}; one channel of 16-bit samples is needed"
        )
    return int(rate), wave


def _digit(path: Path, content: bytes | None = None) -> Sound | None:
    found = DIGIT_NAME.fullmatch(path.name)
    if found is None:
        return None
    rate, wave = read_sound(path, content)
    return Sound(path.name, wave, rate, int(found[1]), found[2], int(found[3]))


def digit_sounds(folder: str | Path) -> list[Sound]:
    """The recordings <digit>_<speaker>_<index>.wav of a folder, in the order of their names;

    InvalidData where there are none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidData(f"{folder}: there is no such folder")
    sounds = [s for path in sorted(folder.iterdir()) if (s := _digit(path)) is not None]
    if not sounds:
        raise InvalidData(f"{folder}: it holds no files named like 7_jackson_32.wav")
    return sounds


def sounds_digest(sounds: list[Sound]) -> str:
    """SHA-256 over names and samples in the order of the names: the same for the same recordings in
    any archive.
    """
    sha = hashlib.sha256()
    for sound in sorted(sounds, key=lambda s: s.name):
        sha.update(
            f"{sound.name}\0{sound.rate}\0{len(sound.wave)}\0".encode()
            + sound.wave.astype("<i2").tobytes()
        )
    return sha.hexdigest()


def download_fsdd(url: str = FSDD_URL, expected: str = FSDD_SOUNDS) -> list[Sound]:
    """The 3,000 recordings of the Free Spoken Digit Dataset, downloaded, compared with their
    checksum, and not kept.

    Raises InvalidData without a network, saying what to do instead, and for recordings that are not
    the expected ones.
    """
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise InvalidData(
            f"{url} cannot be reached ({error}): download it elsewhere, unpack it, and name "
            "its folder `recordings` instead of fsdd"
        ) from error
    sounds = []
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member) if member.isfile() else None
                sound = (
                    _digit(Path(member.name), file.read())
                    if file and "/recordings/" in member.name
                    else None
                )
                if sound is not None:
                    sounds.append(sound)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidData(f"{url}: not a readable archive ({error})") from error
    if sounds_digest(sounds) != expected:
        raise InvalidData(
            f"{url}: its {len(sounds)} recordings have the checksum "
            f"{sounds_digest(sounds)[:16]}, {expected[:16]} was expected: another release, "
            "or a broken download"
        )
    return sorted(sounds, key=lambda s: s.name)


def hear(
    sounds: Iterable[Sound],
    cochlea: Cochlea,
    progress: Progress | None = None,
    total: int | None = None,
) -> tuple[Recordings, NDArray[np.int64]]:
    """The spikes of recordings, each scaled to full loudness, and their indices.

    Speakers are numbered in the order of their names.

    total: number of recordings, for the progress of an iterator, of which one recording is kept at
        a time.
    """
    total = len(sounds) if isinstance(sounds, list) else total
    time, channel, offsets = [], [], [0]
    labels, speakers, index = [], [], []
    for done, sound in enumerate(sounds, 1):
        loudest = max(int(np.abs(sound.wave.astype(np.int32)).max()), 1)
        t, c = cochlea.spikes(sound.wave / loudest, sound.rate)
        time.append(t / 1000)
        channel.append(c)
        offsets.append(offsets[-1] + len(t))
        labels.append(sound.label)
        speakers.append(sound.speaker)
        index.append(sound.index)
        if progress and total and (done % 20 == 0 or done == total):
            progress(f"heard {done} of {total} recordings", done / total)
    names = sorted(set(speakers))
    recordings = Recordings(
        "speech",
        np.concatenate(time),
        np.concatenate(channel),
        np.array(offsets),
        np.array(labels),
        cochlea.channels,
        np.array([names.index(s) for s in speakers]),
    )
    return recordings, np.array(index)


def write_spikes(
    path: Path, recordings: Recordings, index: NDArray[np.int64] | None = None, force: bool = False
) -> None:
    """Write recordings as the .npz that `spike_file` reads;

    InvalidData for fractions of milliseconds.
    """
    milliseconds = np.rint(recordings.time.astype(np.float64) * 1000)
    wrong = np.abs(as_doubles(recordings.time) * 1000 - milliseconds) > 1e-6
    if wrong.any():
        raise InvalidData(
            f"{path}: a file of spikes holds whole milliseconds, {recordings.name} has an event "
            f"at {recordings.time[wrong][0]} s"
        )
    buffer = io.BytesIO()
    more = {} if index is None else {"index": index}
    if recordings.speakers is not None:
        more["speaker"] = recordings.speakers
    np.savez_compressed(
        buffer,
        t_ms=milliseconds.astype(np.uint32),
        ch=recordings.channel.astype(np.uint16),
        offsets=recordings.offsets,
        labels=recordings.labels,
        channels=np.array(recordings.channels),
        **more,  # type: ignore[arg-type]
    )
    write_file(path, buffer.getvalue(), "spikes", force)


def _commands(folder: Path) -> Iterator[tuple[str, Path]]:
    """(part, file) of every recording of Speech Commands, words and files in the order of their
    names.
    """
    lists: dict[str, str] = {}
    for part, name in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        try:
            lists |= dict.fromkeys((folder / name).read_text().split(), part)
        except OSError as error:
            raise InvalidData(
                f"{folder / name}: {error.strerror}; the folder of Speech Commands holds it"
            ) from error
    for word in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("_")):
        for path in sorted(word.glob("*.wav")):
            yield lists.get(f"{word.name}/{path.name}", "train"), path


def speech_commands(
    folder: str | Path,
    steps: int = 100,
    step_duration: float = 0.01,
    cochlea: Cochlea | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Google Speech Commands as spikes, with the official parts: one folder per word, whose names
    in order are the classes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidData(f"{folder}: there is no such folder")
    found = list(_commands(folder))
    words = sorted({path.parent.name for _, path in found})
    if not found:
        raise InvalidData(f"{folder}: it holds no folders of .wav files")
    cochlea = cochlea or Cochlea()
    arrays: dict[str, Any] = {}
    for part in PARTS:
        paths = [path for own, path in found if own == part]
        if not paths:
            raise InvalidData(f"{folder}: no recordings in the {part} part")

        def tell(text: str, done: float, part: str = part) -> None:
            if progress:
                progress(f"{part}: {text}", done)

        sounds = (
            Sound(p.name, w, r, words.index(p.parent.name))
            for p in paths
            for r, w in [read_sound(p)]
        )
        recordings, _ = hear(sounds, cochlea, tell, len(paths))
        arrays |= {
            f"x_{part}": recordings.counts(steps, step_duration),
            f"y_{part}": recordings.labels,
        }
    return Dataset("speech-commands", **arrays, classes=len(words))


def hear_to_file(
    source: str,
    out: Path,
    channels: int = 64,
    progress: Progress | None = None,
    force: bool = False,
) -> str:
    """Hear "fsdd", a folder of digits or of Speech Commands, write the file of spikes for their
    recipe, and say in words what it holds.

    Raises CannotWrite, before it listens, if something else than such a file stands at `out`,
    unless `force`.
    """
    check_file(out, "spikes", force)
    if (Path(source) / "testing_list.txt").is_file():
        dataset = speech_commands(source, cochlea=Cochlea(channels), progress=progress)
        write_counts(out, dataset, force)
        parts = ", ".join(f"{len(dataset.part(part)[1]):,} {part}" for part in PARTS)
        return f"{dataset.classes} words, recordings: {parts}"
    sounds = download_fsdd() if source == "fsdd" else digit_sounds(source)
    recordings, index = hear(sounds, Cochlea(channels), progress)
    write_spikes(out, recordings, index, force)
    return f"{len(sounds):,} recordings, {len(recordings.time):,} spikes"
