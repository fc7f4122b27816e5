"""The console script, and `python -m godkaiser`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """The entry point."""
    if sys.argv[1:2] == ["run"]:
        # Until a handler stands SIGHUP would end the process, and systemd takes that for a clean end.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The imports take seconds on a small board.
    from godkaiser.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
