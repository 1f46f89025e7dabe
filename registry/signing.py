"""Signing: the key that vouches for what is published, and the only module that changes which public keys are known.

ECDSA over P-256 with SHA-256, as npm's registry signatures are made (docs: about registry signatures). The private key
comes with the settings and is never stored in the database; the public halves of all keys that ever signed here are.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.db import changes, signing
from registry.db.changes import Change
from registry.db.connection import Database
from registry.db.instance import Author, audit
from registry.db.signing import PublicKey
from registry.errors import NotFound, Unavailable

_ALGORITHM = ec.ECDSA(hashes.SHA256())


class BadKey(ValueError):
    """The text is not the key that is wanted; says what is, and nothing of the key."""


@dataclass(frozen=True, slots=True)
class Signature:
    """`value` is a DER signature in base64, `key_id` names the key that verifies it."""

    key_id: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key, under the name of its public half: `SHA256:` and the digest of that in base64, unpadded."""

    id: str
    public_key: bytes
    private: ec.EllipticCurvePrivateKey

    def sign(self, text: str) -> Signature:
        """Sign a text, which takes some tens of microseconds."""
        return Signature(self.id, base64.b64encode(self.private.sign(text.encode(), _ALGORITHM)).decode())


@functools.lru_cache(maxsize=8)
def load(pem: str) -> SigningKey:
    """Read a private key: PEM, PKCS #8 or SEC 1, not encrypted. Raises BadKey."""
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("is not an unencrypted private key in PEM form") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise BadKey("is not a key on the curve P-256")
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
    return SigningKey(f"SHA256:{digest}", public, private)


def facts(signature: Signature) -> dict[str, object]:
    """A signature as it is kept among the facts of a file, in the form that npm documents show."""
    return {"signatures": [{"keyid": signature.key_id, "sig": signature.value}]}


def generate() -> str:
    """A fresh private key: PEM, PKCS #8."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )  # fmt: skip


def is_usable(key: SigningKey, known: Iterable[PublicKey], now: datetime) -> bool:
    """Whether who verifies will find the key. Raises Unavailable when it has expired."""
    found = next((one for one in known if one.id == key.id), None)
    if found is not None and found.expires_at is not None and found.expires_at <= now:
        raise Unavailable(f"the signing key {key.id} has expired: this server needs a new one")
    return found is not None


async def register(db: Database, author: Author, key: SigningKey) -> None:
    """Make the public half known, if it is not. Raises Unavailable when the key has expired."""
    if is_usable(key, await signing.list_keys(db), datetime.now(UTC)):
        return
    async with db.transaction() as tx:
        if await signing.insert_key(tx, key.id, key.public_key):
            await audit(tx, author, "signing_key_registered", ("Instance", None, ""), key_id=key.id)
            await changes.record(tx, [Change("settings", "signing_keys")])


async def expire(db: Database, author: Author, key_id: str, expires_at: datetime) -> None:
    """Let a key expire: it verifies what was published before, and signs nothing from then on. Raises NotFound."""
    async with db.transaction() as tx:
        if not await signing.expire_key(tx, key_id, expires_at):
            raise NotFound("404 Signing Key Not Found")
        await audit(
            tx,
            author,
            "signing_key_expired",
            ("Instance", None, ""),
            key_id=key_id,
            expires_at=expires_at.astimezone(UTC).isoformat(),
        )
        await changes.record(tx, [Change("settings", "signing_keys")])
