"""Helper processes: a signal ends them, whatever the main thread holds at that moment."""

from __future__ import annotations

import subprocess
import sys

# As `Event.wait` holds it for a moment, each time that it begins and ends.
PROGRAM = """
import os, signal
from godkaiser.demo.child_process import stop_event_of_process

stop = stop_event_of_process(follow_parent=False)
with stop._cond:
    os.kill(os.getpid(), signal.SIGTERM)
print(stop.wait(60.0))
"""


def test_a_signal_waits_for_no_lock_that_the_main_thread_holds():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120.0, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
