"""One actor for each ESP32, real or simulated: approval, liveness, configuration, readings.

Start with `device.py`. Others send it the messages of `messages.py`. The API also reads what became of requests
(`device_requests.py`), and speaks to the keeper of the mocks (`mock_keeper.py`, `mock.py`). Every other module is
private.
"""
