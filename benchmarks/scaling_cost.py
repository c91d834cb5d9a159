"""Cores, memory and money for so many photos a day, from figures that were measured and values that are assumed.

    python benchmarks/scaling_cost.py --a-day 1000000 --a-core 26 [--peak 3] [--use 0.6] [--price 0.04] ...

``--a-core`` is what ``scaling.py`` measured: photos of one core in a second. The peak factor, the share of the cores
that may be busy at the peak and the price of a core for an hour are assumptions, no facts of any provider.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

DAY = 24 * 3600


@dataclass(frozen=True)
class Plan:
    """What so many photos a day need."""

    mean: float
    peak: float
    cores: int
    processes: int
    gigabytes: float
    a_day: float
    a_million: float


def plan(
    a_day: float, a_core: float, *, peak: float, use: float, price: float, cores_a_process: float, megabytes: float
) -> Plan:
    """Cores that are always there, enough for the peak.

    Args:
        a_day: photos.
        a_core: photos of one core in a second.
        peak: the busiest time's rate over the mean.
        use: share of the cores, 0…1, that may be busy then.
        price: of one core for an hour.
        cores_a_process: that one process is given.
        megabytes: of one process.
    """
    mean = a_day / DAY
    processes = math.ceil(mean * peak / (a_core * use * cores_a_process))
    cores = math.ceil(processes * cores_a_process)
    cost = cores * 24 * price
    return Plan(mean, mean * peak, cores, processes, processes * megabytes / 1024, cost, cost / a_day * 1e6)


def main() -> None:
    """Compute and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--a-day", type=float, default=1e6)
    parser.add_argument("--a-core", type=float, required=True)
    parser.add_argument("--peak", type=float, default=3.0)
    parser.add_argument("--use", type=float, default=0.6)
    parser.add_argument("--price", type=float, default=0.04)
    parser.add_argument("--cores-a-process", type=float, default=1.0)
    parser.add_argument("--megabytes", type=float, default=400.0)
    found = plan(**vars(parser.parse_args()))
    print(f"mean {found.mean:.1f} photos a second, at the peak {found.peak:.1f}")
    print(f"{found.cores} cores in {found.processes} processes, {found.gigabytes:.1f} GB of memory")
    print(f"{found.a_day:.2f} a day, {found.a_million:.2f} for a million photos, of whatever the price is in")


if __name__ == "__main__":
    main()
