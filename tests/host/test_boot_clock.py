"""A moment of this clock means the same in the next process of the same boot, and nobody can set it."""

import subprocess
import sys
from pathlib import Path

import pytest

from godkaiser.host import boot_clock

ASK = "from godkaiser.host import boot_clock; print(boot_clock.boot_id(), boot_clock.boot_time())"


def test_another_process_goes_on_with_the_same_clock() -> None:
    before = boot_clock.boot_time()
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    boot, moment = told.stdout.split()

    assert boot == boot_clock.boot_id()
    assert before < float(moment) < boot_clock.boot_time()


def test_without_a_boot_id_of_the_kernel_nothing_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_clock, "BOOT_ID", tmp_path / "missing")
    unknown = boot_clock.boot_id.__wrapped__

    assert unknown() != unknown()
