# SPDX-License-Identifier: Apache-2.0
"""The resistive liquid state machine: what its spike counts tell a linear probe, what read noise
and integers cost, and retrieval of classes never trained.

    python benchmarks/zero_shot.py DATA WORK [PART ...] [--chips 5] [--out benchmarks/zero_shot.md]

DATA: folder with fsdd/fsdd_spikes64.npz and nmnist_small/nmnist_small.npz. WORK: folder for counts
and results; what is there is not repeated, and an interrupted run goes on. PARTS, all by default,
in this order:

    select      scales of the liquids, on training samples only, with a chip that is used for
                nothing else
    probe       the same linear probe on raw counts and on counts of the liquid: spoken digits
                leaving each speaker out, event camera cross-validated
    noise       accuracy with 5 % read noise, drawn for every device and step, and a probe that was
                fitted without
    integers    accuracy of the whole quantized network, liquid and readout, on the golden integers
                that the RTL equals
    digits      retrieval from sound to image and back of two digits that the projections were not
                trained on, all 45 pairs of digits
    pairs       the same with classes that are pairs of digits: pairs never trained, of digits known
                from other pairs
    page        nothing but the page, which every call writes from the results that are there
"""

import argparse
from pathlib import Path

from threadpoolctl import threadpool_limits
from zero_shot_page import write_page
from zero_shot_probe import run_integers, run_noise, run_probe, run_select
from zero_shot_retrieval import run_digits, run_pairs
from zero_shot_setup import Bench, load

PARTS = ("select", "probe", "noise", "integers", "digits", "pairs", "page")


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--chips", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: known are {', '.join(PARTS)}")
    bench = Bench(arguments.work)
    work = {
        "select": run_select,
        "probe": run_probe,
        "noise": run_noise,
        "integers": run_integers,
        "digits": run_digits,
        "pairs": run_pairs,
    }
    data = None
    with threadpool_limits(1):
        for part in arguments.parts or PARTS:
            if part in work:
                data = data or load(arguments.data)
                work[part](bench, data, arguments.chips)
    write_page(bench, arguments.out)


if __name__ == "__main__":
    main()
