"""Provenance of npm packages: the Sigstore bundle that `npm publish` attaches, about the tarball published with it.

Runs in an inspection child, like everything that imports `registry.attestations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, TypedDict

from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle

from registry import attestations
from registry.attestations import STATEMENT_V1, Trust
from registry.errors import Invalid

# What npm 11 makes in GitHub Actions and in GitLab CI (libnpmpublish, provenance.js).
_PREDICATES = frozenset({"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"})
_STATEMENTS = frozenset({STATEMENT_V1, "https://in-toto.io/Statement/v0.1"})


class Provenance(TypedDict):
    """A bundle as JSON text, made anew from what was checked, and what is kept of it beside."""

    text: str
    attestation: Mapping[str, Any]


def inspect(file: BinaryIO, *, text: str, purl: str, sha512: str, trust: Trust) -> Provenance:
    """Check a bundle against the package URL and the digest (hexadecimal) of the tarball.

    The file itself is not read: its digest was computed while it arrived. Raises Invalid.
    """
    attestations.loads(text, "the Sigstore bundle")
    try:
        bundle = Bundle.from_json(text)
    except (SigstoreError, ValueError, TypeError) as error:
        raise Invalid(f"the Sigstore bundle is malformed: {' '.join(str(error).split())[:200]}") from error
    statement = attestations.statement(bundle)
    if statement["type"] not in _STATEMENTS or statement["predicate_type"] not in _PREDICATES:
        raise Invalid(f"the statement of the provenance must have a predicate of {', '.join(sorted(_PREDICATES))}")
    if statement["subject"]["name"] != purl:
        raise Invalid(f"the provenance is about {statement['subject']['name'][:200]!r}, not {purl!r}")
    attestations.check_subject(statement, "sha512", sha512)
    kept = attestations.facts(statement, attestations.signer(bundle, trust))
    return {"text": bundle.to_json(), "attestation": kept}
