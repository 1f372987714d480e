# SPDX-License-Identifier: Apache-2.0
"""Models from and to other tools:

NIR, snnTorch, lava-dl. The format of a file is recognised by its content.
"""

from pathlib import Path
from typing import Any, Literal

from neurohw.errors import BrokenFile, InvalidData, NeurohwError, Unsupported
from neurohw.integers import QuantizedNetwork
from neurohw.interop.findings import Checked, Finding
from neurohw.network import TrainedNetwork

ExportFormat = Literal["nir", "snntorch", "brian2", "lava"]
EXPORTS: tuple[ExportFormat, ...] = ("nir", "snntorch", "brian2", "lava")


def recognise(source: str) -> Literal["nir", "lava-dl", "snntorch"]:
    """The format of FILE (HDF5 of NIR or lava-dl, by its groups) or of FILE.py:NAME (snnTorch).

    Raises InvalidData for a missing file, BrokenFile for an HDF5 file that cannot be read,
    Unsupported for anything else.
    """
    head, _, name = source.rpartition(":")
    if head.endswith(".py") and name:
        return "snntorch"
    path = Path(source)
    if not path.is_file():
        if path.is_dir():
            raise InvalidData(f"{path} is a folder: name the file that another tool wrote")
        raise InvalidData(f"{path}: there is no such file")
    if path.suffix == ".py":
        raise Unsupported(f"{path}: say which object of the script is the network: {path}:NAME")
    with path.open("rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            raise Unsupported(
                f"{path}: neither a NIR graph nor a lava-dl network (both are HDF5) nor "
                "FILE.py:NAME"
            )
    import h5py

    try:
        with h5py.File(path, "r") as file:
            groups = set(file)
    except (OSError, RuntimeError) as error:
        raise BrokenFile(f"{path}: not a readable HDF5 file ({error})") from error
    if "node" in groups:
        return "nir"
    if "layer" in groups:
        return "lava-dl"
    raise Unsupported(
        f"{path}: HDF5 with {sorted(groups)}: neither a NIR graph (node, version) nor a "
        "lava-dl network (layer)"
    )


def import_model(source: str, **options: Any) -> TrainedNetwork | QuantizedNetwork:
    """The model of a file.

    options: those of `nir.from_nir` (`written_by` and every field of `nir.Conventions`),
    `lavadl.from_lavadl` or `snntorch.import_script`; None means their default. Raises Unsupported
    for an option that the format does not have, and what the format's importer raises.
    """
    kind, given = recognise(source), _options(source, options)
    if kind == "nir":
        from neurohw.interop.nir import from_nir

        return from_nir(source, **given)
    if kind == "lava-dl":
        from neurohw.interop.lavadl import from_lavadl

        return from_lavadl(source, **given)
    from neurohw.interop.snntorch import import_script

    path, _, name = source.rpartition(":")
    return import_script(Path(path), name, **given)


def _options(source: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; Unsupported for one that the source's format does not have."""
    from neurohw.interop.nir.conventions import CHOICES

    given = {k: v for k, v in options.items() if v is not None}
    kind = recognise(source)
    allowed = {
        "nir": {"written_by", *CHOICES},
        "lava-dl": {"steps", "strict", "input_shape"},
        "snntorch": {"input_shape", "steps"},
    }[kind]
    foreign = sorted(set(given) - allowed)
    if foreign:
        raise Unsupported(
            f"{source}: a {kind} model has no option {', '.join(map(typed, foreign))}; "
            f"it has {', '.join(map(typed, sorted(allowed)))}"
        )
    return given


def typed(option: str) -> str:
    """An option of an import as the command line has it."""
    return "--from" if option == "written_by" else f"--{option.replace('_', '-')}"


def check_model(source: str, **options: Any) -> list[Finding]:
    """What every node of a file becomes, or why it cannot be expressed.

    options: as for `import_model`. A NIR graph is examined whole. Other formats stop at their first
    problem, which is then the one finding.
    """
    if recognise(source) == "nir":
        from neurohw.interop.nir import check_nir

        return check_nir(source, **_options(source, options))
    return examine_model(source, **options).findings


def examine_model(source: str, **options: Any) -> Checked:
    """What `check_model` finds, with the model that `import_model` would give."""
    given = _options(source, options)
    if recognise(source) == "nir":
        from neurohw.interop.nir.check import examine_nir

        return examine_nir(source, **given)
    try:
        model = import_model(source, **given)
    except NeurohwError as error:
        return Checked([Finding(source, recognise(source), "", str(error))])
    network = model.network
    neurons = [
        Finding(p.name, type(p.neuron).__name__, f"population {p.name}: {p.size} neurons")
        for p in network.populations
    ]
    projections = [
        Finding(p.name, type(p.connection).__name__, f"{p.source} to {p.target}, delay {p.delay}")
        for p in network.projections
    ]
    return Checked(neurons + projections, model)


def export_nir(
    model: TrainedNetwork | QuantizedNetwork,
    path: Path,
    *,
    target: str | None = None,
    force: bool = False,
) -> list[str]:
    """Write a NIR graph, for a tool if `target` names one; returns what has to be done there.

    Raises Unsupported for integers, which NIR does not have.
    """
    from neurohw.interop.nir import notes_for, write_nir

    if isinstance(model, QuantizedNetwork):
        raise Unsupported("NIR holds real numbers: export the model before quantization")
    write_nir(model, path, target=target, force=force)
    return [] if target is None else notes_for(model, target)


def export_snntorch(
    model: TrainedNetwork | QuantizedNetwork, path: Path, force: bool = False
) -> None:
    """Write a script that builds the network of snnTorch layers; Unsupported for integers."""
    from neurohw.interop.snntorch import export

    if isinstance(model, QuantizedNetwork):
        raise Unsupported("snnTorch holds real numbers: export the model before quantization")
    export(model, path, force)
