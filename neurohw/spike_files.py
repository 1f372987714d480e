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


def read_counts(path: Path, steps: int, neurons: int) -> tuple[NDArray[np.uint8], bool]:
    """Counts [time, sample, neuron] of a file, and whether it has samples.

    The file holds `spikes` [time, neuron] or [sample, time, neuron]; `axes` beside it, one of AXES,
    says the order of three axes. Raises InvalidData for what is no input of a model of so many
    steps and neurons, and where time and sample cannot be told apart.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InvalidData(
                f"{path} is one array without a name: save it with np.savez(path, spikes=array)"
            )
        with file:
            spikes = np.asarray(file["spikes"])
            axes = str(file["axes"]) if "axes" in file.files else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InvalidData(f"{path}: no readable array 'spikes' ({error})") from error
    if spikes.ndim not in (2, 3):
        raise InvalidData(
            f"{path}: spikes has shape {spikes.shape}, [time, neuron] or [sample, time, neuron] is "
            "needed"
        )
    if axes is not None and axes not in AXES:
        raise InvalidData(f"{path}: axes is one of {', '.join(map(repr, AXES))}, not {axes!r}")
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
            f"{path}: the array of shape {spikes.shape}: {reason}; save its order beside it, "
            f"axes={AXES[0]!r} or axes={AXES[1]!r}"
        )
    if counts.shape[2] != neurons:
        raise InvalidData(
            f"{path}: spikes has shape {spikes.shape}, the network has {neurons} input neurons, "
            "the last axis"
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
        with open(temporary, "xb") as file:
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
    read_counts,
    check_free,
    write_trace,
)
# the script imports os, secrets, Path, Any, BadZipFile, np and NDArray
SOURCE = "\n\n".join(
    [
        f"AXES = {AXES!r}\n",
        'class InvalidData(Exception):\n    """A file cannot be read or written as asked."""\n',
        *[inspect.getsource(function) for function in FUNCTIONS],
    ]
).replace("  # type: ignore[arg-type]", "")
