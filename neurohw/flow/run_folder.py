# SPDX-License-Identifier: Apache-2.0
"""A run folder: its configuration, and which stage is up to date.

    run.json                the configuration
    stages/<stage>.json     of each stage that has ended: options, digests of its inputs, result
    trained/ quantized/     saved values; rtl/ the package; build/<board>/ bitstreams
    report.html report.json the page
    liquid/ tuned/          of a reservoir: as built, and with weights that plasticity left
    counts.npz reservoir.*  of a reservoir: spike counts, and its page
    .run.lock               while a command works in the folder

A stage is up to date if its options and inputs are those that it ended with: digests decide, never
times. Paths within are relative to the folder, so that a copy is a run of its own.
"""

import dataclasses
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurohw import processes
from neurohw.errors import BrokenFile, InvalidData, NeurohwError
from neurohw.flow.config import RunConfig, stage_options
from neurohw.flow.lock import locked
from neurohw.formats import FORMATS, check_format
from neurohw.hardware.build import load_board
from neurohw.hardware.generate import RtlPackage
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of, load_quantized, load_trained
from neurohw.network import TrainedNetwork
from neurohw.reservoir import Liquid, LiquidConfig
from neurohw.storage import canonical_json, check_claim, write_atomically

Artifact = TrainedNetwork | QuantizedNetwork | RtlPackage | Liquid
# stage -> the folder that it makes, and how to read it
ARTIFACTS: dict[str, tuple[str, Callable[[Path], Artifact]]] = {
    "train": ("trained", load_trained),
    "quantize": ("quantized", load_quantized),
    "emit": ("rtl", RtlPackage.load),
    "liquid": ("liquid", Liquid.load),
    "tune": ("tuned", Liquid.load),
}


@dataclass(frozen=True)
class Stamp:
    """What a stage left when it ended.

    - options: what it was asked for
    - inputs: digests of what it read, those of other stages under their names
    - result: JSON values
    - failure: why it failed all the same, None if it did not
    """

    options: dict[str, Any]
    inputs: dict[str, Any]
    result: dict[str, Any]
    failure: str | None = None


def _digest(value: Artifact) -> str:
    return digest_of(value) if isinstance(value, QuantizedNetwork) else value.digest()


def _made_from(value: Artifact, stamp: Stamp) -> bool:
    """True if the value names an input of its stamp as its parent; a liquid has none among them."""
    if isinstance(value, Liquid):
        return True
    parent = value.manifest["parent"] if isinstance(value, RtlPackage) else value.parent
    return parent in stamp.inputs.values()


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """True if both are the same JSON."""
    return canonical_json(one) == canonical_json(other)


def _differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """In words, which options differ."""
    there, here = (json.loads(canonical_json(value)) for value in (there, here))
    names = [n for n in {**there, **here} if there.get(n) != here.get(n)]
    short = {n: f"{n} {there.get(n)} then, {here.get(n)} now" for n in names}
    return ", ".join(text if len(text) < 80 else f"{name} differ" for name, text in short.items())


def _check_is_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InvalidData(f"{path} is a file, no run folder: name a folder with --run")


