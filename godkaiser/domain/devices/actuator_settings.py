"""The settings of an actuator, by REST or in devices.d, and the bounds of each."""

from __future__ import annotations

from typing import Annotated

import msgspec

from godkaiser.domain.entities import OnShutdown

Text = Annotated[str, msgspec.Meta(max_length=100)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86_400.0)]


class ActuatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`max_runtime_s` None: what is usual for the type. Limits of 0 mean: no such limit."""

    name: Text = ""
    aux_gpio: Annotated[int, msgspec.Meta(ge=0, le=255)] = 255
    critical: bool = False
    inverted_logic: bool = False
    max_runtime_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    min_value: Fraction = 0.0
    max_value: Fraction = 1.0
    min_on_s: Seconds = 0.0
    min_off_s: Seconds = 0.0
    max_on_s_per_hour: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 0.0
    max_switches_per_hour: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    on_shutdown: OnShutdown = OnShutdown.OFF
