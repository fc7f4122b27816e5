"""The machine below: systemd, the log, clocks, files that survive a power cut, one process for a data folder."""
