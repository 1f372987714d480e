"""A finished run of the digits in seconds: stand-ins play the tools, which take minutes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw.crosscheck import CrosscheckResult, EngineRun, Pair
from neurohw.errors import NeurohwError
from neurohw.flow import RunConfig, RunFolder, run_stages
from neurohw.golden import run_golden
from neurohw.hardware.build import Board, BoardResult
from neurohw.hardware.verify import VerifyResult
from neurohw.readout import scores

CONFIG = RunConfig(epochs=1)


def quiet(stage: str, text: str, fraction: float | None) -> None:
    """Progress that nobody watches."""


class Tools:
    """Stand-ins: what the tools are asked for, and what goes wrong in them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.mismatches = 0  # that `verify` finds
        self.differences = 0  # that `crosscheck` finds
        self.broken: dict[str, NeurohwError] = {}  # by board
        patch.setattr("neurohw.flow.stages.verify", self.verify)
        patch.setattr("neurohw.flow.stages.crosscheck", self.crosscheck)
        patch.setattr("neurohw.flow.building.build", self.build)

    def verify(self, package: Path, model: Any, spikes: np.ndarray, **_: Any) -> VerifyResult:
        self.calls.append("verify")
        first = (
            "hidden1, sample 3, step 1, neuron 5: expected 1, got 0" if self.mismatches else None
        )
        waveform = (
            str(package.resolve().with_name("rtl.sim") / "mismatch-sample3.fst")
            if self.mismatches
            else None
        )
        values = scores(run_golden(model, spikes), model.network)
        numbers = (
            450,
            1800,
            133200,
            0,
            self.mismatches,
            first,
            waveform,
            700.0,
            800.0,
            900,
            7.0,
            {},
        )
        return VerifyResult(*numbers, values)  # type: ignore[arg-type]

    def crosscheck(
        self, models: Any, engines: Any, spikes: np.ndarray, progress: Any
    ) -> CrosscheckResult:
        self.calls.append("crosscheck")
        first = (
            "v.hidden1, sample 0, step 2: golden says 3, native says 4"
            if self.differences
            else None
        )
        pair = Pair("integer", "golden", "native", 1000, self.differences, 2000, 0.0, first)
        runs = tuple(EngineRun(name, "integer", "ran") for name in ("golden", "native"))
        return CrosscheckResult(spikes.shape[1], len(spikes), runs, (pair,))

    def build(
        self,
        package: Path,
        sources: Any,
        board: Board,
        lanes: int,
        bits: Any,
        output: Path,
        tell: Any,
    ) -> BoardResult:
        self.calls.append(board.name)
        if board.name in self.broken:
            raise self.broken[board.name]
        output.mkdir(parents=True, exist_ok=True)
        content = (package / "manifest.json").read_bytes()
        (output / "board.bit").write_bytes(content)
        sha = hashlib.sha256(content).hexdigest()
        return BoardResult(
            10, 20, 10, 20, 1, 2, 50.0, 25.0, lanes, str(output / "board.bit"), len(content), sha
        )


def finished(path: Path, run: Callable[..., None] = run_stages) -> RunFolder:
    """A run up to the page."""
    folder = RunFolder(path, CONFIG)
    run(folder, ("train", "quantize", "crosscheck", "emit", "verify", "build", "report"), quiet)
    return folder
