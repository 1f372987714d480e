# SPDX-License-Identifier: Apache-2.0
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
BeyondProofOption = Annotated[
    bool,
    typer.Option(
        "--beyond-proof",
        help="Allow integers more steps and larger counts than their widths are proved for; "
        "the result is marked.",
    ),
]
