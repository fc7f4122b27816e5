"""The channels for notifications: webhooks, MQTT and e-mail. Each is bounded in time and in size."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import uuid
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from godkaiser.actors.services.outbound import DELIVERY_S, Deadline, Outbound, connected
from godkaiser.actors.services.recipient import Deliver, Notify, UndeliverableError
from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import NotifyConfig
from godkaiser.domain.email_addresses import is_email_address
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.one_shot import NotTaken, publish_once

NOTIFY_PREFIX = "godkaiser/notify/"
"""No device subscribes below this topic."""


def channels(
    config: NotifyConfig,
    broker: Callable[[], BrokerAddress],
    kaiser_id: str,
    outbound: Outbound,
) -> Mapping[str, Deliver]:
    """The delivery functions by channel. `broker` is called for each message, because its password
    may have been replaced.
    """

    def email(notification: Notify) -> None:
        _send_email(config, notification)

    def mqtt(notification: Notify) -> None:
        # A connection of its own: only MQTT 5 reports that the broker refuses the topic, and the
        # connections of control use MQTT 3.1.1.
        client_id = f"godkaiser-{kaiser_id}-notify-{uuid.uuid4().hex[:8]}"
        topic = NOTIFY_PREFIX + notification.target
        try:
            publish_once(broker(), client_id, topic, _body(notification), DELIVERY_S)
        except NotTaken as error:
            raise OSError(str(error)) from error

    def webhook(notification: Notify) -> None:
        outbound.post(notification.target, _body(notification), {})

    return {"webhook": webhook, "mqtt": mqtt, "email": email}


def _body(notification: Notify) -> bytes:
    return json.dumps(
        {
            "source": notification.source,
            "subject": notification.subject,
            "text": notification.text,
            "at": notification.at,
        }
    ).encode()


def _send_email(config: NotifyConfig, notification: Notify) -> None:
    # Rules are checked when they are saved, but an older stored rule may still have such an
    # address.
    if not is_email_address(notification.target):
        raise UndeliverableError("this is not an e-mail address")
    if not config.smtp_host:
        reason = "no mail server is configured: set [notify] smtp_host"
        raise OSError(reason)
    message = EmailMessage()
    # A line end in a header would begin another header, so the library refuses it.
    message["Subject"] = " ".join(notification.subject.split())[:200]
    message["From"] = config.smtp_from
    message["To"] = notification.target
    message.set_content(notification.text)
    deadline = Deadline(DELIVERY_S)
    # The administrator has configured the server, so it may have an internal address.
    link = connected(config.smtp_host, config.smtp_port, deadline)
    try:
        with deadline.cuts(link), _Smtp(link, config.smtp_host, config.smtp_port) as server:
            if config.smtp_starttls:
                server.starttls(context=ssl.create_default_context())
            if config.smtp_user:
                password = first_line(Path(config.smtp_password_file))
                server.login(config.smtp_user, password)
            server.send_message(message)
    finally:
        link.close()


class _Smtp(smtplib.SMTP):
    """SMTP over an existing connection."""

    def __init__(self, link: socket.socket, host: str, port: int) -> None:
        self._link = link
        super().__init__(host, port)

    def _get_socket(self, *_address: Any) -> socket.socket:
        return self._link
