"""Errors about rules."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError


class InvalidRule(GatewayError):
    code, status = "INVALID_RULE", 400
    template = "{path}: {reason}"


class UnknownRule(GatewayError):
    code, status = "RULE_NOT_FOUND", 404
    template = "There is no rule {rule_id}. GET /api/v1/logic/rules lists them."
