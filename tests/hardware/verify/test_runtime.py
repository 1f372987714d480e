# SPDX-License-Identifier: Apache-2.0
"""Verilator's runtime is compiled once, and a build without a cache still works."""

from pathlib import Path

import pytest

from neurohw.hardware.verify.runtime import shared_runtime


def build(folder: Path, text: bytes, root: Path, flags: str = "-O0") -> bytes:
    """What a build in a new folder links: the kept object if there is one, else its own."""
    folder.mkdir()
    with shared_runtime(folder, ["--cc", "-CFLAGS", flags], root):
        (folder / "Vtop.mk").write_text("all:")
        kept = folder / "verilated.o"
        if kept.exists():
            # make compiles what is older than the makefile
            assert kept.stat().st_mtime > (folder / "Vtop.mk").stat().st_mtime
        else:
            kept.write_bytes(text)
    return kept.read_bytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Verilator of one source, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "verilator"
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "verilated.cpp").write_text("// 5.0")
    return folder


def test_the_second_build_takes_the_runtime_of_the_first(root: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "a", b"first", root) == b"first"
    assert build(tmp_path / "b", b"second", root) == b"first"


def test_other_flags_and_another_verilator_compile_their_own(root: Path, tmp_path: Path) -> None:
    build(tmp_path / "a", b"first", root)
    assert build(tmp_path / "b", b"second", root, "-O2") == b"second"
    (root / "include" / "verilated.cpp").write_text("// 5.1")
    assert build(tmp_path / "c", b"third", root) == b"third"


def test_a_failed_build_keeps_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with (
        pytest.raises(RuntimeError),
        shared_runtime(tmp_path / "a", ["--cc", "-CFLAGS", "-O0"], root),
    ):
        (tmp_path / "a" / "verilated.o").write_bytes(b"half")
        raise RuntimeError
    assert build(tmp_path / "b", b"whole", root) == b"whole"


def test_a_cache_that_cannot_be_written_costs_only_time(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build(tmp_path / "a", b"first", root) == b"first"
    assert build(tmp_path / "b", b"second", root) == b"second"
