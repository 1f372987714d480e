"""The verbs that work on a run folder: flow, train, quantize, emit, verify, build, report."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from neurohw import processes
from neurohw.cli.options import ForceOption
from neurohw.console import console, stage_progress
from neurohw.errors import InvalidData
from neurohw.flow import STAGES, RunConfig, RunFolder, run_stages
from neurohw.flow.run_folder import DEFAULT_BOARDS
from neurohw.flow.stages import verify_stage

NEXT = {
    "train": "neurohw quantize",
    "quantize": "neurohw crosscheck",
    "crosscheck": "neurohw emit",
    "emit": "neurohw verify",
    "verify": "neurohw build",
    "build": "neurohw report",
}

RunOption = Annotated[Path | None, typer.Option("--run", help="Run folder. Default: runs/RECIPE.")]
RecipeArgument = Annotated[
    str,
    typer.Argument(
        help="What to run: digits, digits-cnn, digits-pcm (embedded data); mnist, mnist-cnn, mnist-pcm, spoken-digits, shd, ssc, speech-commands (need --data)."
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="MNIST: folder of idx files or .npz; spoken digits: .npz of spikes; shd, ssc: folder of .h5 files.",
    ),
]
BitsOption = Annotated[
    int, typer.Option("--bits", help="Weight width, 2..8. Below 8 the network is also trained quantization-aware.")
]
LanesOption = Annotated[int, typer.Option("--lanes", help="Synaptic operations per clock of the hidden population.")]
CapOption = Annotated[
    int | None,
    typer.Option("--membrane-cap", help="Membrane width at which saturation is accepted. Default: proved width."),
]
BoardOption = Annotated[
    list[str] | None, typer.Option("--board", help="Board to build for; repeat for several. Default: both.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Training epochs. Default: the recipe's.")]
ExistingRun = Annotated[Path, typer.Option("--run", help="Run folder that `neurohw train` made.")]


def execute(run: RunFolder, stages: tuple[str, ...], states: bool = False, device: str = "cpu") -> None:
    if processes.count() > 1 and stages != ("train",):
        raise InvalidData(
            f"{processes.count()} processes were started, which only `neurohw train` can share its work among: leave torchrun out"
        )
    with stage_progress() as show:
        if states:
            verify_stage(run, show, states=True)
        else:
            run_stages(run, stages, show, device)
    if processes.is_first():
        summary(run, stages[-1])


def summary(run: RunFolder, last: str) -> None:
    """Print what the run holds now and what comes next."""
    trained, quantized, verified, built = (run.result(s) for s in ("train", "quantize", "verify", "build"))
    table = Table(box=None, show_header=False, padding=(0, 2))
    if trained:
        table.add_row(
            "float accuracy", f"{100 * trained['float_accuracy']:.2f} % of {trained['test_samples']} test samples"
        )
    if quantized:
        table.add_row("golden accuracy", f"{100 * quantized['golden_accuracy']:.2f} %")
    checked = run.result("crosscheck")
    if checked:
        engines = ", ".join(dict.fromkeys(r["engine"] for r in checked["runs"] if r["status"] == "ran"))
        wrong = sum(p["mismatches"] for p in checked["pairs"])
        table.add_row("crosscheck", f"{wrong} mismatches between {engines}")
    if verified:
        table.add_row("RTL accuracy", f"{100 * verified['rtl_accuracy']:.2f} %")
        table.add_row("mismatches", f"{verified['mismatches']} in {verified['spikes_compared']:,} spike comparisons")
        table.add_row("cycles per inference", f"{verified['cycles_per_inference']:.0f}")
    for name, board in (built or {}).get("boards", {}).items():
        table.add_row(
            name, f"{board['lut']:,} LUT, {board['bram']} BRAM, Fmax {board['fmax_mhz']:.1f} MHz: {board['bitstream']}"
        )
    console.print(table)
    if last == "report":
        console.print(f"report: {run.path / 'report.html'}")
    else:
        console.print(f"next: {NEXT[last]} --run {run.path}")


def _config(
    recipe: str,
    data: str | None,
    bits: int,
    lanes: int,
    cap: int | None,
    boards: list[str] | None,
    seed: int,
    epochs: int | None,
) -> RunConfig:
    return RunConfig(recipe, data, bits, lanes, cap, tuple(boards or DEFAULT_BOARDS), seed, epochs)


def flow(
    recipe: RecipeArgument = "digits",
    run: RunOption = None,
    data: DataOption = None,
    bits: BitsOption = 8,
    lanes: LanesOption = 8,
    membrane_cap: CapOption = None,
    board: BoardOption = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    force: ForceOption = False,
) -> None:
    """Everything: train, quantize, crosscheck the engines, emit RTL, verify it, build bitstreams, report."""
    folder = RunFolder(
        run or Path("runs") / recipe, _config(recipe, data, bits, lanes, membrane_cap, board, seed, epochs), force
    )
    execute(folder, STAGES)


def train(
    recipe: RecipeArgument = "digits",
    run: RunOption = None,
    data: DataOption = None,
    bits: BitsOption = 8,
    lanes: LanesOption = 8,
    membrane_cap: CapOption = None,
    board: BoardOption = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda for a GPU.")] = "cpu",
    force: ForceOption = False,
) -> None:
    """Start a run folder and train its network. Interrupted, it goes on from the last epoch.

    Several processes train one network together: `torchrun --nproc-per-node 2 -m -- neurohw train digits`, on many machines with torchrun's --nnodes. Each takes
    its part of every batch (and with --device cuda its own GPU); the result is that of one process, up to rounding. The two dashes keep torchrun from reading --run.
    """
    folder = RunFolder(
        run or Path("runs") / recipe, _config(recipe, data, bits, lanes, membrane_cap, board, seed, epochs), force
    )
    execute(folder, ("train",), device=device)


def quantize(run: ExistingRun, force: ForceOption = False) -> None:
    """Quantize the trained network to integers, with widths by proof."""
    execute(RunFolder(run, force=force), ("quantize",))


def emit(run: ExistingRun, force: ForceOption = False) -> None:
    """Emit the RTL package: SystemVerilog, parameters, memory images, manifest."""
    execute(RunFolder(run, force=force), ("emit",))


def verify(
    run: ExistingRun,
    states: Annotated[
        bool, typer.Option("--states", help="Compare every membrane, current and refractory count too.")
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
