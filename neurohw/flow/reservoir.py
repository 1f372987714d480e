# SPDX-License-Identifier: Apache-2.0
"""The stages of a reservoir: build, tune, measure, readout.

The last leaves a trained network, from which `quantize` and all that follows go on.

build     liquid/                    the random liquid
tune      tuned/                     its weights after plasticity has heard the training samples;
later stages then take these
measure   reservoir.json, .html      what it does on test samples
readout   counts.npz, trained/       spike counts of every sample, a linear readout fitted to them,
and both as one network
"""

import functools
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from neurohw.data import Dataset, Encoder
from neurohw.data.dataset import PARTS
from neurohw.errors import InvalidData
from neurohw.flow.accuracy import CHUNK as EVALUATION_CHUNK
from neurohw.flow.config import stage_options
from neurohw.flow.data import encode_test, load_data
from neurohw.flow.liquid_data import liquid_encoder
from neurohw.flow.progress import Progress
from neurohw.flow.run_folder import RunFolder
from neurohw.formats import FORMATS
from neurohw.golden.native import run_native
from neurohw.integers import QuantizedNetwork, quantize
from neurohw.model_files import save
from neurohw.plasticity import Bernoulli, Events, Plasticity, encode, initialise, nalsm
from neurohw.plasticity.stimulus import Stimulus
from neurohw.reservoir import LinearReadout, Liquid, LiquidConfig, attach_readout, ridge, run_liquid
from neurohw.reservoir.measure import branching_factor, connectivity
from neurohw.reservoir.summary import MARGIN, WINDOW, summarise
from neurohw.stimulus import Spikes
from neurohw.storage import (
    canonical_json,
    check_file,
    check_folder,
    remove_files,
    remove_folder,
    write_file,
)

P = ParamSpec("P")
Stage = Callable[Concatenate[RunFolder, P], None]
LARGEST_COUNT = 10**9  # of steps and samples
COUNTS = re.compile(rf"counts-[0-9a-f]{{16}}/({'|'.join(PARTS)})-\d+\.npy")  # under `checkpoints`
JUDGED = 30  # test samples on which tuning compares branching factors


def _check_count(option: str, value: int | None) -> None:
    if value is not None and not 1 <= value <= LARGEST_COUNT:
        raise InvalidData(f"--{option} is a whole number from 1 to {LARGEST_COUNT:,}, not {value}")


@dataclass(frozen=True)
class Tuning:
    """How plasticity tunes a liquid: each training sample is heard for `steps` steps, in a random
    order, and its weights are carried to the next.

    gain: of the astrocyte that sets the depression, None for one of fixed strength.
    samples: at most so many, None for all.
    Raises InvalidData for a value out of range.
    """

    gain: float | None = 0.015
    steps: int = 20
    samples: int | None = None

    def __post_init__(self) -> None:
        if self.gain is not None and not 0 < self.gain < float("inf"):
            raise InvalidData(f"--gain is a positive number, not {self.gain}")
        _check_count("steps", self.steps)
        _check_count("samples", self.samples)

    def to_json(self) -> dict[str, Any]:
        """For the key of the stage."""
        return {"gain": self.gain, "steps": self.steps, "samples": self.samples}


def _config(run: RunFolder) -> LiquidConfig:
    if run.config.liquid is None:
        raise InvalidData(
            f"{run.path} is no run of a reservoir: start one with `neurohw reservoir build`"
        )
    return run.config.liquid


def _options(run: RunFolder, stage: str) -> dict[str, Any]:
    options = stage_options(stage, run.config)
    assert options is not None
    return options


def current_liquid(run: RunFolder) -> Liquid:
    """The tuned liquid if the liquid as built has been tuned, else that one.

    Raises what `RunFolder.need` does.
    """
    if _is_tuned(run):
        run.need("tune")
        return Liquid.load(run.path / "tuned")
    return Liquid.load(run.path / "liquid")


def _is_tuned(run: RunFolder) -> bool:
    return run.liquid_digest() != run.digest("liquid")


def _holding(verb: str) -> Callable[[Stage[P]], Stage[P]]:
    """A stage that owns its run folder."""

    def of(stage: Stage[P]) -> Stage[P]:
        @functools.wraps(stage)
        def held(run: RunFolder, *arguments: P.args, **options: P.kwargs) -> None:
            with run.hold(f"reservoir {verb}"):
                stage(run, *arguments, **options)

        return held

    return of


