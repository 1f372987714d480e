# SPDX-License-Identifier: Apache-2.0
"""The one way in which the framework writes files and folders.

Everything appears whole or not at all, so that a reader sees the old, the new, or nothing where
nothing was. What stands at the place of an output is replaced only if it is empty or the framework
wrote it, as the same kind (`neurohw.ownership`); else CannotWrite names it, or `force` replaces it.
docs/files.md has it as a table, docs/adr/0024 why.
"""

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import CannotWrite, MissingTool
from neurohw.formats import CONTENTS, FORMATS
from neurohw.ownership import (
    Reason,
    seal,
    seal_json,
    why_not_claimed,
    why_not_file,
    why_not_folder,
)
from neurohw.paths import boards_folder, rtl_folder, sim_folder
from neurohw.placing import names_of_temporary, place, remove, temporary_beside

FORCE = "--force (force=True in Python)"
ARRAYS_SHA256 = "SHA256 of the arrays"  # in the text of a script, before it is written


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"{path}: cannot be written ({error}). What was there is unchanged"
        ) from error


def _never(where: Path) -> str | None:
    """What a folder is or holds that not even `force` may replace."""
    known: list[tuple[str, Callable[[], Path]]] = [
        ("the current folder", Path.cwd),
        ("the home folder", Path.home),
        ("the program itself", lambda: Path(__file__).parent),
        *[
            ("the program's own sources", folder)
            for folder in (rtl_folder, sim_folder, boards_folder)
        ],
    ]
    for what, find in known:
        with contextlib.suppress(OSError, RuntimeError, MissingTool):  # there is none
            if find().resolve().is_relative_to(where.resolve()):
                return what
    return None


def _admit(path: Path, where: Path, reason: str | None, force: bool, folder: bool) -> None:
    """Raise CannotWrite for what may not be replaced; `where` is where it stands by now.

    folder: what is to come is one.
    """
    link = where.is_symlink()  # of which only the link is replaced
    held = _never(where) if where.is_dir() and not link else None
    if held:
        raise CannotWrite(
            f"{path}: it is or holds {held}, which is never replaced: name another place"
        )
    if reason is None:
        return
    if not link and not (where.is_dir() if folder else where.is_file()):
        raise CannotWrite(f"{path}: {reason}. Nothing was changed: name another place")
    if not force:
        raise CannotWrite(
            f"{path}: {reason}. Nothing was changed: name another place, or replace it with {FORCE}"
        )


def _proper(path: Path | str) -> Path:
    """The path with a name of its own, not `.` or `..`."""
    path = Path(path)
    return path if path.name not in ("", "..") else path.resolve()


def _check(path: Path, why_not: Reason, force: bool, folder: bool) -> None:
    parent = next((p for p in path.absolute().parents if os.path.lexists(p)), path)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        what = "may not be written" if parent.is_dir() else "is no folder"
        raise CannotWrite(f"{path}: cannot be made, since {parent} {what}: name another place")
    _admit(path, path, why_not(path), force, folder)


def check_file(path: Path | str, kind: str, force: bool = False) -> None:
    """Raise CannotWrite, naming what is there, if `write_file` would; for before a long work."""
    path = _proper(path)
    with _system_errors(path):
        _check(path, lambda where: why_not_file(where, kind), force, folder=False)


def check_folder(
    path: Path | str, kind: str, own: Mapping[str, bytes] | None = None, force: bool = False
) -> None:
    """Raise CannotWrite, naming what is there, if `new_folder` would; for before a long work."""
    path = _proper(path)
    with _system_errors(path):
        _check(path, lambda where: why_not_folder(where, kind, own), force, folder=True)


