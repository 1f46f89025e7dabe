"""Schemas: what the npm routes read and answer, for the OpenAPI document."""

from __future__ import annotations

from registry.formats.npm.packument import ABBREVIATED_TYPE, FULL_TYPE
from registry.server.content import Content, Field, Schema, entity, listing, nullable
from registry.server.parameters import Parameter
from registry.server.stages import PATH

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_PERSON: Schema = {
    "type": "object",
    "properties": {"name": _TEXT, "username": _TEXT, "email": _TEXT},
    "additionalProperties": False,
}
_PEOPLE: Schema = {"type": "array", "items": _PERSON}
_TRUE: Schema = {"const": True}

PATHS = (
    Parameter("name", description="name of a package, with its scope: `@scope/name`, its slash encoded or not"),
    Parameter("version", description="a version or a dist-tag"),
    Parameter("tag", description="name of a dist-tag"),
    Parameter("file", description="name of a tarball: `name-1.0.0.tgz`, or `@scope/name-1.0.0.tgz` as GitLab has it"),
    Parameter("spec", description="name and version of a package: `@scope/name@1.0.0`, its slash encoded or not"),
    Parameter("again", description="the project or group once more, as npm 10 repeats the path of the registry"),
    Parameter("rev", description="`_rev` of the document that was changed"),
    PATH,
    Parameter("user", description="`org.couchdb.user:` and a user name"),
    Parameter("username", description="name of a user"),
    Parameter("scope", description="a scope, without its `@`"),
    Parameter("team", description="name of a team"),
    Parameter("key", description="key of a token, or its text"),
    Parameter("token", description="a token"),
)
WRITE = Parameter("write", description="`true`: the full document, whatever the Accept header", values=("true",))
SEARCH_PARAMETERS = (
    Parameter("text", description="words; `scope:` and `keywords:` narrow"),
    Parameter("size", "integer", "most hits, up to 250", default=20, least=0),
    Parameter("from", "integer", "how many hits to leave out", default=0, least=0),
)

