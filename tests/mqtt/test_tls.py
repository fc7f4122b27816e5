"""The link over TLS, with and without client certificates, under load in both directions.

The kind of fault: one SSL object is read by the network thread and written by those that publish.
Under Python 3.11 and 3.12 nothing keeps them apart, and the link drops within seconds.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection, NotConnected
from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.one_shot import NotTaken, publish_once
from tests.mqtt.test_client import Fates

PUBLISHERS, EACH, BYTES = 4, 600, 15_000


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._sign(self._name, self._key, x509.BasicConstraints(True, None))
        self.file = self._write("ca.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name):
        """The files of a certificate for `name` on 127.0.0.1, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._sign(subject, key, addresses)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return (
            self._write(f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{name}.key", secret),
        )

    def _sign(self, subject, key, extension):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name, content):
        file = self._folder / name
        file.write_bytes(content)
        return str(file)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture(params=["without client certificates", "with client certificates"])
def address(request, authority, mosquitto_factory):
    with_clients = request.param == "with client certificates"
    certificate, key = authority.issue("broker")
    broker = mosquitto_factory(
        accounts=(
            "allow_anonymous true",
            f"cafile {authority.file}",
            f"certfile {certificate}",
            f"keyfile {key}",
            f"require_certificate {str(with_clients).lower()}",
        )
    )
    own = authority.issue("gateway") if with_clients else ("", "")
    return BrokerAddress(
        host=broker.host, port=broker.port, tls=True, ca_cert=authority.file,
        client_cert=own[0], client_key=own[1],
    )  # fmt: skip


def test_many_threads_publish_while_as_much_is_received(address):
    fates = Fates()
    lost = []
    received = []
    came_back = threading.Event()
    total = PUBLISHERS * EACH

    def on_message(message):
        received.append(bytes(message.payload))
        connection.acknowledge([message.mid])
        if len(received) >= total:
            came_back.set()

    connection = Connection(
        address,
        "both-ways",
        1,
        on_message=on_message,
        on_lost=lambda *details: lost.append(details),
    )
    connection.open()
    connection.subscribe(["load/#"])

    def publish(number):
        for count in range(EACH):
            name = f"{number} {count}"
            payload = name.encode().ljust(BYTES)
            connection.publish(f"load/{number}", payload, qos=1 + count % 2, on_fate=fates.of(name))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(PUBLISHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came_back.wait(60), f"{len(received)} of {total} came back; lost: {lost}"
    assert set(fates.until(total).values()) == {Fate.DELIVERED}
    assert not lost
    assert len(set(received)) == total
    connection.close()


def test_a_broker_of_another_authority_is_refused(address, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    stranger = BrokerAddress(
        host=address.host, port=address.port, tls=True, ca_cert=Authority(folder).file
    )
    connection = Connection(stranger, "stranger", 1, on_lost=lambda *_details: None)
    with pytest.raises(NotConnected, match=r"certificate is not trusted.*ca_cert"):
        connection.open()


# ---- a broker that ends the connection does not say why in MQTT: the likely cause is told


@pytest.fixture
def strict(authority, mosquitto_factory):
    """TLS, with client certificates."""
    certificate, key = authority.issue("broker")
    return mosquitto_factory(
        accounts=(
            "allow_anonymous true",
            f"cafile {authority.file}",
            f"certfile {certificate}",
            f"keyfile {key}",
            "require_certificate true",
        )
    )


def refusals(address):
    """What the gateway's link and `estop` say of a broker that does not let them in."""
    connection = Connection(address, "refused", 1, on_lost=lambda *_details: None)
    with pytest.raises(NotConnected) as link:
        connection.open()
    with pytest.raises(NotTaken) as once:
        publish_once(address, "refused-once", "a/topic", b"x", 5.0)
    return str(link.value), str(once.value)


def test_a_missing_client_certificate_is_named(strict, authority):
    given = BrokerAddress(host=strict.host, port=strict.port, tls=True, ca_cert=authority.file)
    for text in refusals(given):
        assert "wants a client certificate: set [mqtt] client_cert" in text


def test_a_client_certificate_of_another_authority_is_named(strict, authority, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    certificate, key = Authority(folder).issue("gateway")
    given = BrokerAddress(
        host=strict.host, port=strict.port, tls=True, ca_cert=authority.file,
        client_cert=certificate, client_key=key,
    )  # fmt: skip
    for text in refusals(given):
        assert "refuses our client certificate" in text


def test_a_port_for_tls_spoken_to_without_is_named(strict):
    for text in refusals(BrokerAddress(host=strict.host, port=strict.port)):
        assert f"most likely port {strict.port} is for TLS" in text


def test_a_port_without_tls_spoken_to_with_it_is_named(own_mosquitto, authority):
    given = BrokerAddress(
        host=own_mosquitto.host, port=own_mosquitto.port, tls=True, ca_cert=authority.file
    )
    for text in refusals(given):
        assert f"does not speak TLS on port {own_mosquitto.port}" in text


def test_something_that_takes_the_connection_and_says_nothing_is_told_apart(monkeypatch):
    monkeypatch.setattr("godkaiser.mqtt.connection.CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given = BrokerAddress(host="127.0.0.1", port=silent.getsockname()[1])
        connection = Connection(given, "patient", 1, on_lost=lambda *_details: None)
        with pytest.raises(NotConnected, match="does not speak MQTT"):
            connection.open()
        with pytest.raises(NotTaken, match="does not speak MQTT"):
            publish_once(given, "patient-once", "a/topic", b"x", 0.2)
