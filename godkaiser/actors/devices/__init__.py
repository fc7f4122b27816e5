"""One actor for each ESP32, real or simulated: approval, liveness, configuration, readings.

Start with `device.py`. Others send it the messages of `messages.py`.
"""
