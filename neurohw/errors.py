# SPDX-License-Identifier: Apache-2.0
"""The errors of the framework: each message names the node, the value, the limit and what to do."""


class NeurohwError(Exception):
    """Base class of every error that a user of the framework can cause and cure.

    stage: of the flow in which it arose, where it did.
    """

    stage: str | None = None


class SaturationWarning(UserWarning):
    """States of an integer network were clipped to their formats, which proved widths never are."""


class PrecisionWarning(UserWarning):
    """Integers follow the trained network less closely than the quantizer aims for, by a number."""


class InvalidModel(NeurohwError):
    """A network, its parameters or its integers contradict themselves."""


class InvalidData(NeurohwError):
    """A dataset or a stimulus cannot be used: missing, broken, empty or of the wrong shape."""


class BrokenFile(NeurohwError):
    """A saved value is missing, truncated, of an unknown version, or altered since it was
    written.
    """


class Unsupported(NeurohwError):
    """An engine cannot express a node exactly. The message names the node and the value."""


class DoesNotFit(NeurohwError):
    """A design needs more than a board has. The message gives the numbers and what to change."""


class MissingTool(NeurohwError):
    """An external program is not installed. The message says what brings it."""


class CannotWrite(NeurohwError):
    """An output would replace something that the framework did not write, or the system refuses.

    Nothing was changed.
    """
