"""The verbs that work on a saved model: crosscheck, run, import, export."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from neurohw.cli.options import ForceOption
from neurohw.cli.runs import execute
from neurohw.console import console
from neurohw.crosscheck import CrosscheckResult
from neurohw.engines import ENGINES
from neurohw.export_model import export_model
from neurohw.flow import RunFolder
from neurohw.flow.check import crosscheck_saved
from neurohw.interop import EXPORTS, import_model
from neurohw.model_files import save
from neurohw.network import TrainedNetwork
from neurohw.run_model import load_model, run_model


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
    force: ForceOption = False,
) -> None:
    """Run a model in several engines and compare every spike and state.

    `neurohw crosscheck --run runs/digits` repeats the stage of a run. `neurohw crosscheck runs/digits --engines golden,lava,rtl --samples 10` compares
    chosen engines; `neurohw crosscheck model/ --input spikes.npz` any saved model. Exit code 1 if two engines differ.
    """
    if model is None and run is not None and engines is None and spikes is None:
        execute(RunFolder(run, force=force), ("crosscheck",))
        return
    path = model or run
    if path is None:
        raise typer.BadParameter("name a model or a run folder")
    chosen = engines.split(",") if engines else None
    with console.status("crosscheck") as status:
        result = crosscheck_saved(path, chosen, samples, spikes, picture, lambda text, _: status.update(text), force)
    _show_crosscheck(result)
    if not result.agrees:
        if result.traces is not None:
            console.print(f"picture of the first mismatch: {picture}")
        raise typer.Exit(1)


def run_verb(
    model: Annotated[Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")],
    engine: Annotated[str, typer.Option("--engine", help=f"One of {', '.join(ENGINES)}.")],
    spikes: Annotated[Path, typer.Option("--input", help="Array `spikes` [time, neuron] or [sample, time, neuron].")],
    out: Annotated[Path, typer.Option("--out", help="Trace to write, .npz.")],
    states: Annotated[bool, typer.Option("--states", help="Write membranes `v.<population>`, too.")] = False,
    force: ForceOption = False,
) -> None:
    """Run a model on spikes in one engine: `neurohw run model/ --engine lava --input spikes.npz --out trace.npz`.

    The trace has one array `spikes.<population>` [time, neuron] per population, with a leading sample axis if the input has one.
    """
    with console.status(f"{engine} is running"):
        trace = run_model(model, engine, spikes, out, states, force)
    table = Table("population", "neurons", "spikes", "spikes per neuron and step")
    for name, array in trace.spikes.items():
        table.add_row(name, str(array.shape[2]), f"{int(array.sum()):,}", f"{array.mean():.4f}")
    console.print(table)
    console.print(f"trace: {out}", soft_wrap=True)


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
    force: ForceOption = False,
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
    digest = save(value, out, force)
    table = Table("population", "neurons", "model")
    for population in value.network.populations:
        table.add_row(population.name, str(population.size), type(population.neuron).__name__)
    console.print(table)
    kind = "trained" if isinstance(value, TrainedNetwork) else "quantized"
    console.print(f"{kind} network {digest[:12]}: {out}")
    console.print(
        f"next: neurohw run {out} --engine {'reference' if kind == 'trained' else 'golden'} --input spikes.npz --out trace.npz"
    )


def export_verb(
    model: Annotated[Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")],
    to: Annotated[str, typer.Option("--to", help=f"One of {', '.join(EXPORTS)}.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .nir, or .py for a script.")],
    integers: Annotated[
        bool, typer.Option("--integers", help="Of a run folder, export the quantized network.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Hand a model to another tool: `neurohw export runs/digits --to brian2 --out network.py`.

    nir writes a graph; snntorch, brian2 and lava write a readable script with its arrays beside it, which runs without this framework (lava: soft resets need its
    processes).
    """
    kind = "integer" if integers or to == "lava" else "float"
    export_model(load_model(model, kind), to, out, force)
    console.print(f"written: {out}", soft_wrap=True)
