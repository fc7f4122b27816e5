"""/sensors/{esp_id}/{gpio}/{sensor_type}/...: what one sensor measured, stored, down-sampled, exported."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import falcon
import msgspec

from godkaiser.domain.entities import SensorKey
from godkaiser.domain.records.rollups import (
    MOST_POINTS,
    WIDTH_MS,
    Aggregate,
    Resolution,
    choose,
    floor_to,
)
from godkaiser.domain.sensors.sensors import canonical_type
from godkaiser.errors.base import ServiceUnavailable, ValidationFailed
from godkaiser.errors.devices import InvalidGpio
from godkaiser.errors.requests import InvalidTimeRange
from godkaiser.errors.sensors import UnknownSensor
from godkaiser.http.endpoint import VIEWER, Endpoint
from godkaiser.http.exchange import query_float, query_int, reply
from godkaiser.http.queries import ADDRESS, END, RESOLUTION, START, count, word
from godkaiser.http.resources.sensors.sensors import series_key
from godkaiser.http.services import Services
from godkaiser.storage.series import series
from godkaiser.storage.series.series import Measured, Newest

DAY_S = 86_400.0
MOST_EXPORTS = 2
"""At once: each keeps a thread of the API as long as its client reads."""
FORMATS = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

Record = TypeVar("Record", Measured, Aggregate)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A series and a time of it, in milliseconds; `resolution` is never AUTO."""

    series_id: int
    start_ms: int
    end_ms: int
    resolution: Resolution


class RawSeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Readings as they were measured, oldest first; times in unix seconds. `next` is the `start` of what
    follows.
    """

    resolution: Literal["raw"]
    start: float
    end: float
    data: list[Measured]
    count: int
    next: float | None


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes or hours, oldest first; as for raw ones."""

    resolution: Literal["1m", "1h"]
    start: float
    end: float
    data: list[Aggregate]
    count: int
    next: float | None


class StatisticsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Of a time, in whole minutes or hours. `count` includes readings without a value, which nothing else does."""

    resolution: Resolution
    start: float
    end: float
    count: int
    min: float | None
    max: float | None
    mean: float | None
    last: float | None
    by_quality: dict[str, int]


_SERIES = "/sensors/{esp_id}/{gpio}/{sensor_type}"
_UNKNOWN = (InvalidGpio, UnknownSensor)
_TIME = (ADDRESS, START, END, RESOLUTION)
ENDPOINTS = (
    Endpoint(
        "GET", f"{_SERIES}/latest", "latest", VIEWER, "Show the newest stored reading of a sensor.", Newest,
        query=(ADDRESS,), refuses=_UNKNOWN,
    ),
    Endpoint(
        "GET", f"{_SERIES}/readings", "readings", VIEWER, "List the readings of a time, oldest first.",
        (RawSeriesAnswer, SeriesAnswer), details="See [readings over time](api.md#readings-over-time).", query=(*_TIME, count(MOST_POINTS)),
        refuses=(*_UNKNOWN, InvalidTimeRange),
    ),
    Endpoint(
        "GET", f"{_SERIES}/statistics", "statistics", VIEWER,
        "Tell count, minimum, maximum, mean, last value and qualities of a time.", StatisticsAnswer,
        query=_TIME, refuses=(*_UNKNOWN, InvalidTimeRange),
    ),
    Endpoint(
        "GET", f"{_SERIES}/export", "export", VIEWER, "Export a time of any length, as a stream.",
        query=(*_TIME, word("format", "Of the answer.", *FORMATS)),
        refuses=(*_UNKNOWN, InvalidTimeRange), media=("text/csv", "application/x-ndjson"),
    ),
)  # fmt: skip


class SeriesResources:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._exports = threading.BoundedSemaphore(MOST_EXPORTS)

    def on_get_latest(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        key = series_key(req, esp_id, gpio, sensor_type)
        found = series.newest(
            self._services.database, self._series(req, key), self._services.clock()
        )
        if found is None:
            raise UnknownSensor(esp_id=esp_id, gpio=gpio, sensor_type=sensor_type)
        reply(resp, found)

    def on_get_readings(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        wanted = self._wanted(req, series_key(req, esp_id, gpio, sensor_type))
        limit = query_int(req, "limit", MOST_POINTS, 1, MOST_POINTS) or MOST_POINTS
        start, end = wanted.start_ms / 1000.0, wanted.end_ms / 1000.0
        # One more than asked for, to know whether there is more.
        if wanted.resolution is Resolution.RAW:
            measured, following = _page(
                series.measured(
                    self._services.database,
                    wanted.series_id,
                    wanted.start_ms,
                    wanted.end_ms,
                    limit + 1,
                ),
                limit,
            )
            answer: Any = RawSeriesAnswer(
                resolution="raw",
                start=start,
                end=end,
                data=measured,
                count=len(measured),
                next=following,
            )
        else:
            width = WIDTH_MS[wanted.resolution]
            found, following = _page(
                series.aggregates(
                    self._services.database,
                    wanted.series_id,
                    wanted.resolution,
                    floor_to(wanted.start_ms, width),
                    wanted.end_ms,
                    limit + 1,
                ),
                limit,
            )
            answer = SeriesAnswer(
                resolution="1m" if wanted.resolution is Resolution.MINUTE else "1h",
                start=start,
                end=end,
                data=found,
                count=len(found),
                next=following,
            )
        reply(resp, answer)

    def on_get_statistics(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        wanted = self._wanted(
            req, series_key(req, esp_id, gpio, sensor_type), finest=Resolution.MINUTE
        )
        found, start_ms, end_ms = series.statistics(
            self._services.database,
            wanted.series_id,
            wanted.resolution,
            wanted.start_ms,
            wanted.end_ms,
        )
        answer = StatisticsAnswer(
            resolution=wanted.resolution,
            start=start_ms / 1000.0,
            end=end_ms / 1000.0,
            count=found.count,
            min=found.min,
            max=found.max,
            mean=found.mean,
            last=found.last,
            by_quality=found.by_quality,
        )
        reply(resp, answer)

    def on_get_export(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        """A page at a time, so that a year is no more in memory than a minute."""
        form = req.get_param("format") or "csv"
        if form not in FORMATS:
            reason = f"Query parameter format '{form[:20]}': use {' or '.join(FORMATS)}."
            raise ValidationFailed(reason=reason)
        wanted = self._wanted(
            req, series_key(req, esp_id, gpio, sensor_type), default=Resolution.RAW
        )
        if not self._exports.acquire(blocking=False):
            reason = f"{MOST_EXPORTS} exports are running, as many as may at once. Try again."
            raise ServiceUnavailable(reason=reason)
        resp.content_type = FORMATS[form]
        resp.downloadable_as = f"{esp_id}-{gpio}-{canonical_type(sensor_type)}.{form}"
        resp.stream = _Export(self._lines(wanted, form), self._end_export)

    def _lines(self, wanted: Wanted, form: str) -> Iterator[bytes]:
        database = self._services.database
        pages: Iterable[Sequence[Any]]
        if wanted.resolution is Resolution.RAW:
            pages = series.pages_of_readings(
                database, wanted.series_id, wanted.start_ms, wanted.end_ms
            )
        else:
            start_ms = floor_to(wanted.start_ms, WIDTH_MS[wanted.resolution])
            pages = series.pages_of_aggregates(
                database, wanted.series_id, wanted.resolution, start_ms, wanted.end_ms
            )
        is_raw = wanted.resolution is Resolution.RAW
        to_csv: Callable[[Any], str] = _csv_reading if is_raw else _csv_aggregate
        if form == "csv":
            yield (
                b"timestamp,value,quality\r\n"
                if is_raw
                else b"timestamp,count,min,max,mean,last\r\n"
            )
        encoder = msgspec.json.Encoder()
        for page in pages:
            if form == "ndjson":
                yield encoder.encode_lines(page)
            else:
                yield "".join(map(to_csv, page)).encode()
            self._give_back()

    def _end_export(self) -> None:
        # SQLite's, too: its cache has grown with what went through it.
        self._services.database.close_thread()
        self._exports.release()

    def _give_back(self) -> None:
        """A client may read slowly: nothing of the database is held meanwhile."""
        if not self._services.database.is_sqlite:
            self._services.database.close_thread()

    def _wanted(
        self,
        req: falcon.Request,
        key: SensorKey,
        *,
        default: Resolution = Resolution.AUTO,
        finest: Resolution = Resolution.RAW,
    ) -> Wanted:
        """The last 24 hours, unless the query says otherwise. Raises ValidationFailed,
        InvalidTimeRange, UnknownSensor.
        """
        text = req.get_param("resolution") or default.value
        try:
            resolution = Resolution(text)
        except ValueError as error:
            reason = f"Query parameter resolution '{text[:20]}': use {', '.join(Resolution)}."
            raise ValidationFailed(reason=reason) from error
        end = query_float(req, "end")
        end = self._services.clock() if end is None else end
        start = query_float(req, "start")
        start = end - DAY_S if start is None else start
        if start > end:
            raise InvalidTimeRange(reason="start is after end: swap them.")
        start_ms, end_ms = int(start * 1000.0), int(end * 1000.0)
        resolution = choose(resolution, start_ms, end_ms)
        if resolution is Resolution.RAW and finest is not Resolution.RAW:
            resolution = finest
        return Wanted(
            series_id=self._series(req, key),
            start_ms=start_ms,
            end_ms=end_ms,
            resolution=resolution,
        )

    def _series(self, req: falcon.Request, key: SensorKey) -> int:
        """Without `?address=` the only one on this pin. Raises UnknownSensor, ValidationFailed."""
        database = self._services.database
        if req.get_param("address") is None:
            addresses = series.addresses_of(database, key)
            if len(addresses) > 1:
                listed = ", ".join(address or "''" for address in addresses)
                reason = f"Several sensors share GPIO {key.gpio}: choose with ?address= ({listed})."
                raise ValidationFailed(reason=reason)
            if addresses:
                key = msgspec.structs.replace(key, address=addresses[0])
        series_id = series.find_series(database, key)
        if series_id is None:
            raise UnknownSensor(esp_id=key.esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        return series_id


class _Export:
    """An answer that ends its export also when it is never read, or not to its end."""

    def __init__(self, lines: Iterator[bytes], end: Callable[[], None]) -> None:
        self._lines = lines
        self._end = end
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._lines)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._end()


def _page(found: list[Record], limit: int) -> tuple[list[Record], float | None]:
    """At most `limit` of them and where the next page begins: never between two of one moment."""
    if len(found) <= limit:
        return found, None
    following = found[limit].timestamp
    kept = [record for record in found[:limit] if record.timestamp < following]
    if kept:
        return kept, following
    # So many of one millisecond are no measurement: what is beyond them is left out.
    return found[:limit], (round(following * 1000.0) + 1) / 1000.0


def _csv_reading(reading: Measured) -> str:
    value = "" if reading.value is None else reading.value
    return f"{reading.timestamp:.3f},{value},{reading.quality}\r\n"


def _csv_aggregate(found: Aggregate) -> str:
    numbers = (found.min, found.max, found.mean, found.last)
    shown = ",".join("" if number is None else repr(number) for number in numbers)
    return f"{found.timestamp:.3f},{found.count},{shown}\r\n"