@_holding("build")
def build_stage(run: RunFolder, progress: Progress) -> None:
    """Build the liquid of the configuration."""
    config = _config(run)
    dataset = load_data(run.config)
    steps = dataset.steps or config.steps
    options, inputs = _options(run, "liquid"), {"features": dataset.features, "steps": steps}
    if run.up_to_date("liquid", options, inputs):
        run.save()
        progress("build", "up to date", 1.0)
        return
    check_folder(run.path / "liquid", "liquid", force=run.force)
    liquid = config.build(dataset.features, steps, run.config.seed)
    run.save()
    digest = liquid.save(run.path / "liquid", run.force)
    synapses = {
        p.name: len(liquid.trained.parameters[f"{p.name}.weight"])
        for p in liquid.network.projections
    }
    result = {
        "digest": digest,
        "inputs": dataset.features,
        "neurons": liquid.neurons,
        "steps": steps,
    }
    result |= {"inhibitory": int(liquid.inhibitory.sum()), "synapses": synapses}
    run.finish("liquid", options, inputs, result)
    progress("build", "done", 1.0)


def _stream(dataset: Dataset, encoder: Encoder, order: NDArray[np.int64]) -> Stimulus:
    """The training samples in that order, as the kernel of plasticity takes them."""
    if encoder.kind == "rate":
        return Bernoulli(dataset.x_train[order], encoder.seed, refractory=0)
    return Events.of_spikes(encoder.encode(dataset.samples("train", order)))


