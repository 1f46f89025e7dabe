"""Publications: what an upload form declares about its file, parsed once and checked against the bytes received."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.errors import DigestMismatch, Gone, Invalid
from registry.formats.pypi import names
from registry.model import Digests

# GitLab keeps these descriptive fields, cut to so many characters (`[contract 3.1]`).
_KEPT = {
    "metadata_version": 16,
    "author_email": 2048,
    "description": 4000,
    "description_content_type": 128,
    "summary": 255,
    "keywords": 1024,
}
LONGEST_REQUIRES_PYTHON = 255

_DIGESTS = {"sha256_digest": 64, "md5_digest": 32, "blake2_256_digest": 64}
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]*")

# PostgreSQL stores neither; a surrogate that stands alone cannot be sent as UTF-8 either.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


# What distutils also could: register a project, host its documentation. The public index answers 410 as well.
_GONE_ACTIONS = {
    "submit": "projects need no registration, upload a file",
    "submit_pkg_info": "projects need no registration, upload a file",
    "doc_upload": "documentation is not hosted here",
}


class BadParameters(Invalid):
    """A field of the form is missing or malformed

    GitLab answers these as `{"error": text}`, other refusals as `{"message": text}`.
    """


@dataclass(frozen=True, slots=True)
class DeclaredDigests:
    """What the client says the content hashes to: lower-case hexadecimal, None where it says nothing."""

    sha256: str | None = None
    md5: str | None = None
    blake2b_256: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """One file of a project's version as the upload form declares it.

    `name` and `version` are exactly as sent; `requires_python` is `""` when unset and at most 255 characters long.
    `metadata` holds the descriptive fields GitLab keeps, those given and not empty, cut to GitLab's lengths.
    `filetype`, `pyversion` and `protocol_version` are as sent, `""` when unset. `attestations` is the undecoded JSON of
    PEP 740's field, None when unset.
    """

    name: str
    normalized_name: str
    version: str
    file_name: str
    requires_python: str
    declared: DeclaredDigests
    metadata: Mapping[str, str]
    filetype: str = ""
    pyversion: str = ""
    protocol_version: str = ""
    attestations: str | None = None


def check_action(action: str | None) -> None:
    """Refuse what `:action` asks for when it is no upload but something else of old; unknown ones count as uploads.

    Raises Gone.
    """
    if action in _GONE_ACTIONS:
        raise Gone(f"{action} is gone: {_GONE_ACTIONS[action]}")


def parse(fields: Mapping[str, Sequence[str]], file_name: str | None) -> Publication:
    """Read an upload form: its text fields with all their values, and the file name of its `content` part.

    `file_name` is None when there was no such part. The order of fields does not matter; unknown ones are ignored.
    Raises BadParameters when something is missing, malformed or contradictory, Invalid when a name, version or file
    name is not acceptable.
    """
    form = _Form(fields)
    _check_parameters(form, file_name)
    name, version = form.identity("name"), form.identity("version")
    names.check_name(name)
    names.check_version(version)
    names.check_file_name(file_name or "")
    return Publication(
        name=name,
        normalized_name=names.normalize(name),
        version=version,
        file_name=file_name or "",
        requires_python=truncated(form.identity("requires_python"), LONGEST_REQUIRES_PYTHON),
        declared=DeclaredDigests(
            sha256=form.digest("sha256_digest"),
            md5=form.digest("md5_digest"),
            blake2b_256=form.digest("blake2_256_digest"),
        ),
        metadata={field: truncated(value, limit) for field, limit in _KEPT.items() if (value := form.text(field))},
        filetype=form.text("filetype"),
        pyversion=form.text("pyversion"),
        protocol_version=form.text("protocol_version"),
        attestations=form.identity("attestations") or None,
    )


def check_digests(publication: Publication, digests: Digests) -> None:
    """Compare what was declared with what was computed over the received bytes.

    Raises DigestMismatch, naming both; ValueError when a declared digest was not computed, so that it cannot go
    unchecked.
    """
    for algorithm in ("sha256", "blake2b_256", "md5"):
        declared: str | None = getattr(publication.declared, algorithm)
        computed: str | None = getattr(digests, algorithm)
        if declared is None:
            continue
        if computed is None:
            raise ValueError(f"{algorithm} is declared and must be computed")
        if declared != computed.lower():
            raise DigestMismatch(
                f"The {algorithm} of {publication.file_name} is {computed}, but the form declares {declared}"
            )


def truncated(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; what was cut ends in `...`, which counts (`[contract 3.1]`)."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class _Form:
    """The text fields of an upload. A value of `UNKNOWN`, distutils' word for nothing, counts as not given."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def values(self, field: str) -> list[str]:
        values = [value for value in self._fields.get(field, ()) if value.strip() != "UNKNOWN"]
        if any(_UNSTORABLE.search(value) for value in values):
            raise BadParameters(f"{field} is invalid")
        return values

    def text(self, field: str) -> str:
        """A descriptive field: its first value, `""` when there is none."""
        return next(iter(self.values(field)), "")

    def identity(self, field: str) -> str:
        """A field that decides what is published: as `text`, but its values must not contradict each other."""
        values = self.values(field)
        if len(set(values)) > 1:
            raise BadParameters(f"{field} is given more than once")
        return values[0] if values else ""

    def digest(self, field: str) -> str | None:
        """A digest in lower case. pdm sends the fields it knows even when they are empty."""
        return self.identity(field).lower() or None


def _check_parameters(form: _Form, file_name: str | None) -> None:
    """What GitLab checks before anything else, all of it reported at once."""
    faults = [] if file_name is not None else ["content is missing"]
    faults += [f"{field} is missing" for field in ("name", "version") if not form.values(field)]
    for field, length in _DIGESTS.items():
        digest = form.digest(field) or ""
        if digest and (len(digest) != length or not _HEXADECIMAL.fullmatch(digest)):
            faults.append(f"{field} is invalid")
    if faults:
        raise BadParameters(", ".join(faults))
