# SPDX-License-Identifier: Apache-2.0
"""Neuron models: parameters and equations, no engine. Time advances in whole steps.

Order of one step, for every engine (u is the membrane before, v after the reset; s, v, c and a
before step 0 are 0):

    I[t] = bias + sum over projections, synapses of w s_source[t - d]
    c[t] = synapse_decay c[t-1] + I[t]        with a synaptic current, else c[t] = I[t]
    u    = decay v[t-1] + c[t]
    s[t] = 1 if u >= threshold + a[t-1] else 0
           an astrocyte may raise the threshold or scale the sum: neurohw.modulation
    v[t] = u - (threshold + a[t-1]) s[t]  (soft reset),  v_reset where s[t] = 1, else u
           (hard reset),  u  (none)
    a[t] = adaptation.decay a[t-1] + adaptation.strength s[t]
           with an adaptive threshold, else 0

For `refractory` steps after a spike the neuron keeps the membrane that the reset left and cannot
fire; its synaptic current goes on. Conventions of other simulators are attributes of `Lif`, each
changing one line:

    strict            s[t] = 1 if u > threshold + a[t-1]
    delayed_reset     the reset acts one step after the spike: v[t] = u, where
                      u = decay v[t-1] + c[t] - (threshold + a[t-1]) s[t-1]  (soft),
                          decay v_reset + c[t] where s[t-1] = 1  (hard)
    membrane_bias     the bias is added to u and not to I
    delayed_current   u takes c[t-1] instead of c[t]
    clears_current    c[t] = 0 in refractory steps
    integrates_refractory    v[t] = u in refractory steps: the membrane goes on, only firing is
                             barred
"""

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal

from neurohw.checks import FRACTION, POSITIVE, at_least, check_fields
from neurohw.errors import InvalidModel, Unsupported

Reset = Literal["soft", "hard", "none"]


@dataclass(frozen=True)
class Adaptation:
    """Adaptive threshold: every spike raises it by `strength` >= 0, and the rise shrinks by the
    factor `decay` per step.
    """

    decay: float
    strength: float

    def __post_init__(self) -> None:
        check_fields(self, decay=FRACTION, strength=at_least(0))


@dataclass(frozen=True)
class Lif:
    """Leaky integrate-and-fire neuron.

    decay: factor of the membrane per step, exp(-dt/tau_mem), in 0..1.
    threshold: default for every neuron, > 0. synapse_decay: factor of the synaptic current per
        step, None for no synaptic current.
    refractory: whole steps after a spike.
    v_reset: only used by the hard reset. The trained arrays may give each neuron its own values.
        The conventions strict ... integrates_refractory are described above.

    Raises InvalidModel for values out of range and for a delayed reset of a refractory neuron,
    which has no meaning.
    """

    decay: float = 0.5
    threshold: float = 1.0
    reset: Reset = "soft"
    v_reset: float = 0.0
    synapse_decay: float | None = None
    refractory: int = 0
    adaptation: Adaptation | None = None
    strict: bool = False
    delayed_reset: bool = False
    membrane_bias: bool = False
    delayed_current: bool = False
    clears_current: bool = False
    integrates_refractory: bool = False

    def __post_init__(self) -> None:
        check_fields(
            self, decay=FRACTION, synapse_decay=FRACTION, threshold=POSITIVE, refractory=at_least(0)
        )
        if not self.v_reset < self.threshold:
            raise InvalidModel(
                f"Lif.v_reset {self.v_reset} must be below the threshold {self.threshold}"
            )
        if self.delayed_reset and self.refractory:
            raise InvalidModel(
                f"Lif: a delayed reset and {self.refractory} refractory steps exclude each other"
            )
        if self.delayed_reset and self.integrates_refractory:
            raise InvalidModel(
                "Lif: integrates_refractory and a delayed reset, which has no refractory "
                "steps, exclude each other"
            )
        if self.delayed_current and self.synapse_decay is None:
            raise InvalidModel(
                "Lif.delayed_current needs a synaptic current: set synapse_decay (0 for a "
                "plain delay)"
            )
        if self.clears_current and self.synapse_decay is None:
            raise InvalidModel("Lif.clears_current needs a synaptic current: set synapse_decay")

    spiking = True


