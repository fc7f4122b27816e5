"""One ESP32's firmware as a state machine. Start with `firmware.py`."""
