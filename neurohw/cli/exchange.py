# SPDX-License-Identifier: Apache-2.0
"""The verbs that exchange models with other tools: import, check, export."""

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from neurohw.cli.options import ForceOption
from neurohw.cli.values import whole_numbers
from neurohw.console import console
from neurohw.export_model import export_model
from neurohw.flow.models import load_model
from neurohw.interop import EXPORTS, check_model, import_model
from neurohw.interop.nir import ORIGINS, TARGETS, DoubtfulImport
from neurohw.interop.nir.report import assumptions_in_words, in_words, neurons_table
from neurohw.model_files import save
from neurohw.network import TrainedNetwork

SourceArgument = Annotated[
    str,
    typer.Argument(help="NIR graph (.nir), lava-dl network (.net), or FILE.py:NAME (snnTorch)."),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="NIR: the tool that wrote the file, which sets everything below: "
        f"{', '.join(ORIGINS)}.",
    ),
]
DtOption = Annotated[
    float | None, typer.Option("--dt", help="NIR: step in seconds. Default 0.001.")
]
DiscretisationOption = Annotated[
    str | None,
    typer.Option("--discretisation", help="NIR: exponential_euler (default) or forward_euler."),
]
ResetOption = Annotated[
    str | None, typer.Option("--reset", help="NIR: hard or zero (default), soft or subtract, none.")
]
DelayedOption = Annotated[
    bool | None,
    typer.Option(
        "--delayed-reset/--no-delayed-reset", help="NIR: the reset acts one step after the spike."
    ),
]
StrictOption = Annotated[
    bool | None,
    typer.Option(
        "--strict/--not-strict", help="NIR, lava-dl: fire above the threshold, or at it, too."
    ),
]
RefractoryOption = Annotated[
    int | None, typer.Option("--refractory", help="NIR: silent steps after a spike. Default 0.")
]
GainOption = Annotated[
    str | None,
    typer.Option(
        "--gain",
        help="NIR: factor of a neuron's input: nir ((1 - decay) r, default), one, or decay.",
    ),
]
CurrentGainOption = Annotated[
    str | None,
    typer.Option(
        "--current-gain",
        help="NIR: the same for a synaptic current: nir ((1 - decay) w_in), one, or decay.",
    ),
]
BeginsOption = Annotated[
    bool | None,
    typer.Option("--begins-at-reset/--begins-at-zero", help="NIR: the membrane of the first step."),
]
LatencyOption = Annotated[
    int | None,
    typer.Option("--latency", help="NIR: steps that the tool's neurons answer later. Default 0."),
]
FlattenOption = Annotated[
    str | None, typer.Option("--flatten", help="NIR: channels_first (default) or channels_last.")
]
RecurrentOption = Annotated[
    int | None,
    typer.Option("--recurrent-delay", help="NIR: steps of an edge that closes a cycle. Default 1."),
]
StepsOption = Annotated[int | None, typer.Option("--steps", help="Steps of one sample.")]
ShapeOption = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        help="snnTorch, lava-dl: shape of one step's input, such as 784 or 1,28,28.",
    ),
]


