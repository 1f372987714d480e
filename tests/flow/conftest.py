# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for tools, and a finished run made with them."""

import shutil
from pathlib import Path

import pytest

from neurohw.flow import RunFolder
from tests.flow.common import Tools, finished


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that nobody may change."""
    with pytest.MonkeyPatch.context() as patch:
        Tools(patch)
        run = finished(tmp_path_factory.mktemp("finished") / "digits")
    return run.path


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Stand-ins for the tools during one test."""
    return Tools(monkeypatch)


@pytest.fixture
def copied(digits_run: Path, tmp_path: Path, tools: Tools) -> RunFolder:
    """A copy of the finished run for one test, with stand-ins for the tools."""
    shutil.copytree(digits_run, tmp_path / "digits")
    return RunFolder(tmp_path / "digits")
