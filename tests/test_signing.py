"""Signing: keys are read strictly, signatures verify, and a key that expired signs nothing."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from registry import signing
from registry.db.signing import PublicKey, list_keys
from registry.errors import NotFound, Unavailable
from registry.services import Services
from registry.signing import BadKey
from tests.api.asking import events
from tests.people import OPERATOR

PEM = signing.generate()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, *, password: bytes | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


@given(st.text())
def test_a_signature_verifies_with_the_public_half(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    key = signing.load(PEM)
    made = key.sign(text)

    public = serialization.load_der_public_key(key.public_key)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(base64.b64decode(made.value, validate=True), text.encode(), ec.ECDSA(hashes.SHA256()))
    assert key.id == made.key_id


def test_a_key_is_named_by_the_digest_of_its_public_half() -> None:
    key = signing.load(PEM)
    digest = base64.b64decode(key.id.removeprefix("SHA256:") + "=")
    assert hashlib.sha256(key.public_key).digest() == digest
    assert PEM.splitlines()[1] not in repr(key)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not an unencrypted private key in PEM form"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "is not an unencrypted private key in PEM form",
        ),
        (
            pem(ec.generate_private_key(ec.SECP256R1()), password=b"secret"),
            "is not an unencrypted private key in PEM form",
        ),
        (pem(ec.generate_private_key(ec.SECP384R1())), "is not a key on the curve P-256"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "is not a key on the curve P-256"),
    ],
    ids=["nothing", "broken", "encrypted", "another curve", "another algorithm"],
)
def test_another_key_is_refused_with_what_is_wanted(text: str, problem: str) -> None:
    with pytest.raises(BadKey) as caught:
        signing.load(text)
    assert problem == str(caught.value)


def test_only_a_known_key_that_has_not_expired_is_usable() -> None:
    key = signing.load(PEM)

    def known(expires_at: datetime | None) -> list[PublicKey]:
        return [PublicKey(key.id, key.public_key, expires_at)]

    assert signing.is_usable(key, known(None), NOW)
    assert signing.is_usable(key, known(NOW + timedelta(seconds=1)), NOW)
    assert not signing.is_usable(key, [], NOW)
    with pytest.raises(Unavailable, match="has expired"):
        signing.is_usable(key, known(NOW), NOW)


async def test_a_key_is_registered_once_and_expires_once_told(services: Services) -> None:
    key, db = signing.load(PEM), services.db
    for _ in range(2):
        await signing.register(db, OPERATOR, key)
    assert (PublicKey(key.id, key.public_key, None),) == await list_keys(db)

    await signing.expire(db, OPERATOR, key.id, NOW)

    assert (PublicKey(key.id, key.public_key, NOW),) == await list_keys(db)
    with pytest.raises(Unavailable):
        await signing.register(db, OPERATOR, key)
    with pytest.raises(NotFound):
        await signing.expire(db, OPERATOR, "SHA256:unknown", NOW)
    assert ["signing_key_registered", "signing_key_expired"] == await events(services)


async def test_the_database_holds_no_private_key(services: Services) -> None:
    await signing.register(services.db, OPERATOR, signing.load(PEM))

    for table in ("signing_keys", "audit_events", "application_settings", "changes"):
        rows = [str(dict(row)) for row in await services.db.fetch(f"SELECT * FROM {table}")]
        assert not any("PRIVATE" in row or PEM.splitlines()[1] in row for row in rows)