ERRORS = Content(
    {
        "type": "object",
        "properties": {
            "message": {"description": "what is wrong, as GitLab says it", "type": "string"},
            "error": {"description": "the same, as npm prints it", "type": "string"},
            "error_description": {"description": "what is wrong with the token", "type": "string"},
            "scope": {"description": "the scopes that would do", "type": "string"},
        },
        "required": ["message", "error"],
    },
    "NpmError",
)
EMPTY = Content({"type": "object", "maxProperties": 0})
WHOAMI = entity("NpmWhoami", {"username": "string"})
_HIT = entity(
    "NpmHit",
    {
        "package": {
            "type": "object",
            "properties": {"name": _TEXT, "version": _TEXT, "maintainers": _PEOPLE},
            "required": ["name", "scope", "version", "description", "keywords", "date", "links", "maintainers"],
            "additionalProperties": True,
        },
        "score": {"type": "object"},
        "searchScore": "number",
    },
)
FOUND = entity("NpmSearch", {"objects": {"type": "array", "items": _HIT}, "total": "integer", "time": "string"})
_KEY = entity(
    "NpmKey",
    {
        "expires": {"type": ["string", "null"], "format": "date-time"},
        "keyid": {"type": "string", "description": "`SHA256:` and the digest of the key, in base64"},
        "keytype": {"const": "ecdsa-sha2-nistp256"},
        "scheme": {"const": "ecdsa-sha2-nistp256"},
        "key": {"type": "string", "description": "SubjectPublicKeyInfo, DER in base64"},
    },
)
KEYS = entity("NpmKeys", {"keys": {"type": "array", "items": _KEY}})
TREE = Content({"type": "object", "additionalProperties": True}, "NpmAuditTree")
REPORT = Content({"type": "object", "additionalProperties": True}, "NpmAuditReport")
TAGS = Content(_TEXTS, "NpmDistTags")
VERSION = Content({"type": "string", "description": "a version, as a JSON string"}, "NpmVersion")
SIGN_IN = entity("NpmSignIn", {"loginUrl": "string", "doneUrl": "string"})
SIGNED_IN = entity("NpmSignedIn", {"token": "string"})
SIGN_IN_PAGE = Content({"type": "string"}, media_types=("text/html",))
# A path that no route can have is refused as everywhere outside a format, the rest by the page.
SIGN_IN_REFUSED = Content({}, media_types=("text/html", "application/json"))
SIGN_IN_FORM = Content(
    {
        "type": "object",
        "properties": {"guard": _TEXT, "token": {"type": "string", "description": "a personal access token"}},
        "required": ["guard", "token"],
    },
    "NpmSignInForm",
    ("application/x-www-form-urlencoded",),
)
USER_SENT = Content(
    {
        "type": "object",
        "properties": {"name": _TEXT, "password": {"type": "string", "description": "a personal access token"}},
        "required": ["name", "password"],
        "additionalProperties": True,
    },
    "NpmUserSent",
)
USER_SIGNED_IN = entity("NpmUserSignedIn", {"ok": _TRUE, "id": "string", "token": "string"})
USER = entity("NpmUser", {"_id": "string", "name": "string", "email": "string"})
PROFILE = entity(
    "NpmProfile",
    {"name": "string", "fullname": "string", "email": "string", "email_verified": "boolean", "tfa": "boolean",
     "created": "string", "updated": "string", "cidr_whitelist": nullable({"type": "array", "items": _TEXT})},
)  # fmt: skip
_TOKEN_FIELDS: dict[str, Field] = {
    "id": "string", "key": "string", "token": "string", "name": "string", "readonly": "boolean",
    "cidr_whitelist": nullable({"type": "array", "items": _TEXT}), "packages": "strings", "scopes": "strings",
    "created": "string", "updated": "string", "expires": "string?",
}  # fmt: skip
TOKEN = entity("NpmToken", _TOKEN_FIELDS)
TOKENS = entity("NpmTokens", {"objects": {"type": "array", "items": TOKEN}, "total": "integer", "urls": "object"})
TOKEN_SENT = Content(
    {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "description": _TEXT,
            "readonly": {"type": "boolean", "description": "npm 11 and earlier"},
            "packages_and_scopes_permission": {"enum": ["read-only", "read-write"]},
            "packages": {"type": "array", "items": _TEXT},
            "packages_all": {"type": "boolean"},
            "scopes": {"type": "array", "items": _TEXT},
            "expires": {"type": "integer", "description": "in days"},
            "cidr_whitelist": {"type": "array", "items": _TEXT},
        },
        "additionalProperties": True,
    },
    "NpmTokenSent",
)
TOKEN_PAGES = (
    Parameter("perPage", "integer", "most tokens, up to 100", default=25, least=1),
    Parameter("page", "integer", "which page, from 0 on", default=0, least=0),
)
VISIBILITY = entity("NpmVisibility", {"public": "boolean"})
ACCESS = entity("NpmAccess", {"access": {"enum": ["public", "restricted"]}, "public": "boolean"})
ACCESS_SENT = Content(
    {"type": "object", "properties": {"access": {"enum": ["public", "restricted"]}}, "additionalProperties": True},
    "NpmAccessSent",
)
PERMISSIONS = Content({"type": "object", "additionalProperties": {"enum": ["read", "write"]}}, "NpmPermissions")
ONLY_USER = Parameter("user", description="only this user")
STARRED_BY = Parameter("key", description="name of a user, as a JSON string", required=True)
STARRED = entity("NpmStarred", {"rows": {"type": "array", "items": entity("NpmStar", {"value": "string"})}})
OK = entity("NpmOk", {"ok": _TRUE})
DONE = entity("NpmDone", {"ok": _TRUE, "success": _TRUE})

