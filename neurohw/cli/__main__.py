# SPDX-License-Identifier: Apache-2.0
"""`python -m neurohw.cli`."""

from neurohw.cli import main

if __name__ == "__main__":
    main()
