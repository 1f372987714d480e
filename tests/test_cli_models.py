# SPDX-License-Identifier: Apache-2.0
"""run, import, export and crosscheck on the command line."""

import subprocess
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from neurohw import (
    Lif,
    cli,
    digest_of,
    emit,
    feed_forward,
    load_quantized,
    load_trained,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.export_model import export_model
from neurohw.interop.nir import write_nir
from tests.random_networks import random_stimulus, random_trained


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and output, unwrapped, of one command."""
    before = sys.argv
    sys.argv = ["neurohw", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).split())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    trained = random_trained(rng, feed_forward([6, 5, 3], Lif(0.5)), 15, dyadic=True)
    save(trained, tmp_path / "float")
    save(quantize(trained, 5), tmp_path / "integer")
    spikes = random_stimulus(rng, trained.network, 15, 4)
    np.savez(tmp_path / "many.npz", spikes=spikes.transpose(1, 0, 2))
    np.savez(tmp_path / "one.npz", spikes=spikes[:, 0])
    return tmp_path


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("reference", "float"),
        ("torch", "float"),
        ("golden", "integer"),
        ("native", "integer"),
        ("brian2", "integer"),
    ],
)
def test_run_writes_a_trace(
    model: Path, engine: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(model / "many.npz") as file:
        spikes = file["spikes"].transpose(1, 0, 2)
    value = load_trained(model / kind) if kind == "float" else load_quantized(model / kind)
    expected = run_reference(value, spikes) if kind == "float" else run_golden(value, spikes)
    common = ("run", model / kind, "--engine", engine, "--out", model / "out.npz", "--input")
    code, text = run(capsys, *common, model / "many.npz", "--states")
    assert code == 0 and "hidden1" in text
    with np.load(model / "out.npz") as out:
        assert set(out.files) == {
            "spikes.input",
            "spikes.hidden1",
            "spikes.output",
            "v.hidden1",
            "v.output",
        }
        assert np.array_equal(out["spikes.hidden1"].transpose(1, 0, 2), expected.spikes["hidden1"])
        assert np.allclose(
            out["v.output"].transpose(1, 0, 2), expected.states["v.output"], atol=1e-9
        )
    assert run(capsys, *common, model / "one.npz")[0] == 0
    with np.load(model / "out.npz") as out:
        assert set(out.files) == {"spikes.input", "spikes.hidden1", "spikes.output"}
        assert np.array_equal(out["spikes.hidden1"], expected.spikes["hidden1"][:, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("run", "float", "--engine", "golden", "--input", "one.npz", "--out", "o.npz"),
            "takes integer models, not float ones",
        ),
        (
            ("run", "float", "--engine", "nest", "--input", "one.npz", "--out", "o.npz"),
            "no engine 'nest'",
        ),
        (
            ("run", "gone", "--engine", "torch", "--input", "one.npz", "--out", "o.npz"),
            "no such model folder",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "gone.npz", "--out", "o.npz"),
            "gone.npz: there is no such file of spikes; np.savez(path, spikes=array",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "text.npz", "--out", "o.npz"),
            "text.npz is no .npz of NumPy; np.savez(path, spikes=array",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "other.npz", "--out", "o.npz"),
            "other.npz holds 'x', 'y' and no array 'spikes'; save it with np.savez(",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "objects.npz", "--out", "o.npz"),
            "no readable array 'spikes' (it holds Python objects)",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "neurons.npz", "--out", "o.npz"),
            "shape (5, 20, 7), so 7 neurons, the input of the model has 6",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "order.npz", "--out", "o.npz"),
            "np.savez(path, spikes=array, axes='sample time neuron') or axes='time sample neuron'",
        ),
        (
            ("run", "one.npz", "--engine", "torch", "--input", "one.npz", "--out", "o.npz"),
            "one.npz is a file, no model folder: `neurohw import one.npz --out FOLDER`",
        ),
        (
            ("run", "float", "--engine", "torch", "--input", "wrong.npz", "--out", "o.npz"),
            "wrong.npz",
        ),
        (("export", "integer", "--to", "nir", "--out", "o.nir"), "before quantization"),
        (("export", "float", "--to", "lava", "--out", "o.py"), "quantize the model first"),
        (("export", "float", "--to", "pynn", "--out", "o.py"), "no export to 'pynn'"),
        (("export", "float", "--to", "brian2", "--out", "o.txt"), "name it *.py"),
        (("export", "float", "--to", "snntorch", "--out", "o.txt"), "name it *.py"),
        (("import", "one.npz", "--out", "m"), "neither a NIR graph nor a lava-dl network"),
        (("import", "gone.nir", "--out", "m"), "no such file"),
        (("check", "float"), "float is a folder: name the file that another tool wrote"),
    ],
)
def test_mistakes_are_one_clear_line(
    model: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(model)
    np.savez("wrong.npz", spikes=np.zeros((4, 9)))
    Path("text.npz").write_text("0 1 1 0")
    np.savez("other.npz", x=np.zeros((4, 6)), y=np.zeros(2))
    np.savez("objects.npz", spikes=np.array([{}], object))
    np.savez("neurons.npz", spikes=np.zeros((5, 20, 7)))
    np.savez("order.npz", spikes=np.zeros((5, 20, 6)))
    code, text = run(capsys, *arguments)
    assert code == 1 and message in text and text.startswith("error:")
    assert not any(Path(name).exists() for name in ("o.npz", "o.nir", "o.py", "m"))


def good_graph(path: Path) -> Path:
    ones = np.ones(2)
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "weights": nir.Linear(np.ones((2, 3))),
        "cells": nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones),
        "output": nir.Output({"output": np.array([2])}),
    }
    names = list(nodes)
    nir.write(
        path, nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False)
    )
    return path


def put(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = value


NEGATIVE = {
    "broken": (
        lambda path: path.write_bytes(path.read_bytes()[:1500]),
        ["not a readable HDF5 file"],
    ),
    "unknown": (
        lambda path: put(path, "node/nodes/cells/type", "Izhikevich"),
        ["node 'cells'", "'Izhikevich'"],
    ),
    "shapes": (
        lambda path: put(path, "node/nodes/weights/weight", np.ones((2, 4))),
        ["node 'weights'", "(2, 4)"],
    ),
    "future": (lambda path: put(path, "version", "7.1.0"), ["NIR 7.1.0", "update nir"]),
    "nan": (
        lambda path: put(path, "node/nodes/weights/weight", np.full((2, 3), np.nan)),
        ["node 'weights'", "nan"],
    ),
}


@pytest.mark.parametrize("name", NEGATIVE)
def test_five_files_that_cannot_be_imported(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = good_graph(tmp_path / f"{name}.nir")
    assert run(capsys, "import", path, "--out", tmp_path / "good")[0] == 0
    damage, words = NEGATIVE[name]
    damage(path)
    code, text = run(capsys, "import", path, "--out", tmp_path / "bad")
    assert code == 1 and f"{name}.nir" in text and not (tmp_path / "bad").exists()
    for word in words:
        assert word in text


def test_import_takes_the_conventions_and_says_what_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = good_graph(tmp_path / "net.nir")
    options = (
        "--dt",
        "0.002",
        "--discretisation",
        "forward_euler",
        "--reset",
        "soft",
        "--not-strict",
        "--steps",
        "33",
    )
    code, text = run(capsys, "import", path, "--out", tmp_path / "model", *options)
    assert code == 0 and "trained network" in text and "cells" in text
    value = load_trained(tmp_path / "model")
    assert value.steps == 33 and value.network.output.neuron == Lif(0.8, 1.0, "soft")
    code, text = run(capsys, "import", path, "--out", tmp_path / "model", "--input-shape", "3")
    assert code == 1 and "has no option --input-shape" in text


def test_import_of_lava_dl_and_snntorch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "net.net", "w") as file:
        layer = file.create_group("layer/0")
        layer["type"] = np.array([b"dense"], "S10")
        layer["inFeatures"], layer["outFeatures"], layer["weight"] = 3, 2, np.full((2, 3), 4.0)
        for key, value in {"type": b"CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 10}.items():
            layer[f"neuron/{key}"] = value
    code, text = run(
        capsys, "import", tmp_path / "net.net", "--out", tmp_path / "integer", "--steps", "9"
    )
    assert (
        code == 0
        and "quantized network" in text
        and load_quantized(tmp_path / "integer").steps == 9
    )
    script = tmp_path / "net.py"
    script.write_text(
        "from torch import nn\nimport snntorch as snn\n\ndef build():\n    return "
        "nn.Sequential(nn.Linear(3, 2), snn.Leaky(0.5))\n"
    )
    code, text = run(
        capsys, "import", f"{script}:build", "--out", tmp_path / "float", "--input-shape", "3"
    )
    assert code == 0 and load_trained(tmp_path / "float").network.output.size == 2
    code, text = run(capsys, "import", script, "--out", tmp_path / "other")
    assert code == 1 and "net.py:NAME" in text


def test_export_to_brian2_and_nir(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(capsys, "export", model / "float", "--to", "brian2", "--out", model / "net.py")[0] == 0
    )
    assert (model / "net.py").exists() and (model / "net.npz").exists()
    assert (
        run(capsys, "export", model / "integer", "--to", "lava", "--out", model / "lava.py")[0] == 0
    )
    assert run(capsys, "export", model / "float", "--to", "nir", "--out", model / "net.nir")[0] == 0
    assert run(capsys, "import", model / "net.nir", "--out", model / "again")[0] == 0
    assert load_trained(model / "again").network == load_trained(model / "float").network
    write_nir(load_trained(model / "float"), model / "same.nir")


def test_crosscheck_of_a_saved_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--engines", "golden,native,brian2", "--samples", "2", "--input", model / "many.npz")
    code, text = run(capsys, "crosscheck", model / "integer", *options)
    assert code == 0 and "golden" in text and "brian2" in text
    code, text = run(capsys, "crosscheck", model / "integer", "--engines", "golden")
    assert code == 1 and "nothing to compare" in text


@pytest.mark.parametrize("verb", ["run", "import", "export", "crosscheck"])
def test_help_teaches_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, verb, "--help")
    assert code == 0 and f"neurohw {verb}" in text


def test_import_does_not_delete_a_folder_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`neurohw import … --out userdir` deleted a folder that held thesis.tex, and made a folder of
    a regular file.
    """
    path = good_graph(tmp_path / "net.nir")
    (tmp_path / "userdir").mkdir()
    (tmp_path / "userdir" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("notes")
    for out, words in (("userdir", "userdir: it holds thesis.tex"), ("file", "file: it is a file")):
        code, text = run(capsys, "import", path, "--out", tmp_path / out)
        assert code == 1 and words in text and "Nothing was changed" in text
    assert (tmp_path / "userdir" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "notes"
    assert run(capsys, "import", path, "--out", tmp_path / "userdir", "--force")[0] == 0
    assert load_trained(tmp_path / "userdir") and not (tmp_path / "userdir" / "thesis.tex").exists()
    # a model over a model
    assert run(capsys, "import", path, "--out", tmp_path / "userdir")[0] == 0


@pytest.mark.parametrize(
    ("to", "model_kind", "name", "beside"),
    [
        ("brian2", "float", "net.py", "net.npz"),
        ("lava", "integer", "net.py", "net.npz"),
        ("nir", "float", "net.nir", None),
    ],
)
def test_export_replaces_its_own_files_only(
    model: Path,
    to: str,
    model_kind: str,
    name: str,
    beside: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = model / "out" / name
    command = ("export", model / model_kind, "--to", to, "--out", out)
    out.parent.mkdir()
    for theirs in filter(None, (name, beside)):
        (out.parent / theirs).write_text("a thesis")
        code, text = run(capsys, *command)
        assert code == 1 and f"{theirs}: it carries no seal of neurohw" in text
        assert {p.name: p.read_text() for p in out.parent.iterdir()} == {theirs: "a thesis"}
        (out.parent / theirs).unlink()
    out.write_text("a thesis")
    assert run(capsys, *command, "--force")[0] == 0 and run(capsys, *command)[0] == 0
    out.write_bytes(
        out.read_bytes().replace(b"version", b"Version").replace(b"argparse", b"argparze")
    )
    code, text = run(capsys, *command)
    assert code == 1 and "it was changed since neurohw wrote it" in text


def test_a_script_refuses_the_arrays_of_another(model: Path) -> None:
    """Killed between its two files, an export leaves two that do not belong together."""
    for seed in (1, 2):
        trained = random_trained(np.random.default_rng(seed), feed_forward([6, 5, 3], Lif(0.5)), 15)
        save(trained, model / f"m{seed}")
        export_model(trained, "brian2", model / f"net{seed}.py")
    (model / "net2.npz").replace(model / "net1.npz")
    command = [
        sys.executable,
        model / "net1.py",
        "--input",
        model / "one.npz",
        "--out",
        model / "o.npz",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "net1.npz does not belong to this script" in done.stderr


def test_an_exported_script_does_not_replace_a_file(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(capsys, "export", model / "float", "--to", "brian2", "--out", model / "net.py")[0] == 0
    )
    out = model / "mine.npz"
    out.write_text("measured")
    command = [sys.executable, model / "net.py", "--input", model / "one.npz", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "--force" in done.stderr and out.read_text() == "measured"
    assert subprocess.run([*command, "--force"]).returncode == 0
    with np.load(out) as file:
        assert "spikes.output" in file.files


def test_a_trace_does_not_replace_the_spikes_that_it_is_made_of(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before the engine runs."""
    before = (model / "one.npz").read_bytes()
    command = (
        "run",
        model / "float",
        "--engine",
        "reference",
        "--input",
        model / "one.npz",
        "--out",
    )
    with monkeypatch.context() as patch:
        patch.setattr("neurohw.flow.models.model_for", lambda *_: pytest.fail("the work began"))
        code, text = run(capsys, *command, model / "one.npz")
    assert code == 1 and "one.npz: it carries no seal of neurohw" in text
    assert (model / "one.npz").read_bytes() == before
    assert (
        run(capsys, *command, model / "trace.npz")[0] == 0
        and run(capsys, *command, model / "trace.npz")[0] == 0
    )
    assert (
        run(capsys, *command, "/dev/null", "--force")[0] == 1 and Path("/dev/null").is_char_device()
    )


def test_the_picture_of_a_mismatch_does_not_replace_another(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "notes.svg").write_text("<svg>my drawing</svg>")
    monkeypatch.setattr("neurohw.flow.check.crosscheck", lambda *_: pytest.fail("the work began"))
    code, text = run(capsys, "crosscheck", model / "float", "--picture", model / "notes.svg")
    assert code == 1 and "notes.svg: it carries no seal of neurohw" in text
    assert (model / "notes.svg").read_text() == "<svg>my drawing</svg>"


def test_an_import_goes_on_to_integers_lava_and_rtl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each refusal names the command that leads on."""
    graph, model, out = good_graph(tmp_path / "net.nir"), tmp_path / "model", tmp_path / "integers"
    options = ("--reset", "soft", "--discretisation", "forward_euler", "--steps", "12")
    assert run(capsys, "import", graph, "--out", model, *options)[0] == 0
    np.savez(tmp_path / "in.npz", spikes=np.ones((12, 3), np.uint8))
    golden = ("--engine", "golden", "--input", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    lava = ("--to", "lava", "--out", tmp_path / "net.py")
    for command in (("run", model, *golden), ("export", model, *lava)):
        code, text = run(capsys, *command)
        assert code == 1 and "`neurohw quantize MODEL --out FOLDER`" in text
    code, text = run(capsys, "quantize", "--run", model)
    assert code == 1 and f"`neurohw quantize {model} --bits 8 --out FOLDER`" in text
    code, text = run(capsys, "quantize", model, "--bits", 4, "--decay", "multiply", "--out", out)
    assert code == 0 and "quantized network" in text and f"next: neurohw run {out}" in text
    made, expected = load_quantized(out), quantize(load_trained(model), 4, decay="multiply")
    assert digest_of(made) == digest_of(expected)
    assert run(capsys, "run", out, *golden)[0] == 0
    assert run(capsys, "export", out, *lava)[0] == 0
    assert emit(made).files


def test_quantizing_a_saved_network_takes_all_options_and_says_what_is_wrong(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = model / "out"
    options = ("--resolution-bits", 7, "--membrane-cap", 20, "--steps", 30, "--max-count", 3)
    assert run(capsys, "quantize", model / "float", *options, "--out", out)[0] == 0
    expected = quantize(
        load_trained(model / "float"), resolution_bits=7, membrane_cap=20, steps=30, max_count=3
    )
    assert digest_of(load_quantized(out)) == digest_of(expected)
    (out / "notes").write_text("mine")
    for arguments, code, message in (
        ((model / "float", "--out", out), 1, "it holds notes"),
        ((model / "integer", "--out", model / "b"), 1, "is a quantized network already"),
        ((model / "float", "--out", model / "b", "--bits", 9), 1, "9"),
        ((model / "float",), 2, "with --out"),
        ((), 2, "name a run folder with --run, or a saved model with --out"),
        ((model / "float", "--run", model), 2, "not both"),
    ):
        found, text = run(capsys, "quantize", *arguments)
        assert found == code and message in text, text
    assert not (model / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quantize", "float", "--bits", "9", "--out", "o"), "--bits must be a whole number"),
        (("quantize", "float", "--membrane-cap", "99", "--out", "o"), "--membrane-cap must be"),
        (("quantize", "float", "--max-count", "0", "--out", "o"), "--max-count must be"),
        (("quantize", "float", "--decay", "slow", "--out", "o"), "--decay must be 'auto'"),
        (("reservoir", "build", "digits", "--shape", "3,3"), "--shape must be"),
        (("reservoir", "build", "digits", "--train-samples", "0"), "--train-samples must be"),
        (("noise", "float", "--adc-bits", "99"), "--adc-bits must be"),
        (("noise", "float", "--dac-bits", "0"), "--dac-bits must be"),
        (("noise", "float", "--stuck-low", "2"), "--stuck-low must be"),
        (("noise", "float", "--wire-ohm", "-1"), "--wire-ohm must be"),
        (("noise", "float", "--levels", "1"), "--levels must be"),
    ],
)
def test_errors_of_the_command_line_name_its_options(
    model: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(model)
    code, text = run(capsys, *arguments)
    assert code == 1 and text.startswith(f"error: {message}"), text


def test_the_help_of_run_tells_the_array_axes(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "run", "--help")
    assert code == 0 and "axes" in text
