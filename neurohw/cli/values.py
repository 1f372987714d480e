# SPDX-License-Identifier: Apache-2.0
"""Values of options that are more than one word."""

import typer


def whole_numbers(text: str | None) -> tuple[int, ...] | None:
    """The numbers of a list such as 10,10,10; None for no text. Raises BadParameter."""
    try:
        return tuple(int(n) for n in text.split(",")) if text is not None else None
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of whole numbers such as 10,10,10"
        ) from error
