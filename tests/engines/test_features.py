# SPDX-License-Identifier: Apache-2.0
"""The README's table of engines is what the engines accept, and what they accept they run."""

from pathlib import Path

import pytest

from neurohw import first_mismatch, run_golden, run_reference
from neurohw.engines import ENGINES
from neurohw.engines.features import FEATURES, accepts, model_for, replaced, stimulus
from neurohw.engines.lava import run_many

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_holds_the_table() -> None:
    text = README.read_text()
    assert replaced(text) == text, "run `python -m neurohw.engines.features README.md`"


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_what_an_engine_accepts_it_runs(feature) -> None:  # type: ignore[no-untyped-def]
    spikes = stimulus(feature)
    for engine in ENGINES.values():
        for kind in engine.takes:
            if engine.name in ("rtl", "lava") or accepts(engine, feature, kind) is not None:
                continue
            model = model_for(feature, kind)
            expected = (
                run_reference(model, spikes) if kind == "float" else run_golden(model, spikes)
            )
            assert expected.spikes["cells"].any()
            actual = engine.run(model, spikes)
            assert first_mismatch(expected, actual, 1e-9 if kind == "float" else 0.0) is None, (
                engine.name
            )


@pytest.mark.slow
def test_what_lava_accepts_it_runs() -> None:
    accepted = [f for f in FEATURES if accepts(ENGINES["lava"], f, "integer") is None]
    jobs = [(model_for(f, "integer"), stimulus(f)) for f in accepted]
    assert len(jobs) > 15
    for feature, (model, spikes), trace in zip(accepted, jobs, run_many(jobs), strict=True):
        assert first_mismatch(run_golden(model, spikes), trace) is None, feature.name


@pytest.mark.rtl
@pytest.mark.slow
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_what_the_rtl_accepts_it_runs(feature) -> None:  # type: ignore[no-untyped-def]
    engine = ENGINES["rtl"]
    reason = accepts(engine, feature, "integer")
    if reason is not None:
        assert feature.name == "dilated convolution", reason
        return
    model, spikes = model_for(feature, "integer"), stimulus(feature)
    trace = engine.run(model, spikes, lanes=3, idle=0.2, backpressure=0.2, optimize=False)
    assert first_mismatch(run_golden(model, spikes), trace) is None
