# SPDX-License-Identifier: Apache-2.0
"""What stands at the place of an output, and whether the framework wrote it.

A folder is ours if it holds the marker of its kind, and nothing but files that the marker names. A
file is ours if its last line is a seal: kind, version and digest of everything before it; JSON says
its kind inside, and the digest of all its other fields. Whatever was changed since it was written
is not ours any more.
"""

import hashlib
import json
import os
import re
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from neurohw.formats import ARRAYS, CONTENTS, FORMATS, VALUE, VALUE_FILES

SEAL = re.compile(rb"neurohw ([a-z-]+) \d+ sha256:([0-9a-f]{64})(?: -->)?\n\Z")
LONGEST_SEAL = 200
FST = b"\0" + struct.pack(">Q", 329)  # begins with a header of this length
LARGEST_MARKER = 1 << 26  # bytes of a JSON file that is read to learn its kind
# how the markers begin that `storage` and the RTL package write: what is left of a truncated one
OPENINGS = {VALUE: '{\n "format_version": ', "manifest.json": '{"files":{"'}
DIGEST = "sha256"  # field of JSON: of all its others
# fields of the markers that neurohw wrote before they had a digest
BEFORE_DIGESTS = {
    VALUE: {"format_version", "kind", "digest", "fields"},
    CONTENTS: {"format_version", "kind", "files"},
    "noise.json": {"format_version", "kind", "files"},
    "manifest.json": {
        *("format_version", "kind", "parent", "top", "inputs", "steps", "max_count", "output"),
        *("learning", "sources", "populations", "projections", "modulations", "files"),
    },
}
SHOWN = 3  # names in a message
# of what stands at a path: why it may not be replaced, in words, or None
Reason = Callable[[Path], str | None]


def canonical_json(fields: Mapping[str, Any]) -> bytes:
    """JSON text with sorted keys and no spaces: equal fields give equal bytes."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def seal_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a JSON file with the digest that says that nothing was changed."""
    others = {name: value for name, value in fields.items() if name != DIGEST}
    return {**others, DIGEST: hashlib.sha256(canonical_json(others)).hexdigest()}


def _is_as_written(value: dict[str, Any], name: str) -> bool | None:
    """Whether JSON of ours in a file of this name is unchanged; None if it does not say that."""
    if DIGEST not in value:
        return True if set(value) <= BEFORE_DIGESTS.get(name, set()) else None
    try:
        return bool(seal_json(value) == value)
    except ValueError:  # nan
        return False


def seal(content: bytes, kind: str) -> bytes:
    """The content of a file with its seal.

    It is a comment of Python or of markup, the comment of a zip archive, a block of FST that
    readers skip, or bytes behind the end of an HDF5 file.
    """
    words = f"neurohw {kind} {FORMATS[kind].version} sha256:"
    if content.startswith(b"PK"):  # the archive ends with the length of its comment
        content = content[:-2] + struct.pack("<H", len(words) + 64 + 1)
        before, after = "", "\n"
    elif content.startswith(b"\x89HDF"):
        before, after = "", "\n"
    elif content.startswith(FST):
        content += b"\xff" + struct.pack(">Q", 8 + len(words) + 64 + 1)
        before, after = "", "\n"
    elif content.startswith(b"<"):
        before, after = "<!-- ", " -->\n"
    else:
        before, after = "# ", "\n"
    content += before.encode()
    return content + f"{words}{hashlib.sha256(content).hexdigest()}{after}".encode()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _kind_of_json(value: Any) -> str | None:
    versioned = isinstance(value, dict) and type(value.get("format_version")) is int
    return str(value.get("kind")) if versioned else None


def _content(path: Path) -> bytes:
    """The content of a regular file, empty for anything else and for what is too large."""
    regular = path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST_MARKER
    return path.read_bytes() if regular else b""


