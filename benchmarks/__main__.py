"""Run benchmarks and print their tables."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

import msgspec

import benchmarks
from benchmarks.table import Row, show


def available() -> list[str]:
    """Every module of this package that has a `run(quick) -> list[Row]`."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return [
        name
        for name in sorted(names)
        if not name.startswith("_")
        and hasattr(importlib.import_module(f"benchmarks.{name}"), "run")
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="which; all when none is named")
    parser.add_argument("--quick", action="store_true", help="smaller numbers, for a first look")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    arguments = parser.parse_args()
    known = available()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    results: dict[str, list[Row]] = {}
    for name in arguments.names or known:
        print(f"\n## {name}\n", flush=True)
        results[name] = importlib.import_module(f"benchmarks.{name}").run(quick=arguments.quick)
        print(show(results[name]), flush=True)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))
    missed = [row.what for rows in results.values() for row in rows if row.reached is False]
    if missed:
        print(f"\nnot reached: {'; '.join(missed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
