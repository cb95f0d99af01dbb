"""`python -m tests.bench.sources [NAME…]`: the readers of the other sources, MB/s a core beside their peers.

In each source the rows have the same input. MB are 10^6 bytes of decompressed input, seconds are CPU seconds.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from tests.bench import sources
from tests.bench.measure import line


def main(names: list[str]) -> None:
    """Measure the sources named, or all."""
    found = [module.name for module in pkgutil.iter_modules(sources.__path__) if module.name != "__main__"]
    for name in names or sorted(found):
        print(f"\n{name}:")
        for row in importlib.import_module(f"tests.bench.sources.{name}").measure():
            line(row.what, row.size, row.cpu)


if __name__ == "__main__":
    main(sys.argv[1:])
