# SPDX-License-Identifier: Apache-2.0
"""The verbs about everything else: hear, doctor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from neurohw.cli.options import ForceOption
from neurohw.console import console
from neurohw.data.speech import hear_to_file
from neurohw.errors import MissingTool
from neurohw.hardware.build.tools import TOOLS, find_version
from neurohw.paths import boards_folder, rtl_folder, sim_folder

SOURCES = {"rtl": rtl_folder, "sim": sim_folder, "boards": boards_folder}


def hear(
    source: Annotated[
        str,
        typer.Argument(
            help=(
                "Folder of digit_speaker_index.wav (7_jackson_32.wav) or of Speech Commands; "
                "fsdd downloads 3,000 digits."
            )
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File of spikes to write, .npz.")],
    channels: Annotated[int, typer.Option("--channels", help="Filters of the cochlea.")] = 64,
    force: ForceOption = False,
) -> None:
    """Turn speech into spikes: `neurohw hear recordings/ --out spikes.npz`, then `neurohw flow
    spoken-digits --data spikes.npz`.

    A cochlea of gammatone filters and integrate-and-fire neurons; nothing is downloaded unless fsdd
    is named.
    """
    with Progress(
        SpinnerColumn(),
        BarColumn(24),
        TextColumn("{task.description}", markup=False),
        console=console,
    ) as display:
        task = display.add_task("reading", total=1.0)
        words = hear_to_file(
            source,
            out,
            channels,
            lambda text, done: display.update(task, description=text, completed=done),
            force,
        )
    console.print(f"{words}: {out}", soft_wrap=True)


def doctor() -> None:
    """Which tools are here, their versions, and how to get the missing ones.

    Exit code 1 if `neurohw flow digits` lacks one; what only some verbs need is called optional.
    """
    table = Table("tool", "for", "version", "if missing")
    broken = False
    for tool in TOOLS:
        found = find_version(tool)
        broken |= found is None and not tool.optional
        missing = Text("optional", "yellow") if tool.optional else Text("missing", "red")
        table.add_row(tool.name, tool.purpose, found or missing, "" if found else tool.cure)
    for name, folder in SOURCES.items():
        try:
            table.add_row(name, "sources of neurohw", str(folder()), "")
        except MissingTool as error:
            broken = True
            table.add_row(name, "sources of neurohw", Text("missing", "red"), str(error))
    console.print(table)
    if broken:
        raise typer.Exit(1)
