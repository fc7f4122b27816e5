"""An encrypted file for one recipient, written and read in chunks.

    line    GKSEALED1
    line    JSON: how the key is derived
    chunks  65,536 bytes each, the last one shorter or empty; each followed by a tag of 16 bytes

AES-256-GCM. The nonce is the number of the chunk (11 bytes, big-endian) and a flag for the last
chunk (1 byte); the first two lines are authenticated with each chunk. So a chunk that is changed,
moved, left out or cut off is detected (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
Vizar, 2015). The key comes from scrypt (RFC 7914) with a passphrase, or from HKDF-SHA-256 (RFC
5869) with X25519 (RFC 7748) and a key pair that is made for the file.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from godkaiser.errors.storage import SealRefused

MAGIC = b"GKSEALED1\n"
CHUNK = 65_536
TAG = 16
LONGEST_HEADER = 1024
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**17, 8, 1
"""128 MiB and half a second for each guess: RFC 7914's advice for files, doubled a few times since."""
MOST_SCRYPT_N = 2**20
MIN_PASSPHRASE = 12


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`salt` is scrypt's, `ephemeral` the public half of the file's own key pair; both base64."""

    kind: str
    salt: str = ""
    n: int = 0
    ephemeral: str = ""


class Passphrase(msgspec.Struct, frozen=True):
    text: bytes


Recipient = X25519PublicKey | Passphrase
Opener = X25519PrivateKey | Passphrase


def passphrase(content: bytes) -> Passphrase:
    """The first line of a file. Raises SealRefused if it is too short."""
    text = content.split(b"\n", 1)[0].strip()
    if len(text) < MIN_PASSPHRASE:
        raise SealRefused(
            reason=f"the passphrase has {len(text)} bytes; use {MIN_PASSPHRASE} or more in the first"
            " line of the file"
        )
    return Passphrase(text)


def public_key(pem: bytes) -> X25519PublicKey:
    """Raises SealRefused."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise SealRefused(reason=_NO_KEY.format(half="public", how=" -pubout")) from error
    if not isinstance(key, X25519PublicKey):
        raise SealRefused(reason=_NO_KEY.format(half="public", how=" -pubout"))
    return key


def private_key(pem: bytes) -> X25519PrivateKey:
    """Raises SealRefused."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise SealRefused(reason=_NO_KEY.format(half="private", how="")) from error
    if not isinstance(key, X25519PrivateKey):
        raise SealRefused(reason=_NO_KEY.format(half="private", how=""))
    return key


_NO_KEY = (
    "the file is not an unencrypted {half} X25519 key in PEM. Make a pair with: openssl genpkey -algorithm"
    " X25519 -out audit.key; openssl pkey -in audit.key -pubout -out audit.pub"
)


def seal(file: IO[bytes], parts: Iterable[bytes], recipient: Recipient) -> None:
    """Encrypt all parts into the file, one chunk in memory at a time."""
    header, key = _new_key(recipient)
    head = MAGIC + msgspec.json.encode(header) + b"\n"
    file.write(head)
    cipher = AESGCM(key)
    number = 0
    waiting = bytearray()
    for part in parts:
        waiting += part
        while len(waiting) > CHUNK:
            file.write(cipher.encrypt(_nonce(number, is_last=False), bytes(waiting[:CHUNK]), head))
            del waiting[:CHUNK]
            number += 1
    file.write(cipher.encrypt(_nonce(number, is_last=True), bytes(waiting), head))


def unseal(file: IO[bytes], opener: Opener) -> Iterator[bytes]:
    """Decrypt the file, chunk by chunk. Each chunk is verified; only the end shows that all have
    arrived.

    Raises:
        SealRefused: it is another kind of file, for another recipient, changed, or cut off.
    """
    magic = file.readline(len(MAGIC))
    line = file.readline(LONGEST_HEADER)
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SealRefused(reason="the file is not a sealed file of God-Kaiser") from error
    if magic != MAGIC:
        raise SealRefused(
            reason="the file is not a sealed file of God-Kaiser, or it is from a later version"
        )
    cipher = AESGCM(_key_again(header, opener))
    head = magic + line
    number = 0
    chunk = file.read(CHUNK + TAG)
    while True:
        following = file.read(CHUNK + TAG)
        try:
            yield cipher.decrypt(_nonce(number, is_last=not following), chunk, head)
        except InvalidTag as error:
            reason = (
                "it is for another key or passphrase, or it was changed"
                if number == 0
                else f"it was changed or cut off after {number * CHUNK:,} bytes"
            )
            raise SealRefused(reason=reason) from error
        if not following:
            return
        chunk = following
        number += 1


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _new_key(recipient: Recipient) -> tuple[Header, bytes]:
    if isinstance(recipient, Passphrase):
        salt = os.urandom(16)
        header = Header(kind="passphrase", salt=_text(salt), n=SCRYPT_N)
        return header, _scrypt(recipient, salt, SCRYPT_N)
    own = X25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    key = _agreed(own.exchange(recipient), public, recipient.public_bytes_raw())
    return Header(kind="x25519", ephemeral=_text(public)), key


def _key_again(header: Header, opener: Opener) -> bytes:
    wanted = "passphrase" if isinstance(opener, Passphrase) else "x25519"
    if header.kind != wanted:
        needed = "a passphrase" if header.kind == "passphrase" else "the key of its recipient"
        raise SealRefused(reason=f"it needs {needed}")
    try:
        if isinstance(opener, Passphrase):
            # A file must not make its reader use all memory.
            if not 1 < header.n <= MOST_SCRYPT_N:
                raise SealRefused(reason="the header of the file was changed")
            return _scrypt(opener, base64.b64decode(header.salt), header.n)
        public = base64.b64decode(header.ephemeral)
        shared = opener.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise SealRefused(reason="the header of the file was changed") from error
    return _agreed(shared, public, opener.public_key().public_bytes_raw())


def _scrypt(secret: Passphrase, salt: bytes, n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(secret.text)


def _agreed(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(
        algorithm=hashes.SHA256(), length=32, salt=ephemeral + recipient, info=MAGIC
    ).derive(shared)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