def show_import(value: Any) -> None:
    """Print what an import took for granted, who says it, the neurons, and what is doubtful."""
    report = value.info.get("import") if isinstance(value, TrainedNetwork) else None

    def show(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    if report is not None:
        if report["written_by"]:
            show(f"read as {report['written_by']} writes NIR")
        table = Table("what", "value", "from")
        for row in report["conventions"]:
            table.add_row(row["what"], row["value"], row["from"])
        console.print(table)
    elif isinstance(value, TrainedNetwork) and value.info.get("source") == "NIR":
        show("rebuilt exactly from the metadata that this program wrote into the file")
    if report is None:
        show(f"dt {value.network.dt:g} s, {value.steps} steps a sample")
    for row in neurons_table(value) if report is None else report["populations"]:
        show(in_words(row))
    for text in value.info.get("notes", []) if report is None else report["notes"]:
        show(f"note: {text}")
    if report is not None:
        for text in [*report["warnings"], assumptions_in_words(report)]:
            if text:
                show(f"warning: {text}", "yellow")


def import_verb(
    source: SourceArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the model.")],
    written_by: FromOption = None,
    dt: DtOption = None,
    discretisation: DiscretisationOption = None,
    reset: ResetOption = None,
    delayed_reset: DelayedOption = None,
    strict: StrictOption = None,
    refractory: RefractoryOption = None,
    gain: GainOption = None,
    current_gain: CurrentGainOption = None,
    begins_at_reset: BeginsOption = None,
    latency: LatencyOption = None,
    flatten: FlattenOption = None,
    recurrent_delay: RecurrentOption = None,
    steps: StepsOption = None,
    input_shape: ShapeOption = None,
    force: ForceOption = False,
) -> None:
    """Take a model over from another tool: `neurohw import net.nir --from snntorch --out model`.

    NIR says neither step nor discretisation nor reset; --from sets what the tool means, every other
    option overrides it, and all of it is printed. What cannot be expressed exactly is refused by
    name: `neurohw check net.nir` lists all of it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DoubtfulImport)  # shown below
        value = import_model(
            source,
            written_by=written_by,
            dt=dt,
            discretisation=discretisation,
            reset=reset,
            delayed_reset=delayed_reset,
            strict=strict,
            refractory=refractory,
            gain=gain,
            current_gain=current_gain,
            begins_at_reset=begins_at_reset,
            latency=latency,
            flatten=flatten,
            recurrent_delay=recurrent_delay,
            steps=steps,
            input_shape=whole_numbers(input_shape),
        )
    digest = save(value, out, force)
    show_import(value)
    kind = "trained" if isinstance(value, TrainedNetwork) else "quantized"
    console.print(f"{kind} network {digest[:12]}: {out}", soft_wrap=True)
    engine = "reference" if kind == "trained" else "golden"
    console.print(
        f"next: neurohw run {out} --engine {engine} --input spikes.npz --out trace.npz",
        soft_wrap=True,
    )


def check_verb(
    source: SourceArgument,
    written_by: FromOption = None,
    reset: ResetOption = None,
    dt: DtOption = None,
    discretisation: DiscretisationOption = None,
    input_shape: ShapeOption = None,
) -> None:
    """List what becomes of a foreign model: `neurohw check net.nir --from snntorch`.

    Every node, what it becomes, and all that cannot be expressed with what to do. Nothing is
    written. Exit code 1 if anything cannot be expressed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DoubtfulImport)
        findings = check_model(
            source,
            written_by=written_by,
            reset=reset,
            dt=dt,
            discretisation=discretisation,
            input_shape=whole_numbers(input_shape),
        )
    table = Table("node", "type", "becomes")
    for finding in findings:
        what = Text(finding.problem, "red") if finding.problem else finding.becomes
        table.add_row(finding.node, finding.kind, what)
    console.print(table)
    wrong = sum(bool(f.problem) for f in findings)
    if wrong:
        console.print(
            f"{source}: {wrong} of {len(findings)} nodes cannot be expressed",
            style="red",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(1)
    console.print(
        f"{source}: all {len(findings)} nodes can be expressed", markup=False, soft_wrap=True
    )


def export_verb(
    model: Annotated[
        Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")
    ],
    to: Annotated[str, typer.Option("--to", help=f"One of {', '.join(EXPORTS)}.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .nir, or .py for a script.")],
    target: Annotated[
        str | None,
        typer.Option(
            "--for", help=f"With --to nir: the tool that shall read it: {', '.join(TARGETS)}."
        ),
    ] = None,
    integers: Annotated[
        bool, typer.Option("--integers", help="Of a run folder, export the quantized network.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Hand a model to another tool: `neurohw export runs/digits --to brian2 --out network.py`.

    nir writes a graph, with --for in the numbers that the tool's importer expects, refusing what
    the tool would change; snntorch, brian2 and lava write a readable script with its arrays beside
    it, which runs without this framework (lava: soft resets need its processes).
    """
    kind = "integer" if integers or to == "lava" else "float"
    notes = export_model(load_model(model, kind), to, out, target=target, force=force)
    console.print(f"written: {out}", soft_wrap=True)
    for text in notes:
        console.print(f"there: {text}", style="yellow", highlight=False, soft_wrap=True)
