"""The stages of a reservoir: build, tune, measure, readout. The last leaves a trained network, from which `quantize` and all that follows go on.

build     liquid/                    the random liquid
tune      tuned/                     its weights after plasticity has heard the training samples; later stages then take these
measure   reservoir.json, .html      what it does on test samples
readout   counts.npz, trained/       spike counts of every sample, a linear readout fitted to them, and both as one network
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data import Dataset, Encoder
from neurohw.data.dataset import PARTS
from neurohw.errors import BrokenFile, InvalidData
from neurohw.flow.liquid_data import liquid_encoder
from neurohw.flow.run_folder import RunFolder
from neurohw.flow.stages import EVALUATION_CHUNK, Progress, encode_test, load_data
from neurohw.golden.native import run_native
from neurohw.integers import QuantizedNetwork, quantize
from neurohw.model_files import load_trained, save
from neurohw.plasticity import Bernoulli, Events, Plasticity, encode, initialise, nalsm
from neurohw.plasticity.stimulus import Stimulus
from neurohw.reservoir import LinearReadout, Liquid, LiquidConfig, attach_readout, ridge, run_liquid
from neurohw.reservoir.measure import branching_factor, connectivity
from neurohw.reservoir.summary import MARGIN, WINDOW, summarise
from neurohw.stimulus import Spikes
from neurohw.storage import write_atomically

JUDGED = 30  # test samples on which tuning compares branching factors


@dataclass(frozen=True)
class Tuning:
    """How plasticity tunes a liquid: each training sample is heard for `steps` steps, in a random order, and its weights are carried to the next.

    gain: of the astrocyte that sets the depression, None for one of fixed strength. samples: at most so many, None for all.
    """

    gain: float | None = 0.015
    steps: int = 20
    samples: int | None = None

    def to_json(self) -> dict[str, Any]:
        """For the key of the stage."""
        return {"gain": self.gain, "steps": self.steps, "samples": self.samples}


def _config(run: RunFolder) -> LiquidConfig:
    if run.config.liquid is None:
        raise InvalidData(f"{run.path} is no run of a reservoir: start one with `neurohw reservoir build`")
    return run.config.liquid


def _intact_liquid(run: RunFolder, name: str, digest: str) -> bool:
    """True if the liquid of that folder loads and is the one of the stamp."""
    try:
        return Liquid.load(run.path / name).digest() == digest
    except BrokenFile:
        return False


def current_liquid(run: RunFolder) -> Liquid:
    """The tuned liquid if the liquid as built has been tuned, else that one."""
    built = run.need("liquid")
    tuned = run.result("tune")
    name = "tuned" if tuned is not None and tuned["parent"] == built["digest"] else "liquid"
    return Liquid.load(run.path / name)


def build_stage(run: RunFolder, progress: Progress) -> None:
    """Build the liquid of the configuration."""
    config = _config(run)
    dataset = load_data(run.config)
    steps = dataset.steps or config.steps
    key = run.key(config.to_json(), dataset.features, steps, run.config.seed)
    done = run.result("liquid", key)
    if done is not None and _intact_liquid(run, "liquid", done["digest"]):
        progress("build", "up to date", 1.0)
        return
    liquid = config.build(dataset.features, steps, run.config.seed)
    digest = liquid.save(run.path / "liquid")
    synapses = {p.name: len(liquid.trained.parameters[f"{p.name}.weight"]) for p in liquid.network.projections}
    result = {"digest": digest, "inputs": dataset.features, "neurons": liquid.neurons, "steps": steps}
    run.finish("liquid", key, {**result, "inhibitory": int(liquid.inhibitory.sum()), "synapses": synapses})
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


def tune_stage(run: RunFolder, progress: Progress, tuning: Tuning | None = None) -> None:
    """Let plasticity shape the weights on a stream of training samples; an interrupted tuning goes on where it stopped."""
    tuning = tuning or Tuning()
    config, built = _config(run), run.need("liquid")
    if config.topology in ("gaussian", "resistive"):
        raise InvalidData(
            f"{run.path}: the synapses of a {config.topology} reservoir have signs of their own, plasticity needs excitatory and inhibitory neurons; "
            "build another topology"
        )
    dataset = load_data(run.config)
    key = run.key(built["digest"], dataset.digest(), tuning.to_json())
    done = run.result("tune", key)
    if done is not None and _intact_liquid(run, "tuned", done["digest"]):
        progress("tune", "up to date", 1.0)
        return
    liquid = Liquid.load(run.path / "liquid")
    encoder = liquid_encoder(dataset, config, run.config.seed)
    order = np.random.default_rng([run.config.seed, 1]).permutation(len(dataset.y_train))[: tuning.samples]
    trained = initialise(
        liquid.trained,
        nalsm(liquid.inhibitory, tuning.gain),
        _stream(dataset, encoder, order),
        tuning.steps if encoder.kind == "rate" else liquid.trained.steps,
        checkpoint=run.path / "checkpoints" / "tune",
        progress=lambda at, samples: progress("tune", f"sample {at:,}/{samples:,}", at / samples),
    )
    tuned = Liquid(trained, liquid.inhibitory, liquid.positions)
    digest = tuned.save(run.path / "tuned")
    judged = encode_test(dataset, encoder)[0].part(slice(JUDGED))
    branching = {"before": _branching(liquid, judged), "after": _branching(tuned, judged)}
    run.finish(
        "tune", key, {"digest": digest, "parent": built["digest"], **tuning.to_json(), "branching_factor": branching}
    )
    run.forget("train")
    shutil.rmtree(run.path / "checkpoints", ignore_errors=True)
    progress("tune", "done", 1.0)


def measure_stage(run: RunFolder, progress: Progress, samples: int = 50) -> None:
    """Measure the liquid on test samples and draw it: reservoir.json and reservoir.html."""
    config, liquid = _config(run), current_liquid(run)
    dataset = load_data(run.config)
    encoder = liquid_encoder(dataset, config, run.config.seed)
    key = run.key(liquid.digest(), dataset.digest(), encoder.to_json(), samples)
    if run.result("measure", key) is not None and (run.path / "reservoir.html").exists():
        progress("measure", "up to date", 1.0)
        return
    inputs = encode_test(dataset, encoder)[0].part(slice(samples))
    summary = summarise(
        liquid, inputs, run.config.seed, lambda text, done: progress("measure", text, 0.9 * done if done else None)
    )
    values = {**summary.values, "name": run.name, "dataset": dataset.name, "seed": run.config.seed}
    values |= {
        "digest": liquid.digest(),
        "tuning": run.result("tune") if liquid.digest() != run.need("liquid")["digest"] else None,
    }
    progress("measure", "figures and page", 0.9)
    from neurohw.report.reservoir_figures import reservoir_drawings  # local: drawing takes long to load
    from neurohw.report.reservoir_page import render_reservoir

    page = render_reservoir(values, reservoir_drawings(liquid, summary, inputs.counts[:, 0]))
    write_atomically(run.path / "reservoir.json", json.dumps(values, indent=1, allow_nan=False).encode())
    write_atomically(run.path / "reservoir.html", page.encode())
    run.finish("measure", key, values)
    progress("measure", "done", 1.0)


def _counter(
    liquid: Liquid, model: QuantizedNetwork | None, rule: Plasticity | None
) -> Callable[[Spikes], NDArray[np.uint16]]:
    """From input spikes to counts [sample, neuron]: of the integers of `model`, else of the float liquid.

    rule: plasticity of the float liquid.
    """

    def count(spikes: Spikes) -> NDArray[np.uint16]:
        if model is not None:
            return run_native(model, spikes, states=False).spikes["liquid"].sum(axis=0, dtype=np.uint16)
        return encode(liquid.trained, rule, Events.of_spikes(spikes), spikes.steps)

    return count


def _encoded(dataset: Dataset, part: str, encoder: Encoder, test: Spikes) -> Iterator[tuple[int, Spikes]]:
    """First sample and input spikes of every chunk of a part; those of the test part are the ones that later stages take."""
    for start in range(0, len(dataset.part(part)[1]), EVALUATION_CHUNK):
        chunk, stream = slice(start, start + EVALUATION_CHUNK), (1 + PARTS.index(part), start)
        yield start, test.part(chunk) if part == "test" else encoder.encode(dataset.samples(part, chunk), stream)


def _counts(
    run: RunFolder,
    identity: str,
    dataset: Dataset,
    encoder: Encoder,
    count: Callable[[Spikes], NDArray[np.uint16]],
    progress: Callable[[int], None],
    parts: tuple[str, ...] = PARTS,
) -> dict[str, NDArray[np.uint16]]:
    """Counts [sample, neuron] by part. Every finished chunk is a file, so that an interrupted encoding goes on from there."""
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
                write_atomically(file, buffer.getvalue())
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
    """The readout that the configuration asks for. Ridge needs no validation and takes those samples as training samples, too."""
    if config.readout == "ridge":
        progress("readout", "ridge", 0.92)
        together = np.concatenate([counts["train"], counts["validation"]])
        labels = np.concatenate([dataset.y_train, dataset.y_validation])
        return ridge(together, labels, dataset.classes, standardise=False)
    from neurohw.train.linear_readout import fit_linear_readout  # local: loads torch

    def show(epoch: int, epochs: int, accuracy: float) -> None:
        progress("readout", f"epoch {epoch}/{epochs}, validation {100 * accuracy:.2f} %", 0.9 + 0.1 * epoch / epochs)

    data = (counts["train"], dataset.y_train, counts["validation"], dataset.y_validation)
    return fit_linear_readout(*data, dataset.classes, seed=seed, progress=show)


def readout_stage(run: RunFolder, progress: Progress, plastic: bool = False) -> None:
    """Count the spikes of every sample, fit the readout, and leave liquid and readout as the trained network of the run.

    plastic: the weights go on changing while a sample is heard, with amplitudes that fade by 1 % per step, and every sample begins with the liquid's weights. That is judged and
    reported, but it is no network of fixed weights, so the trained network stays as it was.
    """
    config, liquid = _config(run), current_liquid(run)
    dataset = load_data(run.config)
    encoder = liquid_encoder(dataset, config, run.config.seed)
    stage = "plastic" if plastic else "train"
    gain = (run.result("tune") or Tuning().to_json())["gain"]
    key = run.key(
        liquid.digest(),
        dataset.digest(),
        encoder.to_json(),
        config.readout,
        config.integers,
        run.config.bits,
        plastic and [gain],
    )
    done = run.result(stage, key)
    if done is not None and (plastic or _intact_network(run, done["digest"])):
        progress("readout", "up to date", 1.0)
        return
    model = (
        quantize(liquid.trained, run.config.bits, max_count=encoder.max_count)
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
        lambda at: progress("readout", f"counting spikes, sample {at:,}/{total:,}", 0.85 * at / total),
    )
    readout = _fit(config, counts, dataset, run.config.seed, progress)
    score = float((readout.predict(counts["test"]) == dataset.y_test).mean())
    result = {"dataset": dataset.name, "dataset_digest": dataset.digest(), "test_samples": len(dataset.y_test)}
    result |= {"encoder": encoder.to_json(), "readout": readout.info}
    if plastic:
        run.finish(stage, key, {**result, "digest": liquid.digest(), "accuracy": score})
    else:
        plain = score
        if model is not None:
            progress("readout", "accuracy of the float liquid", 0.95)
            identity = hashlib.sha256((key + "float").encode()).hexdigest()
            floats = _counts(run, identity, dataset, encoder, _counter(liquid, None, None), lambda at: None, ("test",))
            plain = float((readout.predict(floats["test"]) == dataset.y_test).mean())
        buffer = io.BytesIO()
        labels = {f"y_{part}": dataset.part(part)[1] for part in PARTS}
        np.savez_compressed(buffer, **{f"x_{part}": counts[part] for part in PARTS}, **labels)  # type: ignore[arg-type]
        write_atomically(run.path / "counts.npz", buffer.getvalue())
        digest = save(attach_readout(liquid, readout), run.path / "trained")
        run.finish(stage, key, {**result, "digest": digest, "float_accuracy": plain, "counts_accuracy": score})
    shutil.rmtree(run.path / "checkpoints", ignore_errors=True)
    progress("readout", "done", 1.0)


def _intact_network(run: RunFolder, digest: str) -> bool:
    try:
        return load_trained(run.path / "trained").digest() == digest
    except BrokenFile:
        return False
