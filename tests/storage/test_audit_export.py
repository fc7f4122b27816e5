"""The encrypted export of the audit trail: only its recipient reads it, and any change shows."""

from __future__ import annotations

import io

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.errors.storage import SealRefused
from godkaiser.storage.audit import chain as audit_chain
from godkaiser.storage.audit import export as audit_export
from godkaiser.storage.audit import sealed_file
from godkaiser.storage.audit import trail as audit
from godkaiser.storage.audit.sealed_file import CHUNK, TAG, passphrase, private_key, public_key

NOW = 1_767_096_000.0
KEY = X25519PrivateKey.generate()


def sealed(parts, recipient=None):
    file = io.BytesIO()
    sealed_file.seal(file, parts, recipient or KEY.public_key())
    return file.getvalue()


def opened(data, opener=KEY):
    return b"".join(sealed_file.unseal(io.BytesIO(data), opener))


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=5), st.sampled_from([0, 1, CHUNK, 2 * CHUNK]))
def test_what_was_sealed_comes_back(parts, more):
    parts = [*parts, b"x" * more]
    assert opened(sealed(parts)) == b"".join(parts)


@settings(max_examples=60)
@given(st.data())
def test_any_flipped_bit_and_any_cut_is_found(data):
    whole = sealed([b"a" * (CHUNK + 500)])
    where = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[where] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealRefused):
        opened(bytes(changed))
    with pytest.raises(SealRefused):
        opened(whole[:where])


def test_chunks_that_change_places_or_are_left_out_are_found():
    whole = sealed([b"a" * CHUNK, b"b" * CHUNK, b"c"])
    head = len(whole) - 2 * (CHUNK + TAG) - (1 + TAG)
    first, second = whole[head : head + CHUNK + TAG], whole[head + CHUNK + TAG : -1 - TAG]
    for wrong in (second + first + whole[-1 - TAG :], second, first + second, first + whole[-17:]):
        with pytest.raises(SealRefused):
            opened(whole[:head] + wrong)


def test_another_key_or_passphrase_reads_nothing(monkeypatch):
    monkeypatch.setattr(sealed_file, "SCRYPT_N", 2**10)
    with pytest.raises(SealRefused, match="another key"):
        opened(sealed([b"secret"]), X25519PrivateKey.generate())
    word = passphrase(b"correct horse battery\nnot this line")
    data = sealed([b"secret"], word)
    assert opened(data, word) == b"secret"
    assert b"secret" not in data
    with pytest.raises(SealRefused, match="another key or passphrase"):
        opened(data, passphrase(b"incorrect horse"))
    with pytest.raises(SealRefused, match="needs a passphrase"):
        opened(data)
    with pytest.raises(SealRefused, match="key of its recipient"):
        opened(sealed([b"x"]), word)
    # Nor may a file make its reader take all memory.
    with pytest.raises(SealRefused, match="header"):
        opened(data.replace(b'"n":1024', b'"n":1073741824'), word)


def test_keys_and_passphrases_that_are_none_are_told():
    other = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    public = other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = other.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for read, wrong in ((public_key, public), (private_key, private)):
        for content in (wrong, b"", b"rubbish"):
            with pytest.raises(SealRefused, match="openssl genpkey"):
                read(content)
    with pytest.raises(SealRefused, match="5 bytes; use 12"):
        passphrase(b"short\n")


@pytest.fixture
def trail(database):
    audit.append_entries(
        database,
        [audit.AuditEntry(at=NOW + n, who="user:admin", what=f"did {n}\n") for n in range(30)],
    )
    return database


def exported(database, *bounds):
    lines = list(audit_export.lines(database, *bounds))
    return lines, audit_export.report(found for _, found in audit_export.examined(lines))


def test_an_export_fits_what_retention_leaves(trail, monkeypatch):
    monkeypatch.setattr(audit_export, "BATCH", 7)
    _, report = exported(trail, None, NOW + 20)
    assert (report.entries, report.first) == (20, audit.GENESIS)
    assert audit_chain.forget_before(trail, NOW + 20, 1000) == 20
    assert audit_chain.examine(trail).problem == ""
    _, rest = exported(trail)
    assert (rest.entries, rest.first) == (10, report.last), "the rest begins where the export ends"
    assert exported(trail, NOW + 1000)[1].entries == 0


def test_an_entry_that_was_changed_before_it_was_exported_is_found(trail):
    trail.execute("UPDATE audit_log SET who = 'user:mallory' WHERE what LIKE 'did 7%%'"
                  if not trail.is_sqlite else
                  "UPDATE audit_log SET who = 'user:mallory' WHERE what LIKE 'did 7%'", ())  # fmt: skip
    with pytest.raises(SealRefused, match="entry 8 does not fit"):
        exported(trail)
    lines, _ = exported(trail, NOW + 8, None)
    with pytest.raises(SealRefused, match="does not fit"):
        list(audit_export.examined(lines[:3] + lines[4:]))
