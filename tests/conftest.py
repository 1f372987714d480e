"""What holds for every test: an RTL package that a test writes is legal SystemVerilog."""

from pathlib import Path
from typing import Any

import pytest

from neurohw.hardware.generate import RtlPackage
from tests.slang import check_package

_write = RtlPackage.write


@pytest.fixture(autouse=True)
def every_written_package_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and learning cores alike, in whatever test: checked when they have been written."""

    def write(self: RtlPackage, folder: Path, *arguments: Any, **options: Any) -> None:
        _write(self, folder, *arguments, **options)
        check_package(self, folder)

    monkeypatch.setattr(RtlPackage, "write", write)
