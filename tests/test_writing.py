# SPDX-License-Identifier: Apache-2.0
"""What may be replaced, and what is refused, for everything that the framework writes."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurohw import writing
from neurohw.errors import CannotWrite
from neurohw.hardware.generate import RtlPackage
from neurohw.ownership import canonical_json, seal_json
from neurohw.paths import rtl_folder
from neurohw.storage import load_value, save_value
from neurohw.writing import (
    check_folder,
    claim_folder,
    new_folder,
    remove_files,
    remove_folder,
    write_file,
    write_files,
    write_script,
)


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, with what it is and holds; a link is not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "special"
            )
    return found


def value(path: Path, number: int = 0, force: bool = False) -> None:
    """A small value of the kind `trained` in its place."""
    save_value(path, "trained", {"number": number}, {"a": np.arange(3)}, force)


MODULE = b"module a;"
DIGEST = hashlib.sha256(MODULE).hexdigest()
MANIFEST = f'{{"files":{{"a.sv":"{DIGEST}"}},"format_version":2,"kind":"rtl"}}'.encode()
MANIFESTED = json.loads(MANIFEST)
PACKAGE = RtlPackage({"manifest.json": MANIFEST, "a.sv": MODULE})
# what the framework writes, by a function of the path: folders and single files
FOLDERS: dict[str, Callable[[Path, bool], object]] = {
    "value": lambda path, force: value(path, 1, force),
    "package": lambda path, force: PACKAGE.write(path, force),
}
FILES: dict[str, Callable[[Path, bool], object]] = {
    "picture": lambda path, force: write_file(path, b"<svg></svg>", "picture", force),
    "script": lambda path, force: write_script(
        path.with_suffix(".py"), "print(1)\n", {"a": np.arange(2)}, force
    ),
    "json": lambda path, force: write_file(
        path, b'{"format_version": 2, "kind": "report"}', "report", force
    ),
}


@pytest.mark.parametrize("write", FOLDERS.values(), ids=FOLDERS)
def test_a_folder_of_somebody_else_is_named_and_kept(
    write: Callable[[Path, bool], object], tmp_path: Path
) -> None:
    """`neurohw import … --out userdir` once deleted a folder that holds thesis.tex."""
    folder = tmp_path / "userdir"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    before = tree(tmp_path)
    with pytest.raises(
        CannotWrite, match=r"userdir: it holds thesis\.tex\. Nothing was changed: .*--force"
    ):
        write(folder, False)
    assert tree(tmp_path) == before
    write(folder, True)
    assert "userdir/thesis.tex" not in tree(tmp_path)


@pytest.mark.parametrize("write", FOLDERS.values(), ids=FOLDERS)
def test_a_file_does_not_become_a_folder(
    write: Callable[[Path, bool], object], tmp_path: Path
) -> None:
    (tmp_path / "model").write_text("notes")
    for force in (False, True):
        with pytest.raises(CannotWrite, match="model: it is a file"):
            write(tmp_path / "model", force)
    assert (tmp_path / "model").read_text() == "notes" and len(tree(tmp_path)) == 1


@pytest.mark.parametrize("write", FOLDERS.values(), ids=FOLDERS)
def test_what_was_added_to_a_folder_of_ours_is_not_lost(
    write: Callable[[Path, bool], object], tmp_path: Path
) -> None:
    write(tmp_path / "out", False)
    write(tmp_path / "out", False)  # of the same kind, and only ours
    (tmp_path / "out" / "notes").mkdir()
    (tmp_path / "out" / "mine.sv").write_text("module mine;")
    before = tree(tmp_path)
    with pytest.raises(
        CannotWrite, match=r"out: it holds mine\.sv, notes/, which neurohw did not write"
    ):
        write(tmp_path / "out", False)
    assert tree(tmp_path) == before


def test_another_kind_is_not_replaced(tmp_path: Path) -> None:
    value(tmp_path / "out")
    with pytest.raises(CannotWrite, match="out: it is a trained network, not a quantized network"):
        save_value(tmp_path / "out", "quantized", {}, {})
    with pytest.raises(CannotWrite, match="out: it is a trained network, not an RTL package"):
        PACKAGE.write(tmp_path / "out")
    with pytest.raises(CannotWrite, match="out: it is a folder"):
        write_file(tmp_path / "out", b"<svg>", "picture", force=True)
    assert load_value(tmp_path / "out", "trained")[0] == {"number": 0}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "thesis.tex").write_text("years of work")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "gone").symlink_to("nowhere")
    before = tree(tmp_path)
    for write in FOLDERS.values():
        for name in ("link", "gone"):
            with pytest.raises(CannotWrite, match="it is a symbolic link to"):
                write(tmp_path / name, False)
    with pytest.raises(CannotWrite, match="it is a symbolic link to real"):
        write_file(tmp_path / "link", b"<svg>", "picture")
    assert tree(tmp_path) == before
    value(tmp_path / "link", force=True)  # of which only the link is replaced
    assert (tmp_path / "real" / "thesis.tex").exists() and not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_a_file_of_somebody_else_is_named_and_kept(
    write: Callable[[Path, bool], object], tmp_path: Path
) -> None:
    path = tmp_path / "out.py"
    path.write_text("# a thesis")
    with pytest.raises(CannotWrite, match=r"out\.py: it carries no seal of neurohw.*--force"):
        write(path, False)
    assert tree(tmp_path) == {"out.py": hashlib.sha256(b"# a thesis").hexdigest()}
    write(path, True)
    write(path, False)
    assert path.read_text() != "# a thesis"


def test_what_a_user_has_changed_is_not_replaced(tmp_path: Path) -> None:
    script = tmp_path / "net.py"
    FILES["script"](script, False)
    script.write_text(script.read_text().replace("print(1)", "print(2)"))
    before = tree(tmp_path)
    with pytest.raises(CannotWrite, match=r"net\.py: it was changed since neurohw wrote it"):
        FILES["script"](script, False)
    assert tree(tmp_path) == before


def test_arrays_beside_a_script_are_checked_before_the_script_is_written(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", measured=np.arange(3))
    before = tree(tmp_path)
    with pytest.raises(CannotWrite, match=r"net\.npz: it carries no seal of neurohw"):
        FILES["script"](tmp_path / "net.py", False)
    assert tree(tmp_path) == before


def test_devices_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for write in (FILES["picture"], *FOLDERS.values()):
        for force in (False, True):
            with pytest.raises(CannotWrite, match="neither a file nor a folder"):
                write(tmp_path / "pipe", force)
    assert tree(tmp_path) == {"pipe": "special"}


def test_the_program_the_home_and_the_current_folder_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's example once wrote its package over `rtl/` of the checkout it ran in: 41 files
    became 32.
    """
    before = tree(rtl_folder())
    monkeypatch.chdir(rtl_folder().parent)
    for force in (False, True):
        with pytest.raises(
            CannotWrite,
            match="rtl: it is or holds the program's own sources, which is never replaced",
        ):
            PACKAGE.write("rtl", force)
    assert tree(rtl_folder()) == before
    (tmp_path / "home" / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(CannotWrite, match="it is or holds the home folder"):
        value(tmp_path / "home", force=True)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.chdir(tmp_path / "home" / "work")
    for path in (tmp_path / "home", Path("."), Path("..")):
        for force in (
            False,
            True,
        ):  # an empty one, too: the shell that stands in it would stand nowhere
            with pytest.raises(CannotWrite, match="it is or holds the current folder"):
                value(path, force=force)
    assert sorted(tree(tmp_path)) == ["home", "home/work"]


def test_a_place_where_nothing_can_be_made_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot be made, since .*file is no folder"):
        check_folder(tmp_path / "file" / "deeper" / "model", "trained")


def test_errors_of_the_system_name_the_output_and_leave_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value(tmp_path / "model")
    before = tree(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neurohw.storage.save_file", full)
    with pytest.raises(CannotWrite, match="model: cannot be written .*No space left on device"):
        value(tmp_path / "model")
    assert tree(tmp_path) == before


def test_a_truncated_value_is_still_ours_and_is_made_again(tmp_path: Path) -> None:
    """What a full disk or a broken copy leaves of value.json: nothing, a brace, or half of it."""
    model = tmp_path / "model"
    value(model)
    whole = (model / "value.json").read_text()
    for left in ("", "{", whole[:60], whole[: len(whole) // 2]):
        (model / "value.json").write_text(left)
        value(model)
        assert load_value(model, "trained")
    for other in ('{"mine": 1', "thesis", '{"mine": 1}', '{"format_version": 1, "kind": [1]}'):
        (model / "value.json").write_text(other)
        with pytest.raises(CannotWrite, match=r"model: it holds arrays\.safetensors, value\.json"):
            value(model)


@pytest.mark.parametrize("kind", ["route", "bitstream", "harness"])
def test_trees_of_other_programs_list_what_is_theirs(kind: str, tmp_path: Path) -> None:
    for content in ("one", "two"):
        with new_folder(tmp_path / "tree", kind) as folder:
            (folder / "deep" / "empty").mkdir(parents=True)
            (folder / "deep" / "log").write_text(content)
    assert (tmp_path / "tree" / "deep" / "log").read_text() == "two"
    (tmp_path / "tree" / "deep" / "notes").write_text("mine")
    before = tree(tmp_path)
    with (
        pytest.raises(CannotWrite, match="tree: it holds deep/notes"),
        new_folder(tmp_path / "tree", kind),
    ):
        pytest.fail("the work began")
    with pytest.raises(RuntimeError), new_folder(tmp_path / "other", kind) as folder:
        (folder / "log").write_text("half")
        raise RuntimeError
    assert tree(tmp_path) == before


def test_a_file_that_comes_in_between_is_not_lost(tmp_path: Path) -> None:
    """It was not there when the work began."""
    value(tmp_path / "out")
    with (
        pytest.raises(CannotWrite, match="late"),
        new_folder(tmp_path / "out", "trained") as folder,
    ):
        (folder / "value.json").write_text("{}")
        (tmp_path / "out" / "late").write_text("mine")
    assert (tmp_path / "out" / "late").read_text() == "mine" and load_value(
        tmp_path / "out", "trained"
    )
    with pytest.raises(CannotWrite, match="late"), new_folder(tmp_path / "new", "trained"):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "late").write_text("mine")
    assert sorted(tree(tmp_path)) == sorted(
        ["new", "new/late", "out", "out/arrays.safetensors", "out/late", "out/value.json"]
    )


def test_a_growing_folder_is_claimed_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".git").mkdir()
    claim_folder(tmp_path / "hidden", "run")
    claim_folder(run, "run")
    (run / "run.json").write_text('{"format_version": 2, "kind": "run"}')
    (run / "notes").write_text("mine")
    claim_folder(run, "run")  # files of the user do no harm: nothing is removed
    (run / "run.json").write_text('{"id": 7}')
    with pytest.raises(
        CannotWrite, match=r"run: it holds notes, run\.json and no run\.json of ours"
    ):
        claim_folder(run, "run")
    claim_folder(run, "run", force=True)
    value(tmp_path / "model")
    with pytest.raises(CannotWrite, match="model: it is a trained network, not a run folder"):
        claim_folder(tmp_path / "model", "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file: it is no folder"):
        claim_folder(tmp_path / "file", "run", force=True)


def test_files_without_seals_are_listed_by_digest(tmp_path: Path) -> None:
    write_files(tmp_path, "noise", {"a.csv": b"1", "b.csv": b"2"})
    write_files(tmp_path, "noise", {"a.csv": b"3", "b.csv": b"4"})
    (tmp_path / "a.csv").write_text("5, my own column")
    before = tree(tmp_path)
    with pytest.raises(
        CannotWrite, match=r"a\.csv: neurohw did not write it, or it was changed since"
    ):
        write_files(tmp_path, "noise", {"b.csv": b"6", "a.csv": b"7"})
    assert tree(tmp_path) == before
    write_files(tmp_path, "noise", {"b.csv": b"6", "a.csv": b"7"}, force=True)
    assert [(tmp_path / name).read_text() for name in ("a.csv", "b.csv")] == ["7", "6"]


def test_files_listed_by_digest_survive_an_interrupt_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is new, one is old, and both are still known as ours."""
    write_files(tmp_path, "noise", {"a.csv": b"1", "b.csv": b"2"})
    place = writing.place

    def stop(temporary: Path, path: Path, admit: Callable[[Path], None]) -> None:
        if path.name == "b.csv":
            raise KeyboardInterrupt
        place(temporary, path, admit)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "place", stop)
        with pytest.raises(KeyboardInterrupt):
            write_files(tmp_path, "noise", {"a.csv": b"3", "b.csv": b"4"})
    assert [(tmp_path / name).read_text() for name in ("a.csv", "b.csv")] == ["3", "2"]
    write_files(tmp_path, "noise", {"a.csv": b"5", "b.csv": b"6"})
    assert sorted(tree(tmp_path)) == ["a.csv", "b.csv", "noise.json"]


def test_only_files_of_ours_are_cleared_away(tmp_path: Path) -> None:
    """Sealed files of the names that we write; never through a link, and no empty folder of a
    user's.
    """
    names, folder = re.compile(r"[01]-float/checkpoint\.pt"), tmp_path / "checkpoints"
    for name in ("checkpoints/0-float/checkpoint.pt", "elsewhere/checkpoint.pt"):
        write_file(tmp_path / name, b"ours", "checkpoint")
    killed = folder / "0-float" / ".checkpoint.pt.a.host-12-0123abcd.tmp"
    killed.write_bytes(b"half")
    remove_files(folder, names, "checkpoint")
    assert sorted(tree(tmp_path)) == ["elsewhere", "elsewhere/checkpoint.pt"]

    write_file(folder / "0-float" / "checkpoint.pt", b"ours", "checkpoint")
    for name in ("backup/checkpoint.pt", "1-float/checkpoint.pt", "0-float/.checkpoint.pt.old"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    write_file(folder / "kept" / "checkpoint.pt", b"ours", "checkpoint")
    (folder / "empty").mkdir()
    (folder / "2-float").symlink_to(tmp_path / "elsewhere")
    before = tree(tmp_path)
    remove_files(folder, re.compile(r"[012]-float/checkpoint\.pt"), "checkpoint")
    after = tree(tmp_path)
    assert before.keys() - after.keys() == {"checkpoints/0-float/checkpoint.pt"}
    (tmp_path / "link").symlink_to(tmp_path / "checkpoints")
    write_file(folder / "0-float" / "checkpoint.pt", b"ours", "checkpoint")
    remove_files(tmp_path / "link", names, "checkpoint")
    assert (folder / "0-float" / "checkpoint.pt").exists()


def test_a_folder_is_cleared_away_only_as_it_was_written(tmp_path: Path) -> None:
    for name in ("runs/tune", "elsewhere/tune"):
        save_value(tmp_path / name, "plastic-run", {"done": 3}, {})
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs" / "other").symlink_to(tmp_path / "elsewhere" / "tune")
    (tmp_path / "runs" / "tune" / "notes").write_text("mine")
    before = tree(tmp_path)
    for path in ("runs/tune", "link/tune", "runs/other", "gone"):
        remove_folder(tmp_path / path, "plastic-run")
    assert tree(tmp_path) == before
    (tmp_path / "runs" / "tune" / "notes").unlink()
    (tmp_path / "runs" / "other").unlink()
    remove_folder(tmp_path / "runs" / "tune", "plastic-run")
    assert not (tmp_path / "runs").exists()


def test_json_that_was_changed_by_hand_is_a_users(tmp_path: Path) -> None:
    """A report, the manifest of a package, the header of a value, the marker of a tree."""
    write_file(tmp_path / "report.json", b'{"format_version": 2, "kind": "report"}', "report")
    write_file(tmp_path / "report.json", b'{"format_version": 2, "kind": "report"}', "report")
    sealed = RtlPackage({**PACKAGE.files, "manifest.json": canonical_json(seal_json(MANIFESTED))})
    for _ in range(2):
        sealed.write(tmp_path / "rtl")
        save_value(tmp_path / "model", "trained", {"a": 1}, {})
        with new_folder(tmp_path / "tree", "route") as folder:
            (folder / "log").write_text("")
    for name in ("report.json", "rtl/manifest.json", "model/value.json", "tree/contents.json"):
        file = tmp_path / name
        file.write_text(json.dumps({**json.loads(file.read_text()), "my_note": "look again"}))
    before = tree(tmp_path)
    with pytest.raises(CannotWrite, match="report.json: it was changed since"):
        write_file(tmp_path / "report.json", b"{}", "report")
    with pytest.raises(CannotWrite, match="it holds manifest.json, changed since neurohw wrote it"):
        sealed.write(tmp_path / "rtl")
    with pytest.raises(CannotWrite, match="it holds value.json, changed since neurohw wrote it"):
        save_value(tmp_path / "model", "trained", {"a": 1}, {})
    with (
        pytest.raises(CannotWrite, match="it holds contents.json, changed since"),
        new_folder(tmp_path / "tree", "route"),
    ):
        pytest.fail("the work began")
    (tmp_path / "build.json").write_text('{"kind": "build", "format_version": 1, "mine": 3}')
    with pytest.raises(CannotWrite, match="build.json: it carries no seal of neurohw"):
        write_file(tmp_path / "build.json", b"{}", "build")
    assert tree(tmp_path).items() >= before.items()


def test_folders_from_before_digests_of_json_are_read_and_replaced(tmp_path: Path) -> None:
    save_value(tmp_path / "model", "trained", {"a": 1}, {})
    file = tmp_path / "model" / "value.json"
    header = json.loads(file.read_text())
    del header["sha256"]
    file.write_text(json.dumps(header, indent=1))
    assert load_value(tmp_path / "model", "trained")[0] == {"a": 1}
    save_value(tmp_path / "model", "trained", {"a": 2}, {})
    for _ in range(2):
        PACKAGE.write(tmp_path / "rtl")


@pytest.mark.parametrize("what", ["link", "folder", "large"])
def test_anything_else_under_the_name_of_a_packages_file_is_a_users(
    what: str, tmp_path: Path
) -> None:
    PACKAGE.write(tmp_path / "rtl")
    save_value(tmp_path / "model", "trained", {}, {})
    for file in (tmp_path / "rtl" / "a.sv", tmp_path / "model" / "arrays.safetensors"):
        file.unlink()
        if what == "link":
            file.symlink_to(tmp_path / "mine.sv")
        elif what == "folder":
            file.mkdir()
        else:
            with file.open("wb") as large:
                large.truncate((1 << 26) + 1)
    with pytest.raises(CannotWrite, match="rtl: it holds a.sv, changed since neurohw wrote it"):
        PACKAGE.write(tmp_path / "rtl")
    if what != "large":  # arrays that do not fit their digest are made again
        with pytest.raises(CannotWrite, match="model: it holds arrays.safetensors, changed since"):
            save_value(tmp_path / "model", "trained", {}, {})


NAMES = st.sampled_from(
    [
        "a",
        "b",
        "value.json",
        "arrays.safetensors",
        "manifest.json",
        "a.sv",
        "contents.json",
        ".x",
        "ä b",
    ]
)
CONTENTS = st.sampled_from(
    [b"", b"{", b"{}", b"thesis", b'{"kind": "trained"}', b'{"kind": "rtl", "format_version": "2"}']
)
LEAVES = st.one_of(CONTENTS, st.just("link"))
TREES = st.recursive(LEAVES, lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=6)


def plant(path: Path, what: object) -> None:
    """A file, a link or a folder, as hypothesis chose."""
    if isinstance(what, dict):
        path.mkdir()
        for name, below in what.items():
            plant(path / name, below)
    elif isinstance(what, bytes):
        path.write_bytes(what)
    else:
        path.symlink_to("elsewhere")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TREES, st.sampled_from([*FOLDERS, *FILES]))
def test_whatever_stands_there_is_kept_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, what: object, kind: str
) -> None:
    """Random trees at the place of an output: a write that is refused changes nothing, one that is
    not had nothing to lose.
    """
    folder = tmp_path_factory.mktemp("any")
    out = folder / "out.py"
    plant(out, what)
    before = tree(folder)
    try:
        (FOLDERS | FILES)[kind](out, False)
    except CannotWrite as error:
        assert tree(folder) == before and str(out.name) in str(error)
    else:
        assert what == {}, "only an empty folder may be replaced"
        assert kind in FOLDERS


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3), st.sampled_from(list(FOLDERS)))
def test_foreign_files_in_a_folder_of_ours_survive(
    tmp_path_factory: pytest.TempPathFactory, added: dict[str, object], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    FOLDERS[kind](folder / "out", False)
    own = set(tree(folder / "out"))
    for name, what in added.items():
        if name not in own:
            plant(folder / "out" / name, what)
    before = tree(folder)
    if set(tree(folder / "out")) == own:
        FOLDERS[kind](folder / "out", False)
        assert set(tree(folder / "out")) == own
    else:
        with pytest.raises(CannotWrite, match="which neurohw did not write"):
            FOLDERS[kind](folder / "out", False)
        assert tree(folder) == before


KILLED = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from neurohw.storage import load_value, save_value

folder, last = Path(sys.argv[1]), 0
for round in range(40):
    reading, writing = os.pipe()
    child = os.fork()
    while child == 0:
        last += 1
        os.write(writing, b".")
        arrays = {f"a{i}": np.full(20000, last) for i in range(8)}
        save_value(folder / "model", "trained", {"number": last}, arrays)
    for _ in range(1 + round % 3):  # its first, second or third write has begun
        os.read(reading, 1)
    time.sleep(0.0005 * round)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    fields, arrays = load_value(folder / "model", "trained")  # its digest finds any mixture
    assert all((a == fields["number"]).all() for a in arrays.values()), fields
    assert len(list(folder.iterdir())) <= 2, list(folder.iterdir())
    os.close(reading), os.close(writing)
    last = fields["number"]
print(last)
"""


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """SIGKILL at 40 moments of a process that writes without pause.

    The value is always there and whole, and the next write clears away what was left.
    """
    save_value(tmp_path / "model", "trained", {"number": 0}, {"a0": np.zeros(1, np.int64)})
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    value(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
