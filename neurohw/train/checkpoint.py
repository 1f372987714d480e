# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training: everything that the next epoch depends on, in one file."""

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from neurohw.errors import BrokenFile
from neurohw.formats import FORMATS, check_format
from neurohw.storage import check_file, write_file

NAME = "checkpoint.pt"


def write_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Write `checkpoint.pt` in the folder, atomically: an interruption leaves the one before.

    Raises CannotWrite if another file stands there.
    """
    buffer = io.BytesIO()
    torch.save({"format_version": FORMATS["checkpoint"].version, **content}, buffer)
    write_file(folder / NAME, buffer.getvalue(), "checkpoint")


def read_checkpoint(folder: Path, identity: str) -> dict[str, Any] | None:
    """The checkpoint of the training `identity`, or None where there is none or it belongs to
    another training.

    Raises BrokenFile, naming the file, if it cannot be read, CannotWrite if the next one could not
    replace it.
    """
    path = folder / NAME
    if not path.is_file():
        check_file(path, "checkpoint")
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError, KeyError, ValueError) as error:
        raise BrokenFile(
            f"{path}: truncated or unreadable checkpoint; delete it to train from the start"
        ) from error
    if not isinstance(content, dict) or "identity" not in content:
        raise BrokenFile(
            f"{path}: not a checkpoint of neurohw; move it away to train from the start"
        )
    check_format(path, "checkpoint", content.get("format_version", 1))
    check_file(path, "checkpoint")
    return content if content["identity"] == identity else None