def If(  # noqa: N802 - named like the neuron model it makes
    threshold: float = 1.0, reset: Reset = "soft", v_reset: float = 0.0, refractory: int = 0
) -> Lif:
    """Integrate-and-fire neuron: a Lif that does not leak (decay 1)."""
    return Lif(decay=1.0, threshold=threshold, reset=reset, v_reset=v_reset, refractory=refractory)


@dataclass(frozen=True)
class Integrator:
    """Non-spiking readout: v[t] = decay v[t-1] + c[t]; it never fires."""

    decay: float = 1.0
    synapse_decay: float | None = None

    def __post_init__(self) -> None:
        check_fields(self, decay=FRACTION, synapse_decay=FRACTION)

    spiking = False


@dataclass(frozen=True)
class Astrocyte(Integrator):
    """A slow Integrator that modulates populations instead of sending spikes
    (`neurohw.modulation`): v[t] = decay v[t-1] + c[t].

    Its trained arrays hold an `offset` beside the bias: the level of domain k is v_k[t] + offset_k.
    Our reconstruction of the astrocyte-modulated spiking unit; the authors' equations are not
    public. A trace with the factor 1 - decay has it in its weights.
    """


@dataclass(frozen=True)
class Source:
    """A population whose spikes are given from outside, one non-negative count per neuron and
    step.
    """

    spiking = True


Neuron = Lif | Integrator | Source


@cache
def _without_spikes(synapse_decay: float | None) -> Lif:
    return Lif(synapse_decay=synapse_decay, reset="none")


def as_lif(neuron: Neuron) -> Lif:
    """The conventions of a neuron's step as a Lif: itself, or for an Integrator or Astrocyte those
    of a Lif without reset.

    Raises Unsupported for every other model: nothing else may pass as a Lif.
    """
    if type(neuron) is Lif:
        return neuron
    if type(neuron) is Integrator or type(neuron) is Astrocyte:
        return _without_spikes(neuron.synapse_decay)
    raise Unsupported(
        f"neuron {neuron!r}: its step is not that of a Lif, an Integrator or an Astrocyte"
    )


_KINDS: dict[str, type[Lif] | type[Integrator] | type[Source]] = {
    "lif": Lif,
    "integrator": Integrator,
    "astrocyte": Astrocyte,
    "source": Source,
}


def neuron_to_json(neuron: Neuron) -> dict[str, Any]:
    """A JSON value with the kind and every parameter of the neuron that is not at its default;

    InvalidModel for an unknown model.
    """
    kind = next((name for name, cls in _KINDS.items() if type(neuron) is cls), None)
    if kind is None:
        raise InvalidModel(
            f"neuron {neuron!r} cannot be saved: known are {', '.join(_KINDS)}, and no "
            "subclass of these"
        )
    return {
        "kind": kind,
        **{f.name: v for f in fields(neuron) if (v := getattr(neuron, f.name)) != f.default},
    } | (
        {"adaptation": asdict(neuron.adaptation)}
        if isinstance(neuron, Lif) and neuron.adaptation
        else {}
    )


def neuron_from_json(value: dict[str, Any]) -> Neuron:
    """The neuron that `neuron_to_json` wrote; InvalidModel for an unknown kind or parameter."""
    parameters = dict(value)
    kind = parameters.pop("kind", None)
    if kind not in _KINDS:
        raise InvalidModel(f"unknown neuron {kind!r}: known are {', '.join(_KINDS)}")
    try:
        if parameters.get("adaptation") is not None:
            parameters["adaptation"] = Adaptation(**parameters["adaptation"])
        return _KINDS[kind](**parameters)
    except TypeError as error:
        raise InvalidModel(f"neuron {kind}: {error}") from error
