"""Options that many verbs share."""

from typing import Annotated

import typer

ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Replace what stands in the way of the output, though neurohw did not write it.",
    ),
]