def _kind_of_file(path: Path) -> tuple[str | None, bool]:
    """The kind that a file's seal or JSON says, and whether the file is as it was written."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, length - LONGEST_SEAL))
        found = SEAL.search(file.read())
        if found is None:
            value = _json(_content(path))
            kind = _kind_of_json(value)
            intact = None if kind is None else _is_as_written(value, path.name)
            return (None, True) if intact is None else (kind, intact)
        file.seek(0)
        sha, left = hashlib.sha256(), start + found.start()
        while left and (block := file.read(min(left, 1 << 20))):
            sha.update(block)
            left -= len(block)
    return found[1].decode(), sha.hexdigest() == found[2].decode()


def _named(kind: str) -> str:
    return FORMATS[kind].name if kind in FORMATS else f"a file of kind {kind!r}"


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _odd(where: Path) -> str | None:
    """What stands there, if it is neither a file nor a folder."""
    if where.is_symlink():
        return f"it is a symbolic link to {os.readlink(where)}"
    if not where.is_dir() and not where.is_file():
        return "it is neither a file nor a folder"
    return None


def why_not_file(where: Path, kind: str) -> str | None:
    """Why a file of this kind may not replace what is at `where`, in words.

    None where nothing stands, or an unaltered file of the same kind.
    """
    if not os.path.lexists(where):
        return None
    odd = _odd(where)
    if odd or where.is_dir():
        return odd or "it is a folder"
    found, intact = _kind_of_file(where)
    if found is None or found not in FORMATS:
        return "it carries no seal of neurohw, so it may be yours"
    if found != kind:
        return f"it is {_named(found)}, not {_named(kind)}"
    return None if intact else "it was changed since neurohw wrote it"


def why_not_folder(where: Path, kind: str, own: Mapping[str, bytes] | None = None) -> str | None:
    """Why a folder of this kind may not replace what is at `where`, in words.

    None where nothing stands, an empty folder, or one of the same kind without other files.
    own: names and contents of what is to come, by which a folder with a truncated marker is
        recognised if one of its files is equal; a saved value has its arrays.
    """
    if not os.path.lexists(where):
        return None
    odd = _odd(where)
    if odd or not where.is_dir():
        return odd or "it is a file"
    names = sorted(os.listdir(where))
    if not names:
        return None
    ours = _own_files(where, kind, own)
    if ours is None:
        found = _kind_of_folder(where)
        return f"it is {_named(found)}, not {_named(kind)}" if found else f"it holds {_list(names)}"
    foreign = list(_foreign(where, ours))
    if foreign:
        return f"it holds {_list(foreign)}, which neurohw did not write"
    checked = VALUE_FILES if FORMATS[kind].marker == VALUE else set()
    changed = [
        name
        for name, sha in ours.items()
        if ((sha or name in checked) and _is_changed(where / name, sha))
        or (name == FORMATS[kind].marker and _is_changed_marker(where / name))
    ]
    return f"it holds {_list(changed)}, changed since neurohw wrote it" if changed else None


def why_not_claimed(where: Path, kind: str) -> str | None:
    """Why files may not be added to the folder `where` as to one of this kind, in words.

    None where nothing stands, an empty folder, or one with the marker.
    """
    if not os.path.lexists(where):
        return None
    if not where.is_dir():
        return "it is no folder"
    names = sorted(name for name in os.listdir(where) if not name.startswith("."))
    marker = FORMATS[kind].marker
    assert marker is not None
    if not names:
        return None
    value = _json(_content(where / marker))
    old = isinstance(value, dict) and "kind" not in value and FORMATS[kind].fields <= set(value)
    if old or _kind_of_json(value) == kind:
        found, known = value.get("format_version", 1), FORMATS[kind]
        other = (
            f"it is {known.name} of format version {found}, this program reads {known.version}; "
            f"{known.again}"
        )
        return None if found == known.version else other
    found = _kind_of_folder(where)
    return (
        f"it is {_named(found)}, not {_named(kind)}"
        if found
        else f"it holds {_list(names)} and no {marker} of ours"
    )


def _kind_of_folder(where: Path) -> str | None:
    for marker in dict.fromkeys(f.marker for f in FORMATS.values() if f.marker):
        kind = _kind_of_json(_json(_content(where / marker)))
        if kind in FORMATS and FORMATS[kind].marker == marker:
            return kind
    return None


def _is_changed(path: Path, sha: str) -> bool:
    """Whether something else than our file of this SHA-256 (any, if empty) stands there.

    Of an absent or empty one nothing can be lost.
    """
    if not os.path.lexists(path):
        return False
    if path.is_symlink() or not path.is_file():
        return True
    if not sha or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != sha


def _is_changed_marker(path: Path) -> bool:
    value = _json(_content(path))
    return isinstance(value, dict) and not _is_as_written(value, path.name)


def _own_files(where: Path, kind: str, own: Mapping[str, bytes] | None) -> dict[str, str] | None:
    """The files and folders that the marker of a folder names, with their SHA-256 where it says
    that.

    None without a marker of that kind.
    """
    marker = FORMATS[kind].marker
    assert marker is not None
    if not (where / marker).is_file() or (where / marker).is_symlink():
        return None
    content = _content(where / marker)
    value = _json(content)
    if _kind_of_json(value) == kind:
        named = VALUE_FILES if marker == VALUE else value.get("files")
        listed = (
            [n for n in named if isinstance(n, str)] if isinstance(named, list | frozenset) else []
        )
        return {marker: "", **(named if isinstance(named, dict) else dict.fromkeys(listed, ""))}
    opening = OPENINGS.get(marker, "").encode()
    truncated = opening.startswith(content) or content.startswith(opening)
    if value is not None or not opening or not truncated:
        return None
    if marker == VALUE:
        return dict.fromkeys(VALUE_FILES, "") if _holds_arrays(where / ARRAYS) else None
    others = {name: there for name, there in (own or {}).items() if there and name != marker}
    equal = any(_content(where / name) == there for name, there in others.items())
    return dict.fromkeys(own or (), "") if equal else None


def _holds_arrays(path: Path) -> bool:
    """True for a file of safetensors: the length of its header, then the header in JSON."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def _foreign(where: Path, ours: Collection[str], below: str = "") -> Iterator[str]:
    """Files and folders that are not among `ours`."""
    for entry in sorted(os.scandir(where / below), key=lambda e: e.name):
        name = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            if name in ours or any(own.startswith(name + "/") for own in ours):
                yield from _foreign(where, ours, name + "/")
            else:
                yield name + "/"
        elif name not in ours:
            yield name
