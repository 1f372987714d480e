# SPDX-License-Identifier: Apache-2.0
"""Every kind of file that is read again, or that may be replaced: its name, its format version, its
marker, and how it is made again.

A version is raised when the content of its kind changes, and only then; another version is refused
by name, never guessed at.
"""

from dataclasses import dataclass
from typing import Any

from neurohw.errors import BrokenFile

VALUE = "value.json"
CONTENTS = "contents.json"  # of folders of other programs' files
ARRAYS = "arrays.safetensors"
VALUE_FILES = frozenset({VALUE, ARRAYS})


@dataclass(frozen=True)
class Format:
    """One kind.

    name: in a sentence. version: that this program writes, and the only one that it reads. again:
    what makes it again.
    marker: of a folder, the file that says the kind; None for a single file. fields: by which a
    marker that does not say its kind, as those of version 1, is known.
    """

    name: str
    version: int
    again: str
    marker: str | None = None
    fields: frozenset[str] = frozenset({"kind"})


FORMATS = {
    "trained": Format(
        "a trained network", 1, "run `neurohw train` or `neurohw import` again", VALUE
    ),
    "quantized": Format(
        "a quantized network", 2, "run `neurohw quantize` or `neurohw import` again", VALUE
    ),
    "trace": Format("a trace", 2, "run the engine again and save its trace", VALUE),
    "liquid": Format("a liquid", 1, "run `neurohw reservoir build` again", VALUE),
    "chip": Format("a chip of resistive memory", 1, "program the chip again", VALUE),
    "plastic-run": Format(
        "a checkpoint of plasticity", 1, "delete it and start the same run again", VALUE
    ),
    "rtl": Format("an RTL package", 2, "run `neurohw emit` again", "manifest.json"),
    "bitstream": Format("a built bitstream", 1, "run `neurohw build` again", CONTENTS),
    "route": Format("a placed and routed network", 1, "place and route again", CONTENTS),
    "logs": Format("logs of a failed build", 1, "run `neurohw build` again", CONTENTS),
    "harness": Format("a compiled simulation", 1, "run `neurohw verify` again", CONTENTS),
    "run": Format(
        "a run folder",
        2,
        "start it with `neurohw train` or `neurohw flow` in another folder",
        "run.json",
        frozenset({"recipe", "bits", "lanes"}),
    ),
    "stage": Format("the stamp of a stage", 2, "run the stage again"),
    "noise": Format("results of a noise study", 1, "run `neurohw noise` again", "noise.json"),
    "experiment": Format(
        "a noise experiment",
        2,
        "run `neurohw noise` again with another --out",
        "experiment.json",
        frozenset({"scenario", "samples"}),
    ),
    "build": Format("a report of builds", 2, "run `neurohw build` again"),
    "checkpoint": Format("a checkpoint of a training", 2, "delete it to train from the start"),
    "report": Format("a report", 2, "run `neurohw report` again"),
    "reservoir": Format("measurements of a liquid", 1, "run `neurohw reservoir measure` again"),
    "page": Format("a page", 1, "write it again"),
    "picture": Format("a picture", 1, "draw it again"),
    "waveform": Format("a waveform", 1, "run `neurohw verify` again"),
    "arrays": Format("arrays of an exported script", 1, "run `neurohw export` again"),
    "recording": Format("a recorded trace", 1, "run `neurohw run` again"),
    "counts": Format("spike counts", 1, "run `neurohw reservoir readout` again"),
    "spikes": Format("a file of spikes", 1, "run `neurohw hear` again"),
    "nir": Format("a NIR graph", 1, "run `neurohw export` again"),
    "script": Format("an exported script", 1, "run `neurohw export` again"),
}


def check_format(where: object, kind: str, found: Any) -> None:
    """Raise BrokenFile, naming both versions and what makes the file again, unless `found` is the
    version of the kind that this program reads.
    """
    known = FORMATS[kind]
    if type(found) is int and found == known.version:
        return
    newer = type(found) is int and found > known.version
    who = "a newer neurohw wrote it: update neurohw, or " if newer else ""
    raise BrokenFile(
        f"{where}: {known.name} of format version {found}, this program reads "
        f"{known.version}; {who}{known.again}"
    )
