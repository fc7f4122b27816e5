"""Errors about the broker and its accounts."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError, ServiceUnavailable


class UnknownBrokerAccount(GatewayError):
    code, status = "BROKER_ACCOUNT_UNKNOWN", 404
    template = "{device_id} has no account on the broker. Create one with POST on the same path."


class NoBrokerAccounts(GatewayError):
    code, status = "BROKER_ACCOUNTS_OFF", 409
    template = "This gateway does not manage accounts on the broker. Set [broker_accounts] folder in its configuration."


class AccountFilesUnusable(ServiceUnavailable):
    code = "BROKER_ACCOUNTS_NOT_WRITTEN"
    template = "{reason}"


class BrokerUnavailable(ServiceUnavailable):
    code = "BROKER_UNAVAILABLE"
    template = "The MQTT broker at {address} is not connected: {reason}."
