# SPDX-License-Identifier: Apache-2.0
"""The checks would notice: one semantic of one engine is changed at a time, and the comparison with
the others must fail.

Brian2 and Lava are changed in the same way in their own files.
"""

import dataclasses
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw import (
    Astrocyte,
    Lif,
    Modulation,
    Network,
    Population,
    Projection,
    Source,
    first_mismatch,
    fixedpoint,
    quantize,
    reference,
    run_golden,
    run_reference,
)
from neurohw.engines import rtl
from neurohw.engines import torch as torch_engine
from neurohw.fixedpoint import MultiplyDecay, ShiftDecay
from neurohw.golden import native, specification
from neurohw.hardware.generate import package
from neurohw.hardware.verify.harness import build_harness, run_harness
from neurohw.integers import QuantizedModulation, QuantizedNetwork
from neurohw.network import TrainedNetwork
from neurohw.neurons import Adaptation
from neurohw.train import functional, module
from tests.hardware.verify.test_astrocytes import case as loop_case
from tests.hardware.verify.test_astrocytes import loop
from tests.hardware.verify.test_saturation import saturating
from tests.mutations import mutate_native
from tests.random_networks import random_stimulus, random_trained
from tests.saturations import saturations

SHIFT, PRODUCT, CURRENT = Lif(0.5), Lif(0.9), Lif(0.5, synapse_decay=0.5)
HARD, TWO = Lif(0.5, reset="hard", v_reset=0.25), Lif(0.5, refractory=2)
HARD_CURRENT = Lif(0.5, reset="hard", v_reset=0.25, synapse_decay=0.5)
ADAPTIVE, LATE = Lif(0.5, adaptation=Adaptation(0.5, 0.5)), Lif(0.5, delayed_reset=True)

Case = tuple[TrainedNetwork, QuantizedNetwork, Any]


def case(neuron: Lif) -> Case:
    """A recurrent network with coarse weights, so that membranes meet the threshold exactly and
    rounding shows.
    """
    rng = np.random.default_rng(5)
    network = Network(
        (
            Population("input", 8, Source()),
            Population("cells", 10, neuron),
            Population("output", 6, neuron),
        ),
        (
            Projection("input", "cells"),
            Projection("cells", "output", 1),
            Projection("cells", "cells", 2),
        ),
    )
    trained = random_trained(rng, network, 20, dyadic=True)
    coarse = {
        k: np.full_like(v, 0.5) if k.endswith("threshold") else np.round(v * 4) / 4
        for k, v in trained.parameters.items()
    }
    trained = dataclasses.replace(trained, parameters=coarse)
    return trained, quantize(trained, 3, resolution_bits=0), random_stimulus(rng, network, 20, 4)


def rewritten(function: Callable[..., Any], right: str, wrong: str) -> Callable[..., Any]:
    """The function with one text in its source replaced."""
    source = inspect.getsource(function)
    assert source.count(right) == 1, source
    source = inspect.cleandoc("\n" + source) if source.startswith(" ") else source
    scope = dict(function.__globals__)
    exec(source.replace(right, wrong), scope)
    changed: Callable[..., Any] = scope[function.__name__]
    return changed


@pytest.mark.parametrize(
    ("neuron", "right", "wrong"),
    [
        (SHIFT, "(u >= threshold)", "(u > threshold)"),
        (SHIFT, "arithmetic.decay_v(before) + drive", "arithmetic.decay_v(before + drive)"),
        (SHIFT, "np.where(spikes, u - threshold, u)", "np.where(spikes, 0, u)"),
        (HARD, "np.where(spikes, arithmetic.v_reset, u)", "np.where(spikes, 0, u)"),
        (CURRENT, "arithmetic.decay_c(state.c) + current", "arithmetic.decay_c(state.c + current)"),
        (TWO, "else lif.refractory", "else lif.refractory - 1"),
        (ADAPTIVE, "arithmetic.threshold + state.a", "arithmetic.threshold"),
        (LATE, "np.where(pending, threshold, 0)", "np.where(pending, 0, 0)"),
    ],
)
def test_the_reference_and_golden(
    monkeypatch: pytest.MonkeyPatch, neuron: Lif, right: str, wrong: str
) -> None:
    trained, model, spikes = case(neuron)
    expected, integers = torch_engine.run(trained, spikes), native.run_native(model, spikes)
    assert first_mismatch(expected, run_reference(trained, spikes), 1e-9) is None
    assert first_mismatch(integers, run_golden(model, spikes)) is None
    monkeypatch.setattr(reference, "advance", rewritten(reference.advance, right, wrong))
    assert first_mismatch(expected, run_reference(trained, spikes), 1e-9) is not None
    assert first_mismatch(integers, run_golden(model, spikes)) is not None


