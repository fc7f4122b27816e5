"""Converts a value in its unit into the raw value of a chip's driver (contract, sections 9.2 and
25.7).
"""

from __future__ import annotations

ADC_LEAST, ADC_MOST = 0, 4095


def raw_of(sensor_type: str, value: float) -> int:
    """°C, % relative humidity, % soil moisture, pH, µS/cm; for any other type the value is the raw
    value.

    The value of an ADC stays within its 12 bits.
    """
    match sensor_type:
        case "ds18b20":
            return round(value / 0.0625)
        case "sht31_temp":
            return round((value + 45.0) / 175.0 * 65535.0)
        case "sht31_humidity":
            return round(value / 100.0 * 65535.0)
        case "ph":
            return _adc((1.5 + (7.0 - value) / 3.5) / 3.3 * 4095.0)
        case "ec":
            return _adc(value / 6060.0 / 3.3 * 4095.0)
        case "moisture":
            return _adc(3200.0 - value / 100.0 * 1700.0)
        case _:
            return round(value)


def _adc(value: float) -> int:
    return min(max(round(value), ADC_LEAST), ADC_MOST)
