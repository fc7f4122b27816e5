"""ESP32s that behave as the firmware does, over real MQTT (contract, section 25)."""
