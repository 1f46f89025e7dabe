"""Schemas: what the PyPI routes read and answer, for the OpenAPI document."""

from __future__ import annotations

from registry.formats.pypi.negotiation import Representation
from registry.formats.pypi.simple import API_VERSION, API_VERSION_WITH_NAMESPACES, PROVENANCE_TYPE
from registry.server.content import JSON, Content, Schema, entity, nullable
from registry.server.parameters import Parameter
from registry.server.stages import PATH
from registry.standings import STATUSES

_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_HEXADECIMAL: Schema = {"type": "string", "pattern": "^([0-9a-fA-F]{32}|[0-9a-fA-F]{64})?$"}
_TEXT: Schema = {"type": "string"}
_PAGE = tuple(one.value for one in Representation)

PATHS = (
    Parameter("name", description="name of a package, however it is spelled"),
    Parameter("sha256", description="digest of a file, hexadecimal"),
    Parameter("file_name", description="name of a file"),
    Parameter("version", description="a version of the package"),
    PATH,
)
SHA256 = Parameter("sha256", description="digest of the file meant, where several have the name")
FORMAT = Parameter("format", description="media type of the answer, before the Accept header", values=_PAGE)

ERRORS = Content(
    {
        "type": "object",
        "properties": {
            "message": {"description": "what is wrong, as GitLab says it", "type": "string"},
            "code": {"description": "the same, for uv", "type": "string"},
            "error": {"description": "what is wrong with the form or the token", "type": "string"},
            "error_description": {"description": "what is wrong with the token", "type": "string"},
            "scope": {"description": "the scopes that would do", "type": "string"},
        },
        "required": ["code"],
    },
    "PypiError",
    (JSON, "text/plain"),
)
UPLOADED = entity("PypiUploaded", {"message": {"const": "201 Created"}})
UPLOAD = Content(
    {
        "type": "object",
        "properties": {
            ":action": {"type": "string", "description": "`file_upload`, as twine says it"},
            "name": {"type": "string", "minLength": 1},
            "version": {"type": "string", "minLength": 1},
            "content": {"type": "string", "format": "binary", "description": "the file, with its name"},
            "requires_python": _TEXT,
            "sha256_digest": _HEXADECIMAL,
            "md5_digest": _HEXADECIMAL,
            "blake2_256_digest": _HEXADECIMAL,
            "metadata_version": _TEXT,
            "filetype": _TEXT,
            "pyversion": _TEXT,
            "summary": _TEXT,
            "description": _TEXT,
            "description_content_type": _TEXT,
            "author_email": _TEXT,
            "keywords": _TEXT,
            "attestations": {"type": "string", "description": "JSON array of attestation objects (PEP 740)"},
        },
        "required": ["name", "version", "content"],
        "additionalProperties": {"type": "string", "description": "further core metadata"},
    },
    "PypiUpload",
    ("multipart/form-data",),
)
_META: Schema = {
    "type": "object",
    "properties": {"api-version": {"enum": [API_VERSION, API_VERSION_WITH_NAMESPACES]}},
    "required": ["api-version"],
}
INDEX = Content(
    {
        "type": "object",
        "properties": {
            "meta": _META,
            "projects": {
                "type": "array",
                "items": {"type": "object", "properties": {"name": _TEXT}, "required": ["name"]},
            },
        },
        "required": ["meta", "projects"],
    },
    "PypiIndex",
    _PAGE,
)
_FILE = Content(
    {
        "type": "object",
        "properties": {
            "filename": _TEXT,
            "url": _TEXT,
            "hashes": {"type": "object", "properties": {"sha256": _SHA256}, "required": ["sha256"]},
            "size": {"type": "integer", "description": "in bytes"},
            "upload-time": {"type": "string", "format": "date-time"},
            "requires-python": _TEXT,
            "yanked": {"type": ["boolean", "string"]},
            "core-metadata": {"type": "object", "properties": {"sha256": _SHA256}, "required": ["sha256"]},
            "provenance": {"type": "string", "format": "uri"},
        },
        "required": ["filename", "url", "hashes", "size", "upload-time", "yanked"],
    },
    "PypiFile",
)
_COVERING = entity("PypiCoveringNamespace", {"name": "string", "owned": "boolean"})
_NAMESPACE_PAGE = (Representation.JSON.value,)
NAMESPACES = Content(
    {
        "type": "object",
        "properties": {
            "meta": _META,
            "namespaces": {"type": "array", "items": entity("PypiNamespaceName", {"name": "string"})},
        },
        "required": ["meta", "namespaces"],
    },
    "PypiNamespaces",
    _NAMESPACE_PAGE,
)
NAMESPACE = Content(
    {
        "type": "object",
        "properties": {
            "meta": _META,
            "name": _TEXT,
            "parent": {"type": ["string", "null"]},
            "children": {"type": "array", "items": _TEXT},
            "owner": {"type": "string", "description": "full path of a group"},
        },
        "required": ["meta", "name", "parent", "children"],
    },
    "PypiNamespace",
    _NAMESPACE_PAGE,
)
PROJECT = Content(
    {
        "type": "object",
        "properties": {
            "meta": _META,
            "name": _TEXT,
            "project-status": {
                "type": "object",
                "properties": {"status": {"enum": list(STATUSES)}, "reason": _TEXT},
                "required": ["status"],
            },
            "versions": {"type": "array", "items": _TEXT},
            "files": {"type": "array", "items": _FILE},
            "namespaces": nullable({"type": "array", "items": _COVERING}),
        },
        "required": ["meta", "name", "project-status", "versions", "files"],
    },
    "PypiProject",
    _PAGE,
)
PROVENANCE = Content(
    {
        "type": "object",
        "properties": {
            "version": {"const": 1},
            "attestation_bundles": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "publisher": {
                            "type": "object",
                            "description": "what the certificate proves; `unverified` without a trust root",
                            "properties": {"kind": _TEXT},
                            "required": ["kind"],
                            "additionalProperties": True,
                        },
                        "attestations": {"type": "array", "items": {"type": "object"}, "minItems": 1},
                    },
                    "required": ["publisher", "attestations"],
                },
            },
        },
        "required": ["version", "attestation_bundles"],
    },
    "PypiProvenance",
    (PROVENANCE_TYPE, JSON),
)
_FILE_STANDING = entity(
    "PypiFileStanding", {"file_name": "string", "version": "string", "yanked": "boolean", "yanked_reason": "string?"}
)
NAME = entity(
    "PypiName",
    {
        "name": "string",
        "status": {"enum": list(STATUSES)},
        "status_reason": "string?",
        "files": {"type": "array", "items": _FILE_STANDING},
    },
)
_RELEASE: Schema = {"type": "array", "items": {"type": "object"}}
LEGACY = entity(
    "PypiLegacy",
    {
        "info": "object",
        "last_serial": "integer",
        "releases": {"type": "object", "additionalProperties": _RELEASE},
        "urls": _RELEASE,
        "vulnerabilities": _RELEASE,
    },
    optional={"releases"},
)
