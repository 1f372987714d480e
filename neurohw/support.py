# SPDX-License-Identifier: Apache-2.0
"""What a part of the framework computes: the models and the attributes that it names, and no
others.

Every engine, quantizer, emitter, exporter and kernel declares an `Implements` beside its code, and
checks a network once before it computes anything. What counts is what is named:

- the exact type of a neuron, connection, modulation or decay: a subclass is another model,
- every attribute that the type or the value has, whatever its value: nobody but the model knows
  which value means "off",
- the values of an attribute, where only some are computed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurohw.errors import Unsupported

Attributes = Mapping[str, tuple[Any, ...] | None]
Nodes = Mapping[type, Attributes]
# every other value of an attribute is a node, too
PLAIN = (type(None), bool, int, float, str, tuple)
DECAY_FIELDS = ("decay", "synapse_decay", "adaptation_decay")  # of the integers of a population


def attributes(names: str = "", **only: tuple[Any, ...]) -> Attributes:
    """Attributes of a type, by name: those of `names`, between spaces, with any value, the others
    with these values only.
    """
    return {**dict.fromkeys(names.split()), **only}


def _kind(value: Any) -> str:
    kind = type(value)
    return (
        kind.__name__
        if kind.__module__.startswith("neurohw.")
        else f"{kind.__module__}.{kind.__qualname__}"
    )


@dataclass(frozen=True)
class Implements:
    """The types that a part of the framework computes, with their attributes.

    part: its name, for messages.
    """

    part: str
    nodes: Nodes

    def unknown(self, value: Any) -> Iterator[str]:
        """What of a value, and of the values inside it, this part does not compute, in words."""
        known = self.nodes.get(type(value))
        if known is None:
            yield f"{self.part} computes no {_kind(value)}"
            return
        kind, own = type(value), vars(value)
        unnamed = {
            name: getattr(kind, name, None)
            for name in kind.__dataclass_fields__
            if name not in known
        }
        for name, found in {**unnamed, **own}.items():
            if name not in known:
                yield f"{self.part} knows nothing of {_kind(value)}.{name} = {found!r}"
                continue
            allowed = known[name]
            if allowed is not None and found not in allowed:
                yield (
                    f"{self.part} has no {_kind(value)} with {name}={found!r}, "
                    f"only with {' or '.join(repr(a) for a in allowed)}"
                )
            if not isinstance(found, PLAIN):
                yield from self.unknown(found)

    def refuse(self, where: str, value: Any) -> None:
        """Raise Unsupported, naming where the value stands, for the first thing that this part does
        not compute.
        """
        for problem in self.unknown(value):
            raise Unsupported(
                f"{where}: {problem}; leave it out, or use a part of neurohw that names it"
            )

    def check(self, network: Any, integers: Mapping[str, Any] | None = None) -> None:
        """Raise Unsupported, naming the node and the attribute, for anything in a Network that this
        part does not compute.

        integers: of the populations of a quantized network, whose decays are checked, too.
        """
        self.refuse("network", network)
        for population in network.populations:
            self.refuse(f"population {population.name!r}", population)
        for projection in network.projections:
            self.refuse(f"projection {projection.name!r}", projection)
        for modulation in network.modulations:
            self.refuse(f"modulation {modulation.name!r}", modulation)
        for name, quantized in (integers or {}).items():
            for kind in DECAY_FIELDS:
                decay = getattr(quantized, kind)
                if decay is not None:
                    self.refuse(f"population {name!r}: {kind}", decay)
