"""The wire contract with the ESP32 firmware: topics, payloads, sizes, quirks. Pure."""
