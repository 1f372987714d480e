# SPDX-License-Identifier: Apache-2.0
"""Outcomes in a folder, from which an interrupted Monte Carlo goes on.

experiment.json       the identity of the experiment
ideal.json            what the network does without hardware
chips/<seed>.json     one finished chip each, written atomically
"""

import json
from pathlib import Path
from typing import Any

from neurohw.errors import BrokenFile, InvalidData
from neurohw.formats import FORMATS
from neurohw.noise.outcome import Outcome
from neurohw.storage import claim_folder, write_atomically


class Store:
    """The folder of one experiment."""

    def __init__(self, folder: Path, identity: dict[str, Any], force: bool = False) -> None:
        """Open the folder, or make it.

        Raises InvalidData, naming what differs, where it holds another experiment, BrokenFile where
        it cannot be read, CannotWrite where it holds something else, unless `force`.
        """
        self.folder = Path(folder)
        file = self.folder / "experiment.json"
        header = {"format_version": FORMATS["experiment"].version, "kind": "experiment"}
        wanted = json.loads(json.dumps({**header, **identity}))
        there = _read(file) if file.exists() else None
        claim_folder(self.folder, "experiment", force)
        if there is None:
            write_atomically(file, json.dumps(wanted, indent=1, allow_nan=False).encode())
            return
        different = list(differences(there, wanted))
        if different:
            raise InvalidData(
                f"{self.folder} holds results of another experiment: {'; '.join(different)}. "
                "Choose another folder, or delete this one"
            )

    def chip(self, seed: int) -> Outcome | None:
        """The outcome of a chip, None where it is not finished."""
        return self._outcome(f"chips/{seed}.json")

    def put_chip(self, seed: int, outcome: Outcome) -> None:
        """Keep the outcome of a finished chip."""
        self._put(f"chips/{seed}.json", outcome)

    def ideal(self) -> dict[str, Outcome]:
        """What `put_ideal` left, empty where nothing is."""
        file = self.folder / "ideal.json"
        try:
            return (
                {n: Outcome.from_json(v) for n, v in _read(file).items()} if file.exists() else {}
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise _broken(file, error) from error

    def put_ideal(self, outcomes: dict[str, Outcome]) -> None:
        """Keep the outcomes without hardware, by name."""
        text = json.dumps({n: o.to_json() for n, o in outcomes.items()}, allow_nan=False)
        write_atomically(self.folder / "ideal.json", text.encode())

    def _outcome(self, name: str) -> Outcome | None:
        file = self.folder / name
        if not file.exists():
            return None
        try:
            return Outcome.from_json(_read(file))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise _broken(file, error) from error

    def _put(self, name: str, outcome: Outcome) -> None:
        write_atomically(
            self.folder / name, json.dumps(outcome.to_json(), allow_nan=False).encode()
        )


def _broken(file: Path, error: Exception) -> BrokenFile:
    return BrokenFile(
        f"{file}: truncated or unreadable ({error}); delete it, and the same command makes it again"
    )


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise _broken(file, error) from error


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """In words, where two JSON values differ; digests are shortened."""
    if isinstance(there, dict) and isinstance(here, dict):
        keys = dict.fromkeys([*there, *here])
        return [
            d
            for k in keys
            for d in differences(there.get(k), here.get(k), f"{name}.{k}" if name else str(k))
        ]
    return [] if there == here else [f"{name} is {_short(there)} there, and {_short(here)} now"]


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return "none" if value is None else str(value)
