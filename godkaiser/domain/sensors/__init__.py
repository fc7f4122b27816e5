"""The meaning of readings: types, units, calibration, derived values, health."""
