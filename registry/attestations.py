"""Attestations: signed statements about published files, checked as far as a trust root allows.

Sigstore's bundles (protobuf-specs 0.5, JSON form) hold a DSSE envelope around an in-toto statement, the certificate of
the signing key and an entry of a transparency log. Nothing is asked over the network. Imported only in the children of
`registry.inspection`: the libraries take 70 MB of memory and most of a second to load.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier

from registry.errors import Invalid, Unavailable

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_V1 = "https://in-toto.io/Statement/v1"

# Extensions of certificates that say where a build came from, each a DER UTF8String (Fulcio, oid-info.md).
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_CLAIMS = {
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.9"): "build_signer_uri",
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.12"): "source_repository_uri",
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.13"): "source_repository_digest",
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.14"): "source_repository_ref",
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.18"): "build_config_uri",
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.21"): "run_invocation_uri",
}
_LONGEST_SHOWN = 200


class Trust(TypedDict):
    """What attestations are verified against, as JSON carries it to a child.

    `root` is the path of a Sigstore `trusted_root.json`; `identities` are expected signers, each `issuer identity`
    with one blank between, where `*` in the identity stands for any text.
    """

    root: str | None
    identities: list[str]


class Subject(TypedDict):
    """What a statement is about: a name, and digests in hexadecimal by algorithm."""

    name: str
    digest: dict[str, str]


class Statement(TypedDict):
    """An in-toto statement about one subject; what else it says is for its readers."""

    type: str
    subject: Subject
    predicate_type: str


class Signer(TypedDict):
    """Who signed, as the certificate says. It is true only when `verified`.

    `verified`: the certificate, the moment of signing and the transparency log were verified against the trust root,
    and the identity is one that is expected.
    """

    verified: bool
    issuer: str
    identity: str
    claims: dict[str, str]


class _Anybody:
    """A policy of sigstore's that leaves it to the caller whom a certificate may name."""

    def verify(self, cert: x509.Certificate) -> None:
        """Accept the names of a certificate whose chain was verified."""


def loads(text: str | bytes, what: str) -> Any:
    """JSON of a stranger, read so that no other reader can understand it differently. Raises Invalid."""
    try:
        orjson.loads(text)  # refuses what the other lets pass: NaN, lone surrogates
        return json.loads(text, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise Invalid(f"{what} is not valid JSON") from None


def statement(bundle: Bundle) -> Statement:
    """What was signed, once the signature is found to be the certificate's. Raises Invalid."""
    envelope = json.loads(bundle.to_json()).get("dsseEnvelope")
    if envelope is None or envelope["payloadType"] != PAYLOAD_TYPE or len(envelope["signatures"]) != 1:
        raise Invalid(f"an attestation holds a DSSE envelope of type {PAYLOAD_TYPE} with one signature")
    payload = base64.b64decode(envelope["payload"])
    _check_signature(bundle.signing_certificate, payload, base64.b64decode(envelope["signatures"][0]["sig"]))
    return _statement(loads(payload, "the statement of the attestation"))


def signer(bundle: Bundle, trust: Trust) -> Signer:
    """Who signed a bundle whose signature is right.

    Without a trust root, or without expected identities, the signer is what the certificate says and not verified.
    Raises Invalid when there is a trust root and the bundle does not hold before it, or when other signers are
    expected; Unavailable when the trust root cannot be used.
    """
    found = _signer(bundle.signing_certificate)
    if trust["root"] is None:
        return found
    verifier = _verifier(trust["root"])
    try:
        verifier.verify_dsse(bundle, _Anybody())
    except MemoryError:
        raise
    except VerificationError as error:
        raise Invalid(f"the attestation does not verify: {_short(error)}") from error
    except Exception as error:  # whatever the verifier makes of a stranger's bytes, it has not verified them
        raise Invalid("the attestation does not verify: it is malformed") from error
    if not trust["identities"]:
        return found
    if not any(_is_expected(found, rule) for rule in trust["identities"]):
        raise Invalid(
            f"the attestation is signed by {_short(found['identity'])!r} of {_short(found['issuer'])!r},"
            " which attestation_identities does not name"
        )
    return {**found, "verified": True}


def check_subject(statement: Statement, algorithm: str, digest: str) -> None:
    """Refuse a statement about another content. Raises Invalid."""
    theirs = statement["subject"]["digest"].get(algorithm)
    if theirs is None or theirs != digest:
        raise Invalid(
            f"the attestation is about a file with the {algorithm} {_short(theirs)}, the file uploaded has {digest}"
        )


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key occurs twice")
    return members


def _check_signature(certificate: x509.Certificate, payload: bytes, signature: bytes) -> None:
    """DSSE 1.0: ECDSA with SHA-256 over the pre-authentication encoding of type and payload."""
    signed = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Invalid("the certificate of the attestation holds no ECDSA key")
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Invalid("the attestation is not signed by its certificate") from None


def _statement(found: Any) -> Statement:
    match found:
        case {
            "_type": str(kind),
            "subject": [{"name": str(name), "digest": dict(digest)}],
            "predicateType": str(predicate_type),
        } if all(isinstance(value, str) for value in digest.values()):
            return {"type": kind, "subject": {"name": name, "digest": digest}, "predicate_type": predicate_type}
        case _:
            raise Invalid("the statement of an attestation is an in-toto statement about one subject")


def _signer(certificate: x509.Certificate) -> Signer:
    try:
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Invalid("the certificate of the attestation cannot be read") from None
    said = {one.oid: one.value.value for one in extensions if isinstance(one.value, x509.UnrecognizedExtension)}
    texts = [one.value for one in names if isinstance(one, x509.UniformResourceIdentifier | x509.RFC822Name)]
    return {
        "verified": False,
        "issuer": _utf8(said.get(_ISSUER)),
        "identity": texts[0] if len(texts) == 1 and "\0" not in texts[0] else "",
        "claims": {name: text for oid, name in _CLAIMS.items() if (text := _utf8(said.get(oid)))},
    }


def _utf8(der: bytes | None) -> str:
    """The text of a DER UTF8String of less than 64 KiB; empty for anything else."""
    if der is None or len(der) < 2 or der[0] != 0x0C:  # the tag of a UTF8String
        return ""
    width = der[1] & 0x7F if der[1] & 0x80 else 0
    length = int.from_bytes(der[2 : 2 + width], "big") if width else der[1]
    content = der[2 + width :]
    if width > 2 or length != len(content):
        return ""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _verifier(path: str) -> Verifier:
    try:
        return Verifier(trusted_root=TrustedRoot.from_file(path))
    except MemoryError:
        raise
    except Exception as error:  # a file of the operator's, not the client's fault whatever is wrong with it
        raise Unavailable("attestations cannot be verified for the moment: the trust root is not usable") from error


def _is_expected(signer: Signer, rule: str) -> bool:
    issuer, _, identity = rule.partition(" ")
    if not issuer or not identity or not signer["issuer"] or not signer["identity"]:
        return False
    return signer["issuer"] == issuer and matches(signer["identity"], identity)


def matches(text: str, pattern: str) -> bool:
    """Whether a text is the pattern, in which `*` stands for any text; nothing is tried twice, as `.*` would be."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def facts(statement: Statement, signer: Signer) -> Mapping[str, Any]:
    """What is kept of an attestation beside its text."""
    return {"predicate_type": statement["predicate_type"], **signer}
