"""All verbs together."""

import typer

from neurohw.cli import models, runs, tools
from neurohw.cli.noise import noise
from neurohw.cli.reservoir import reservoir

app = typer.Typer(
    help="Define a spiking network once; train, quantize, emit, verify, build, report.\n\n"
    "Start with `neurohw flow digits`. Every verb works on one run folder, skips what is up to date "
    "and can be repeated.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
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
app.command("import")(models.import_verb)
app.command("export")(models.export_verb)
app.command()(noise)
app.command()(tools.hear)
app.command()(tools.doctor)
app.add_typer(reservoir, name="reservoir")
