# SPDX-License-Identifier: Apache-2.0
"""Learning in integers: the golden model against the rule by hand, its limits, and the float
rule.
"""

import dataclasses

import numpy as np
import pytest

from neurohw import Lif, TrainedNetwork
from neurohw.connections import Sparse
from neurohw.errors import InvalidData, InvalidModel
from neurohw.plasticity.golden import run_plastic_golden
from neurohw.plasticity.integer import QuantizedPlasticity, quantize_plasticity
from neurohw.plasticity.reference import run_plastic_reference
from neurohw.plasticity.rule import Plasticity
from neurohw.stimulus import Spikes
from tests.random_plasticity import random_learning, random_quantized, random_spikes


def by_hand(
    q: QuantizedPlasticity, spikes: np.ndarray, liquid: np.ndarray
) -> tuple[dict, list, dict]:
    """Weights, astrocyte and traces of one sample, synapse by synapse in plain integers, from the
    spikes of both populations [time, neuron].
    """
    network = q.model.network
    weights = {p.name: [int(w) for w in q.projections[p.name].weight] for p in network.projections}
    sent = {network.input.name: spikes, network.output.name: liquid}
    traces = {name: [0] * a.shape[1] for name, a in sent.items()}
    s, course, most = q.depression, [], 2**q.weight.bits - 1

    def amount(amplitude: int, trace: int) -> int:
        value = (amplitude * trace + (1 << q.shift >> 1)) // 2**q.shift
        return max(-most, min(most, value))

    for t in range(len(spikes)):
        for projection in network.projections:
            own = q.projections[projection.name]
            if not own.learns:
                continue
            for k, (j, i) in enumerate(
                zip(q.source(projection), q.target(projection), strict=True)
            ):
                late, early = traces[projection.target][i], traces[projection.source][j]
                depression = s // 2**q.guard
                w, low, high = weights[projection.name][k], int(own.low[j]), int(own.high[j])
                first = (
                    amount(q.potentiation, late) if own.inhibitory[j] else -amount(depression, late)
                )
                second = (
                    -amount(depression, early)
                    if own.inhibitory[j]
                    else amount(q.potentiation, early)
                )
                if sent[projection.source][t, j]:
                    w = max(low, min(high, w + first))
                if sent[projection.target][t, i]:
                    w = max(low, min(high, w + second))
                weights[projection.name][k] = w
        for name, a in sent.items():
            traces[name] = [
                (r + q.trace_increment * int(n)) * (4096 - q.trace_decay.delta) // 4096
                for r, n in zip(traces[name], a[t], strict=True)
            ]
        surplus = int(liquid[t].sum()) - int(spikes[t].sum())
        s += (q.gain * surplus + q.bias - s) // 2**q.leak
        course.append(s)
    return weights, course, traces


@pytest.mark.parametrize("seed", range(6))
def test_golden_is_the_rule_synapse_by_synapse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = random_quantized(rng, at_limits=bool(seed % 2), recurrent=seed != 2)
    spikes = random_spikes(rng, q, 12, 1)
    golden = run_plastic_golden(q, spikes)
    weights, course, traces = by_hand(q, spikes[:, 0], golden.trace.spikes["liquid"][:, 0])
    assert golden.astrocyte[:, 0].tolist() == course
    for name, expected in weights.items():
        assert golden.weights[name].tolist() == expected, name
    for name, last in traces.items():
        assert golden.traces[name][-1, 0].tolist() == last


@pytest.mark.parametrize("seed", range(4))
def test_nothing_leaves_its_bounds(seed: int) -> None:
    """All weights from a limit, dense input: weights stay in their limits, traces and astrocyte in
    what the widths were proved for.
    """
    rng = np.random.default_rng(20 + seed)
    q = random_quantized(rng, at_limits=True, drive=1.0)
    golden = run_plastic_golden(q, Spikes(random_spikes(rng, q, 40, 3, 0.9)), every=1)
    low, high = q.state_range
    assert low <= golden.astrocyte.min() and golden.astrocyte.max() <= high
    for name, trace in golden.traces.items():
        assert 0 <= trace.min() and trace.max() + q.trace_increment <= q.trace_bound, name
    for projection in q.model.network.projections:
        own, kept = q.projections[projection.name], golden.snapshots[projection.name]
        source = q.source(projection)
        assert np.all(kept >= own.low[source]) and np.all(kept <= own.high[source])


