# SPDX-License-Identifier: Apache-2.0
"""The stage `build`: every board by itself, so that a failure takes nothing from others."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from neurohw.children import workers
from neurohw.errors import NeurohwError
from neurohw.flow.progress import Progress
from neurohw.flow.run_folder import RunFolder
from neurohw.hardware.build import BuildReport, build, load_board, tool_versions
from neurohw.hardware.generate import RtlPackage


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _build_board(
    run: RunFolder, package: RtlPackage, name: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The result of one board, from its stamp if it is up to date."""
    board = load_board(name)
    texts = {p.name: p.read_text() for p in sorted(board.folder.iterdir())}
    options, inputs = {"files": texts, "tools": tool_versions()}, {"emit": package.digest()}
    stage = f"build-{name}"
    done = run.result(stage) if run.up_to_date(stage, options, inputs) else None
    if done is None or not _is_there(run.path / done["bitstream"], done["bitstream_sha256"]):
        folder, output = run.path / "rtl", run.path / "build" / name
        result = build(folder, board, output, tell, run.force)
        done = {**dataclasses.asdict(result), "bitstream": run.inside(result.bitstream)}
        run.finish(stage, options, inputs, done)
    tell(f"{name}: done")
    return done


def build_stage(run: RunFolder, progress: Progress) -> None:
    """Synthesise, place and route for every board of the run, all at once.

    One that is up to date is kept. One that fails is named with its reason in the result. Raises
    NeurohwError naming all that failed when the others have ended.
    """
    package, names = run.package(), run.config.boards
    states: dict[str, str] = {}

    def show(name: str, text: str) -> None:
        states[name] = text
        ended = sum(state.endswith((": done", ": failed")) for state in states.values())
        progress("build", "; ".join(states[n] for n in names if n in states), ended / len(names))

    def attempt(name: str) -> dict[str, Any] | NeurohwError:
        try:
            return _build_board(run, package, name, partial(show, name))
        except NeurohwError as error:
            show(name, f"{name}: failed")
            return error

    with workers(os.cpu_count() or 1) as submit:
        started = {name: submit(attempt, name) for name in names}
        ended = {name: future.result() for name, future in started.items()}
    boards = {name: done for name, done in ended.items() if not isinstance(done, NeurohwError)}
    errors = {name: done for name, done in ended.items() if isinstance(done, NeurohwError)}
    inputs = {"emit": package.digest()}
    report = {"boards": boards, "tools": tool_versions(), "parent": inputs["emit"]}
    BuildReport.from_json(report).save(run.path / "build" / "build.json", run.force)
    failed = {name: str(error) for name, error in errors.items()}
    words = "; ".join(text if name in text else f"{name}: {text}" for name, text in failed.items())
    run.finish(
        "build", {"boards": list(names)}, inputs, {**report, "failed": failed}, words or None
    )
    if errors:
        kinds = {type(error) for error in errors.values()}
        raise (kinds.pop() if len(kinds) == 1 else NeurohwError)(words)
