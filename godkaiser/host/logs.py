"""Structured logging: console for people, JSON for collectors; one format for everything that is told.

With JSON each line of standard error is one object: ours, those of the libraries, warnings of Python,
tracebacks of threads, and a record that cannot be written. Each line has the actor in whose thread it was
written, and the correlation id of the message that it was handling or the request that it was answering.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import structlog

from godkaiser.config.settings import LogConfig

AtWork = Callable[[], tuple[str, object] | None]
_HOLDERS = ("command", "issuer", "entry", "outcome")
"""The fields of a message that may contain its correlation id."""


class _Context:
    """Where the lines of a thread belong to; set once the actors run."""

    at_work: AtWork = staticmethod(lambda: None)


def set_up(config: LogConfig) -> None:
    """Send everything, ours and the libraries', through one formatter to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_origin,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=as_json)
        if config.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr is not None and sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sys.stderr, is_json=config.format == "json")
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    # These tell of every job and every query.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("peewee").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _tell_exception
    threading.excepthook = _tell_thread
    sys.unraisablehook = _tell_unraisable


def follow(at_work: AtWork) -> None:
    """From now on each line has the actor, and the id of the message, that `at_work` gives for its thread."""
    _Context.at_work = staticmethod(at_work)


def as_json(event: dict[str, Any], **_options: Any) -> str:
    """One line, whatever is in it: a value that JSON has no word for is its text."""
    try:
        return json.dumps(event, allow_nan=False, default=_text_of)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({str(key): _plain(value) for key, value in event.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else _text_of(value)


def _text_of(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def _add_origin(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    found = _Context.at_work()
    if found is not None:
        path, message = found
        event.setdefault("actor", path)
        correlation_id = correlation_of(message)
        if correlation_id:
            event.setdefault("correlation_id", correlation_id)
    return event


def correlation_of(message: object) -> str:
    """The correlation id of a message, or of what it carries; "" when it has none."""
    for holder in (message, *(getattr(message, name, None) for name in _HOLDERS)):
        found = getattr(holder, "correlation_id", "")
        if isinstance(found, str) and found:
            return found
    return ""


class _Handler(logging.StreamHandler[Any]):
    def __init__(self, stream: Any, *, is_json: bool) -> None:
        super().__init__(stream)
        self._is_json = is_json

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A line that cannot be written is told as one, and ends nothing."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError) or self.stream is None:
            # Standard error itself is gone.
            return
        lost = {"level": "error", "logger": record.name, "event": "log_line_lost",
                "error": _text_of(error), "message": _text_of(record.msg)[:500]}  # fmt: skip
        line = as_json(lost) if self._is_json else f"a log line was lost: {lost}"
        try:
            self.stream.write(f"{line}\n")
            self.flush()
        except (OSError, ValueError):
            return


def _tell_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log().critical("uncaught", exc_info=(kind, error, trace))


def _tell_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread is not None else ""
    _log().error(
        "uncaught_in_thread",
        thread=name,
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )


def _tell_unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is None:
        return
    _log().error(
        "unraisable", what=_text_of(args.object)[:200],
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )  # fmt: skip


def _log() -> Any:
    return structlog.get_logger("godkaiser")
