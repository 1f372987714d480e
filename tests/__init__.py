"""Tests; a package of its own name, because a library installs a top-level `tests`, too."""
