"""The ways out for notifications: webhooks, MQTT and e-mail. Each bounded in time and in size."""

from __future__ import annotations

import http.client
import json
import smtplib
import ssl
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

from godkaiser.actors.notifier import Deliver, Notify
from godkaiser.config import NotifyConfig
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import NotificationPort

TIMEOUT_S = 5.0


def channels(config: NotifyConfig, port: NotificationPort) -> Mapping[str, Deliver]:
    def email(notification: Notify) -> None:
        _send_email(config, notification)

    def mqtt(notification: Notify) -> None:
        try:
            port.publish(notification.target, _body(notification))
        except NotConnected as error:
            reason = "the broker is away"
            raise OSError(reason) from error

    return {"webhook": _notify, "mqtt": mqtt, "email": email}


def _body(notification: Notify) -> bytes:
    return json.dumps(
        {
            "source": notification.source,
            "subject": notification.subject,
            "text": notification.text,
            "at": notification.at,
        }
    ).encode()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and what it holds would go to who was never named."""

    def redirect_request(self, *_args: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _notify(notification: Notify) -> None:
    post(notification.target, _body(notification), {})


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """JSON to a program elsewhere. Raises OSError when it is not answered with 2xx in time."""
    request = urllib.request.Request(  # noqa: S310 - only http and https are let in
        url,
        data=body,
        headers={"Content-Type": "application/json", "User-Agent": "god-kaiser", **headers},
    )
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1024)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)[:200]) from error


def _send_email(config: NotifyConfig, notification: Notify) -> None:
    if not config.smtp_host:
        reason = "no mail server is configured: set [notify] smtp_host"
        raise OSError(reason)
    message = EmailMessage()
    # A line end in a header would begin another one; the library refuses those.
    message["Subject"] = " ".join(notification.subject.split())[:200]
    message["From"] = config.smtp_from
    message["To"] = notification.target
    message.set_content(notification.text)
    with smtplib.SMTP(config.smtp_host, config.smtp_port, timeout=TIMEOUT_S) as server:
        if config.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        if config.smtp_user:
            password = Path(config.smtp_password_file).read_text(encoding="utf-8").strip()
            server.login(config.smtp_user, password)
        server.send_message(message)