def write_file(path: Path | str, content: bytes, kind: str, force: bool = False) -> None:
    """Write an output, sealed as one of a kind of `neurohw.formats` so that the next may replace
    it.

    JSON says its kind itself, and gets the digest of its fields.

    Raises CannotWrite if something else stands there, or what a user has changed, unless `force`.
    """
    sealed = (
        json.dumps(seal_json(json.loads(content)), indent=1).encode()
        if content.startswith(b"{")
        else seal(content, kind)
    )
    _write(_proper(path), sealed, lambda where: why_not_file(where, kind), force)


def write_script(
    path: Path, text: str, arrays: Mapping[str, NDArray[Any]], force: bool = False
) -> list[Path]:
    """Write a script and the arrays that it loads, as .npz beside it, and return both paths.

    Nothing is written if one of them cannot be.
    text: its ARRAYS_SHA256 becomes the digest of the file of arrays, by which the script refuses
        those of another.
    """
    beside = path.with_suffix(".npz")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    sha = hashlib.sha256(seal(buffer.getvalue(), "arrays")).hexdigest()
    check_file(path, "script", force)
    check_file(beside, "arrays", force)
    write_file(beside, buffer.getvalue(), "arrays", force)
    write_file(path, text.replace(ARRAYS_SHA256, sha).encode(), "script", force)
    return [path, beside]


def write_atomically(path: Path | str, content: bytes) -> None:
    """Write a file of a folder that is known to be ours: replaces files, no links or folders."""

    def why_not(where: Path) -> str | None:
        regular = where.is_file() and not where.is_symlink()
        return None if regular or not os.path.lexists(where) else "it is no file"

    _write(_proper(path), content, why_not, False)


def _write(path: Path, content: bytes, why_not: Reason, force: bool) -> None:
    with _system_errors(path):
        _check(path, why_not, force, folder=False)
        with temporary_beside(path) as temporary:
            temporary.write_bytes(content)
            place(
                temporary,
                path,
                lambda where: _admit(path, where, why_not(where), force, folder=False),
            )


@contextlib.contextmanager
def new_folder(
    path: Path | str, kind: str, own: Mapping[str, bytes] | None = None, force: bool = False
) -> Iterator[Path]:
    """A folder for the block to fill, which then takes the place of `path`.

    After an error in the block everything is as before.
    own: what the block will write, by which a folder with a truncated marker is recognised. Kinds
        whose marker is `contents.json` get it here.
    Raises CannotWrite, before the block and at its end, if something else stands there, unless
    `force`.
    """
    path = _proper(path)

    def why_not(where: Path) -> str | None:
        return why_not_folder(where, kind, own)

    with _system_errors(path):
        _check(path, why_not, force, folder=True)
        with temporary_beside(path) as temporary:
            temporary.mkdir()
            yield temporary
            if FORMATS[kind].marker == CONTENTS:
                files = sorted(str(p.relative_to(temporary)) for p in temporary.rglob("*"))
                content = {"format_version": FORMATS[kind].version, "kind": kind, "files": files}
                (temporary / CONTENTS).write_text(json.dumps(seal_json(content), indent=1))
            place(
                temporary,
                path,
                lambda where: _admit(path, where, why_not(where), force, folder=True),
            )


def check_claim(path: Path | str, kind: str, force: bool = False) -> bool:
    """True if the folder has the marker of its kind, False if it is absent or empty.

    Hidden files in it are nobody's concern. Raises CannotWrite, naming what is there, for any other
    folder; with `force` only for what is none.
    """
    path = Path(path)
    with _system_errors(path):
        reason = why_not_claimed(path, kind)
        if reason and not (force and path.is_dir()):
            raise CannotWrite(
                f"{path}: {reason}. Nothing was changed: name another folder, or begin in "
                f"this one with {FORCE}"
            )
        return reason is None and (path / str(FORMATS[kind].marker)).exists()


def claim_folder(path: Path | str, kind: str, force: bool = False) -> None:
    """Make a folder that grows, or take one that `check_claim` allows.

    The caller writes the marker.
    """
    check_claim(path, kind, force)
    with _system_errors(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)


