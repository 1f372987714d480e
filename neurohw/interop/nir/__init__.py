# SPDX-License-Identifier: Apache-2.0
"""NIR graphs as networks, and back.

See `conventions` for what the files leave open, docs/nir.md for every tool.
"""

from neurohw.interop.nir.check import check_nir
from neurohw.interop.nir.conventions import ORIGINS, TOOLS, Conventions
from neurohw.interop.nir.read import from_nir
from neurohw.interop.nir.report import DoubtfulImport
from neurohw.interop.nir.targets import TARGETS
from neurohw.interop.nir.write import notes_for, to_nir, write_nir

__all__ = [
    "ORIGINS",
    "TARGETS",
    "TOOLS",
    "Conventions",
    "DoubtfulImport",
    "check_nir",
    "from_nir",
    "notes_for",
    "to_nir",
    "write_nir",
]