def test_weights_are_carried_over_and_states_are_not() -> None:
    rng = np.random.default_rng(5)
    q = random_quantized(rng)
    spikes = Spikes(random_spikes(rng, q, 15, 2))
    both = run_plastic_golden(q, spikes)
    first = run_plastic_golden(q, spikes.part(slice(1)))
    go_on = dataclasses.replace(
        q,
        projections={
            n: dataclasses.replace(p, weight=first.weights[n]) for n, p in q.projections.items()
        },
        model=dataclasses.replace(
            q.model,
            projections={
                n: dataclasses.replace(p, weight=q.delivered(first.weights[n]))
                for n, p in q.model.projections.items()
            },
        ),
    )
    second = run_plastic_golden(go_on, spikes.part(slice(1, None)))
    for name in q.projections:
        assert np.array_equal(both.weights[name], second.weights[name])
    for name, states in both.trace.states.items():
        assert np.array_equal(states[:, 1:], second.trace.states[name])
    assert np.array_equal(both.astrocyte[:, 1:], second.astrocyte)


def test_without_learning_only_weights_stay() -> None:
    rng = np.random.default_rng(6)
    trained, plasticity = random_learning(rng, 20, 30, steps=30)
    q = quantize_plasticity(trained, plasticity)
    spikes = (rng.random((30, 3, 20)) < 0.3).astype(np.uint8)
    frozen = run_plastic_golden(q, spikes, learning=np.array([False, True, False]), every=30)
    for name, kept in frozen.snapshots.items():
        assert np.array_equal(kept[0], q.projections[name].weight)
        assert np.array_equal(kept[1], kept[2]) and not np.array_equal(kept[0], kept[1])
    assert frozen.astrocyte.std() > 0 and frozen.traces["input"].max() > 0


def test_integers_follow_the_float_rule() -> None:
    """20-bit weights and fine traces: as long as the spikes agree, weights differ from those of the
    float rule by little.
    """
    rng = np.random.default_rng(7)
    quiet = Lif(decay=1 - 1 / 64, threshold=1e6)  # the input's traces and the astrocyte alone
    trained, plasticity = random_learning(
        rng, 20, 10, neuron=quiet, crosses=(True, False), steps=60
    )
    q = quantize_plasticity(trained, plasticity, 14, 8, 14, 14)
    spikes = (rng.random((60, 20)) < 0.3).astype(np.uint8)
    run, golden = (
        run_plastic_reference(trained, plasticity, spikes),
        run_plastic_golden(q, spikes[:, None]),
    )
    unit = 2.0 ** -(q.info["amplitude_fraction"] + q.guard)
    # 128 steps stand for 100: compare against the same time constant
    exact = dataclasses.replace(
        plasticity, astrocyte=dataclasses.replace(plasticity.astrocyte, time_constant=128.0)
    )
    course = run_plastic_reference(trained, exact, spikes).depression
    assert np.abs(golden.astrocyte[:, 0] * unit - course).max() < 1e-3 * np.abs(course).max()
    assert run.trace.spikes["liquid"].sum() == 0


