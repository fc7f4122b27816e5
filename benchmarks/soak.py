"""Storms from many seeds, on all processors: `make soak`, `make soak ARGS="--seeds 1000000"`."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time

from tests.supervision.storm import Storm

CHUNK = 200


def storms(first: int) -> tuple[int, dict[int, list[str]]]:
    """Steps taken, and what went wrong by seed."""
    logging.disable(logging.CRITICAL)
    steps = 0
    wrong = {}
    for seed in range(first, first + CHUNK):
        storm = Storm(seed)
        found = storm.run()
        steps += storm.runtime.steps
        if found:
            wrong[seed] = found
    return steps, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    done = steps = 0
    wrong: dict[int, list[str]] = {}
    firsts = range(arguments.first, arguments.first + arguments.seeds, CHUNK)
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for took, found in pool.imap_unordered(storms, firsts):
            done += CHUNK
            steps += took
            wrong.update(found)
            if done % 10_000 == 0:
                print(f"{done:,} seeds, {steps:,} steps, {len(wrong)} failed", flush=True)
    print(f"{done:,} seeds, {steps:,} steps in {time.monotonic() - began:.0f} s")
    for seed, found in sorted(wrong.items()):
        print(f"seed {seed}: {found}")
    print("every invariant held" if not wrong else f"{len(wrong)} seeds FAILED")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
