# SPDX-License-Identifier: Apache-2.0
"""`python -m neurohw`, and `torchrun --nproc-per-node 2 -m neurohw train ...`."""

from neurohw.cli import main

if __name__ == "__main__":
    main()
