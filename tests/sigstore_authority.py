"""A Sigstore of our own: a certificate authority, a certificate log and a transparency log, all in one process.

What it signs is what Fulcio and Rekor would have, so that real verifiers take it for good once they are given
`trusted_root`. Nothing listens anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
PUBLISH = "https://docs.pypi.org/attestations/publish/v1"
SLSA = "https://slsa.dev/provenance/v1"
IN_TOTO = "application/vnd.in-toto+json"

_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_FULCIO = "1.3.6.1.4.1.57264.1"
_SHA256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True)
class Identity:
    """Who asks for a certificate: issuer, what the issuer calls them, and Fulcio's further extensions by number."""

    issuer: str = GITHUB
    name: str = "https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/v1"
    claims: dict[int, str] = field(
        default_factory=lambda: {
            12: "https://github.com/acme/tool",
            13: "c0ffee",
            14: "refs/tags/v1",
            18: "https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/v1",
        }
    )


class Authority:
    """Keys of an authority, and everything it signs."""

    def __init__(self) -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._log_key = ec.generate_private_key(ec.SECP256R1())
        self._certificate_log_key = ec.generate_private_key(ec.SECP256R1())
        self.now = datetime.now(UTC).replace(microsecond=0)
        self._root = self._make_root()

    def trusted_root(self) -> str:
        """The text of a `trusted_root.json`."""
        valid = {"start": (self.now - timedelta(days=1)).isoformat().replace("+00:00", "Z")}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {"rawBytes": _base64(_spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}
            return {
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": _base64(_key_id(key))},
            }

        authority = {
            "subject": {"organization": "test", "commonName": "test"},
            "uri": "https://authority.invalid",
            "certChain": {"certificates": [{"rawBytes": _base64(_der(self._root))}]},
            "validFor": valid,
        }
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self._log_key)],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self._certificate_log_key)],
            "timestampAuthorities": [],
        }
        return json.dumps(root)

    def bundle(self, payload: bytes, identity: Identity | None = None) -> dict[str, Any]:
        """A Sigstore bundle, version 0.3, with a signature of one who showed this identity."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(key, identity or Identity())
        signature = key.sign(b"DSSEv1 %d %b %d %b" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload), _SHA256)
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _base64(_der(certificate))},
                "tlogEntries": [self._entry(certificate, payload, signature)],
            },
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": _base64(signature)}],
            },
        }

    def attestation(
        self, file_name: str, content: bytes, *, predicate: str = PUBLISH, identity: Identity | None = None
    ) -> dict[str, Any]:
        """PEP 740's form of a bundle about a file."""
        digest = {"sha256": hashlib.sha256(content).hexdigest()}
        return as_attestation(self.bundle(statement(file_name, digest, predicate), identity))

    def _make_root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of tests")])
        public = self._root_key.public_key()
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._root_key, hashes.SHA256())
        )

    def _certificate(self, key: ec.EllipticCurvePrivateKey, identity: Identity) -> x509.Certificate:
        """A certificate good for ten minutes, with the promise of the certificate log inside (RFC 6962, 3.3)."""
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        name: x509.GeneralName = x509.UniformResourceIdentifier(identity.name)
        if "://" not in identity.name:
            name = x509.RFC822Name(identity.name)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(minutes=1))
            .not_valid_after(self.now + timedelta(minutes=9))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(authority, critical=False)
        )
        for number, text in {8: identity.issuer, **identity.claims}.items():
            oid = x509.ObjectIdentifier(f"{_FULCIO}.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, _utf8(text)), critical=False)
        promised = builder.sign(self._root_key, hashes.SHA256()).tbs_certificate_bytes
        scts = x509.UnrecognizedExtension(_SCTS, self._certificate_promise(promised))
        return builder.add_extension(scts, critical=False).sign(self._root_key, hashes.SHA256())

    def _certificate_promise(self, tbs: bytes) -> bytes:
        milliseconds = int(self.now.timestamp()) * 1000
        entry = _key_id(self._root_key) + len(tbs).to_bytes(3, "big") + tbs
        signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + b"\0\0"
        signature = self._certificate_log_key.sign(signed, _SHA256)
        sct = struct.pack("!B32sQH", 0, _key_id(self._certificate_log_key), milliseconds, 0)
        sct += struct.pack("!BBH", 4, 3, len(signature)) + signature
        whole = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
        return bytes((0x04,)) + _length(len(whole)) + whole

    def _entry(self, certificate: x509.Certificate, payload: bytes, signature: bytes) -> dict[str, Any]:
        """The only entry of a transparency log: the root of its tree is its own leaf."""
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        body = rfc8785.dumps(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(b"not compared").hexdigest()},
                    "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                    "signatures": [{"signature": _base64(signature), "verifier": _base64(pem)}],
                },
            }
        )
        root, at, key_id = hashlib.sha256(b"\0" + body).digest(), int(self.now.timestamp()), _key_id(self._log_key)
        note = f"log.invalid - 1\n1\n{_base64(root)}\n"
        signed = key_id[:4] + self._log_key.sign(note.encode(), _SHA256)
        promise = rfc8785.dumps({"body": _base64(body), "integratedTime": at, "logID": key_id.hex(), "logIndex": 0})
        return {
            "logIndex": "0",
            "logId": {"keyId": _base64(key_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": _base64(self._log_key.sign(promise, _SHA256))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _base64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.invalid {_base64(signed)}\n"},
            },
            "canonicalizedBody": _base64(body),
        }


def statement(name: str, digest: dict[str, str], predicate: str, **more: Any) -> bytes:
    """An in-toto statement about one subject."""
    said = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": digest}],
        "predicateType": predicate,
        "predicate": {},
        **more,
    }
    return json.dumps(said).encode()


def as_attestation(bundle: dict[str, Any]) -> dict[str, Any]:
    """PEP 740's form of a bundle."""
    material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
    return {
        "version": 1,
        "verification_material": {
            "certificate": material["certificate"]["rawBytes"],
            "transparency_entries": material["tlogEntries"],
        },
        "envelope": {"statement": envelope["payload"], "signature": envelope["signatures"][0]["sig"]},
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _utf8(text: str) -> bytes:
    return b"\x0c" + _length(len(text.encode())) + text.encode()


def _length(length: int) -> bytes:
    """A DER length."""
    if length < 0x80:
        return bytes((length,))
    content = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(content),)) + content
