"""Saving and loading of frozen values: `value.json` beside `arrays.safetensors` in one folder.

A value is its JSON fields and its arrays; its digest is the SHA-256 over both. A folder is written under a temporary name and renamed,
so that a reader sees the old value, the new one, or none.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neurohw.errors import BrokenFile

FORMAT_VERSION = 1


def canonical_json(fields: Mapping[str, Any]) -> bytes:
    """JSON text with sorted keys and no spaces: equal fields give equal bytes."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(kind: str, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (64 hexadecimal digits) over kind, fields and arrays with their names, types and shapes."""
    sha = hashlib.sha256(kind.encode() + b"\0" + canonical_json(fields))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside its place, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def replace_folder(temporary: Path, path: Path) -> None:
    """Put a finished temporary folder in the place of `path`, whatever was there."""
    retired = temporary.with_name(temporary.name + ".old")
    if path.exists():
        os.replace(path, retired)
    os.replace(temporary, path)
    shutil.rmtree(retired, ignore_errors=True)


def save_value(path: Path, kind: str, fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Save a value as a folder and return its digest."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        value = digest(kind, fields, arrays)
        header = {"format_version": FORMAT_VERSION, "kind": kind, "digest": value, "fields": dict(fields)}
        (temporary / "value.json").write_text(json.dumps(header, indent=1, sort_keys=True, allow_nan=False))
        save_file({k: np.ascontiguousarray(a) for k, a in arrays.items()}, temporary / "arrays.safetensors")
        os.chmod(temporary, 0o755)
        replace_folder(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return value


def load_value(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Fields and arrays of a saved value.

    Raises BrokenFile naming the file if it is missing, truncated, of another kind or version, or does not match its digest.
    """
    path = Path(path)
    for file in (path / "value.json", path / "arrays.safetensors"):
        if not file.is_file():
            raise BrokenFile(f"{file}: missing; run the step that makes it again")
    try:
        header = json.loads((path / "value.json").read_text())
        arrays = load_file(path / "arrays.safetensors")
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError, OSError) as error:
        raise BrokenFile(f"{path}: truncated or unreadable ({error}); delete it and run its step again") from error
    if not isinstance(header, dict) or header.get("format_version") != FORMAT_VERSION:
        version = header.get("format_version") if isinstance(header, dict) else None
        raise BrokenFile(f"{path}: format version {version}, this program reads {FORMAT_VERSION}")
    if header.get("kind") != kind:
        raise BrokenFile(f"{path}: holds a {header.get('kind')}, a {kind} was expected")
    if digest(kind, header["fields"], arrays) != header.get("digest"):
        raise BrokenFile(f"{path}: content does not match its digest; delete it and run its step again")
    return header["fields"], arrays
