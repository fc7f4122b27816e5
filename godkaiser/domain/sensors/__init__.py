"""What a reading means: types, units, calibration, derived values, health."""
