# SPDX-License-Identifier: Apache-2.0
"""The scan on a GPU: its kernels run by Triton's interpreter, compiled to PTX without a GPU, and
called by the registered operators.
"""

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from neurohw.neurons import Adaptation, Lif
from neurohw.train import SpikingModule, scan
from neurohw.train.functional import Constants
from neurohw.train.recipes import recipe_named

ROOT = Path(__file__).parents[2]
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None and not os.environ.get("CI"),
    reason="triton is not installed: pip install -e '.[gpu]'",
)


@needs_triton
def test_kernels_as_in_pytorch():
    """In a process of its own, because Triton reads TRITON_INTERPRET when it is first imported; on
    a GPU where there is one.
    """
    interpret = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "tests/train/interpreted_scan.py",
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **interpret, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b\d\d passed", done.stdout) and "skipped" not in done.stdout


def compiled(kernel, pointers, constants, target, element):
    """PTX of a kernel: Triton compiles it and ptxas assembles it, neither of which needs a GPU."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compile_kernel

    from neurohw.train import scan_triton

    names = kernel.arg_names
    constants = {**constants, "block": scan_triton.BLOCK, "stages": scan_triton.STAGES}
    types = {
        n: "constexpr" if n in constants else f"*{element}" if n in pointers else "i32"
        for n in names
    }
    source = ASTSource(
        fn=kernel, signature=types, constexprs={(names.index(n),): v for n, v in constants.items()}
    )
    return compile_kernel(
        source, target=GPUTarget("cuda", target, 32), options=scan_triton.OPTIONS
    ).asm["ptx"]


@needs_triton
@pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter replaces the compiler"
)
@pytest.mark.parametrize(("target", "element"), [(80, "fp32"), (90, "fp64")])
@pytest.mark.parametrize("reset", [0, 1, 2, 3])
def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch, target, element, reset):
    """What the interpreter accepts, the compiler may not.

    No multiply-add is fused, and the states are in registers: no local memory.
    """
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from neurohw.train import scan_triton

    conditions = {"reset": reset, "integrates": False, "strict": reset == 1}
    forward = compiled(
        scan_triton.forward_kernel,
        ("currents", "constants", "spikes", "above", "membrane"),
        {**conditions, "refractory": 2, "keeps_membrane": True},
        target,
        element,
    )
    given = {"through_reset": True, "has_spikes": True, "has_membrane": True}
    backward = compiled(
        scan_triton.backward_kernel,
        ("above", "constants", "by_spikes", "by_membrane", "by_currents"),
        {**conditions, **given, "surrogate": reset % 3, "slope": 2.0},
        target,
        element,
    )
    kind = {"fp32": "f32", "fp64": "f64"}[element]
    for ptx in (forward, backward):
        assert f".target sm_{target}" in ptx
        assert f"mul.{kind}" in ptx or f"mul.rn.{kind}" in ptx
        assert ".local" not in ptx and "ld.local" not in ptx
    assert not re.search(r"\bfma\.", forward)


class Recorded(TorchDispatchMode):
    """The operators of this package that are called, with their arguments."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.namespace == "neurohw":
            self.calls.append((str(operator), args))
        return operator(*args, **(kwargs or {}))


def test_operators_are_registered_for_a_gpu():
    """Run with tensors that have a device and a shape alone;

    PyTorch's autograd for CUDA needs a GPU.
    """
    for name in ("neurohw::lif_scan", "neurohw::lif_scan_gradient"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA")
    values = Constants(0.9, None, 1.0, 0.0, torch.full((5,), 0.9), 0.1)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), Recorded() as recorded:
        currents = torch.empty(4, 3, 5, device="cuda")
        neuron = Lif(0.9, reset="soft", refractory=1)
        spikes, v = scan.fast_scan(neuron, values, currents, "arctan", None, True, True)
        rows = recorded.calls[0][1][1]
        gradient = scan.lif_scan_gradient(
            currents, rows, spikes, None, 1, 0, 2.0, 1, True, False, False
        )
    assert [name for name, _ in recorded.calls] == [
        "neurohw.lif_scan.default",
        "neurohw.lif_scan_gradient.default",
    ]
    assert rows.device.type == "cuda" and rows.shape == (6, 5)
    for value in (spikes, v, gradient):
        assert value.device.type == "cuda" and value.shape == (4, 3, 5)


@pytest.fixture
def fresh_warnings():
    """Warnings that are given once are given again."""
    for cached in (scan._triton, scan._warn_of):
        cached.cache_clear()
    yield
    for cached in (scan._triton, scan._warn_of):
        cached.cache_clear()


def on_gpu(dtype=torch.float32):
    with FakeTensorMode():
        return torch.empty(1, 1, 1, device="cuda", dtype=dtype)


def test_without_triton_a_gpu_takes_steps_in_pytorch(monkeypatch, fresh_warnings):
    monkeypatch.setitem(sys.modules, "neurohw.train.scan_triton", None)
    with pytest.warns(UserWarning, match=r"neurohw\[gpu\].*step by step in PyTorch"):
        assert not scan.usable(Lif(), on_gpu(), True)
    assert scan.usable(Lif(), torch.zeros(1, 1, 1), True)  # the processor as ever
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert not scan.usable(Lif(), on_gpu(), True)


@pytest.mark.parametrize(
    ("changes", "detach", "dtype", "named"),
    [
        ({"delayed_reset": True, "reset": "hard"}, True, torch.float32, "delayed_reset"),
        ({"membrane_bias": True, "synapse_decay": 0.5}, True, torch.float32, "membrane_bias"),
        ({"adaptation": Adaptation(0.9, 0.1)}, False, torch.float32, "adaptive threshold"),
        ({}, True, torch.float16, "float16"),
    ],
)
def test_what_a_gpu_has_no_kernel_for_is_named(fresh_warnings, changes, detach, dtype, named):
    neuron = replace(Lif(), **changes)
    with pytest.warns(UserWarning, match=named):
        assert not scan.usable(neuron, on_gpu(dtype), detach)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not scan.usable(neuron, torch.zeros(1, 1, 1, dtype=dtype), detach)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_the_benchmark_measures_nothing_without_a_gpu(tmp_path):
    specification = importlib.util.spec_from_file_location(
        "gpu_scan", ROOT / "benchmarks" / "gpu_scan.py"
    )
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    with pytest.raises(SystemExit, match="finds no GPU"):
        benchmark.main(["--out", str(tmp_path / "table.md")])
    assert not (tmp_path / "table.md").exists()


@pytest.mark.parametrize("recipe", ["digits-cnn", "shd"])
@pytest.mark.parametrize("training", [False, True])
def test_a_module_works_where_its_parameters_are(recipe, training):
    """On the device `meta`, which has no numbers: a tensor that stayed on the processor could not
    be added to one of it.
    """
    made = recipe_named(recipe)
    module = SpikingModule(made.network, learn_delays=made.config.learn_delays, dropout=0.1).to(
        "meta"
    )
    module.train(training)
    result = module(
        torch.empty(4, 3, made.network.input.size, dtype=torch.uint8, device="meta"), states=False
    )
    assert {value.device.type for value in result.values()} == {"meta"}
    result[f"v.{made.network.output.name}"].sum().backward()
    assert {p.grad.device.type for p in module.parameters() if p.grad is not None} == {"meta"}
