"""Seed after seed of the simulations, on all processors: storms over the supervision runtime, dramas
over the safety actors; real servers that go away; hostile messages; a steady flood. `make soak`,
`make soak ARGS="--storms 1000000 --dramas 0"`.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Callable

import structlog

from benchmarks import outages, siege, sustained
from benchmarks.sustained import Load
from tests.safety.world.scenes import play
from tests.supervision.storm import Storm

CHUNK = 100
Outcome = tuple[int, list[str]]


def _storm(seed: int) -> Outcome:
    storm = Storm(seed)
    found = storm.run()
    return storm.runtime.steps, found


def _drama(seed: int) -> Outcome:
    stage = play(seed)
    return stage.steps + stage.runtime.steps, stage.plant.wrong


def _chunk(work: tuple[Callable[[int], Outcome], int]) -> tuple[int, dict[int, list[str]]]:
    """Steps taken, and what went wrong by seed."""
    one, first = work
    logging.disable(logging.CRITICAL)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    steps = 0
    wrong = {}
    for seed in range(first, first + CHUNK):
        took, found = one(seed)
        steps += took
        if found:
            wrong[seed] = found
    return steps, wrong


def _soak(name: str, one: Callable[[int], Outcome], first: int, count: int) -> bool:
    began = time.monotonic()
    done = steps = 0
    wrong: dict[int, list[str]] = {}
    with multiprocessing.Pool(os.cpu_count()) as pool:
        chunks = [(one, seed) for seed in range(first, first + count, CHUNK)]
        for took, found in pool.imap_unordered(_chunk, chunks):
            done += CHUNK
            steps += took
            wrong.update(found)
            if done % 1000 == 0:
                print(f"{name}: {done:,} seeds, {steps:,} steps, {len(wrong)} failed", flush=True)
    print(f"{name}: {done:,} seeds, {steps:,} steps in {time.monotonic() - began:.0f} s")
    for seed, found in sorted(wrong.items()):
        print(f"seed {seed}: {found}")
    print("every invariant held" if not wrong else f"{len(wrong)} seeds FAILED", flush=True)
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--storms", type=int, default=100_000)
    parser.add_argument("--dramas", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without PostgreSQL")
    parser.add_argument("--kills", type=int, default=20, help="kill -9 of the gateway")
    parser.add_argument("--hostile", type=int, default=100_000, help="hostile messages")
    parser.add_argument("--sustained", type=float, default=600.0, help="seconds of a steady flood")
    parser.add_argument("--rate", type=int, default=5000, help="its readings a second")
    parser.add_argument("--rules", type=int, default=50, help="rules beside it")
    parser.add_argument("--requests", type=int, default=10, help="REST requests a second beside it")
    parser.add_argument("--engine", choices=("sqlite", "postgresql", "both"), default="both")
    arguments = parser.parse_args()
    held = _soak("storms", _storm, arguments.first, arguments.storms)
    held &= _soak("dramas", _drama, arguments.first, arguments.dramas)
    if arguments.outage or arguments.kills:
        held &= outages.hold(arguments.outage, arguments.kills, arguments.first)
    if arguments.hostile:
        held &= siege.hold(arguments.hostile, arguments.first)
    for engine in ("sqlite", "postgresql") if arguments.sustained else ():
        if arguments.engine in {engine, "both"}:
            load = Load(
                seconds=arguments.sustained,
                rate=arguments.rate,
                rules=arguments.rules,
                requests=arguments.requests,
                postgresql=engine == "postgresql",
            )
            held &= sustained.hold(load)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
