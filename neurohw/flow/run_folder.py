"""A run folder: its configuration, and which stage is up to date.

    run.json                the configuration
    stages/<stage>.json     key (digest of all that the stage read) and result of each finished stage
    trained/ quantized/     saved values; rtl/ the package; build/<board>/ bitstreams; report.html, report.json
    liquid/ tuned/          of a reservoir: as built, and with weights that plasticity left; counts.npz, reservoir.json, reservoir.html

A stage is up to date if its key is the one it finished with: digests decide, never times.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from neurohw import processes
from neurohw.errors import BrokenFile, InvalidData, NeurohwError
from neurohw.formats import FORMATS, check_format
from neurohw.reservoir import LiquidConfig
from neurohw.storage import canonical_json, claim_folder, write_atomically

DEFAULT_BOARDS = ("ulx3s", "icebreaker")


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked for.

    recipe: "digits" or "mnist". data: file or folder with the data, None for the embedded digits. bits: weight width.
    lanes: synaptic operations per clock of the first hidden population. membrane_cap: width in bits at which
    membranes may saturate, None for the proved width. boards: boards to build for. epochs: None for the recipe's.
    liquid: of a reservoir, whose readout takes the place of the trained network; the recipe then only names the data.
    """

    recipe: str = "digits"
    data: str | None = None
    bits: int = 8
    lanes: int = 8
    membrane_cap: int | None = None
    boards: tuple[str, ...] = DEFAULT_BOARDS
    seed: int = 0
    epochs: int | None = None
    liquid: LiquidConfig | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal configuration."""
        value = asdict(self)
        if self.liquid is None:
            del value["liquid"]
        else:
            value["liquid"] = self.liquid.to_json()
        return value

    @staticmethod
    def from_json(value: dict[str, Any]) -> "RunConfig":
        """The configuration that `to_json` wrote; ValueError for missing and unknown fields."""
        known = {f.name for f in fields(RunConfig)}
        if not isinstance(value, dict) or set(value) | {"liquid"} != known:
            raise ValueError(f"fields {sorted(value)} are not {sorted(known)}")
        liquid = value.get("liquid")
        changed = {"boards": tuple(value["boards"]), "liquid": liquid and LiquidConfig.from_json(liquid)}
        return RunConfig(**{**value, **changed})


class RunFolder:
    """One folder under `runs/`. Writing is atomic; reading checks what it finds."""

    def __init__(self, path: Path, config: RunConfig | None = None, force: bool = False) -> None:
        """Open the folder, with a new configuration or the one it was made with. force: stages
        replace what stands in their way.

        Raises InvalidData if there is neither, BrokenFile if `run.json` cannot be read,
        CannotWrite, unless `force`, if a new one holds what is no run.
        """
        self.path, self.force = Path(path), force
        if config is None:
            config = self._read_config()
        elif processes.is_first():
            claim_folder(self.path, "run", force)
            header = {"format_version": FORMATS["run"].version, "kind": "run"}
            write_atomically(self.path / "run.json", json.dumps({**header, **config.to_json()}, indent=1).encode())
        self.config = config

    @property
    def name(self) -> str:
        """The folder's own name, used as the name of the run."""
        return self.path.resolve().name

    def _read_config(self) -> RunConfig:
        file = self.path / "run.json"
        if not file.exists():
            raise InvalidData(f"{self.path} is no run folder (run.json is missing): start one with `neurohw train`")
        try:
            value = json.loads(file.read_text())
            check_format(self.path, "run", value.pop("format_version", 1))
            del value["kind"]
            return RunConfig.from_json(value)
        except BrokenFile:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, NeurohwError) as error:
            raise BrokenFile(f"{file}: truncated or unreadable ({error}); start the run again") from error

    def key(self, *inputs: Any) -> str:
        """Digest of everything a stage reads; JSON values only."""
        return hashlib.sha256(canonical_json({"inputs": list(inputs)})).hexdigest()

    def result(self, stage: str, key: str | None = None) -> dict[str, Any] | None:
        """What the stage left when it finished, or None if it did not, or (with `key`) if its inputs have changed since.

        Raises BrokenFile if the stamp is truncated.
        """
        file = self.path / "stages" / f"{stage}.json"
        if not file.exists():
            return None
        try:
            stamp = json.loads(file.read_text())
            check_format(file, "stage", stamp.get("format_version", 1))
            finished_with, result = stamp["key"], stamp["result"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BrokenFile(
                f"{file}: truncated or unreadable ({error}); delete it and run `neurohw {stage}`"
            ) from error
        return result if key in (None, finished_with) else None

    def need(self, stage: str) -> dict[str, Any]:
        """The result of an earlier stage; InvalidData saying which command makes it, if it is missing."""
        result = self.result(stage)
        if result is None:
            command = (
                {"train": "reservoir readout", "liquid": "reservoir build"}.get(stage) if self.config.liquid else None
            )
            raise InvalidData(
                f"{self.path}: stage {stage!r} has not run yet; run `neurohw {command or stage} --run {self.path}`"
            )
        return result

    def forget(self, stage: str) -> None:
        """Remove the stamp of a stage whose inputs another one has just changed."""
        (self.path / "stages" / f"{stage}.json").unlink(missing_ok=True)

    def finish(self, stage: str, key: str, result: dict[str, Any]) -> None:
        """Stamp a stage as finished; the last thing a stage does."""
        header = {"format_version": FORMATS["stage"].version, "kind": "stage"}
        stamp = json.dumps({**header, "key": key, "result": result}, indent=1, allow_nan=False)
        write_atomically(self.path / "stages" / f"{stage}.json", stamp.encode())
