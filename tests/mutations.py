# SPDX-License-Identifier: Apache-2.0
"""Sources with one text changed, which tests must notice."""

from pathlib import Path

import pytest

from neurohw.golden import native
from neurohw.native_library import FLAGS, compiled


def mutate_native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, right: str, wrong: str) -> None:
    """Let the native golden model be compiled, quickly, from a source with one text changed."""
    texts = {
        path.name: path.read_text()
        for path in native.SOURCE.parent.iterdir()
        if path.suffix in (".h", ".cpp")
    }
    assert sum(text.count(right) for text in texts.values()) == 1
    for name, text in texts.items():
        (tmp_path / name).write_text(text.replace(right, wrong))
    source = tmp_path / native.SOURCE.name
    monkeypatch.setattr(native, "SOURCE", source)
    quick = tuple("-O0" if flag == "-O3" else flag for flag in FLAGS)
    monkeypatch.setattr(native, "compiled", lambda source: compiled(source, quick))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
