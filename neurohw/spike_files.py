# SPDX-License-Identifier: Apache-2.0
"""Files of spikes: how one is read, and how an exported script writes its trace.

Exported scripts run without this package and read files as `neurohw run` does, so they hold the
same functions as text (`SOURCE`): these use numpy and the standard library only.
"""

import inspect
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData
from neurohw.stimulus import whole_counts, why_exchanged

AXES = ("sample time neuron", "time sample neuron")  # what the array `axes` beside `spikes` may say
# how a file of spikes is written, for messages
SAVE_SPIKES = f"np.savez(path, spikes=array, axes={AXES[0]!r})"


def read_spikes(path: Path) -> tuple[NDArray[Any], str | None]:
    """The arrays `spikes` and `axes` of a file; InvalidData naming what is there instead."""
    if not path.is_file():
        what = "it is no file" if path.exists() else "there is no such file of spikes"
        raise InvalidData(f"{path}: {what}; {SAVE_SPIKES} writes one")
    try:
        with path.open("rb") as start:
            if not start.read(6).startswith((b"PK", b"\x93NUMPY")):
                raise InvalidData(f"{path} is no .npz of NumPy; {SAVE_SPIKES} writes one")
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InvalidData(f"{path} is one array without a name; save it with {SAVE_SPIKES}")
        with file:
            if "spikes" not in file.files:
                there = ", ".join(map(repr, file.files)) or "nothing"
                raise InvalidData(
                    f"{path} holds {there} and no array 'spikes'; save it with {SAVE_SPIKES}"
                )
            return np.asarray(file["spikes"]), str(file["axes"]) if "axes" in file.files else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else error
        raise InvalidData(f"{path}: no readable array 'spikes' ({reason})") from error


def read_counts(path: Path, steps: int, neurons: int) -> tuple[NDArray[np.uint8], bool]:
    """Counts [time, sample, neuron] of a file, and whether it has samples.

    The file holds `spikes` [time, neuron] or [sample, time, neuron]; `axes` beside it, one of AXES,
    says the order of three axes. Raises InvalidData for what is no input of a model of so many
    steps and neurons, and where time and sample cannot be told apart.
    """
    spikes, axes = read_spikes(Path(path))
    if spikes.ndim not in (2, 3):
        raise InvalidData(
            f"{path}: spikes has shape {spikes.shape}, [time, neuron] or [sample, time, neuron] is "
            "needed"
        )
    if axes is not None and axes not in AXES:
        raise InvalidData(f"{path}: axes is one of {', '.join(map(repr, AXES))}, not {axes!r}")
    if spikes.shape[-1] != neurons:  # before its axes are judged by its steps
        raise InvalidData(
            f"{path}: spikes has shape {spikes.shape}, so {spikes.shape[-1]} neurons, the input of "
            f"the model has {neurons}: give an array [time, {neurons}] or "
            f"[sample, time, {neurons}]"
        )
    many = spikes.ndim == 3
    ordered = spikes if many else spikes[:, None]
    ordered = ordered.swapaxes(0, 1) if many and axes != AXES[1] else ordered
    try:
        counts = whole_counts(ordered)
    except InvalidData as error:
        raise InvalidData(f"{path}: {error}") from error
    reason = why_exchanged(counts.shape[0], counts.shape[1], steps) if many and axes is None else ""
    if reason:
        raise InvalidData(
            f"{path}: the array of shape {spikes.shape}: {reason}; say its order beside it with "
            f"np.savez(path, spikes=array, axes={AXES[0]!r}) or axes={AXES[1]!r}; a model of "
            "another tool whose steps are others is imported again with --steps"
        )
    return counts, many


def check_free(path: Path, force: bool) -> None:
    """Raise InvalidData if something stands at a path, even a link to nothing, unless `force`.

    Folders and devices are never replaced.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise InvalidData(f"{path}: its folder is not there: name another place")
    if path.exists() and not path.is_file() and not path.is_symlink():
        raise InvalidData(f"{path} is no file: name another place")
    if os.path.lexists(path) and not force:
        raise InvalidData(f"{path} is there: name another file, or replace it with --force")


def write_trace(path: Path, arrays: dict[str, NDArray[Any]], force: bool) -> None:
    """Write an .npz whole or not at all; of a link that is replaced, not the file behind it."""
    path = Path(path)
    check_free(path, force)
    temporary = path.with_name(f".{path.name[:60]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        opened = open(temporary, "xb")
    except OSError as error:  # nothing of ours is there to be removed
        raise InvalidData(f"{path}: cannot be written ({error})") from error
    try:
        with opened as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        try:
            if not force:
                os.link(temporary, path)  # fails, unlike a rename, if something came in between
        except FileExistsError:
            raise
        except OSError:  # this file system has no hard links
            check_free(path, force)
            force = True
        if force:
            os.replace(temporary, path)
    except OSError as error:
        raise InvalidData(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    whole_counts,
    why_exchanged,
    read_spikes,
    read_counts,
    check_free,
    write_trace,
)
# the script imports os, secrets, Path, Any, BadZipFile, np and NDArray
SOURCE = "\n\n".join(
    [
        f"AXES = {AXES!r}\nSAVE_SPIKES = {SAVE_SPIKES!r}\n",
        'class InvalidData(Exception):\n    """A file cannot be read or written as asked."""\n',
        *[inspect.getsource(function) for function in FUNCTIONS],
    ]
).replace("  # type: ignore[arg-type]", "")
