# SPDX-License-Identifier: Apache-2.0
"""The verbs that work on a run folder: flow, train, quantize, emit, verify, build, report."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from neurohw import processes
from neurohw.cli.options import ForceOption
from neurohw.cli.values import option_names
from neurohw.console import console, stage_progress
from neurohw.errors import InvalidData, NeurohwError
from neurohw.flow import STAGES, RunFolder, run_stages
from neurohw.flow.config import DEFAULT_BOARDS
from neurohw.flow.models import is_run, quantize_saved

NEXT = dict(pairwise(STAGES))
BESIDE = {"crosscheck", "verify", "build"}  # the page tells of their failures

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Run folder; one that is there keeps its options. Default: runs/RECIPE."
    ),
]
RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        help="What to run: digits, digits-cnn, digits-pcm (embedded data); mnist, mnist-cnn, "
        "mnist-pcm, spoken-digits, shd, ssc, speech-commands (need --data). Default: the "
        "run's own, digits for a new one."
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="MNIST: folder of idx files or .npz; spoken digits: .npz of spikes; shd, ssc: folder "
        "of .h5 files.",
    ),
]
BitsOption = Annotated[
    int | None,
    typer.Option(
        "--bits",
        help="Weight width, 2..8. Below 8 the network is also trained quantization-aware, "
        "and a float twin as long to compare with. New runs: 8.",
    ),
]
LanesOption = Annotated[
    int | None,
    typer.Option(
        "--lanes", help="Synaptic operations per clock of the hidden population. New runs: 8."
    ),
]
CapOption = Annotated[
    int | None,
    typer.Option(
        "--membrane-cap",
        help="Membrane width at which saturation is accepted. Default: proved width.",
    ),
]
ResolutionOption = Annotated[
    int | None,
    typer.Option(
        "--resolution-bits",
        help="A threshold is worth at least 2 to the power of this many units, 1..16. New runs: 5.",
    ),
]
BoardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--board",
        help=f"Board to build for; repeat for several. New runs: {', '.join(DEFAULT_BOARDS)}.",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of everything random. New runs: 0.")
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", help="Epochs of every training. New runs: the recipe's.")
]
ExistingRun = Annotated[Path, typer.Option("--run", help="Run folder that `neurohw train` made.")]


def execute(
    run: RunFolder, stages: tuple[str, ...], states: bool = False, device: str = "cpu"
) -> None:
    """Run the stages, then say what the run holds, even if one of them failed."""
    if processes.count() > 1 and stages != ("train",):
        raise InvalidData(
            f"{processes.count()} processes were started, which only `neurohw train` can share "
            "its work among: leave torchrun out"
        )
    try:
        with stage_progress() as show:
            run_stages(run, stages, show, device, states=states)
    except NeurohwError as error:
        failed = {one.stage for one in getattr(error, "errors", (error,))}
        if stages == STAGES and None not in failed:
            summary(run)
            if failed <= BESIDE:  # the page was written all the same
                console.print(f"report: {run.path / 'report.html'}", soft_wrap=True)
        raise
    if not processes.is_first():
        return
    summary(run)
    if stages[-1] == "report":
        console.print(f"report: {run.path / 'report.html'}", soft_wrap=True)
    else:
        console.print(f"next: {run.command(NEXT[stages[-1]])}", soft_wrap=True)


def _current(run: RunFolder, stage: str) -> dict[str, Any] | None:
    """The result of a stage, None unless it belongs to what the run holds now."""
    try:
        return run.need(stage)
    except NeurohwError:
        return None


def summary(run: RunFolder) -> None:
    """Print what the run holds now; what belongs to another training or model is left out."""
    trained, quantized, verified, built = (
        _current(run, s) for s in ("train", "quantize", "verify", "build")
    )
    table = Table(box=None, show_header=False, padding=(0, 2))
    if trained:
        table.add_row(
            "float accuracy",
            f"{100 * trained['float_accuracy']:.2f} % of {trained['test_samples']} test samples",
        )
    if quantized:
        table.add_row("golden accuracy", f"{100 * quantized['golden_accuracy']:.2f} %")
        for text in quantized.get("warnings", []):
            table.add_row("warning", text)
    checked = _current(run, "crosscheck")
    if checked:
        engines = ", ".join(
            dict.fromkeys(r["engine"] for r in checked["runs"] if r["status"] == "ran")
        )
        wrong = sum(p["mismatches"] for p in checked["pairs"])
        table.add_row("crosscheck", f"{wrong} mismatches between {engines}")
    if verified:
        table.add_row("RTL accuracy", f"{100 * verified['rtl_accuracy']:.2f} %")
        table.add_row(
            "mismatches",
            f"{verified['mismatches']} in {verified['spikes_compared']:,} spike comparisons",
        )
        table.add_row("cycles per inference", f"{verified['cycles_per_inference']:.0f}")
        done, effective = (
            sum(verified[f"{kind}synaptic_operations"].values()) for kind in ("", "effective_")
        )
        per = verified["samples"]
        table.add_row(
            "operations per inference",
            f"{done / per:,.0f} synaptic, {effective / per:,.0f} effective",
        )
        saturated = ", ".join(
            f"{n:,} in {name}" for name, n in verified["saturations"].items() if n
        )
        table.add_row("saturated updates", saturated or "none")
    for name, board in (built or {}).get("boards", {}).items():
        numbers = (
            f"{board['lut']:,} LUT, {board['bram']} BRAM, {board['dsp']} DSP, Fmax "
            f"{board['fmax_mhz']:.1f} MHz"
        )
        table.add_row(name, f"{numbers}: {run.path / board['bitstream']}")
    for name in (built or {}).get("failed", {}):
        table.add_row(name, Text("not built", style="red"))
    console.print(table)


def _start(
    recipe: str | None, run: Path | None, boards: list[str] | None, force: bool, **given: Any
) -> RunFolder:
    path = run or Path("runs") / (recipe or "digits")
    return RunFolder.start(
        path, recipe, force=force, boards=tuple(boards) if boards else None, **given
    )


def flow(
    recipe: RecipeArgument = None,
    run: RunOption = None,
    data: DataOption = None,
    bits: BitsOption = None,
    lanes: LanesOption = None,
    membrane_cap: CapOption = None,
    resolution_bits: ResolutionOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    epochs: EpochsOption = None,
    force: ForceOption = False,
) -> None:
    """Everything: train, quantize, crosscheck, emit RTL, verify it, build bitstreams, report.

    A board that does not fit, or a stage that fails, takes nothing from the others: the report says
    what failed, and the exit code is 1.
    """
    given = {
        "data": data,
        "bits": bits,
        "lanes": lanes,
        "membrane_cap": membrane_cap,
        "seed": seed,
        "epochs": epochs,
        "resolution_bits": resolution_bits,
    }
    execute(_start(recipe, run, board, force, **given), STAGES)


def train(
    recipe: RecipeArgument = None,
    run: RunOption = None,
    data: DataOption = None,
    bits: BitsOption = None,
    lanes: LanesOption = None,
    membrane_cap: CapOption = None,
    resolution_bits: ResolutionOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    epochs: EpochsOption = None,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda for a GPU.")] = "cpu",
    force: ForceOption = False,
) -> None:
    """Start a run folder and train its network. Interrupted, it goes on from the last epoch.

    Several processes train one network together: `torchrun --nproc-per-node 2 -m -- neurohw train
    digits`, on many machines with torchrun's --nnodes. Each takes its part of every batch (and
    with --device cuda its own GPU); the result is that of one process, up to rounding. The two
    dashes keep torchrun from reading --run.
    """
    given = {
        "data": data,
        "bits": bits,
        "lanes": lanes,
        "membrane_cap": membrane_cap,
        "seed": seed,
        "epochs": epochs,
        "resolution_bits": resolution_bits,
    }
    execute(_start(recipe, run, board, force, **given), ("train",), device=device)


def quantize(
    model: Annotated[
        Path | None, typer.Argument(help="Saved trained network, such as `neurohw import` makes.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run folder that `neurohw train` made, in the place of MODEL."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Of MODEL: folder for the quantized network.")
    ] = None,
    bits: Annotated[
        int | None, typer.Option("--bits", help="Of MODEL: weight width, 2..8. Default 8.")
    ] = None,
    resolution_bits: ResolutionOption = None,
    membrane_cap: Annotated[
        int | None,
        typer.Option("--membrane-cap", help="Of MODEL: membrane width that may saturate."),
    ] = None,
    decay: Annotated[
        str | None,
        typer.Option("--decay", help="Of MODEL: auto (default), shift or multiply."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Of MODEL: steps to prove widths for. Default: its own."),
    ] = None,
    max_count: Annotated[
        int | None,
        typer.Option("--max-count", help="Of MODEL: largest count of an input in one step."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Quantize a trained network to integers, with widths by proof: `neurohw quantize --run
    runs/digits`, or a saved network, `neurohw quantize model --bits 4 --out integers`.
    """
    given: dict[str, Any] = {
        "bits": bits,
        "membrane_cap": membrane_cap,
        "decay": decay,
        "steps": steps,
        "max_count": max_count,
        "out": out,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if run is not None and model is not None:
        raise typer.BadParameter("name a saved model or --run, not both")
    if run is None and model is not None and is_run(model):
        run = model
    if run is not None:
        _quantize_run(run, resolution_bits, options, force)
        return
    if model is None:
        raise typer.BadParameter("name a run folder with --run, or a saved model with --out")
    if out is None:
        raise typer.BadParameter(f"name the folder for the integers of {model} with --out")
    del options["out"]
    if resolution_bits is not None:
        options["resolution_bits"] = resolution_bits
    words = {"bits of the weights": "--bits", "decay must be": "--decay must be"}
    for name in ("membrane_cap", "resolution_bits", "max_count"):
        words[name] = "--" + name.replace("_", "-")
    with option_names(words):
        quantized, digest = quantize_saved(model, out, force, **options)
    for text in quantized.info["warnings"]:
        console.print(f"warning: {text}", style="yellow", highlight=False, soft_wrap=True)
    console.print(f"quantized network {digest[:12]}: {out}", soft_wrap=True)
    console.print(
        f"next: neurohw run {out} --engine golden --input spikes.npz --out trace.npz",
        soft_wrap=True,
    )


def _quantize_run(
    path: Path, resolution_bits: int | None, others: dict[str, Any], force: bool
) -> None:
    """Repeat the stage of a run folder; InvalidData for options that are not its own."""
    folder = RunFolder(path, force=force)
    for name, value in others.items():
        option = "--" + name.replace("_", "-")
        if name in ("bits", "membrane_cap"):
            raise InvalidData(
                f"{option} of a run belongs to its training: run `{folder.command('train')} "
                f"{option} {value}`, then `{folder.command('quantize')}`"
            )
        raise InvalidData(f"{option} is for a saved model, {path} is a run folder: leave it out")
    if resolution_bits is not None:
        folder = RunFolder(path, replace(folder.config, resolution_bits=resolution_bits), force)
    execute(folder, ("quantize",))


def emit(run: ExistingRun, force: ForceOption = False) -> None:
    """Emit the RTL package: SystemVerilog, parameters, memory images, manifest."""
    execute(RunFolder(run, force=force), ("emit",))


def verify(
    run: ExistingRun,
    states: Annotated[
        bool,
        typer.Option("--states", help="Compare every membrane, current and refractory count too."),
    ] = False,
) -> None:
    """Stream the whole test split through the RTL and compare every spike with the golden model."""
    execute(RunFolder(run), ("verify",), states)


def build(run: ExistingRun, force: ForceOption = False) -> None:
    """Synthesise, place and route, and pack a bitstream for every board of the run."""
    execute(RunFolder(run, force=force), ("build",))


def report(run: ExistingRun, force: ForceOption = False) -> None:
    """Write report.json and report.html."""
    execute(RunFolder(run, force=force), ("report",))
