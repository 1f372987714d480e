# SPDX-License-Identifier: Apache-2.0
"""Putting a finished file or folder in its place in one step, and never over something that came in
between.

A file or folder is made under a hidden name beside its place, which says whose it is, and then
changes places with what stands there (`renameat2` of Linux). So there is never nothing at the
place, what stood there is judged once more after it has left, and it goes back if it may not be
replaced.
"""

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

NO_REPLACE, EXCHANGE = 1, 2  # flags of renameat2
AT_FDCWD = -100
LONGEST = 120  # bytes of a name that the hidden one repeats; a file system takes 255
_libc = ctypes.CDLL(None, use_errno=True)


def _rename(source: Path, target: Path, flags: int) -> None:
    """renameat2; OSError as of `os.rename`, ENOSYS where the system does not have it."""
    if not hasattr(_libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def _prefix(path: Path) -> str:
    return f".{os.fsdecode(os.fsencode(path.name)[:LONGEST])}.{socket.gethostname()}-"


def names_of_temporary(name: str) -> list[str]:
    """The names that a hidden file beside its place may be going to have; none for another file.

    >>> names_of_temporary(".a.npy.here-12-0123abcd.tmp")
    ['a', 'a.npy']
    """
    found = re.fullmatch(r"\.(.+)-\d+-[0-9a-f]{8}\.tmp", name)
    parts = found[1].split(".") if found else []
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _sweep(path: Path) -> None:
    """Remove what killed processes of this machine left beside `path`, or put back what one of them
    had taken away.
    """
    pattern = re.compile(re.escape(_prefix(path)) + r"(\d+)-[0-9a-f]+\.(tmp|old)")
    for name in os.listdir(path.parent):
        found = pattern.fullmatch(name)
        if not found or not _ended(int(found[1])):
            continue
        left = path.parent / name
        if found[2] == "old" and not os.path.lexists(path):
            os.rename(left, path)
        else:
            remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` for the block to make a file or folder of, which is removed at
    the end if it is still there. Parents of `path` are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f"{_prefix(path)}{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        remove(temporary)


def _synchronise(path: Path) -> None:
    """Contents reach the disk before their name does."""
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file() and not file.is_symlink():
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def place(temporary: Path, path: Path, admit: Callable[[Path], None]) -> None:
    """Give `temporary` the name `path`.

    admit(where): raises for what may not be replaced. It judges what stood at `path` after that has
    left; if it raises, everything is as before.
    """
    _synchronise(temporary)
    try:
        while True:
            try:
                return _rename(temporary, path, NO_REPLACE)
            except FileExistsError:
                pass
            try:
                _rename(temporary, path, EXCHANGE)
                break
            except FileNotFoundError:
                continue  # it has just gone
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        return _place_in_steps(temporary, path, admit)
    try:
        admit(temporary)
    except BaseException:
        _rename(temporary, path, EXCHANGE)
        raise
    remove(temporary)


def _place_in_steps(temporary: Path, path: Path, admit: Callable[[Path], None]) -> None:
    """`place` on file systems that cannot exchange two names, such as NFS: a folder is away for a
    moment, and the next writer puts it back if that one was killed.
    """
    admit(path)
    if not temporary.is_dir() and not path.is_dir():
        return os.replace(temporary, path)
    retired = temporary.with_suffix(".old")
    if os.path.lexists(path):
        os.rename(path, retired)
    try:
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(retired):
            os.rename(retired, path)
        raise
    remove(retired)
