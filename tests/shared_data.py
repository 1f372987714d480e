# SPDX-License-Identifier: Apache-2.0
"""Measured data and third-party models that lie beside a checkout, not in it."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1].parent / "shared" / "data"


def shared_data(name: str) -> Path:
    """The file or folder of that name in `../shared/data`; skips the test where it is not there."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not in the shared data beside the checkout ({FOLDER.name})")
    return path