def test_golden_rounding_saturation_and_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    def golden_differs(
        neuron: Lif, owner: Any, name: str, right: str, wrong: str, cap: int | None = None
    ) -> None:
        trained, model, spikes = case(neuron)
        if cap is not None:
            model = quantize(trained, 3, resolution_bits=0, membrane_cap=cap)
        expected = native.run_native(model, spikes)
        assert first_mismatch(expected, run_golden(model, spikes)) is None
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, rewritten(getattr(owner, name), right, wrong))
            assert first_mismatch(expected, run_golden(model, spikes)) is not None, (name, wrong)

    towards_zero = "values - np.sign(values) * (np.abs(values) >> self.shift)"
    golden_differs(SHIFT, ShiftDecay, "apply", "values - (values >> self.shift)", towards_zero)
    floors = "(values * (MULTIPLY_UNIT - self.delta)) >> 12"
    golden_differs(PRODUCT, MultiplyDecay, "apply", "np.sign(values) * (product >> 12)", floors)
    wraps = "(values - self.min) % (self.max - self.min + 1) + self.min"
    golden_differs(
        SHIFT, fixedpoint.IntFormat, "saturate", "np.clip(values, self.min, self.max)", wraps, cap=4
    )
    simulate = rewritten(reference.simulate, "[t - delay]", "[t - max(delay - 1, 0)]")
    _, model, spikes = case(SHIFT)
    expected = native.run_native(model, spikes)
    monkeypatch.setattr(specification, "simulate", simulate)
    assert first_mismatch(expected, run_golden(model, spikes)) is not None


@pytest.mark.parametrize(
    ("neuron", "right", "wrong"),
    [
        (SHIFT, "constants.decay * before + drive", "constants.decay * (before + drive)"),
        (SHIFT, "spike(u, threshold)", "spike(u, threshold + 1e-6)"),
        (
            SHIFT,
            "v = u - threshold * (fired.detach() if detach_reset else fired)",
            "v = u * (1 - fired)",
        ),
        (
            HARD,
            "torch.as_tensor(constants.v_reset, dtype=u.dtype, device=u.device)",
            "torch.zeros_like(u)",
        ),
        (
            CURRENT,
            "constants.synapse_decay * state.c + current",
            "constants.synapse_decay * (state.c + current)",
        ),
        (TWO, "float(neuron.refractory)", "float(neuron.refractory + 1)"),
        (ADAPTIVE, "threshold = threshold + state.a", "threshold = threshold + 0"),
        (LATE, "drive - threshold * state.r", "drive"),
    ],
)
def test_torch(monkeypatch: pytest.MonkeyPatch, neuron: Lif, right: str, wrong: str) -> None:
    trained, _, spikes = case(neuron)
    expected = run_reference(trained, spikes)
    assert first_mismatch(expected, torch_engine.run(trained, spikes), 1e-9) is None
    changed = rewritten(functional.lif_step, right, wrong)
    for owner in (functional, module):  # a population alone is scanned, one in a loop is stepped
        monkeypatch.setattr(owner, "lif_step", changed)
    assert first_mismatch(expected, torch_engine.run(trained, spikes), 1e-9) is not None