def _branching(liquid: Liquid, spikes: Spikes) -> float | None:
    fired = run_liquid(liquid, spikes).spikes["liquid"]
    margin = min(MARGIN, max((len(fired) - 2 * WINDOW) // 4, 0))
    found = branching_factor(fired, connectivity(liquid.trained), WINDOW, margin)
    return None if np.isnan(found) else found


@_holding("tune")
def tune_stage(run: RunFolder, progress: Progress, tuning: Tuning | None = None) -> None:
    """Let plasticity shape the weights on a stream of training samples; an interrupted tuning goes
    on where it stopped.
    """
    tuning = tuning or Tuning()
    config, built = _config(run), run.need("liquid")
    if config.topology in ("gaussian", "resistive"):
        raise InvalidData(
            f"{run.path}: the synapses of a {config.topology} reservoir have signs of their own, "
            "plasticity needs excitatory and inhibitory neurons; build another topology"
        )
    dataset = load_data(run.config)
    inputs = {"built": built["digest"], "dataset": dataset.digest()}
    if run.up_to_date("tune", tuning.to_json(), inputs):
        progress("tune", "up to date", 1.0)
        return
    check_folder(run.path / "tuned", "liquid", force=run.force)
    liquid = Liquid.load(run.path / "liquid")
    encoder = liquid_encoder(dataset, config, run.config.seed)
    order = np.random.default_rng([run.config.seed, 1]).permutation(len(dataset.y_train))[
        : tuning.samples
    ]
    trained = initialise(
        liquid.trained,
        nalsm(liquid.inhibitory, tuning.gain),
        _stream(dataset, encoder, order),
        tuning.steps if encoder.kind == "rate" else liquid.trained.steps,
        checkpoint=run.path / "checkpoints" / "tune",
        progress=lambda at, samples: progress("tune", f"sample {at:,}/{samples:,}", at / samples),
    )
    tuned = Liquid(trained, liquid.inhibitory, liquid.positions)
    digest = tuned.save(run.path / "tuned", run.force)
    judged = encode_test(dataset, encoder)[0].part(slice(JUDGED))
    branching = {"before": _branching(liquid, judged), "after": _branching(tuned, judged)}
    result = {"digest": digest, **tuning.to_json(), "branching_factor": branching}
    run.finish("tune", tuning.to_json(), inputs, result)
    remove_folder(run.path / "checkpoints" / "tune", "plastic-run")
    progress("tune", "done", 1.0)


@_holding("measure")
def measure_stage(run: RunFolder, progress: Progress, samples: int = 50) -> None:
    """Measure the liquid on test samples and draw it: reservoir.json and reservoir.html."""
    _check_count("samples", samples)
    config, liquid = _config(run), current_liquid(run)
    dataset = load_data(run.config)
    encoder = liquid_encoder(dataset, config, run.config.seed)
    options = {"samples": samples, "encoder": encoder.to_json()}
    inputs = {"liquid": liquid.digest(), "dataset": dataset.digest()}
    if run.up_to_date("measure", options, inputs) and (run.path / "reservoir.html").exists():
        progress("measure", "up to date", 1.0)
        return
    for name, kind in (("reservoir.json", "reservoir"), ("reservoir.html", "page")):
        check_file(run.path / name, kind, run.force)
    spikes = encode_test(dataset, encoder)[0].part(slice(samples))
    summary = summarise(
        liquid,
        spikes,
        run.config.seed,
        lambda text, done: progress("measure", text, 0.9 * done if done else None),
    )
    header = {"format_version": FORMATS["reservoir"].version, "kind": "reservoir"}
    values = {
        **header,
        **summary.values,
        "name": run.name,
        "dataset": dataset.name,
        "seed": run.config.seed,
    }
    values |= {
        "digest": liquid.digest(),
        "tuning": run.result("tune") if liquid.digest() != run.need("liquid")["digest"] else None,
    }
    progress("measure", "figures and page", 0.9)
    # local: drawing takes long to load
    from neurohw.report.reservoir_figures import reservoir_drawings
    from neurohw.report.reservoir_page import render_reservoir

    page = render_reservoir(values, reservoir_drawings(liquid, summary, spikes.counts[:, 0]))
    text = json.dumps(values, indent=1, allow_nan=False)
    write_file(run.path / "reservoir.json", text.encode(), "reservoir", run.force)
    write_file(run.path / "reservoir.html", page.encode(), "page", run.force)
    run.finish("measure", options, inputs, values)
    progress("measure", "done", 1.0)


def _counter(
    liquid: Liquid, model: QuantizedNetwork | None, rule: Plasticity | None
) -> Callable[[Spikes], NDArray[np.uint16]]:
    """From input spikes to counts [sample, neuron]: of the integers of `model`, else of the float
    liquid.

    rule: plasticity of the float liquid.
    """

    def count(spikes: Spikes) -> NDArray[np.uint16]:
        if model is not None:
            return (
                run_native(model, spikes, states=False)
                .spikes["liquid"]
                .sum(axis=0, dtype=np.uint16)
            )
        return encode(liquid.trained, rule, Events.of_spikes(spikes), spikes.steps)

    return count


def _encoded(
    dataset: Dataset, part: str, encoder: Encoder, test: Spikes
) -> Iterator[tuple[int, Spikes]]:
    """First sample and input spikes of every chunk of a part; those of the test part are the ones
    that later stages take.
    """
    for start in range(0, len(dataset.part(part)[1]), EVALUATION_CHUNK):
        chunk, stream = slice(start, start + EVALUATION_CHUNK), (1 + PARTS.index(part), start)
        yield (
            start,
            test.part(chunk)
            if part == "test"
            else encoder.encode(dataset.samples(part, chunk), stream),
        )


def _counts(
    run: RunFolder,
    identity: str,
    dataset: Dataset,
    encoder: Encoder,
    count: Callable[[Spikes], NDArray[np.uint16]],
    progress: Callable[[int], None],
    parts: tuple[str, ...] = PARTS,
) -> dict[str, NDArray[np.uint16]]:
    """Counts [sample, neuron] by part.

    Every finished chunk is a file, so that an interrupted encoding goes on from there.
    """
    folder = run.path / "checkpoints" / f"counts-{identity[:16]}"
    test, _ = encode_test(dataset, encoder)
    result, done = {}, 0
    for part in parts:
        found = []
        for start, spikes in _encoded(dataset, part, encoder, test):
            file = folder / f"{part}-{start}.npy"
            if not file.exists():
                buffer = io.BytesIO()
                np.save(buffer, count(spikes))
                write_file(file, buffer.getvalue(), "counts")  # readers skip the seal
            found.append(np.load(file, allow_pickle=False))
            done += len(found[-1])
            progress(done)
        result[part] = np.concatenate(found)
    return result


def _fit(
    config: LiquidConfig,
    counts: dict[str, NDArray[np.uint16]],
    dataset: Dataset,
    seed: int,
    progress: Progress,
) -> LinearReadout:
    """The readout that the configuration asks for.

    Ridge needs no validation and takes those samples as training samples, too.
    """
    if config.readout == "ridge":
        progress("readout", "ridge", 0.92)
        together = np.concatenate([counts["train"], counts["validation"]])
        labels = np.concatenate([dataset.y_train, dataset.y_validation])
        return ridge(together, labels, dataset.classes, standardise=False)
    from neurohw.train.linear_readout import fit_linear_readout  # local: loads torch

    def show(epoch: int, epochs: int, accuracy: float) -> None:
        progress(
            "readout",
            f"epoch {epoch}/{epochs}, validation {100 * accuracy:.2f} %",
            0.9 + 0.1 * epoch / epochs,
        )

    data = (counts["train"], dataset.y_train, counts["validation"], dataset.y_validation)
    return fit_linear_readout(*data, dataset.classes, seed=seed, progress=show)


@_holding("readout")
def readout_stage(run: RunFolder, progress: Progress, plastic: bool = False) -> None:
    """Count the spikes of every sample, fit the readout, and leave liquid and readout as the
    trained network of the run.

    plastic: the weights go on changing while a sample is heard, with amplitudes that fade by 1 %
        per step, and every sample begins with the liquid's weights. That is judged and reported,
        but it is no network of fixed weights, so the trained network stays as it was.
    """
    config, liquid = _config(run), current_liquid(run)
    dataset = load_data(run.config)
    encoder = liquid_encoder(dataset, config, run.config.seed)
    stage = "plastic" if plastic else "train"
    gain = run.need("tune")["gain"] if _is_tuned(run) else Tuning().gain
    options = {"gain": gain} if plastic else _options(run, "train")
    inputs = {"liquid": liquid.digest(), "dataset": dataset.digest(), "encoder": encoder.to_json()}
    if run.up_to_date(stage, options, inputs):
        progress("readout", "up to date", 1.0)
        return
    key = hashlib.sha256(canonical_json({"options": options, "inputs": inputs})).hexdigest()
    if not plastic:
        check_file(run.path / "counts.npz", "counts", run.force)
        check_folder(run.path / "trained", "trained", force=run.force)
    model = (
        quantize(liquid.trained, **_options(run, "quantize"), max_count=encoder.max_count)
        if config.integers and not plastic
        else None
    )
    rule = nalsm(liquid.inhibitory, gain) if plastic else None
    total = sum(len(dataset.part(part)[1]) for part in PARTS)
    counts = _counts(
        run,
        key,
        dataset,
        encoder,
        _counter(liquid, model, rule),
        lambda at: progress(
            "readout", f"counting spikes, sample {at:,}/{total:,}", 0.85 * at / total
        ),
    )
    readout = _fit(config, counts, dataset, run.config.seed, progress)
    score = float((readout.predict(counts["test"]) == dataset.y_test).mean())
    result = {
        "dataset": dataset.name,
        "dataset_digest": dataset.digest(),
        "test_samples": len(dataset.y_test),
    }
    result |= {"encoder": encoder.to_json(), "readout": readout.info, "seed": run.config.seed}
    if plastic:
        run.finish(stage, options, inputs, {**result, "digest": liquid.digest(), "accuracy": score})
    else:
        plain = score
        if model is not None:
            progress("readout", "accuracy of the float liquid", 0.95)
            identity = hashlib.sha256((key + "float").encode()).hexdigest()
            floats = _counts(
                run,
                identity,
                dataset,
                encoder,
                _counter(liquid, None, None),
                lambda at: None,
                ("test",),
            )
            plain = float((readout.predict(floats["test"]) == dataset.y_test).mean())
        buffer = io.BytesIO()
        labels = {f"y_{part}": dataset.part(part)[1] for part in PARTS}
        np.savez_compressed(buffer, **{f"x_{part}": counts[part] for part in PARTS}, **labels)  # type: ignore[arg-type]
        write_file(run.path / "counts.npz", buffer.getvalue(), "counts", run.force)
        digest = save(attach_readout(liquid, readout), run.path / "trained", run.force)
        result |= {"digest": digest, "float_accuracy": plain, "counts_accuracy": score}
        run.finish(stage, options, inputs, result)
    remove_files(run.path / "checkpoints", COUNTS, "counts")
    progress("readout", "done", 1.0)