def float_rule(
    trained: TrainedNetwork, plasticity: Plasticity, sent: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Weights that the float rule makes of given spikes [time, neuron] of both populations."""
    network, rule, astrocyte = trained.network, plasticity.stdp, plasticity.astrocyte
    assert astrocyte is not None
    weights = {p.name: trained.parameters[f"{p.name}.weight"].copy() for p in network.projections}
    traces, depression = {name: np.zeros(a.shape[1]) for name, a in sent.items()}, rule.depression
    for t in range(len(sent["liquid"])):
        for projection in network.projections:
            source, target = (
                trained.parameters[f"{projection.name}.{end}"].astype(int)
                for end in ("source", "target")
            )
            inhibitory = plasticity.source_is_inhibitory(network, projection)[source]
            low, high = (bound[source] for bound in plasticity.bounds(network, projection))
            early, late = traces[projection.source][source], traces[projection.target][target]
            first = np.where(inhibitory, rule.potentiation * late, -depression * late)
            second = np.where(inhibitory, -depression * early, rule.potentiation * early)
            w = np.clip(
                weights[projection.name] + first * sent[projection.source][t][source], low, high
            )
            weights[projection.name] = np.clip(
                w + second * sent[projection.target][t][target], low, high
            )
        for name, a in sent.items():
            traces[name] = rule.trace_decay * (traces[name] + rule.trace_increment * a[t])
        surplus = int(sent["liquid"][t].sum()) - int(sent["input"][t].sum())
        depression += (
            astrocyte.gain * surplus + astrocyte.bias - depression
        ) / astrocyte.time_constant
    return weights


@pytest.mark.parametrize(
    ("bits", "least", "most"),
    [((14, 8, 14, 14), 0.999, 1.0), ((12, 8), 0.985, 1.0), ((8, 8), 0.0, 0.9)],
)
def test_weights_follow_the_float_rule_on_the_same_spikes(
    bits: tuple[int, ...], least: float, most: float
) -> None:
    """How far each weight has moved, against the float rule; without hidden bits most changes round
    to nothing.
    """
    rng = np.random.default_rng(8)
    trained, plasticity = random_learning(rng, 32, 60, 0.3, steps=200)
    assert plasticity.astrocyte is not None
    plasticity = dataclasses.replace(
        plasticity, astrocyte=dataclasses.replace(plasticity.astrocyte, time_constant=128.0)
    )
    q = quantize_plasticity(trained, plasticity, *bits)
    spikes = (rng.random((200, 32)) < 0.15).astype(np.uint8)
    golden = run_plastic_golden(q, spikes[:, None])
    expected = float_rule(trained, plasticity, {n: a[:, 0] for n, a in golden.trace.spikes.items()})
    scale = 2.0 ** -q.info["weight_fraction"]
    for name in q.projections:
        moved, wanted = (
            w - trained.parameters[f"{name}.weight"]
            for w in (golden.weights[name] * scale, expected[name])
        )
        assert np.abs(wanted).max() > 0.05
        assert least < np.corrcoef(moved, wanted)[0, 1] < most


def test_refusals_name_what_is_wrong() -> None:
    rng = np.random.default_rng(9)
    trained, plasticity = random_learning(rng, 5, 6)
    with pytest.raises(InvalidModel, match="fading is 0.99"):
        quantize_plasticity(trained, dataclasses.replace(plasticity, fading=0.99))
    q = quantize_plasticity(trained, plasticity)
    with pytest.raises(InvalidModel, match="12 bits with 3 hidden ones leave 9"):
        dataclasses.replace(q, hidden=3)
    with pytest.raises(InvalidData, match="count of 2"):
        run_plastic_golden(q, np.full((3, 1, 5), 2, np.uint8))
    own = q.projections["input_to_liquid"]
    with pytest.raises(InvalidModel, match="lies outside its limits"):
        wrong = dataclasses.replace(own, weight=own.weight + 4000)
        dataclasses.replace(q, projections={**q.projections, "input_to_liquid": wrong})
    later = dataclasses.replace(trained.network.projections[0], delay=2)
    network = dataclasses.replace(
        trained.network, projections=(later, trained.network.projections[1])
    )
    with pytest.raises(InvalidModel, match="delay of 1 step"):
        quantize_plasticity(dataclasses.replace(trained, network=network), plasticity)
    arrays = dict(trained.parameters) | {
        "input_to_liquid.weight": np.full(trained.network.projections[0].connection.synapses, 3.5)
    }
    with pytest.raises(InvalidModel, match="starts at 3.5, outside its limits"):
        quantize_plasticity(dataclasses.replace(trained, parameters=arrays), plasticity)
    assert isinstance(trained.network.projections[0].connection, Sparse)


def test_the_digest_covers_what_is_computed() -> None:
    rng = np.random.default_rng(10)
    trained, plasticity = random_learning(rng, 5, 6)
    q = quantize_plasticity(trained, plasticity)
    assert q.digest() == quantize_plasticity(trained, plasticity).digest()
    others = [
        dataclasses.replace(q, gain=q.gain + 1),
        dataclasses.replace(q, potentiation=q.potentiation + 1),
    ]
    flipped = {
        n: dataclasses.replace(p, inhibitory=~p.inhibitory) for n, p in q.projections.items()
    }
    others.append(dataclasses.replace(q, projections=flipped))
    assert len({q.digest(), *(o.digest() for o in others)}) == 4
