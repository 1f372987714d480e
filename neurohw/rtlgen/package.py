"""The RTL package: relative paths and their contents, written as a folder that synthesis and simulation run in."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurohw.errors import BrokenFile
from neurohw.model_files import digest_of
from neurohw.paths import rtl_folder
from neurohw.quantize import QuantizedNetwork
from neurohw.rtlgen.emit import network_text, package_text
from neurohw.rtlgen.pack import parameter_image, weight_images
from neurohw.rtlgen.plan import plan_layers
from neurohw.storage import FORMAT_VERSION, canonical_json, replace_folder

MANIFEST = "manifest.json"
# the order in which tools read them is free; names that no network needs stay out of the package
NOT_IN_PACKAGES = ("nhw_uart_",)


@dataclass(frozen=True)
class RtlPackage:
    """Relative path -> content, the manifest among them."""

    files: dict[str, bytes]

    @property
    def manifest(self) -> dict[str, Any]:
        """Sources in order, layers with their parameters, the digest of the quantized network, file digests."""
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
        """Per layer: `population`, `projection` and `parameters`."""
        return list(self.manifest["layers"])

    def lanes(self) -> int:
        """Lanes of the first layer."""
        return int(self.layers()[0]["parameters"]["LANES"])

    def weight_bits(self) -> dict[str, int]:
        """Bits of each weight memory by population, padding lanes included."""
        bits = {}
        for layer in self.layers():
            p = layer["parameters"]
            bits[layer["population"]] = p["INPUTS"] * -(-p["NEURONS"] // p["LANES"]) * p["LANES"] * p["WEIGHT_BITS"]
        return bits

    def write(self, folder: Path) -> None:
        """Write every file; the folder appears whole or not at all."""
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for path, content in self.files.items():
                (temporary / path).write_bytes(content)
            os.chmod(temporary, 0o755)
            replace_folder(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    @staticmethod
    def load(folder: Path) -> "RtlPackage":
        """A written package; BrokenFile naming the file that is missing or altered."""
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            if manifest["format_version"] != FORMAT_VERSION:
                raise BrokenFile(
                    f"{folder}: format version {manifest['format_version']}, this program reads {FORMAT_VERSION}"
                )
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
                    f"{folder / path}: altered or truncated since it was emitted; run `neurohw emit` again"
                )
        return RtlPackage(files)


def emit(model: QuantizedNetwork, lanes: int = 8, memory_style: str = "auto") -> RtlPackage:
    """The RTL package of a quantized network; equal models give equal bytes.

    lanes: synaptic operations per clock of the first population. Raises Unsupported, naming the node, for what the cores cannot express.
    """
    layers = plan_layers(model, lanes, memory_style)
    digest = digest_of(model)
    files: dict[str, bytes] = {
        "nhw_network_pkg.sv": package_text(layers, digest).encode(),
        "nhw_network.sv": network_text(layers).encode(),
    }
    cores = [p for p in sorted(rtl_folder().glob("nhw_*.sv")) if not p.name.startswith(NOT_IN_PACKAGES)]
    files |= {core.name: core.read_bytes() for core in cores}
    for layer in layers:
        files |= weight_images(model.projections[layer.projection].weight, layer.parameters)
        files[layer.parameters["PARAMETER_FILE"]] = parameter_image(
            model.populations[layer.population], layer.parameters
        )
    manifest = {
        "format_version": FORMAT_VERSION,
        "kind": "rtl",
        "parent": digest,
        "top": "nhw_network",
        "sources": ["nhw_network_pkg.sv", *[core.name for core in cores], "nhw_network.sv"],
        "layers": [
            {"population": x.population, "projection": x.projection, "parameters": x.parameters} for x in layers
        ],
        "files": {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())},
    }
    return RtlPackage({**files, MANIFEST: canonical_json(manifest)})
