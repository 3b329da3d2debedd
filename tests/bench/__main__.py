"""`make bench`: prints one line a ratio; exits 1 when a goal is missed."""

import sys
from collections.abc import Callable, Iterable

from tests.bench import history, kmsg_flood, modules, scrape
from tests.bench.ratio import Ratio

BENCHES: tuple[Callable[[], Iterable[Ratio]], ...] = (modules.run, scrape.run, history.run, kmsg_flood.run)


def main() -> int:
    """Run every benchmark."""
    print(f"{'CPU microseconds':<58} {'kmodmon':>10} {'peer':>10} {'ratio':>9}")
    missed = 0
    for bench in BENCHES:
        for ratio in bench():
            print(ratio, flush=True)
            missed += "MISSED" in str(ratio)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
