"""Errors about webhooks, jobs, actors and dead letters."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError


class UnknownWebhook(GatewayError):
    code, status = "WEBHOOK_NOT_FOUND", 404
    template = "There is no webhook {webhook_id}. GET /api/v1/webhooks lists them."


class UnknownActor(GatewayError):
    code, status = "ACTOR_NOT_FOUND", 404
    template = "There is no actor at {path}. GET /api/v1/system/tree lists them."


class UnknownJob(GatewayError):
    code, status = "JOB_NOT_FOUND", 404
    template = "There is no job {job}. GET /api/v1/system/jobs lists them."


class UnknownDeadLetter(GatewayError):
    code, status = "DEAD_LETTER_NOT_FOUND", 404
    template = "There is no dead letter {letter_id}; the oldest ones are dropped. GET /api/v1/system/dead-letters lists the others."


class TooManyWebhooks(GatewayError):
    code, status = "TOO_MANY_WEBHOOKS", 409
    template = "There are already {most} webhooks, the maximum. Delete one first."


class LiveIsOff(GatewayError):
    code, status = "LIVE_OFF", 409
    template = "Webhooks need the live socket, which is off: set [live] listen to an address."
