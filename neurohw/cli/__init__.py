# SPDX-License-Identifier: Apache-2.0
"""The command line: composes the stages, shows progress, turns errors into messages.

It contains no logic of its own. One file per group of verbs; `app.py` puts them together,
`start.py` is the entry point and loads them.
"""

from neurohw.cli.start import main

__all__ = ["main"]
