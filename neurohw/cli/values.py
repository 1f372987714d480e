# SPDX-License-Identifier: Apache-2.0
"""Values of options that are more than one word."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer

from neurohw.errors import NeurohwError


def whole_numbers(text: str | None) -> tuple[int, ...] | None:
    """The numbers of a list such as 10,10,10; None for no text. Raises BadParameter."""
    try:
        return tuple(int(n) for n in text.split(",")) if text is not None else None
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of whole numbers such as 10,10,10"
        ) from error


@contextmanager
def option_names(names: Mapping[str, str]) -> Iterator[None]:
    """Errors of the block name options in the place of Python's names.

    names: option by name; "Class." stands for every field of a class, whose options are named
    alike.
    """
    try:
        yield
    except NeurohwError as error:
        text = str(error)
        for name, option in names.items():
            if name.endswith("."):
                text = re.sub(
                    rf"\b{re.escape(name)}(\w+)", lambda m: "--" + m[1].replace("_", "-"), text
                )
            else:
                text = re.sub(rf"(?<![\w-]){re.escape(name)}\b", option, text)
        raise type(error)(text) from error
