# SPDX-License-Identifier: Apache-2.0
"""One owner of a folder at a time."""

import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOLCK, ENOSYS, ENOTSUP
from pathlib import Path

from neurohw.errors import InvalidData

NAME = ".run.lock"  # hidden: a folder that holds nothing else is still empty


def _owner(text: str) -> str:
    try:
        who = json.loads(text)
        return (
            f"`{who['command']}` (process {who['process']} on {who['host']}, since {who['since']})"
        )
    except (ValueError, KeyError, TypeError):
        return "another command"  # it has the lock and has not said so yet


def _lock(file: Path) -> int | None:
    """The descriptor of the locked file; None where it was removed meanwhile.

    Raises InvalidData naming the owner.
    """
    if file.is_symlink():  # its target would be emptied
        raise InvalidData(f"{file} is a symbolic link, no lock of neurohw: move it away")
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(file) and os.path.samestat(os.fstat(handle), os.stat(file)):
            return handle
    except BlockingIOError:
        owner = _owner(os.pread(handle, 4096, 0).decode(errors="replace"))
        os.close(handle)
        raise InvalidData(
            f"{file.parent} is in use by {owner}: wait for its end, or name another folder"
        ) from None
    except OSError as error:
        if error.errno in (ENOLCK, ENOSYS, ENOTSUP):
            warnings.warn(
                f"{file.parent}: this file system has no locks; start one command at a time here",
                stacklevel=2,
            )
            return handle
        os.close(handle)
        raise
    os.close(handle)
    return None


def _make(folder: Path) -> list[Path]:
    """Make a folder; what had to be made, innermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextmanager
def locked(folder: Path, verb: str) -> Iterator[None]:
    """Own a folder, which is made where there is none, until the end of the block.

    The system frees the lock of a process that dies, so there are no stale ones. A folder that was
    made for the lock alone is removed again. Raises InvalidData naming the owner if there is one.
    """
    made = _make(folder)
    file = folder / NAME
    handle = None
    while handle is None:
        handle = _lock(file)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    who = {
        "command": f"neurohw {verb}",
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": since,
    }
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(who).encode(), 0)
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)
        for path in made:
            try:
                path.rmdir()
            except OSError:
                break  # it holds something now
