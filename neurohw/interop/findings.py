# SPDX-License-Identifier: Apache-2.0
"""What a check of a file says."""

from dataclasses import dataclass, field

from neurohw.integers import QuantizedNetwork
from neurohw.network import TrainedNetwork


@dataclass(frozen=True)
class Finding:
    """A node of a foreign file.

    becomes: what the import makes of it. problem: why it cannot be expressed and what to do, else
    empty.
    """

    node: str
    kind: str
    becomes: str
    problem: str = ""


@dataclass(frozen=True)
class Checked:
    """A check of a file.

    model: what its import gives, None where it is refused. doubts: what would be assumed all the
    same.
    """

    findings: list[Finding]
    model: TrainedNetwork | QuantizedNetwork | None = None
    doubts: list[str] = field(default_factory=list)
