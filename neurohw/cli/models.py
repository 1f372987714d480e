# SPDX-License-Identifier: Apache-2.0
"""The verbs that work on a saved model: crosscheck, run."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from neurohw.cli.options import BeyondProofOption, ForceOption
from neurohw.cli.runs import execute
from neurohw.console import console
from neurohw.crosscheck import CrosscheckResult
from neurohw.engines import ENGINES
from neurohw.flow import RunFolder
from neurohw.flow.check import crosscheck_saved
from neurohw.flow.models import run_model


def _show_crosscheck(result: CrosscheckResult) -> None:
    """Tables of engines and pairs."""
    runs = Table("engine", "model", "status", "seconds", "")
    for r in result.runs:
        late = ", ".join(f"{name} +{steps}" for name, steps in r.offsets.items() if steps)
        colour = {"ran": "green", "refused": "yellow", "failed": "red"}[r.status]
        note = r.reason or (f"steps late inside it, aligned here: {late}" if late else "")
        runs.add_row(r.engine, r.kind, Text(r.status, style=colour), f"{r.seconds:.1f}", note)
    console.print(runs)
    pairs = Table(
        "model",
        "pair",
        "spikes compared",
        "mismatches",
        "states compared",
        "largest |dv|",
        "first mismatch",
    )
    for p in result.pairs:
        row = (
            f"{p.spikes_compared:,}",
            str(p.mismatches),
            f"{p.states_compared:,}",
            f"{p.largest_difference:.1e}",
        )
        pairs.add_row(p.kind, f"{p.left} - {p.right}", *row, p.first_mismatch or "")
    console.print(pairs)


def crosscheck(
    model: Annotated[
        Path | None,
        typer.Argument(help="Run folder, or a saved trained or quantized network. Default: --run."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Run folder; its stage is repeated if out of date.")
    ] = None,
    engines: Annotated[
        str | None,
        typer.Option(
            "--engines",
            help=f"Engines, separated by commas: {', '.join(ENGINES)}. Default: all but rtl.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", help="Samples to compare. Default: all of --input, else 3."),
    ] = None,
    spikes: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Spikes as .npz, array `spikes` [time, neuron] or [sample, time, neuron].",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Where to draw a first mismatch. Default: mismatch.svg."),
    ] = None,
    force: ForceOption = False,
    beyond_proof: BeyondProofOption = False,
) -> None:
    """Run a model in several engines and compare every spike and state.

    `neurohw crosscheck --run runs/digits` repeats the stage of a run. `neurohw crosscheck
    runs/digits --engines golden,lava,rtl --samples 10` compares chosen engines; `neurohw crosscheck
    model/ --input spikes.npz` any saved model. Exit code 1 if two engines differ.
    """
    if (
        model is None
        and run is not None
        and not any((engines, spikes, samples is not None, picture))
    ):
        execute(RunFolder(run, force=force), ("crosscheck",))
        return
    path = model or run
    if path is None:
        raise typer.BadParameter("name a model or a run folder")
    chosen = engines.split(",") if engines else None
    picture = picture or Path("mismatch.svg")
    with console.status("crosscheck") as status:
        result = crosscheck_saved(
            path,
            chosen,
            samples,
            spikes,
            picture,
            lambda text, _: status.update(text),
            force,
            beyond_proof,
        )
    _show_crosscheck(result)
    missing = (
        f"; {samples:,} were asked for, more are not there"
        if samples and samples > result.samples
        else ""
    )
    console.print(f"compared {result.samples:,} of {result.samples_there or 0:,} samples{missing}")
    if not result.agrees:
        if result.traces is not None:
            console.print(f"picture of the first mismatch: {picture}")
        raise typer.Exit(1)


def run_verb(
    model: Annotated[
        Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")
    ],
    engine: Annotated[str, typer.Option("--engine", help=f"One of {', '.join(ENGINES)}.")],
    spikes: Annotated[
        Path,
        typer.Option(
            "--input",
            help="Array `spikes` [time, neuron] or [sample, time, neuron] of an .npz; an array "
            "`axes` beside it may say the order, such as 'sample time neuron'.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Trace to write, .npz.")],
    states: Annotated[
        bool, typer.Option("--states", help="Write membranes `v.<population>`, too.")
    ] = False,
    force: ForceOption = False,
    beyond_proof: BeyondProofOption = False,
) -> None:
    """Run a model on spikes in one engine: `neurohw run model/ --engine lava --input spikes.npz
    --out trace.npz`.

    The trace has one array `spikes.<population>` [time, neuron] per population, with a leading
    sample axis if the input has one.
    """
    with console.status(escape(f"{engine} is running")):
        trace = run_model(model, engine, spikes, out, states, force, beyond_proof)
    table = Table("population", "neurons", "spikes", "spikes per neuron and step")
    for name, array in trace.spikes.items():
        table.add_row(name, str(array.shape[2]), f"{int(array.sum()):,}", f"{array.mean():.4f}")
    console.print(table)
    console.print(f"trace: {out}", soft_wrap=True)
    if trace.beyond_proof:
        console.print("beyond the proof of the widths: states may have saturated")
