"""God-Kaiser: an actor-based supervision runtime for a gateway that commands a fleet of ESP32s."""

__version__ = "0.1.0"
