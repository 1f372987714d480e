# SPDX-License-Identifier: Apache-2.0
"""Two names that change places, on file systems that can and on those that cannot, and what killed
processes leave.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurohw import placing
from neurohw.placing import place, temporary_beside


def anything(where: Path) -> None:
    """Whatever stands there may be replaced."""


@pytest.fixture(params=["exchange", "steps"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system with renameat2, and one like NFS."""
    if request.param == "steps":

        def unsupported(source: Path, target: Path, flags: int) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(placing, "_rename", unsupported)
    return str(request.param)


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


def test_a_file_and_a_folder_take_the_place_of_what_was_there(system: str, tmp_path: Path) -> None:
    for content in ("one", "two"):
        with temporary_beside(tmp_path / "deep" / "f") as temporary:
            temporary.write_text(content)
            place(temporary, tmp_path / "deep" / "f", anything)
        with temporary_beside(tmp_path / "deep" / "d") as temporary:
            place(folder(temporary, content), tmp_path / "deep" / "d", anything)
    assert (
        (tmp_path / "deep" / "f").read_text()
        == (tmp_path / "deep" / "d" / "file").read_text()
        == "two"
    )
    assert sorted(os.listdir(tmp_path / "deep")) == ["d", "f"]


def test_what_may_not_be_replaced_goes_back(system: str, tmp_path: Path) -> None:
    folder(tmp_path / "d", "old")
    seen: list[str] = []

    def refuse(where: Path) -> None:
        seen.append((where / "file").read_text())
        raise ValueError

    with pytest.raises(ValueError), temporary_beside(tmp_path / "d") as temporary:
        place(folder(temporary, "new"), tmp_path / "d", refuse)
    assert seen == ["old"] and (tmp_path / "d" / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["d"]


def test_there_is_never_nothing_at_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill falls between two calls of the system; after every one of them old or new stands
    there.
    """
    folder(tmp_path / "d", "old")
    seen: list[str] = []
    rename = placing._rename

    def watched(source: Path, target: Path, flags: int) -> None:
        try:
            rename(source, target, flags)
        finally:
            seen.append((tmp_path / "d" / "file").read_text())

    monkeypatch.setattr(placing, "_rename", watched)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("not in one step"))
    with temporary_beside(tmp_path / "d") as temporary:
        place(folder(temporary, "new"), tmp_path / "d", anything)
    assert seen == ["old", "new"]


def test_the_first_writer_does_not_replace_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was there when the work began; what has come since is judged, and kept."""
    seen: list[Path] = []

    def refuse(where: Path) -> None:
        seen.append(where)
        raise ValueError

    with pytest.raises(ValueError), temporary_beside(tmp_path / "f") as temporary:
        temporary.write_text("mine")
        (tmp_path / "f").write_text("somebody else's")
        place(temporary, tmp_path / "f", refuse)
    assert len(seen) == 1 and (tmp_path / "f").read_text() == "somebody else's"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with temporary_beside(tmp_path / "d") as temporary:
            place(folder(temporary, ""), tmp_path / "d", anything)
    finally:
        os.umask(before)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "d" / "file").stat().st_mode & 0o777 == 0o640


def test_the_next_writer_clears_away_what_a_killed_one_left(tmp_path: Path) -> None:
    """The temporary of a process that is still there stays; one of another name, too."""
    code = f"""
import os, signal
from pathlib import Path
from neurohw.placing import temporary_beside
with temporary_beside(Path({str(tmp_path / "f")!r})) as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    [left] = os.listdir(tmp_path)
    assert left.startswith(".f.") and left.endswith(".tmp")
    with temporary_beside(tmp_path / "g"), temporary_beside(tmp_path / "f") as running:
        running.write_text("")
        assert left not in os.listdir(tmp_path)
        with temporary_beside(tmp_path / "f"):
            assert running.exists()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_a_killed_writer_had_taken_away_comes_back(tmp_path: Path) -> None:
    """Only where names cannot be exchanged: killed between its two steps."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    with temporary_beside(tmp_path / "d") as temporary:
        name = temporary.name.replace(f"-{os.getpid()}-", f"-{done.stdout.strip()}-").replace(
            ".tmp", ".old"
        )
    folder(tmp_path / name, "old")
    with temporary_beside(tmp_path / "d"):
        assert (tmp_path / "d" / "file").read_text() == "old"


def test_long_names(tmp_path: Path) -> None:
    name = "ä" * 127  # 254 bytes, a file system takes 255
    with temporary_beside(tmp_path / name) as temporary:
        temporary.write_text("")
        place(temporary, tmp_path / name, anything)
    assert os.listdir(tmp_path) == [name]
