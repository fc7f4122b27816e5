"""/sensors/data/batch: many readings at once; one that is refused keeps no other back."""

from __future__ import annotations

import time
from typing import Annotated

import falcon
import msgspec
import pykka

from godkaiser import paths
from godkaiser.actors.devices.messages import SubmitBatch, SubmitReading
from godkaiser.errors.base import GatewayError, GatewayOverloaded
from godkaiser.http.exchange import (
    ASK_TIMEOUT_S,
    RequestBody,
    ask,
    device_view,
    issuer_of,
    read_body,
    reply,
)
from godkaiser.http.resources.devices import ReadingBody, submission
from godkaiser.http.services import Services

MOST = 1000


class BatchBody(RequestBody, frozen=True, kw_only=True):
    readings: Annotated[list[ReadingBody], msgspec.Meta(min_length=1, max_length=MOST)]


class BatchResource:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post_batch(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answered when each is stored or refused."""
        issuer = issuer_of(req)
        refused: dict[int, GatewayError] = {}
        by_device: dict[str, list[tuple[int, SubmitReading]]] = {}
        bodies = read_body(req, BatchBody).readings
        for index, body in enumerate(bodies):
            try:
                device_view(self._services.system, body.esp_id)
                message = submission(body, issuer)
            except GatewayError as error:
                refused[index] = error
            else:
                by_device.setdefault(body.esp_id, []).append((index, message))
        deadline = time.monotonic() + ASK_TIMEOUT_S
        waiting: list[tuple[int, pykka.Future[object]]] = []
        for esp_id, items in by_device.items():
            batch = SubmitBatch(readings=tuple(message for _, message in items))
            try:
                answers = ask(self._services.system, paths.device(esp_id), batch)
            except GatewayError as error:
                answers = [error] * len(items)
            for (index, _), answer in zip(items, answers, strict=True):
                if isinstance(answer, GatewayError):
                    refused[index] = answer
                else:
                    waiting.append((index, answer))
        for index, answer in waiting:
            try:
                answer.get(timeout=max(0.0, deadline - time.monotonic()))
            except pykka.Timeout:
                refused[index] = GatewayOverloaded(path=paths.RECORDER, timeout_s=ASK_TIMEOUT_S)
            except GatewayError as error:
                refused[index] = error
        shown = [
            {"index": index, "code": error.code, "message": error.message}
            for index, error in sorted(refused.items())
        ]
        reply(resp, {"stored": len(bodies) - len(refused), "refused": shown})
