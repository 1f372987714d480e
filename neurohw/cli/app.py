# SPDX-License-Identifier: Apache-2.0
"""All verbs together."""

from typing import Annotated

import typer

from neurohw import __version__
from neurohw.cli import exchange, models, runs, tools
from neurohw.cli.noise import noise
from neurohw.cli.reservoir import reservoir

app = typer.Typer(
    help="Define a spiking network once; train, quantize, emit, verify, build, report.\n\nStart "
    "with `neurohw flow digits`. Every verb works on one run folder, skips what is up to "
    "date and can be repeated.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"neurohw {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Version of neurohw."
        ),
    ] = False,
) -> None:
    """Options that belong to no verb."""


for verb in (
    runs.flow,
    runs.train,
    runs.quantize,
    runs.emit,
    runs.verify,
    runs.build,
    runs.report,
    models.crosscheck,
):
    app.command()(verb)
app.command("run")(models.run_verb)
app.command("import")(exchange.import_verb)
app.command("check")(exchange.check_verb)
app.command("export")(exchange.export_verb)
app.command()(noise)
app.command()(tools.hear)
app.command()(tools.doctor)
app.add_typer(reservoir, name="reservoir")
