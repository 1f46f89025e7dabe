"""Attestations of uploads (PEP 740): what the form's `attestations` say of the file, and the provenance made of them.

Runs in an inspection child, like everything that imports `registry.attestations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, TypedDict

import orjson
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from pydantic import ValidationError
from pypi_attestations import Attestation, AttestationError, AttestationType
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle

from registry import attestations
from registry.attestations import STATEMENT_V1, Signer, Statement, Trust
from registry.errors import Invalid

_PREDICATES = frozenset(one.value for one in AttestationType)
# The issuers whose builds PEP 740's readers know by the name of a publisher (pypi-attestations 0.0.30).
_GITHUB = ("https://token.actions.githubusercontent.com", "https://github.com/")
_GITLAB = ("https://gitlab.com", "https://gitlab.com/")
_GOOGLE = "https://accounts.google.com"


class Attested(TypedDict):
    """The provenance object of a file as JSON text, and what is kept of each attestation in it."""

    provenance: str
    attestations: list[Mapping[str, Any]]


def inspect(file: BinaryIO, *, text: str, file_name: str, sha256: str, trust: Trust) -> Attested:
    """Check the attestations of a file that was uploaded under a name and has this digest. Raises Invalid.

    The file itself is not read: its digest was computed while it arrived.
    """
    found = attestations.loads(text, "attestations")
    if not isinstance(found, list) or not found:
        raise Invalid("attestations must be a JSON array of at least one attestation")
    if len(found) > len(_PREDICATES):
        raise Invalid("attestations may hold one attestation of each predicate type")
    bundles: dict[bytes, dict[str, Any]] = {}
    kept: list[Mapping[str, Any]] = []
    for one in found:
        bundle = _bundle(one)
        statement = attestations.statement(bundle)
        _check(statement, file_name, sha256)
        signer = attestations.signer(bundle, trust)
        by = publisher(signer, proven=trust["root"] is not None)
        # Made anew from what was checked: further log entries and members were not.
        checked = Attestation.from_bundle(bundle).model_dump(mode="json")
        bundles.setdefault(orjson.dumps(by), {"publisher": by, "attestations": []})["attestations"].append(checked)
        kept.append(attestations.facts(statement, signer))
    if len({one["predicate_type"] for one in kept}) != len(kept):
        raise Invalid("attestations may hold one attestation of each predicate type")
    provenance = {"version": 1, "attestation_bundles": list(bundles.values())}
    return {"provenance": orjson.dumps(provenance).decode(), "attestations": kept}


def publisher(signer: Signer, *, proven: bool) -> dict[str, object]:
    """Who PEP 740's provenance object names as the publisher, once the certificate was `proven` by a trust root.

    The kinds `GitHub`, `GitLab` and `Google` are those of the public index, and of its readers; a signer of another
    issuer is of the kind `Sigstore`, and one of whom nothing is proven is `unverified`, without any claim. Whether the
    signer is an expected one is another matter: that is what `verified` says.
    """
    if not proven:
        return {"kind": "unverified"}
    issuer, claims = signer["issuer"], signer["claims"]
    if issuer == _GITHUB[0] and (named := _named(_GITHUB[1], claims, "/.github/workflows/")):
        return {"kind": "GitHub", "repository": named[0], "workflow": named[1], "environment": None}
    if issuer == _GITLAB[0] and (named := _named(_GITLAB[1], claims, "//")):
        return {"kind": "GitLab", "repository": named[0], "workflow_filepath": named[1], "environment": None}
    if issuer == _GOOGLE:
        return {"kind": "Google", "email": signer["identity"]}
    return {"kind": "Sigstore", "claims": {"issuer": issuer, "identity": signer["identity"]}}


def _named(host: str, claims: Mapping[str, str], separator: str) -> tuple[str, str] | None:
    """Repository and workflow of a build at a forge: its configuration lies in the repository it was built from."""
    uri = claims.get("source_repository_uri", "")
    start, found, reference = claims.get("build_config_uri", "").rpartition("@")
    if not (uri.startswith(host) and found and reference and start.startswith(uri + separator)):
        return None
    return uri.removeprefix(host), start.removeprefix(uri + separator)


def _bundle(found: object) -> Bundle:
    try:
        return Attestation.model_validate(found).to_bundle()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"an attestation is malformed: {place} {first['msg']}") from error
    except (AttestationError, SigstoreError, ValueError, TypeError) as error:
        raise Invalid(f"an attestation is malformed: {str(error)[:200]}") from error


def _check(statement: Statement, file_name: str, sha256: str) -> None:
    if statement["type"] != STATEMENT_V1:
        raise Invalid(f"the statement of an attestation must be of type {STATEMENT_V1}")
    if statement["predicate_type"] not in _PREDICATES:
        raise Invalid(f"the predicate of an attestation must be one of {', '.join(sorted(_PREDICATES))}")
    if not _same_file(statement["subject"]["name"], file_name):
        raise Invalid(f"the attestation is about {statement['subject']['name'][:200]!r}, not {file_name!r}")
    attestations.check_subject(statement, "sha256", sha256)


def _same_file(one: str, other: str) -> bool:
    """Whether two file names name the same distribution, however name and version are spelled in them."""
    try:
        return _parsed(one) == _parsed(other)
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return False


def _parsed(file_name: str) -> object:
    return parse_wheel_filename(file_name) if file_name.endswith(".whl") else parse_sdist_filename(file_name)
