"""The command line: composes the stages, shows progress, turns errors into messages. It contains no logic of its own."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from neurohw import processes
from neurohw.cli_noise import noise
from neurohw.cli_reservoir import reservoir
from neurohw.console import console, stage_progress
from neurohw.crosscheck import CrosscheckResult
from neurohw.data.speech import hear_to_file
from neurohw.engines import ENGINES
from neurohw.errors import InvalidData, NeurohwError
from neurohw.export_model import export_model
from neurohw.flow import STAGES, RunConfig, RunFolder, run_stages
from neurohw.flow.check import crosscheck_saved
from neurohw.flow.run_folder import DEFAULT_BOARDS
from neurohw.flow.stages import verify_stage
from neurohw.hardware.build.tools import TOOLS, find_version
from neurohw.interop import EXPORTS, import_model
from neurohw.model_files import save
from neurohw.network import TrainedNetwork
from neurohw.run_model import load_model, run_model

app = typer.Typer(
    help="Define a spiking network once; train, quantize, emit, verify, build, report.\n\n"
    "Start with `neurohw flow digits`. Every verb works on one run folder, skips what is up to date and can be repeated.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(reservoir, name="reservoir")
app.command()(noise)
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


def _execute(run: RunFolder, stages: tuple[str, ...], states: bool = False, device: str = "cpu") -> None:
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
    """Everything: train, quantize, crosscheck the engines, emit RTL, verify it, build bitstreams, report."""
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
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda for a GPU.")] = "cpu",
) -> None:
    """Start a run folder and train its network. Interrupted, it goes on from the last epoch.

    Several processes train one network together: `torchrun --nproc-per-node 2 -m -- neurohw train digits`, on many machines with torchrun's --nnodes. Each takes
    its part of every batch (and with --device cuda its own GPU); the result is that of one process, up to rounding. The two dashes keep torchrun from reading --run.
    """
    folder = RunFolder(
        run or Path("runs") / recipe, _config(recipe, data, bits, lanes, membrane_cap, board, seed, epochs)
    )
    _execute(folder, ("train",), device=device)


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


def _show_crosscheck(result: CrosscheckResult) -> None:
    """Tables of engines and pairs."""
    runs = Table("engine", "model", "status", "seconds", "")
    for r in result.runs:
        late = ", ".join(f"{name} +{steps}" for name, steps in r.offsets.items() if steps)
        colour = {"ran": "green", "refused": "yellow", "failed": "red"}[r.status]
        note = r.reason or (f"steps late inside it, aligned here: {late}" if late else "")
        runs.add_row(r.engine, r.kind, f"[{colour}]{r.status}[/{colour}]", f"{r.seconds:.1f}", note)
    console.print(runs)
    pairs = Table("model", "pair", "spikes compared", "mismatches", "states compared", "largest |dv|", "first mismatch")
    for p in result.pairs:
        row = (f"{p.spikes_compared:,}", str(p.mismatches), f"{p.states_compared:,}", f"{p.largest_difference:.1e}")
        pairs.add_row(p.kind, f"{p.left} - {p.right}", *row, p.first_mismatch or "")
    console.print(pairs)


BEYOND_PROOF = "Allow integers more steps and larger counts than their widths are proved for; the result is marked."


@app.command()
def crosscheck(
    model: Annotated[
        Path | None, typer.Argument(help="Run folder, or a saved trained or quantized network. Default: --run.")
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Run folder; its stage is repeated if out of date.")] = None,
    engines: Annotated[
        str | None,
        typer.Option("--engines", help=f"Engines, separated by commas: {', '.join(ENGINES)}. Default: all but rtl."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="Samples to compare.")] = 3,
    spikes: Annotated[
        Path | None,
        typer.Option("--input", help="Spikes as .npz, array `spikes` [time, neuron] or [sample, time, neuron]."),
    ] = None,
    picture: Annotated[Path, typer.Option("--picture", help="Where to draw a first mismatch.")] = Path("mismatch.svg"),
    beyond_proof: Annotated[bool, typer.Option("--beyond-proof", help=BEYOND_PROOF)] = False,
) -> None:
    """Run a model in several engines and compare every spike and state.

    `neurohw crosscheck --run runs/digits` repeats the stage of a run. `neurohw crosscheck runs/digits --engines golden,lava,rtl --samples 10` compares
    chosen engines; `neurohw crosscheck model/ --input spikes.npz` any saved model. Exit code 1 if two engines differ.
    """
    if model is None and run is not None and engines is None and spikes is None:
        _execute(RunFolder(run), ("crosscheck",))
        return
    path = model or run
    if path is None:
        raise typer.BadParameter("name a model or a run folder")
    chosen = engines.split(",") if engines else None
    with console.status("crosscheck") as status:
        result = crosscheck_saved(
            path, chosen, samples, spikes, picture, lambda text, _: status.update(text), beyond_proof
        )
    _show_crosscheck(result)
    if not result.agrees:
        if result.traces is not None:
            console.print(f"picture of the first mismatch: {picture}")
        raise typer.Exit(1)


@app.command("run")
def run_verb(
    model: Annotated[Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")],
    engine: Annotated[str, typer.Option("--engine", help=f"One of {', '.join(ENGINES)}.")],
    spikes: Annotated[Path, typer.Option("--input", help="Array `spikes` [time, neuron] or [sample, time, neuron].")],
    out: Annotated[Path, typer.Option("--out", help="Trace to write, .npz.")],
    states: Annotated[bool, typer.Option("--states", help="Write membranes `v.<population>`, too.")] = False,
    beyond_proof: Annotated[bool, typer.Option("--beyond-proof", help=BEYOND_PROOF)] = False,
) -> None:
    """Run a model on spikes in one engine: `neurohw run model/ --engine lava --input spikes.npz --out trace.npz`.

    The trace has one array `spikes.<population>` [time, neuron] per population, with a leading sample axis if the input has one.
    """
    with console.status(f"{engine} is running"):
        trace = run_model(model, engine, spikes, out, states, beyond_proof)
    table = Table("population", "neurons", "spikes", "spikes per neuron and step")
    for name, array in trace.spikes.items():
        table.add_row(name, str(array.shape[2]), f"{int(array.sum()):,}", f"{array.mean():.4f}")
    console.print(table)
    console.print(f"trace: {out}", soft_wrap=True)
    if trace.beyond_proof:
        console.print("beyond the proof of the widths: states may have saturated")


@app.command("import")
def import_verb(
    source: Annotated[
        str, typer.Argument(help="NIR graph (.nir), lava-dl network (.net), or FILE.py:NAME (snnTorch).")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the model.")],
    dt: Annotated[float | None, typer.Option("--dt", help="NIR: step in seconds. Default 0.001.")] = None,
    discretisation: Annotated[
        str | None, typer.Option("--discretisation", help="NIR: exponential_euler (default) or forward_euler.")
    ] = None,
    reset: Annotated[str | None, typer.Option("--reset", help="NIR: hard (default), soft or none.")] = None,
    delayed_reset: Annotated[
        bool | None, typer.Option("--delayed-reset", help="NIR: the reset acts one step after the spike.")
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--not-strict", help="NIR, lava-dl: fire above the threshold, or at it, too."),
    ] = None,
    recurrent_delay: Annotated[
        int | None, typer.Option("--recurrent-delay", help="NIR: steps of an edge that closes a cycle. Default 1.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of one sample.")] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="snnTorch: shape of one step's input, such as 784 or 1,28,28.")
    ] = None,
) -> None:
    """Take a model over from another tool: `neurohw import net.nir --dt 1e-4 --reset soft --out model`.

    What the file leaves open (step, discretisation, reset) is an option; what cannot be expressed exactly is refused by name.
    """
    shape = tuple(int(n) for n in input_shape.split(",")) if input_shape else None
    value = import_model(
        source,
        dt=dt,
        discretisation=discretisation,
        reset=reset,
        delayed_reset=delayed_reset,
        strict=strict,
        recurrent_delay=recurrent_delay,
        steps=steps,
        input_shape=shape,
    )
    digest = save(value, out)
    table = Table("population", "neurons", "model")
    for population in value.network.populations:
        table.add_row(population.name, str(population.size), type(population.neuron).__name__)
    console.print(table)
    kind = "trained" if isinstance(value, TrainedNetwork) else "quantized"
    console.print(f"{kind} network {digest[:12]}: {out}")
    console.print(
        f"next: neurohw run {out} --engine {'reference' if kind == 'trained' else 'golden'} --input spikes.npz --out trace.npz"
    )


@app.command("export")
def export_verb(
    model: Annotated[Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")],
    to: Annotated[str, typer.Option("--to", help=f"One of {', '.join(EXPORTS)}.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .nir, or .py for a script.")],
    integers: Annotated[
        bool, typer.Option("--integers", help="Of a run folder, export the quantized network.")
    ] = False,
) -> None:
    """Hand a model to another tool: `neurohw export runs/digits --to brian2 --out network.py`.

    nir writes a graph; snntorch, brian2 and lava write a readable script with its arrays beside it, which runs without this framework (lava: soft resets need its
    processes).
    """
    kind = "integer" if integers or to == "lava" else "float"
    export_model(load_model(model, kind), to, out)
    console.print(f"written: {out}", soft_wrap=True)


@app.command()
def hear(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of <digit>_<speaker>_<index>.wav or of Speech Commands; fsdd downloads 3,000 digits."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File of spikes to write, .npz.")],
    channels: Annotated[int, typer.Option("--channels", help="Filters of the cochlea.")] = 64,
) -> None:
    """Turn speech into spikes: `neurohw hear recordings/ --out spikes.npz`, then `neurohw flow spoken-digits --data spikes.npz`.

    A cochlea of gammatone filters and integrate-and-fire neurons; nothing is downloaded unless fsdd is named.
    """
    with Progress(SpinnerColumn(), BarColumn(24), TextColumn("{task.description}"), console=console) as display:
        task = display.add_task("reading", total=1.0)
        words = hear_to_file(
            source, out, channels, lambda text, done: display.update(task, description=text, completed=done)
        )
    console.print(f"{words}: {out}", soft_wrap=True)


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
        where = f"error in {error.stage}" if error.stage else "error"
        console.print(f"{where}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
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
