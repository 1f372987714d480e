# SPDX-License-Identifier: Apache-2.0
"""The verbs that say what is here."""

import pytest
from rich.console import Console
from typer.testing import CliRunner

import neurohw
from neurohw import console
from neurohw.cli import tools
from neurohw.cli.app import app
from neurohw.errors import InvalidData, MissingTool
from neurohw.extras import EXTRAS
from neurohw.hardware.build.tools import TOOLS, Tool

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.console, "width", 200)


def test_version() -> None:
    assert RUNNER.invoke(app, ["--version"]).output == f"neurohw {neurohw.__version__}\n"


def test_doctor_is_content_without_what_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tools,
        "TOOLS",
        (Tool("elsewhere", "testing", "nhw-nowhere", "'neurohw[dev]'", optional=True),),
    )
    done = RUNNER.invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "pip install 'neurohw[dev]'" in done.output


def test_doctor_fails_without_what_the_flow_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TOOLS", (Tool("nhw-nowhere", "testing"),))
    done = RUNNER.invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "from the system's packages" in done.output


def test_doctor_fails_where_the_installation_lacks_its_own_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An empty `site-packages/rtl` once left the doctor green."""

    def missing() -> None:
        raise MissingTool("rtl: nhw_population.sv is not there")

    monkeypatch.setattr(tools, "SOURCES", {"rtl": missing})
    done = RUNNER.invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "nhw_population.sv is not there" in done.output


def test_doctor_lists_what_every_extra_brings() -> None:
    listed = " ".join(tool.install for tool in TOOLS)
    for extra in set(EXTRAS.values()):
        assert f"neurohw[{extra}]" in listed, extra
    assert {"triton", "dask"} <= {tool.name for tool in TOOLS}


def test_a_stage_that_fails_at_its_start_leaves_no_line_about_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "console", Console(width=200))
    with pytest.raises(InvalidData), console.stage_progress() as show:
        show("train", "started", 0.0)
        show("quantize", "accuracy", 0.5)
        raise InvalidData("needs --data")
    text = capsys.readouterr().out
    assert "started" not in text and "quantize" in text
