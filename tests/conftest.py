# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: an RTL package that a test writes is legal SystemVerilog."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurohw.hardware.generate import RtlPackage
from tests.slang import package_complaints

_write = RtlPackage.write


@pytest.fixture(autouse=True)
def every_written_package_conforms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Networks and learning cores alike, looked at when they have been written; complaints fail the
    test after its end, so that no test can catch them.
    """
    found: list[str] = []

    def write(self: RtlPackage, folder: Path, *arguments: Any, **options: Any) -> None:
        _write(self, folder, *arguments, **options)
        if "top" in self.manifest:  # else a few files by which the writing alone is tested
            found.append(package_complaints(self, folder))

    monkeypatch.setattr(RtlPackage, "write", write)
    yield
    assert not any(found), "\n".join(found)
