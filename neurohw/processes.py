# SPDX-License-Identifier: Apache-2.0
"""Which of the processes that `torchrun` has started this one is, from their environment and
without PyTorch.
"""

import os


def count() -> int:
    """The processes of all machines together; 1 without `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """True for the process that writes files and shows progress, and without `torchrun`."""
    return count() == 1 or int(os.environ.get("RANK", "0")) == 0
