# SPDX-License-Identifier: Apache-2.0
"""The RTL package: relative paths and their contents, written as a folder that synthesis and
simulation run in.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurohw.checks import exactly
from neurohw.errors import BrokenFile
from neurohw.formats import FORMATS, check_format
from neurohw.hardware.generate.pack import (
    lane_image,
    parameter_image,
    row_fields,
    table_image,
    weight_images,
)
from neurohw.hardware.generate.plan import plan
from neurohw.hardware.generate.text import network_text, package_text
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.paths import rtl_folder
from neurohw.storage import canonical_json, new_folder, seal_json

MANIFEST = "manifest.json"
# the order in which tools read them is free; names that no network needs stay out of the package
NOT_IN_PACKAGES = ("nhw_uart_", "nhw_learning_")


@dataclass(frozen=True)
class RtlPackage:
    """Relative path -> content, the manifest among them."""

    files: dict[str, bytes]

    @property
    def manifest(self) -> dict[str, Any]:
        """Sources in order, layers with their parameters, the digest of the quantized network, file
        digests.
        """
        return json.loads(self.files[MANIFEST])

    def digest(self) -> str:
        """SHA-256 over all paths and contents."""
        sha = hashlib.sha256()
        for path in sorted(self.files):
            sha.update(f"{path}\0{len(self.files[path])}\0".encode() + self.files[path])
        return sha.hexdigest()

    def sources(self) -> list[str]:
        """SystemVerilog files in reading order."""
        return list(self.manifest["sources"])

    def layers(self) -> list[dict[str, Any]]:
        """Per population, in the order of the step:

        `population`, `parameters`, `slots` (the neuron of every slot, -1 for none; None: in order),
        `adaptive` and `capped` (the membrane has a user's cap instead of a proved width).
        """
        return list(self.manifest["populations"])

    def projections(self) -> list[dict[str, Any]]:
        """Per projection, in the order of the registers:

        `projection`, `source`, `target`, `core`, `delay` and `parameters`.
        """
        return list(self.manifest["projections"])

    def inputs(self) -> int:
        """Neurons of the input."""
        return int(self.manifest["inputs"])

    def steps(self) -> int:
        """Steps of a sample for which the widths are proved: in a longer one states may
        saturate.
        """
        return int(self.manifest["steps"])

    def max_count(self) -> int:
        """The largest input count of one step for which the widths are proved: sums of more would
        wrap around.
        """
        return int(self.manifest["max_count"])

    def lanes(self) -> int:
        """Lanes of the first population."""
        return int(self.layers()[0]["parameters"]["LANES"])

    def weight_bits(self) -> dict[str, int]:
        """Bits of each weight memory by population, targets, delays and padding lanes included."""
        return {
            name: sum(rows * bits for rows, bits in banks)
            for name, banks in self.weight_banks().items()
        }

    def weight_banks(self) -> dict[str, list[tuple[int, int]]]:
        """(rows, bits of a row) of each bank of the weight memories by population."""
        result = {}
        for layer in self.layers():
            p = layer["parameters"]
            bits = sum(count * bits for _, count, bits in row_fields(p))
            bank = p.get("BANK_ROWS", p["ROWS"])  # the weights of a learning core lie in one memory
            result[layer["population"]] = [
                (min(bank, p["ROWS"] - at), bits) for at in range(0, p["ROWS"], bank)
            ]
        return result

    def write(self, folder: Path | str, force: bool = False) -> None:
        """Write every file; the folder appears whole or not at all.

        Raises CannotWrite if something else than a package stands there, or one with files that are
        not its own, unless `force`.
        """
        with new_folder(folder, "rtl", self.files, force) as temporary:
            for path, content in self.files.items():
                (temporary / path).write_bytes(content)

    @staticmethod
    def load(folder: Path) -> "RtlPackage":
        """A written package; BrokenFile naming the file that is missing or altered."""
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            check_format(folder, "rtl", manifest["format_version"])
            expected = dict(manifest["files"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenFile(
                f"{folder / MANIFEST}: missing or truncated ({error}); run `neurohw emit` again"
            ) from error
        files = {MANIFEST: (folder / MANIFEST).read_bytes()}
        for path, sha in expected.items():
            try:
                files[path] = (folder / path).read_bytes()
            except OSError as error:
                raise BrokenFile(f"{folder / path}: missing; run `neurohw emit` again") from error
            if hashlib.sha256(files[path]).hexdigest() != sha:
                raise BrokenFile(
                    f"{folder / path}: altered or truncated since it was emitted; `neurohw "
                    "emit --force` writes it again"
                )
        return RtlPackage(files)


def emit(model: QuantizedNetwork, lanes: int = 8, memory_style: str = "auto") -> RtlPackage:
    """The RTL package of a quantized network; equal models give equal bytes.

    lanes: synaptic operations per clock of the first population.
    Raises Unsupported, naming the node, for what the cores cannot express.
    """
    exactly("emit: model", model, QuantizedNetwork)
    populations = plan(model, lanes, memory_style)
    network, digest = model.network, digest_of(model)
    files: dict[str, bytes] = {
        "nhw_network_pkg.sv": package_text(populations, network.input.size, digest).encode(),
        "nhw_network.sv": network_text(
            populations, network.input.name, network.output.name
        ).encode(),
    }
    cores = [
        p for p in sorted(rtl_folder().glob("nhw_*.sv")) if not p.name.startswith(NOT_IN_PACKAGES)
    ]
    files |= {core.name: core.read_bytes() for core in cores}
    for population in populations:
        files |= weight_images([q.rows for q in population.projections], population.parameters)
        slots = np.array(population.layout.slots)
        files[population.parameters["PARAMETER_FILE"]] = parameter_image(
            model.populations[population.name], population.parameters, slots
        )
        for projection in population.projections:
            files |= {
                projection.parameters[k]: table_image(words)
                for k, words in projection.rows.tables.items()
            }
        for modulation in population.modulations:
            p = modulation.parameters
            files[p["OFFSET_FILE"]] = lane_image(modulation.offsets, p["LANES"], p["OFFSET_BITS"])
            if modulation.table is not None:
                files[p["TABLE_FILE"]] = table_image(modulation.table.tolist())
    manifest = {
        "format_version": FORMATS["rtl"].version,
        "kind": "rtl",
        "parent": digest,
        "top": "nhw_network",
        "inputs": network.input.size,
        "steps": model.steps,
        "max_count": model.max_count,
        "output": network.output.name,
        "sources": ["nhw_network_pkg.sv", *[core.name for core in cores], "nhw_network.sv"],
        "populations": [
            {
                "population": p.name,
                "parameters": p.parameters,
                "slots": None if p.layout.in_order else list(p.layout.slots),
                "adaptive": model.populations[p.name].adaptation_decay is not None,
                "capped": model.populations[p.name].capped,
            }
            for p in populations
        ],
        "projections": [
            {
                "projection": q.name,
                "source": q.source,
                "target": q.target,
                "core": q.core,
                "delay": q.delay_parameters.get("STEPS", 0),
                "parameters": q.parameters,
            }
            for p in populations
            for q in p.projections
        ],
        "modulations": [
            {
                "modulation": m.name,
                "source": m.source,
                "target": m.target,
                "parameters": m.parameters,
            }
            for p in populations
            for m in p.modulations
        ],
        "files": {
            path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())
        },
    }
    return RtlPackage({**files, MANIFEST: canonical_json(seal_json(manifest))})
