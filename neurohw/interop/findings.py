# SPDX-License-Identifier: Apache-2.0
"""What a check of a file says about one node."""

from dataclasses import dataclass


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