class RunFolder:
    """One folder under `runs/`. Writing is atomic; reading checks what it finds."""

    def __init__(self, path: Path, config: RunConfig | None = None, force: bool = False) -> None:
        """Open the folder, with the configuration it was made with or another of the same recipe.

        force: stages replace what stands in their way. Nothing is written before `save`.

        Raises InvalidData for an unknown board, for a folder of another recipe, and without
        `config` for one that is no run folder; CannotWrite, unless `force`, for a new run in a
        folder that holds anything else; BrokenFile if `run.json` cannot be read.
        """
        self.path, self.force = Path(path), force
        self._held = False
        _check_is_folder(self.path)
        if config is None:
            if (self.path / "value.json").exists():
                raise InvalidData(
                    f"{self.path} is a saved model, no run folder: `neurohw quantize {self.path} "
                    "--bits 8 --out FOLDER` quantizes it"
                )
            if not (self.path / "run.json").exists():
                raise InvalidData(
                    f"{self.path} is no run folder (run.json is missing): "
                    "start one with `neurohw train` (a liquid with `neurohw reservoir build`)"
                )
            self.config = self._read_config()
            return
        for board in config.boards:
            load_board(board)
        if check_claim(self.path, "run", force):
            self._check_recipe(self._read_config(), config)
        self.config = config

    @staticmethod
    def start(
        path: Path,
        recipe: str | None,
        liquid: LiquidConfig | None = None,
        force: bool = False,
        **given: Any,
    ) -> "RunFolder":
        """A new run, or the one that is there with the options that are given instead of its own.

        recipe: None for that of the run, and "digits" for a new one. liquid: of a reservoir. given:
        other fields of `RunConfig`; None is not given.
        """
        _check_is_folder(Path(path))
        own = RunFolder(path).config if check_claim(path, "run", force) else RunConfig()
        changes = {name: value for name, value in given.items() if value is not None}
        config = dataclasses.replace(own, recipe=recipe or own.recipe, liquid=liquid, **changes)
        return RunFolder(path, config, force)

    def _check_recipe(self, there: RunConfig, config: RunConfig) -> None:
        kinds = ["a reservoir" if c.liquid else "a training" for c in (there, config)]
        if there.recipe != config.recipe or kinds[0] != kinds[1]:
            raise InvalidData(
                f"{self.path} is a run of {kinds[0]} of {there.recipe!r}, not of {kinds[1]} of "
                f"{config.recipe!r}: name another folder with --run, or delete this one"
            )

    @property
    def name(self) -> str:
        """The folder's own name, used as the name of the run."""
        return self.path.resolve().name

    def _read_config(self) -> RunConfig:
        file = self.path / "run.json"
        try:
            value = json.loads(file.read_text())
            check_format(self.path, "run", value.pop("format_version", 1))
            del value["kind"]
            return RunConfig.from_json(value)
        except BrokenFile:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, NeurohwError) as error:
            raise BrokenFile(
                f"{file}: truncated or unreadable ({error}); start the run again"
            ) from error

    def save(self) -> None:
        """Write the configuration, once all else is checked."""
        header = {"format_version": FORMATS["run"].version, "kind": "run"}
        content = json.dumps({**header, **self.config.to_json()}, indent=1).encode()
        file = self.path / "run.json"
        if processes.is_first() and not (file.exists() and file.read_bytes() == content):
            write_atomically(file, content)

    @contextmanager
    def hold(self, verb: str) -> Iterator[None]:
        """Own the folder for the block; of several processes that share the run, the first does.

        Raises InvalidData naming the owner if another command works in it.
        """
        if self._held or not processes.is_first():
            yield
            return
        with locked(self.path, f"{verb} --run {shlex.quote(str(self.path))}"):
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def command(self, stage: str) -> str:
        """The command that runs a stage."""
        reservoir = {
            "train": "readout",
            "liquid": "build",
            "tune": "tune",
            "measure": "measure",
            "plastic": "readout",
        }
        verb = (
            f"reservoir {reservoir[stage]}" if self.config.liquid and stage in reservoir else stage
        )
        return f"neurohw {verb} --run {shlex.quote(str(self.path))}"

    def _file(self, stage: str) -> Path:
        return self.path / "stages" / f"{stage}.json"

    def stamp(self, stage: str) -> Stamp | None:
        """The stamp of a stage, None where it has not ended yet.

        Raises BrokenFile if it cannot be read.
        """
        file = self._file(stage)
        if not file.exists():
            return None
        try:
            value = json.loads(file.read_text())
            check_format(file, "stage", value.pop("format_version", 1))
            del value["kind"]
            return Stamp(**value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BrokenFile(
                f"{file}: truncated or unreadable ({error}); "
                f"delete it and run `{self.command(stage)}`"
            ) from error

    def result(self, stage: str) -> dict[str, Any] | None:
        """What the stage left when it ended, None if it did not."""
        stamp = self.stamp(stage)
        return None if stamp is None else stamp.result

    def up_to_date(self, stage: str, options: dict[str, Any], inputs: dict[str, Any]) -> bool:
        """True if the stage ended well with these options and inputs, and what it made is there."""
        try:
            stamp = self.stamp(stage)
            if stamp is None or stamp.failure is not None:
                return False
            if stage in ARTIFACTS:
                self._artifact(stage, stamp)
        except BrokenFile:
            return False
        return _equal(stamp.options, options) and _equal(stamp.inputs, inputs)

    def _artifact(self, stage: str, stamp: Stamp) -> Artifact:
        folder, read = ARTIFACTS[stage]
        try:
            value = read(self.path / folder)
        except BrokenFile as error:
            raise BrokenFile(f"{error}: `{self.command(stage)}`") from error
        if _digest(value) != stamp.result["digest"] or not _made_from(value, stamp):
            raise BrokenFile(
                f"{self.path / folder} is not what stage {stage!r} left there "
                f"(digest {stamp.result['digest'][:12]}): run `{self.command(stage)}`"
            )
        return value

    def _input(self, name: str) -> str | None:
        """Digest of an input of a stage as it is now; None where it is not made by a stage."""
        if name == "liquid":
            return self.liquid_digest()
        return (
            self.digest("liquid" if name == "built" else name)
            if name in (*ARTIFACTS, "built")
            else None
        )

    def _checked(self, stage: str) -> tuple[Stamp, Artifact | None]:
        stamp, cure = self.stamp(stage), self.command(stage)
        if stamp is None:
            raise InvalidData(f"{self.path}: stage {stage!r} has not run yet; run `{cure}`")
        for name, digest in stamp.inputs.items():
            now = self._input(name)
            if now not in (None, digest):
                raise InvalidData(
                    f"{self.path}: stage {stage!r} was done with another result of {name!r} "
                    f"({digest[:12]}, now {str(now)[:12]}): run `{cure}`"
                )
        options = stage_options(stage, self.config)
        if options is not None and not _equal(options, stamp.options):
            raise InvalidData(
                f"{self.path}: stage {stage!r} was done with other options than run.json has "
                f"({_differences(stamp.options, options)}): run `{cure}`"
            )
        return stamp, self._artifact(stage, stamp) if stage in ARTIFACTS else None

    def need(self, stage: str) -> dict[str, Any]:
        """The result of an earlier stage.

        Raises InvalidData or BrokenFile saying which command to run, unless the stage has ended and
        the chain of its inputs closes: its options are those of the configuration, its inputs what
        earlier stages have left, back to the training, and what it made is still as it left it.
        """
        return self._checked(stage)[0].result

    def digest(self, stage: str) -> str:
        """Digest of what an earlier stage made, checked as by `need`."""
        return str(self.need(stage)["digest"])

    def liquid_digest(self) -> str:
        """Digest of the liquid that later stages take: tuned if it has been, else as built."""
        tuned = self.stamp("tune")
        built = self.digest("liquid")
        return str(tuned.result["digest"]) if tuned and tuned.inputs["built"] == built else built

    def trained(self) -> TrainedNetwork:
        """The trained network, checked as by `need`."""
        value = self._checked("train")[1]
        assert isinstance(value, TrainedNetwork)
        return value

    def quantized(self) -> QuantizedNetwork:
        """The quantized network, checked as by `need`."""
        value = self._checked("quantize")[1]
        assert isinstance(value, QuantizedNetwork)
        return value

    def package(self) -> RtlPackage:
        """The RTL package, checked as by `need`."""
        value = self._checked("emit")[1]
        assert isinstance(value, RtlPackage)
        return value

    def inside(self, path: str | Path) -> str:
        """A path in the folder, relative to it."""
        return Path(path).resolve().relative_to(self.path.resolve()).as_posix()

    def forget(self, stage: str) -> None:
        """Remove the stamp of a stage."""
        self._file(stage).unlink(missing_ok=True)

    def finish(
        self,
        stage: str,
        options: dict[str, Any],
        inputs: dict[str, Any],
        result: dict[str, Any],
        failure: str | None = None,
    ) -> None:
        """Stamp a stage as ended, the last thing it does. One with a failure is not up to date."""
        header = {"format_version": FORMATS["stage"].version, "kind": "stage"}
        value = {**header, **asdict(Stamp(options, inputs, result, failure))}
        write_atomically(self._file(stage), json.dumps(value, indent=1, allow_nan=False).encode())