def _listed(folder: Path, kind: str) -> dict[str, list[str]]:
    """Digests by file that the marker of `folder` lists, none where there is no marker of ours."""
    marker = folder / str(FORMATS[kind].marker)
    ours = marker.exists() and why_not_file(marker, kind) is None
    return json.loads(marker.read_text())["files"] if ours else {}


def _why_not_listed(folder: Path, kind: str) -> Reason:
    """Reasons by the digests that the marker of `folder` lists."""
    ours = {sha for digests in _listed(folder, kind).values() for sha in digests}

    def why_not(where: Path) -> str | None:
        if not os.path.lexists(where):
            return None
        if where.is_symlink() or not where.is_file():
            return "it is no file"
        with where.open("rb") as file:
            known = hashlib.file_digest(file, "sha256").hexdigest() in ours
        return None if known else "neurohw did not write it, or it was changed since"

    return why_not


def check_files(folder: Path | str, kind: str, names: Iterable[str], force: bool = False) -> None:
    """Raise CannotWrite, naming what is there, if `write_files` would; for before a long work."""
    folder = Path(folder)
    check_file(folder / str(FORMATS[kind].marker), kind, force)
    with _system_errors(folder):
        why_not = _why_not_listed(folder, kind)
        for name in names:
            _check(folder / name, why_not, force, folder=False)


def write_files(
    folder: Path | str, kind: str, files: Mapping[str, bytes], force: bool = False
) -> None:
    """Write files that cannot hold a seal; the marker of the kind, beside them, lists their
    digests.

    Raises CannotWrite, before the first is written, where one would replace something else, or what
    a user has changed, unless `force`.
    """
    folder = Path(folder)
    check_files(folder, kind, files, force)
    why_not, before = _why_not_listed(folder, kind), _listed(folder, kind)
    marker = folder / str(FORMATS[kind].marker)
    new = {name: [hashlib.sha256(content).hexdigest()] for name, content in files.items()}
    together = {name: sorted({*before.get(name, ()), *new[name]}) for name in new}
    header = {"format_version": FORMATS[kind].version, "kind": kind}
    write_file(marker, json.dumps({**header, "files": together}, indent=1).encode(), kind, force)
    for name, content in files.items():
        _write(folder / name, content, why_not, force)
    write_file(marker, json.dumps({**header, "files": new}, indent=1).encode(), kind)


def remove_file(path: Path | str, kind: str, force: bool = False) -> None:
    """Remove what `write_file` wrote; CannotWrite if something else is there, unless `force`."""
    check_file(path, kind, force)
    Path(path).unlink(missing_ok=True)


def remove_files(folder: Path, names: re.Pattern[str], kind: str) -> None:
    """Remove the sealed files of a kind whose paths in `folder` match, and what a killed write of
    one left; then their folders that this leaves empty, `folder` among them.

    Nothing is followed through a link, and what neurohw did not write stays, or was changed since.
    """
    emptied: set[Path] = set()
    for below, _, files in os.walk(folder) if not folder.is_symlink() else ():
        for file in files:
            path = Path(below, file)
            inside = path.parent.relative_to(folder)
            killed = any(names.fullmatch((inside / n).as_posix()) for n in names_of_temporary(file))
            ours = names.fullmatch((inside / file).as_posix()) and why_not_file(path, kind) is None
            if ours or (killed and path.is_file() and not path.is_symlink()):
                path.unlink()
                emptied |= {p for p in path.parents if p.is_relative_to(folder)}
    _remove_empty(sorted(emptied, reverse=True))


def remove_folder(path: Path, kind: str) -> None:
    """Remove a folder that `new_folder` made, then the one around it if this leaves it empty.

    It stays where it lies behind a link, holds anything else, or was changed since.
    """
    if path.is_dir() and not path.parent.is_symlink() and why_not_folder(path, kind) is None:
        remove(path)
        _remove_empty([path.parent])


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # something else is in it
            folder.rmdir()
