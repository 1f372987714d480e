"""The command line: composes the stages, shows progress, turns errors into messages. It contains no logic of its own."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from neurohw.errors import NeurohwError
from neurohw.flow import STAGES, RunConfig, RunFolder, run_stages
from neurohw.flow.run_folder import DEFAULT_BOARDS
from neurohw.flow.stages import verify_stage
from neurohw.synth.tools import TOOLS, find_version

app = typer.Typer(
    help="Define a spiking network once; train, quantize, emit, verify, build, report.\n\n"
    "Start with `neurohw flow digits`. Every verb works on one run folder, skips what is up to date and can be repeated.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
NEXT = {
    "train": "neurohw quantize",
    "quantize": "neurohw emit",
    "emit": "neurohw verify",
    "verify": "neurohw build",
    "build": "neurohw report",
}

RunOption = Annotated[Path | None, typer.Option("--run", help="Run folder. Default: runs/RECIPE.")]
RecipeArgument = Annotated[str, typer.Argument(help="What to run: digits (embedded data) or mnist (needs --data).")]
DataOption = Annotated[str | None, typer.Option("--data", help="MNIST as a folder of idx files, or an .npz file.")]
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


def _execute(run: RunFolder, stages: tuple[str, ...], states: bool = False) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[stage]:9}"),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as display:
        tasks = {}

        def show(stage: str, text: str, fraction: float | None) -> None:
            if stage not in tasks:
                tasks[stage] = display.add_task(text, stage=stage, total=1.0)
            display.update(tasks[stage], description=text, completed=fraction)

        for stage in stages:
            if stage == "verify" and states:
                verify_stage(run, show, states=True)
            else:
                run_stages(run, (stage,), show)
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


@app.command()
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
) -> None:
    """Everything: train, quantize, emit RTL, verify it, build bitstreams, report."""
    folder = RunFolder(
        run or Path("runs") / recipe, _config(recipe, data, bits, lanes, membrane_cap, board, seed, epochs)
    )
    _execute(folder, STAGES)


@app.command()
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
) -> None:
    """Start a run folder and train its network. Interrupted, it goes on from the last epoch."""
    folder = RunFolder(
        run or Path("runs") / recipe, _config(recipe, data, bits, lanes, membrane_cap, board, seed, epochs)
    )
    _execute(folder, ("train",))


@app.command()
def quantize(run: ExistingRun) -> None:
    """Quantize the trained network to integers, with widths by proof."""
    _execute(RunFolder(run), ("quantize",))


@app.command()
def emit(run: ExistingRun) -> None:
    """Emit the RTL package: SystemVerilog, parameters, memory images, manifest."""
    _execute(RunFolder(run), ("emit",))


@app.command()
def verify(
    run: ExistingRun,
    states: Annotated[
        bool, typer.Option("--states", help="Compare every membrane, current and refractory count too.")
    ] = False,
) -> None:
    """Stream the whole test split through the RTL and compare every spike with the golden model."""
    _execute(RunFolder(run), ("verify",), states)


@app.command()
def build(run: ExistingRun) -> None:
    """Synthesise, place and route, and pack a bitstream for every board of the run."""
    _execute(RunFolder(run), ("build",))


@app.command()
def report(run: ExistingRun) -> None:
    """Write report.json and report.html."""
    _execute(RunFolder(run), ("report",))


@app.command()
def doctor() -> None:
    """Which tools are here, their versions, and how to get the missing ones."""
    table = Table("tool", "for", "version", "if missing")
    missing = 0
    for tool in TOOLS:
        found = find_version(tool)
        missing += found is None
        cure = f"pip install {tool.package}" if tool.package else f"install {tool.name} from the system's packages"
        table.add_row(tool.name, tool.purpose, found or "[red]missing[/red]", "" if found else cure)
    console.print(table)
    if missing:
        raise typer.Exit(1)


def main() -> None:
    """Entry point: errors that a user can cure become one message; an interrupt says how to resume."""
    # SIGTERM like Ctrl-C, and Ctrl-C even where a shell started the program in the background and had it ignored:
    # children are ended and temporary files removed on the way out
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        code = app(standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except NeurohwError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "show"):
            error.show()
            sys.exit(2)
        raise
    if code == 130:
        console.print("\ninterrupted; the same command goes on where it stopped", style="yellow")
    sys.exit(code)


if __name__ == "__main__":
    main()
