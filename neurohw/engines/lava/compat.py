# SPDX-License-Identifier: Apache-2.0
"""Lava 0.10 on Python 3.11 and later: one dataclass default that newer Pythons refuse
(docs/adr/0004).

    python -m neurohw.engines.lava.compat SCRIPT [ARGUMENTS]

runs a Lava script with `enable` called before.
"""

import dataclasses
import importlib
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neurohw.errors import MissingTool

INSTALL = "`pip install --no-deps --ignore-requires-python lava-nc==0.10.0`"
# the one module whose dataclasses have an unhashable default
REFUSED_IN = "lava.magma.compiler.var_model"


@contextmanager
def _defaults_allowed() -> Iterator[None]:
    """Give default values of Lava's dataclasses a hash while they are defined; other classes are
    checked as ever.
    """
    original = getattr(dataclasses, "_get_field", None)
    if sys.version_info < (3, 11) or original is None:
        yield
        return

    def get_field(cls: type, name: str, *arguments: Any) -> Any:
        default = getattr(cls, name, None)
        kind = type(default)
        if (
            cls.__module__.startswith("lava.")
            and kind.__module__.startswith("lava.")
            and kind.__hash__ is None
        ):
            kind.__hash__ = object.__hash__  # type: ignore[method-assign]
        return original(cls, name, *arguments)

    dataclasses._get_field = get_field  # type: ignore[attr-defined]
    try:
        yield
    finally:
        dataclasses._get_field = original  # type: ignore[attr-defined]


def enable() -> None:
    """Make `import lava...` work in this interpreter;

    MissingTool, saying how to install it, without Lava.
    """
    with _defaults_allowed():
        try:
            importlib.import_module(REFUSED_IN)
        except ImportError as error:
            raise MissingTool(
                f"Lava is not installed ({error}): {INSTALL}, Python 3.10 or later"
            ) from error


if __name__ == "__main__":
    enable()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
