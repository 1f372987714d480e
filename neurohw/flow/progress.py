# SPDX-License-Identifier: Apache-2.0
"""What a stage tells of its progress."""

from collections.abc import Callable

# stage, text, fraction done (None: unknown)
Progress = Callable[[str, str, float | None], None]
