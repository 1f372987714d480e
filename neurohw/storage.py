# SPDX-License-Identifier: Apache-2.0
"""Saving and loading of frozen values, and the door to writing (`neurohw.writing`).

A value is its JSON fields and its arrays, `value.json` beside `arrays.safetensors` in one folder;
its digest is the SHA-256 over both.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neurohw.errors import BrokenFile
from neurohw.formats import ARRAYS, FORMATS, VALUE, check_format
from neurohw.ownership import canonical_json, seal_json
from neurohw.writing import (
    ARRAYS_SHA256,
    check_claim,
    check_file,
    check_files,
    check_folder,
    claim_folder,
    new_folder,
    remove_file,
    remove_files,
    remove_folder,
    write_atomically,
    write_file,
    write_files,
    write_script,
)

__all__ = [
    "ARRAYS_SHA256",
    "canonical_json",
    "check_claim",
    "check_file",
    "check_files",
    "check_folder",
    "claim_folder",
    "digest",
    "load_value",
    "new_folder",
    "remove_file",
    "remove_files",
    "remove_folder",
    "save_value",
    "seal_json",
    "write_atomically",
    "write_file",
    "write_files",
    "write_script",
]


def digest(kind: str, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (64 hexadecimal digits) over kind, fields and arrays with their names, types and
    shapes.
    """
    sha = hashlib.sha256(kind.encode() + b"\0" + canonical_json(fields))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def save_value(
    path: Path | str,
    kind: str,
    fields: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    force: bool = False,
) -> str:
    """Save a value as a folder and return its digest.

    Raises CannotWrite if something else than a saved value of this kind stands there, unless
    `force`.
    """
    value = digest(kind, fields, arrays)
    # the kind comes first, so that a truncated file still shows whose it is
    header = {"format_version": FORMATS[kind].version, "kind": kind, "digest": value}
    header["fields"] = json.loads(canonical_json(fields))
    with new_folder(path, kind, force=force) as folder:
        (folder / VALUE).write_text(json.dumps(seal_json(header), indent=1, allow_nan=False))
        save_file({k: np.ascontiguousarray(a) for k, a in arrays.items()}, folder / ARRAYS)
    return value


def load_value(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Fields and arrays of a saved value.

    Raises BrokenFile naming the file if it is missing, truncated, of another kind or version, or
    does not match its digest.
    """
    path = Path(path)
    for file in (path / VALUE, path / ARRAYS):
        if not file.is_file() and (path / "run.json").exists():
            raise BrokenFile(
                f"{path} is a run folder; its networks are saved in {path / 'trained'} and "
                f"{path / 'quantized'}: name one of them"
            )
        if not file.is_file():
            raise BrokenFile(f"{file}: missing; run the step that makes it again")
    try:
        header = json.loads((path / VALUE).read_text())
        arrays = load_file(path / ARRAYS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError, OSError) as error:
        raise BrokenFile(
            f"{path}: truncated or unreadable ({error}); delete it and run its step again"
        ) from error
    found = header.get("kind") if isinstance(header, dict) else None
    if found != kind:
        other = FORMATS[found].name if found in FORMATS else f"something of kind {found!r}"
        raise BrokenFile(f"{path}: holds {other}, not {FORMATS[kind].name}")
    check_format(path, kind, header.get("format_version"))
    if digest(kind, header["fields"], arrays) != header.get("digest"):
        raise BrokenFile(
            f"{path}: content does not match its digest; delete it and run its step again"
        )
    return header["fields"], arrays