@pytest.mark.parametrize(
    ("neuron", "right", "wrong"),
    [
        (SHIFT, "Chosen::above(u, threshold[k], strict)", "Chosen::above(u, threshold[k], true)"),
        (SHIFT, "u -= u >> shift;", "u -= u / static_cast<int16_t>(1 << shift);"),
        (SHIFT, "fires.where(u - threshold[k], u)", "fires.where(Shorts{}, u)"),
        (HARD, "fires.where(v_reset[k], u)", "fires.where(Shorts{}, u)"),
        (SHIFT, "128 * events.sent", "127 * events.sent"),
        (CURRENT, "T(x >= at)", "T(x > at)"),
        (
            TWO,
            "from[k] - (from[k] >> constant[0])",
            "from[k] - from[k] / static_cast<T>(1 << constant[0])",
        ),
        (PRODUCT, "value < 0 ? -magnitude : magnitude)", "value < 0 ? -magnitude - 1 : magnitude)"),
        (
            SHIFT,
            "static_cast<size_t>((t - q.delay) % depth)",
            "static_cast<size_t>((t - (q.delay > 1)) % depth)",
        ),
        (HARD_CURRENT, "spike[i] ? v_reset[i] : v[i]", "spike[i] ? T(0) : v[i]"),
        (CURRENT, "v[i] - (spike[i] ? limit[i] : T(0))", "spike[i] ? T(0) : v[i]"),
        (TWO, "static_cast<T>(p.refractory)", "static_cast<T>(p.refractory - 1)"),
        (ADAPTIVE, "threshold[i] + a[i] + rise[i]", "threshold[i] + rise[i]"),
        (LATE, "driving[i] - (r[i] > 0 ? limit[i] : T(0))", "driving[i]"),
    ],
)
def test_native(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, neuron: Lif, right: str, wrong: str
) -> None:
    _, model, spikes = case(neuron)
    expected = run_golden(model, spikes)
    assert first_mismatch(expected, native.run_native(model, spikes)) is None
    mutate_native(monkeypatch, tmp_path, right, wrong)
    assert first_mismatch(expected, native.run_native(model, spikes)) is not None


def modulated_case(effect: str, neuron: Lif = SHIFT) -> Case:
    """The input drives an astrocyte of three domains, which stands before the cells that it
    modulates; their own spikes count against them.
    """
    rng = np.random.default_rng(5)
    network = Network(
        (
            Population("input", 8, Source()),
            Population("astrocyte", 3, Astrocyte(0.75)),
            Population("cells", 12, neuron),
        ),
        (
            Projection("input", "astrocyte"),
            Projection("cells", "astrocyte", 1),
            Projection("input", "cells"),
        ),
        modulations=(Modulation("astrocyte", "cells", effect),),  # type: ignore[arg-type]
    )
    trained = random_trained(rng, network, 20, dyadic=True)
    return trained, quantize(trained, 3, resolution_bits=0), random_stimulus(rng, network, 20, 4)


EARLY = (
    "act = {m.effect: spread(modulated(m, state[m.source].v + constants[m.source].offset), "
    "population.size) for m in network.modulations if m.target == name}"
)


@pytest.mark.parametrize(
    ("effect", "owner", "name", "right", "wrong"),
    [
        ("gain", reference, "simulate", "act = acting[name]", EARLY),
        ("threshold", reference, "simulate", "act = acting[name]", EARLY),
        ("gain", Modulation, "values", "expit(levels)", "expit(2 * levels)"),
        ("threshold", Modulation, "values", "np.maximum(levels, 0.0)", "levels"),
        (
            "gain",
            QuantizedModulation,
            "values",
            "levels >> self.shift, -half",
            "levels >> (self.shift + 1), -half",
        ),
        ("threshold", QuantizedModulation, "values", "np.maximum(levels, 0)", "levels"),
        (
            "threshold",
            QuantizedModulation,
            "values",
            "rises >> self.shift if",
            "-(-rises >> self.shift) if",
        ),
        (
            "gain",
            specification,
            "scaled",
            "(total * gain) >> GAIN_FRACTION_BITS",
            "np.trunc(total * gain / 256).astype(int)",
        ),
    ],
)
def test_modulations_of_the_reference_and_golden(
    monkeypatch: pytest.MonkeyPatch, effect: str, owner: Any, name: str, right: str, wrong: str
) -> None:
    trained, model, spikes = modulated_case(effect)
    expected, integers = torch_engine.run(trained, spikes), native.run_native(model, spikes)
    assert first_mismatch(expected, run_reference(trained, spikes), 1e-9) is None
    assert first_mismatch(integers, run_golden(model, spikes)) is None
    changed = rewritten(getattr(owner, name), right, wrong)
    for place in (owner, specification) if name == "simulate" else (owner,):
        monkeypatch.setattr(place, name, changed)
    changes_float, changes_integers = owner in (reference, Modulation), owner is not Modulation
    assert (
        first_mismatch(expected, run_reference(trained, spikes), 1e-9) is not None
    ) == changes_float
    assert (first_mismatch(integers, run_golden(model, spikes)) is not None) == changes_integers


