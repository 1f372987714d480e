# SPDX-License-Identifier: Apache-2.0
"""`--help` of every verb says what each argument and option is."""

import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from neurohw.cli.app import app


def verbs(group: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command below a group, by the words that call it."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        found |= (
            verbs(command, (*path, name))
            if hasattr(command, "commands")
            else {(*path, name): command}
        )
    return found


VERBS = verbs(typer.main.get_command(app))


def letters(text: str) -> str:
    """Without what wrapping, frames and quotes change."""
    return re.sub(r"[^\w-]+", "", text)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_shows_every_argument_and_option_with_its_text(words: tuple[str, ...]) -> None:
    """Typer before 0.26 with Click 8.5 drops texts of arguments, and markup takes brackets away."""
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "400", "TERM": "dumb"})
    assert result.exit_code == 0
    shown, verb = letters(result.output), VERBS[words]
    assert letters(verb.help) in shown
    assert verb.params or words == ("doctor",)
    for parameter in verb.params:
        for name in parameter.opts:
            assert letters(name).lower() in shown.lower(), (words, name)
        assert parameter.help and letters(parameter.help) in shown, (
            words,
            parameter.name,
            parameter.help,
        )
