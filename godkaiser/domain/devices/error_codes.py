"""The meaning of devices' error codes, and advice (contract, section 20)."""

from __future__ import annotations

import msgspec


class Meaning(msgspec.Struct, frozen=True):
    """The codes from `first` to `last`, with `meaning` and `advice` for the operator."""

    first: int
    last: int
    category: str
    meaning: str
    advice: str


_GPIO = "Check the wiring and the configuration of this pin: reserved, taken twice, or not wired."
_I2C = "Check the sensor's wiring, address and pull-up resistors; power-cycle the sensor."
_ONEWIRE = "Check wiring and the 4.7 kOhm pull-up; scan the bus and compare the ROM codes."
_FLASH = "The flash memory may be worn or full. If it repeats, replace the device."
_CONFIG = "See the device's config_error; correct the entry and it is pushed again."
_FIRMWARE = "A fault in the firmware or too little memory. If it repeats, tell its maker."

TABLE = (
    Meaning(1001, 1006, "HARDWARE", "GPIO: reserved, conflict, mode, read or write", _GPIO),
    Meaning(1007, 1014, "HARDWARE", "I2C: timeout, checksum, not found, bus", _I2C),
    Meaning(1015, 1017, "HARDWARE", "I2C bus stuck, being recovered", _I2C),
    Meaning(1018, 1018, "HARDWARE", "I2C bus recovered", "Nothing, unless it repeats."),
    Meaning(1019, 1019, "HARDWARE", "I2C sensor type without a protocol",
            "This firmware cannot read that type; remove the sensor or update the firmware."),
    Meaning(1020, 1029, "HARDWARE", "OneWire: bus, ROM code or device missing", _ONEWIRE),
    Meaning(1030, 1032, "HARDWARE", "PWM: initialisation, channels exhausted, set",
            "Use fewer PWM actuators on this device."),
    Meaning(1040, 1043, "HARDWARE", "sensor: read, initialisation, not found, timeout",
            "Check the sensor's wiring and power."),
    Meaning(1050, 1053, "HARDWARE", "actuator: set, initialisation, not found, conflict",
            "Check the actuator's configuration; its state is in doubt until it reports."),
    Meaning(1060, 1063, "HARDWARE", "DS18B20: fault, power-on value, out of range, lost", _ONEWIRE),
    Meaning(2001, 2005, "SERVICE", "flash storage", _FLASH),
    Meaning(2010, 2014, "SERVICE", "configuration: invalid, missing, load, save, validation",
            _CONFIG),
    Meaning(2020, 2021, "SERVICE", "logger", "Nothing, unless it repeats."),
    Meaning(2030, 2032, "SERVICE", "storage", _FLASH),
    Meaning(2301, 2306, "SERVICE", "transaction in flash", _FLASH),
    Meaning(2500, 2506, "SERVICE", "subzone: id, pin conflict, parent zone, not found, safe mode",
            "See the device's placement error; correct the subzone and it is sent again."),
    Meaning(3001, 3005, "COMMUNICATION", "Wi-Fi",
            "Check signal strength (wifi_rssi) and the access point."),
    Meaning(3010, 3016, "COMMUNICATION", "MQTT: connection, publish, buffer, unreadable payload",
            "Check broker, network and load; 3016 may be an empty retained message."),
    Meaning(3020, 3023, "COMMUNICATION", "HTTP", "Nothing: this gateway does not use it."),
    Meaning(3030, 3032, "COMMUNICATION", "network", "Check the network."),
    Meaning(3500, 3500, "COMMUNICATION", "wrong emergency token",
            "Somebody stops or clears with a wrong token: compare [safety] in the configuration."),
    Meaning(3501, 3501, "COMMUNICATION", "no emergency token is set, but this build needs one",
            "Set one with the system command set_emergency_token."),
    Meaning(4001, 4003, "APPLICATION", "state", _FIRMWARE),
    Meaning(4010, 4012, "APPLICATION", "operation", _FIRMWARE),
    Meaning(4020, 4022, "APPLICATION", "command", "See the command's outcome."),
    Meaning(4030, 4033, "APPLICATION", "payload", "Somebody else may publish to this device."),
    Meaning(4040, 4042, "APPLICATION", "memory", "Configure fewer sensors or rules on it."),
    Meaning(4050, 4052, "APPLICATION", "system", _FIRMWARE),
    Meaning(4060, 4062, "APPLICATION", "task or queue", _FIRMWARE),
    Meaning(4070, 4072, "APPLICATION", "watchdog: it hung and was restarted", _FIRMWARE),
    Meaning(4200, 4202, "APPLICATION", "rejected, approval timed out or revoked",
            "Approve the device, or switch it off."),
)  # fmt: skip
_RANGES = (
    (1000, "HARDWARE"), (2000, "SERVICE"), (3000, "COMMUNICATION"), (4000, "APPLICATION"),
)  # fmt: skip


def meaning_of(code: int) -> Meaning:
    """The meaning of a code; for one that is not in the table, the meaning of its range."""
    for entry in TABLE:
        if entry.first <= code <= entry.last:
            return entry
    thousand = code // 1000 * 1000
    category = dict(_RANGES).get(thousand, "UNKNOWN")
    return Meaning(code, code, category, "not in the contract", "Read the device's own message.")
