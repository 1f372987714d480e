# SPDX-License-Identifier: Apache-2.0
"""import, check and export on the command line: what is taken for granted is said, what cannot be
expressed is listed.
"""

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import typer

from neurohw import Lif, feed_forward, load_trained, save
from neurohw.cli.app import app
from neurohw.interop import typed
from neurohw.interop.nir import write_nir
from neurohw.interop.nir.conventions import CHOICES
from neurohw.interop.nir.report import doubts
from tests.interop.nir.judges import JUDGES, Judge
from tests.interop.test_nir import graph_of, lif
from tests.random_networks import random_trained
from tests.test_cli_models import run

CASES = ("leaky", "rsynaptic", "lif", "iaf", "lifbox", "lifbox_dt1")
TOOLS = ("snntorch", "spikingjelly", "sinabs", "norse")
JUDGED = [j for j in JUDGES if not j.options and j.tool in TOOLS and j.case in CASES]


@pytest.mark.parametrize("judge", JUDGED, ids=lambda j: f"{j.tool}_{j.case}")
def test_import_from_then_run_equals_the_tool(
    judge: Judge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but --from; the right spikes are the tool's own."""
    spikes, hidden, out = judge.recorded()
    np.savez(tmp_path / "in.npz", spikes=spikes)
    code, text = run(
        capsys, "import", judge.write(tmp_path), "--from", judge.tool, "--out", tmp_path / "model"
    )
    assert code == 0 and f"read as {judge.tool}" in text and "warning" not in text
    options = (
        "--engine",
        "reference",
        "--input",
        tmp_path / "in.npz",
        "--out",
        tmp_path / "out.npz",
    )
    assert run(capsys, "run", tmp_path / "model", *options)[0] == 0
    first, second = (p.name for p in load_trained(tmp_path / "model").network.populations[1:])
    with np.load(tmp_path / "out.npz") as trace:
        assert np.array_equal(trace[f"spikes.{first}"], hidden) and hidden.sum() > 20
        assert np.array_equal(trace[f"spikes.{second}"], out)


def test_an_import_says_what_it_took_and_what_it_assumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(j for j in JUDGES if j.case == "leaky").write(tmp_path)
    code, text = run(capsys, "import", path, "--out", tmp_path / "model")
    assert code == 0
    for words in (
        "ASSUMED",
        "nobody said how this graph is to be read",
        "dt 0.001 s",
        "exponential_euler",
        "to v_reset",
        "name the tool",
    ):
        assert words in text
    saved = load_trained(tmp_path / "model").info["import"]
    assert saved["assumed"] and saved["populations"][0]["decay"] == "0.367879"
    code, text = run(capsys, "import", path, "--from", "snntorch", "--out", tmp_path / "right")
    assert (
        code == 0
        and "ASSUMED" not in text
        and "0.0001 s" in text
        and "does not write reset_mechanism" in text
    )
    assert load_trained(tmp_path / "right").info["import"]["populations"][0]["decay"] == "0.9"
    code, text = run(
        capsys, "import", path, "--from", "snntorch", "--reset", "zero", "--out", tmp_path / "zero"
    )
    assert code == 0 and "given" in text


def test_a_dead_network_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(j for j in JUDGES if j.case == "iaf" and j.tool == "sinabs").write(tmp_path)
    code, text = run(capsys, "import", path, "--out", tmp_path / "model")
    assert code == 0 and "'n1' can never fire" in text and "'n3' can never fire" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "brian2"), "no tool 'brian2'"),
        (("--from", "snntorch"), "writes no IF"),
        (("--gain", "two"), "gain is nir, one or decay"),
        (("--refractory", "-1"), "refractory counts steps"),
        (("--reset", "softly"), "reset is soft, hard or none"),
        (("--dt", "nan"), "dt must be above 0"),
        (("--input-shape", "3"), "no option --input-shape; it has --begins-at-reset"),
        (("--current-gain", "two"), "current_gain (--current-gain) is nir, one or decay"),
    ],
)
@pytest.mark.parametrize("verb", ["import", "check"])
def test_options_that_mean_nothing_are_one_line(
    verb: str,
    options: tuple[str, ...],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = next(j for j in JUDGES if j.case == "iaf" and j.tool == "sinabs").write(tmp_path)
    out = ("--out", tmp_path / "model") if verb == "import" else ()
    code, text = run(capsys, verb, path, *out, *options)
    if verb == "check" and "writes no IF" in words:  # a problem of each node
        assert code == 1 and "2 of 6 nodes cannot be expressed" in text
        return
    assert code == 1 and words in text and text.startswith("error:")
    assert not (tmp_path / "model").exists()


def test_import_and_check_have_the_same_options() -> None:
    """Every convention has one, and the two verbs differ in where import writes."""
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {v: {o.name: o.opts for o in verbs[v].params} for v in ("import", "check")}
    assert options["import"] == options["check"] | {"out": ["--out"], "force": ["--force"]}
    assert set(CHOICES) | {"written_by", "input_shape", "source"} == set(options["check"])
    for name, spelt in options["check"].items():
        assert name == "source" or typed(name) in spelt


def test_check_says_what_import_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same table of conventions, notes and warnings, with and without options."""
    path = next(j for j in JUDGES if j.case == "leaky").write(tmp_path)
    for options in (
        (),
        ("--from", "snntorch"),
        ("--from", "snntorch", "--gain", "nir", "--not-strict", "--latency", "1", "--steps", "7"),
        ("--dt", "1e-4", "--discretisation", "forward_euler", "--no-delayed-reset"),
    ):
        _, imported = run(capsys, "import", path, *options, "--out", tmp_path / "m", "--force")
        code, checked = run(capsys, "check", path, *options)
        assert code == 0 and "all 6 nodes can be expressed" in checked
        report = load_trained(tmp_path / "m").info["import"]
        for row in report["conventions"]:
            words = f"{row['what']} │ {row['value']} │ {row['from']}"
            assert words in imported and words in checked
        for text in [report["steps"], *report["notes"], *doubts(report)]:
            assert text in imported and text in checked
    code, text = run(capsys, "check", path)
    assert "ASSUMED" in text and "with --from (snntorch, spikingjelly" in text


def test_check_says_what_it_assumed_also_where_something_cannot_be_expressed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nir.write(tmp_path / "bad.nir", graph_of(nir.Linear(np.ones((4, 3))), lif(4, tau=np.zeros(4))))
    code, text = run(capsys, "check", tmp_path / "bad.nir")
    assert code == 1 and "Assumed: dt, discretisation, reset, its timing, comparison" in text
    code, text = run(capsys, "check", tmp_path / "bad.nir", "--from", "nir")
    assert code == 1 and "Assumed" not in text


def test_check_of_our_own_file_is_what_import_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rebuilt from the metadata, and refused where the graph was changed."""
    model = random_trained(
        np.random.default_rng(1), feed_forward([4, 3, 2], Lif(0.875), Lif(0.875)), 20
    )
    write_nir(model, tmp_path / "net.nir")
    code, text = run(capsys, "check", tmp_path / "net.nir")
    assert code == 0 and "rebuilt exactly" in text and "Assumed" not in text
    assert "population hidden1: 3 Lif, decay 0.875" in text
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        file["node/nodes/weight_hidden1_to_output/weight"][...] = 3.0
    code, text = run(capsys, "import", "--out", tmp_path / "model", tmp_path / "net.nir")
    assert code == 1 and "changed after this program wrote them" in text
    code, text = run(capsys, "check", tmp_path / "net.nir")
    assert code == 1 and "graph │ NIRGraph" in text and "1 of 7 nodes cannot" in text
    assert run(capsys, "check", tmp_path / "net.nir", "--from", "nir")[0] == 0


def test_an_import_says_what_it_replaced_and_how_long_a_sample_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(j for j in JUDGES if j.case == "leaky").write(tmp_path)
    code, text = run(capsys, "import", path, "--from", "snntorch", "--out", tmp_path / "model")
    assert code == 0 and "replaced" not in text
    assert "100 steps a sample (default; --steps changes it)" in text
    again = ("import", path, "--from", "snntorch", "--out", tmp_path / "model")
    code, text = run(capsys, *again)
    assert code == 0 and "replaced" not in text  # the same model
    code, text = run(capsys, *again, "--reset", "zero", "--steps", "7")
    assert code == 0 and "7 steps a sample (given)" in text
    assert "replaced the model that stood there (written 20" in text
    assert "read as snntorch 1.0.0, dt 0.0001 s" in text and "reset minus threshold" in text


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (("export", "model", "--to", "nir", "--out", "net.txt"), "net.nir"),
        (("export", "model", "--to", "nir", "--out", "net"), "net.nir"),
        (("run", "model", "--engine", "reference", "--input", "x.npz", "--out", "t.txt"), "t.npz"),
    ],
)
def test_a_file_of_another_suffix_is_refused_with_the_right_name(
    arguments: tuple[str, ...],
    right: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = random_trained(np.random.default_rng(1), feed_forward([4, 2], Lif(0.875)), 20)
    save(model, tmp_path / "model")
    np.savez(tmp_path / "x.npz", spikes=np.zeros((20, 4), np.uint8))
    before = sorted(tmp_path.iterdir())
    code, text = run(capsys, *arguments)
    assert code == 1 and f"name it {right}" in text and sorted(tmp_path.iterdir()) == before
    code, text = run(capsys, *arguments[:-1], right)
    assert code == 0 and (tmp_path / right).exists()


def test_a_shape_of_no_numbers_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(
        capsys, "import", "net.py:net", "--out", tmp_path / "model", "--input-shape", "abc"
    )
    assert code == 2 and "'abc' is no list of whole numbers" in text and "Traceback" not in text


def test_check_lists_all_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = next(j for j in JUDGES if j.case == "lifbox").write(tmp_path)
    code, text = run(capsys, "check", good, "--from", "norse")
    assert (
        code == 0
        and "all 6 nodes can be expressed" in text
        and "population n1 (LIFBoxCell): 8 Lif" in text
    )
    bad = tmp_path / "bad.nir"
    nir.write(
        bad,
        graph_of(nir.Linear(np.ones((4, 3))), nir.Linear(np.ones((4, 4))), lif(4, tau=np.zeros(4))),
    )
    before = sorted(tmp_path.iterdir())
    code, text = run(capsys, "check", bad)
    assert code == 1 and "2 of 5 nodes cannot be expressed" in text
    assert "second weighted node" in text and "time constant" in text
    assert sorted(tmp_path.iterdir()) == before
    code, text = run(capsys, "check", tmp_path / "gone.nir")
    assert code == 1 and "there is no such file" in text


def test_export_for_a_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_trained(
        np.random.default_rng(1), feed_forward([4, 3, 2], Lif(0.875), Lif(0.875)), 20
    )
    save(model, tmp_path / "model")
    common = ("export", tmp_path / "model", "--out", tmp_path / "net.nir", "--to")
    code, text = run(capsys, *common, "nir", "--for", "sinabs")
    assert code == 0 and "written:" in text and "there: sinabs" in text and "SingleSpike" in text
    assert run(capsys, "import", tmp_path / "net.nir", "--out", tmp_path / "again")[0] == 0
    assert load_trained(tmp_path / "again").network == model.network
    (tmp_path / "net.nir").unlink()
    code, text = run(capsys, *common, "nir", "--for", "snntorch")
    assert code == 1 and "hidden1" in text and "reset='hard' instead of 'soft'" in text
    assert not (tmp_path / "net.nir").exists()
    script = ("export", tmp_path / "model", "--out", tmp_path / "net.py", "--to", "brian2")
    code, text = run(capsys, *script, "--for", "sinabs")
    assert code == 1 and "--for sinabs says which tool reads a NIR graph" in text
    code, text = run(capsys, *common, "nir", "--for", "nengo")
    assert code == 1 and "no tool 'nengo'" in text


@pytest.mark.parametrize("verb", ["import", "check", "export"])
def test_help_teaches_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, verb, "--help")
    assert code == 0 and f"neurohw {verb}" in text