@pytest.mark.parametrize(
    ("effect", "owner", "name", "right", "wrong"),
    [
        (
            "gain",
            module.SpikingModule,
            "_effect",
            "torch.sigmoid(levels)",
            "torch.sigmoid(2 * levels)",
        ),
        ("threshold", module.SpikingModule, "_effect", "levels.clamp_min(0)", "levels"),
        (
            "gain",
            module.SpikingModule,
            "_scaled",
            "total * gain",
            "(total + self._bias(population)) * gain",
        ),
        (
            "gain",
            functional,
            "lif_step",
            "if not neuron.integrates_refractory",
            "if neuron.integrates_refractory",
        ),
    ],
)
def test_modulations_of_torch(
    monkeypatch: pytest.MonkeyPatch, effect: str, owner: Any, name: str, right: str, wrong: str
) -> None:
    trained, _, spikes = modulated_case(effect, Lif(0.5, refractory=2, integrates_refractory=True))
    expected = run_reference(trained, spikes)
    assert first_mismatch(expected, torch_engine.run(trained, spikes), 1e-9) is None
    changed = rewritten(getattr(owner, name), right, wrong)
    for place in (owner, module) if name == "lif_step" else (owner,):
        monkeypatch.setattr(place, name, changed)
    assert first_mismatch(expected, torch_engine.run(trained, spikes), 1e-9) is not None


RISE = "std::max<int64_t>(above, 0) >> m.shift"
NATIVE_MODULATIONS = [
    ("gain", "above >> m.shift, ", "above >> (m.shift + 1), "),
    ("gain", ">> kGainFractionBits)", "/ 256)"),
    ("threshold", RISE, "above >> m.shift"),
    ("threshold", RISE, "-(-std::max<int64_t>(above, 0) >> m.shift)"),
    ("gain", " && !(flags & kIntegratesRefractory)", ""),
]


@pytest.mark.parametrize(("effect", "right", "wrong"), NATIVE_MODULATIONS)
def test_modulations_of_native(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, effect: str, right: str, wrong: str
) -> None:
    _, model, spikes = modulated_case(effect, Lif(0.5, refractory=2, integrates_refractory=True))
    expected = run_golden(model, spikes)
    assert first_mismatch(expected, native.run_native(model, spikes)) is None
    mutate_native(monkeypatch, tmp_path, right, wrong)
    assert first_mismatch(expected, native.run_native(model, spikes)) is not None


RTL_MUTATIONS = [
    (SHIFT, "nhw_lif_step.sv", "assign enough = !above_q[ThetaBits];",
        "assign enough = !above_q[ThetaBits] && above_q != '0;"),
    (SHIFT, "nhw_lif_step.sv", "assign reset = above_q[MEMBRANE_BITS-1:0];", "assign reset = '0;"),
    (SHIFT, "nhw_decay.sv", "value_i - (value_i >>> VALUE)", "value_i - (value_i / (1 << VALUE))"),
    (PRODUCT, "nhw_decay.sv", "product_q[ProductBits-1] && product_q[11:0] != '0",
        "1'b0 && product_q[11:0] != '0"),
    (SHIFT, "nhw_lif_step.sv", ".state_i(decayed_membrane)", ".state_i(membrane_i)"),
    (SHIFT, "nhw_step_delay.sv", "empty_q <= StepBits'(STEPS);",
        "empty_q <= StepBits'(STEPS - 1);"),
    (TWO, "nhw_lif_step.sv", "REFRACTORY_BITS'(REFRACTORY_STEPS)",
        "REFRACTORY_BITS'(REFRACTORY_STEPS - 1)"),
    (ADAPTIVE, "nhw_lif_step.sv", "spike_o ? late_raised : late_lowered",
        "spike_o ? late_lowered : late_raised"),
    (CURRENT, "nhw_saturating_add.sv", "{WideBits'(input_i), increment_i}",
        "{WideBits'(input_i), 1'b1}"),
    (SHIFT, "nhw_operation_merge.sv", "&(in_valid_i & in_barrier_i)",
        "|(in_valid_i & in_barrier_i)"),
    (SHIFT, "nhw_dense_rows.sv", "more_rows_q ? op_row_o + 1'b1", "more_rows_q ? op_row_o"),
    (SHIFT, "nhw_step_control.sv", "assign op_first_o = !touched;", "assign op_first_o = touched;"),
]  # fmt: skip


