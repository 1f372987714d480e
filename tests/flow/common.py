# SPDX-License-Identifier: Apache-2.0
"""A finished run of the digits in seconds: stand-ins play the tools, which take minutes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurohw.crosscheck import CrosscheckResult, EngineRun, Pair
from neurohw.errors import NeurohwError
from neurohw.flow import RunConfig, RunFolder, run_stages
from neurohw.golden import run_golden
from neurohw.hardware.build import Board, BoardResult
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.verify import VerifyResult
from neurohw.readout import scores
from neurohw.stimulus import Spikes
from neurohw.storage import new_folder

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

    def verify(self, package: Path, model: Any, spikes: Spikes, **_: Any) -> VerifyResult:
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
        hidden = {p.name: 0 for p in model.network.populations[1:]}
        return VerifyResult(
            samples=spikes.samples,
            steps=spikes.steps,
            spikes_compared=133200,
            states_compared=0,
            mismatches=self.mismatches,
            first_mismatch=first,
            waveform=waveform,
            cycles_per_inference=700.0,
            latency_cycles=800.0,
            latency_cycles_max=900,
            synaptic_operations_per_cycle=7.0,
            synaptic_operations={"input_to_hidden1": 64},
            effective_synaptic_operations={"input_to_hidden1": 60},
            saturations=hidden,
            proved_steps=model.steps,
            scores=values,
        )

    def crosscheck(
        self, models: Any, engines: Any, spikes: Spikes, progress: Any, **_: Any
    ) -> CrosscheckResult:
        self.calls.append("crosscheck")
        first = (
            "v.hidden1, sample 0, step 2: golden says 3, native says 4"
            if self.differences
            else None
        )
        pair = Pair("integer", "golden", "native", 1000, self.differences, 2000, 0.0, first)
        runs = tuple(EngineRun(name, "integer", "ran") for name in ("golden", "native"))
        return CrosscheckResult(spikes.samples, spikes.steps, runs, (pair,))

    def build(
        self, package: Path, board: Board, output: Path, tell: Any, force: bool = False
    ) -> BoardResult:
        self.calls.append(board.name)
        if board.name in self.broken:
            raise self.broken[board.name]
        content = (package / "manifest.json").read_bytes()
        with new_folder(output, "bitstream", force=force) as folder:
            (folder / "board.bit").write_bytes(content)
        sha = hashlib.sha256(content).hexdigest()
        used = {
            f"{kind}{of}": 10 for kind in ("lut", "ff", "bram", "dsp") for of in ("", "_available")
        }
        return BoardResult(
            **used,
            fmax_mhz=50.0,
            clock_mhz=25.0,
            lanes=RtlPackage.load(package).lanes(),
            bitstream=str(output / "board.bit"),
            bitstream_bytes=len(content),
            bitstream_sha256=sha,
        )


def finished(path: Path, run: Callable[..., None] = run_stages) -> RunFolder:
    """A run up to the page."""
    folder = RunFolder(path, CONFIG)
    run(folder, ("train", "quantize", "crosscheck", "emit", "verify", "build", "report"), quiet)
    return folder