_ATTESTED: Schema = {
    "type": "object",
    "properties": {"url": _TEXT, "provenance": {"type": "object", "properties": {"predicateType": _TEXT}}},
    "required": ["url"],
}
_DIST = entity(
    "NpmDist",
    {
        "integrity": "string",
        "shasum": "string",
        "tarball": "string",
        "fileCount": "integer",
        "unpackedSize": "integer",
        "attestations": _ATTESTED,
        "signatures": {"type": "array", "items": entity("NpmSignature", {"keyid": "string", "sig": "string"})},
    },
    optional=("attestations", "signatures"),
)
_ATTESTATION = entity("NpmAttestation", {"predicateType": "string", "bundle": "object"})
ATTESTATIONS = entity("NpmAttestations", {"attestations": {"type": "array", "items": _ATTESTATION}})
MANIFEST = Content(
    {
        "type": "object",
        "properties": {"name": _TEXT, "version": _TEXT, "dist": _DIST, "deprecated": _TEXT},
        "required": ["name", "version", "dist"],
        "additionalProperties": True,
    },
    "NpmManifest",
)
PACKUMENT = Content(
    {
        "type": "object",
        "properties": {
            "_id": _TEXT,
            "_rev": _TEXT,
            "name": _TEXT,
            "modified": _TEXT,
            "dist-tags": TAGS,
            "versions": {"type": "object", "additionalProperties": MANIFEST},
            "time": _TEXTS,
            "maintainers": _PEOPLE,
            "readme": _TEXT,
        },
        "required": ["name", "dist-tags", "versions", "time"],
        "additionalProperties": True,
    },
    "NpmPackument",
    (FULL_TYPE, ABBREVIATED_TYPE),
)
PACKUMENT_SENT = Content(
    {
        "type": "object",
        "properties": {"_id": _TEXT, "_rev": _TEXT, "name": _TEXT, "versions": {"type": "object"}},
        "required": ["name", "versions"],
        "additionalProperties": True,
    },
    "NpmEditedPackument",
)
# What npm publish sends. What else is in it is that of the package.json.
PUBLISH = Content(
    {
        "type": "object",
        "properties": {
            "_id": _TEXT,
            "_rev": _TEXT,
            "name": _TEXT,
            "dist-tags": _TEXTS,
            "versions": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": True}},
            "readme": _TEXT,
            "access": nullable({"type": "string"}),
            "_attachments": {
                "type": "object",
                "description": "the one tarball, by its name; without it this is a deprecation",
                "additionalProperties": {
                    "type": "object",
                    "properties": {
                        "content_type": _TEXT,
                        "data": {"type": "string", "contentEncoding": "base64"},
                        "length": {"type": "integer", "description": "in bytes, decoded"},
                    },
                    "required": ["data"],
                },
            },
        },
        "required": ["name", "versions"],
        "additionalProperties": True,
    },
    "NpmPublish",
)
PUBLISHED = Content(
    {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "project_id": {"type": "integer"},
            "package_type": {"const": "npm"},
            "status": _TEXT,
            "name": _TEXT,
            "version": _TEXT,
            "ok": _TRUE,
            "success": _TRUE,
        },
        "required": ["ok", "success"],
    },
    "NpmPublished",
)
STAGE_PARAMETERS = (
    Parameter("package", description="only versions of this package"),
    Parameter("page", "integer", "number of the page, from 0", default=0, least=0, most=100_000),
    Parameter("perPage", "integer", "versions of a page, up to 100", default=100, least=1),
)
STAGED = entity(
    "NpmStaged",
    {
        "stageId": {"type": "string", "format": "uuid"},
        "status": {"enum": ["pending", "approved"]},
        "name": "string",
        "version": "string",
        "ok": _TRUE,
        "success": _TRUE,
    },
    optional=("name", "version"),
)
STAGE_ITEM = entity(
    "NpmStageItem",
    {
        "id": {"type": "string", "format": "uuid"},
        "packageName": "string",
        "version": "string",
        "tag": "string",
        "createdAt": "datetime",
        "actor": "string",
        "actorType": "string",
        "shasum": "string",
        "status": {"const": "pending"},
    },
)
STAGE_LIST = entity("NpmStageList", {"items": listing(STAGE_ITEM), "total": "integer"})