LOOP = """
import torch
import snntorch as snn
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.lif = nn.Linear(4, 3), snn.Leaky(0.9, threshold=0.1)

    def forward(self, x):
        mem, out = self.lif.init_leaky(), []
        for t in range(20):
            spk, mem = self.lif(self.fc(x[t]), mem)
            out.append(spk)
        return torch.stack(out)

def row():
    net = Net()
    return [net.fc, net.lif]
"""


def test_an_import_says_the_steps_and_who_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(LOOP)
    default = "100 steps a sample (default; --steps changes it)"
    nir_file = next(j for j in JUDGES if j.case == "leaky").write(tmp_path)
    cases = [
        (
            (f"{tmp_path / 'net.py'}:Net",),
            "20 steps a sample (as forward says; --steps changes it)",
        ),
        ((f"{tmp_path / 'net.py'}:row",), default),
        ((nir_file,), default),
        ((nir_file, "--from", "snntorch"), default),
        ((nir_file, "--from", "snntorch", "--steps", "60"), "60 steps a sample (given)"),
    ]
    for number, (arguments, words) in enumerate(cases):
        code, text = run(capsys, "import", *arguments, "--out", tmp_path / f"model{number}")
        assert code == 0 and words in text, text
    model = random_trained(np.random.default_rng(1), feed_forward([4, 3], Lif(0.875)), 30)
    save(model, tmp_path / "model")
    run(capsys, "export", tmp_path / "model", "--to", "nir", "--out", tmp_path / "own.nir")
    code, text = run(capsys, "import", tmp_path / "own.nir", "--out", tmp_path / "again")
    assert code == 0 and "30 steps a sample (of the file)" in text