MODULATION_MUTATIONS = [
    ("nhw_modulation.sv", "assign levels_o = complete_q != '0;", "assign levels_o = 1'b1;"),
    ("nhw_modulation.sv", "free_q <= 2'd1;", "free_q <= 2'd3;"),
    ("nhw_modulation.sv", "{6{!shifted[LevelBits-1]}}", "{6{shifted[LevelBits-1]}}"),
    ("nhw_neuron_update.sv", "MODULATES ? membrane_next : membrane_now", "membrane_now"),
    ("nhw_lif_step.sv", "product_q >>> Right", "product_q / (ProductBits'(1) << Right)"),
    ("nhw_lif_step.sv", "BaseBits'({1'b0, addition_i})", "BaseBits'({1'b0, addition_i >> 1})"),
    ("nhw_lif_step.sv", "if (INTEGRATES_REFRACTORY) begin", "if (1'b0) begin"),
]


@pytest.mark.rtl
@pytest.mark.exhaustive
@pytest.mark.parametrize(("file", "right", "wrong"), MODULATION_MUTATIONS)
def test_rtl_of_astrocytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    model, spikes = loop_case(loop(), 8)
    rtl_is_noticed(monkeypatch, tmp_path, model, spikes, file, right, wrong)


SATURATION_MUTATIONS = [
    ("all, refractory", "nhw_saturating_add.sv", "saturated_o <= overflow;",
        "saturated_o <= sum_q[WideBits];"),
    ("current", "nhw_lif_step.sv", "current_saturated || membrane_saturated ||",
        "membrane_saturated ||"),
    ("membrane", "nhw_lif_step.sv", "current_saturated || membrane_saturated ||",
        "current_saturated ||"),
    ("adaptation", "nhw_lif_step.sv", "membrane_saturated || adaptation_saturated",
        "membrane_saturated"),
    ("adaptation", "nhw_lif_step.sv", "spike_o && late_saturated", "late_saturated"),
    ("all, refractory", "nhw_neuron_update.sv", "saturated_count += ", "saturated_count |= "),
    ("all, refractory", "nhw_registers.sv",
        "more = Bits'(population_saturated_q[k-FirstPopulation])",
        "more = Bits'(population_saturated_q[k-FirstPopulation] != '0)"),
    ("all, refractory", "nhw_registers.sv", "6'(population_q) + 6'(FirstPopulation)",
        "6'(FirstPopulation)"),
]  # fmt: skip


@pytest.mark.rtl
@pytest.mark.exhaustive
@pytest.mark.parametrize(("case", "file", "right", "wrong"), SATURATION_MUTATIONS)
def test_counters_of_saturations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str, file: str, right: str, wrong: str
) -> None:
    """A register that counts otherwise differs from what is counted outside the step."""
    model, spikes = saturating(case)
    mutate_rtl(monkeypatch, tmp_path, file, right, wrong)
    package.emit(model, 4).write(tmp_path / "package")
    program = build_harness(tmp_path / "package", tmp_path / "sim", optimize=False)
    counted = run_harness(program, tmp_path / "package", spikes).saturations
    assert counted != saturations(model, spikes)


@pytest.mark.rtl
@pytest.mark.exhaustive
@pytest.mark.parametrize(("neuron", "file", "right", "wrong"), RTL_MUTATIONS)
def test_rtl(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, neuron: Lif, file: str, right: str, wrong: str
) -> None:
    _, model, spikes = case(neuron)
    rtl_is_noticed(monkeypatch, tmp_path, model, spikes, file, right, wrong)


def mutate_rtl(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    """Let packages be emitted from cores of which one file has one text changed."""
    folder = tmp_path / "rtl"
    shutil.copytree(package.rtl_folder(), folder)
    text = (folder / file).read_text()
    assert right in text
    (folder / file).write_text(
        (
            "// verilator lint_off WIDTHEXPAND\n// verilator lint_off WIDTHTRUNC\n// verilator "
            "lint_off UNUSEDSIGNAL\n"
        )
        + text.replace(right, wrong)
    )
    monkeypatch.setattr(package, "rtl_folder", lambda: folder)


def rtl_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: QuantizedNetwork,
    spikes: Any,
    file: str,
    right: str,
    wrong: str,
) -> None:
    """The RTL with one text of one file replaced differs from golden, or does not run to its
    end.
    """
    expected = run_golden(model, spikes)
    mutate_rtl(monkeypatch, tmp_path, file, right, wrong)
    try:
        trace = rtl.run(model, spikes, 3, optimize=False)
    except Exception as error:  # a harness that waits for ever is noticed, too
        assert "Verilator cannot build" not in str(error), error
        return
    assert first_mismatch(expected, trace) is not None
