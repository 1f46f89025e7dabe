"""Schemas: what the management API's answers hold, field by field, for the OpenAPI document.

`tests/test_openapi.py` compares them with answers: a field that is missing here, or there, is found.
"""

from __future__ import annotations

from collections.abc import Mapping

from registry.access import DEPLOY_TOKEN_SCOPES
from registry.api.settings import GROUP_SETTINGS, PROJECT_SETTINGS
from registry.memberships import LEVELS
from registry.server.content import Content, Field, Schema, entity, fields, listing, nullable
from registry.server.parameters import Parameter

_VISIBILITY: Schema = {"type": "string", "enum": ["private", "internal", "public"]}
_LEVEL: Schema = {"type": "integer", "enum": list(LEVELS)}
_NOTHING: Schema = {"type": "null"}

IF_UNMODIFIED_SINCE = Parameter(
    "If-Unmodified-Since", description="an HTTP date: what has changed since then is left alone, with 412"
)
MESSAGE = entity("Message", {"message": "string"})
TRUE = Content({"const": True})

# --- users, groups, projects -----------------------------------------------------------------------------------------

_PERSON: Mapping[str, Field] = {
    "id": "integer",
    "username": "string",
    "public_email": "string?",
    "name": "string",
    "state": {"type": "string", "enum": ["active", "blocked"]},
    "locked": "boolean",
    "avatar_url": "string?",
    "web_url": "string",
}
_PUBLIC: Mapping[str, Field] = {**_PERSON, "created_at": "datetime", "bot": "boolean"}
_OWN: Mapping[str, Field] = {
    **_PUBLIC,
    "email": "string",
    "commit_email": "string",
    "namespace_id": "integer?",
    "external": "boolean",
    "private_profile": "boolean",
    "two_factor_enabled": "boolean",
    "can_create_group": "boolean",
    "can_create_project": "boolean",
    "confirmed_at": "datetime",
}
_ADMINISTERED: Mapping[str, Field] = {**_OWN, "is_admin": "boolean"}

PERSON = entity("Person", _PERSON)
CURRENT_USER = entity("CurrentUser", _ADMINISTERED, optional=("is_admin",))
USER = entity("User", _ADMINISTERED, optional=_ADMINISTERED.keys() - _PUBLIC.keys())
USERS = listing(entity("ListedUser", _ADMINISTERED, optional=_ADMINISTERED.keys() - _PERSON.keys()))
USER_FOR_ADMINISTRATORS = entity("AdministeredUser", _ADMINISTERED)

_GROUP: Mapping[str, Field] = {
    "id": "integer",
    "web_url": "string",
    "name": "string",
    "path": "string",
    "description": "string",
    "visibility": _VISIBILITY,
    "request_access_enabled": "boolean",
    "project_creation_level": "string",
    "subgroup_creation_level": "string",
    "avatar_url": "string?",
    "full_name": "string",
    "full_path": "string",
    "created_at": "datetime",
    "parent_id": "integer?",
}
GROUP = entity("Group", {**_GROUP, **fields(GROUP_SETTINGS)})
GROUPS = listing(GROUP)

_NAMESPACE = entity(
    "Namespace",
    {
        "id": "integer",
        "name": "string",
        "path": "string",
        "kind": {"type": "string", "enum": ["group", "user"]},
        "full_path": "string",
        "parent_id": "integer?",
        "avatar_url": "string?",
        "web_url": "string",
    },
)
_ACCESS = entity("Access", {"access_level": _LEVEL, "notification_level": "integer"})
_SIMPLE_PROJECT: Mapping[str, Field] = {
    "id": "integer",
    "description": "string?",
    "name": "string",
    "name_with_namespace": "string",
    "path": "string",
    "path_with_namespace": "string",
    "created_at": "datetime",
    "default_branch": "string",
    "tag_list": "strings",
    "topics": "strings",
    "web_url": "string",
    "avatar_url": "string?",
    "star_count": "integer",
    "forks_count": "integer",
    "last_activity_at": "datetime",
    "visibility": _VISIBILITY,
    "namespace": _NAMESPACE,
}
_PROJECT: Mapping[str, Field] = {
    **_SIMPLE_PROJECT,
    "_links": {"type": "object", "additionalProperties": {"type": "string"}},
    "packages_enabled": "boolean",
    "package_registry_access_level": {"type": "string", "enum": ["disabled", "private", "enabled", "public"]},
    "empty_repo": "boolean",
    "archived": "boolean",
    "creator_id": "integer?",
    "permissions": entity(
        "Permissions", {"project_access": nullable(_ACCESS), "group_access": nullable(_ACCESS)}
    ),
    **fields(PROJECT_SETTINGS),
}  # fmt: skip
PROJECT = entity("Project", _PROJECT, optional=_PROJECT.keys() - _SIMPLE_PROJECT.keys())
PROJECTS = listing(PROJECT)

MEMBER = entity(
    "Member",
    {
        **_PERSON,
        "access_level": _LEVEL,
        "created_at": "datetime",
        "expires_at": "date?",
        "membership_state": "string",
        "created_by": PERSON,
    },
    optional=("created_by",),
)
MEMBERS = listing(MEMBER)

# --- tokens ----------------------------------------------------------------------------------------------------------

_TOKEN: Mapping[str, Field] = {
    "id": "integer",
    "name": "string",
    "revoked": "boolean",
    "created_at": "datetime",
    "description": "string?",
    "scopes": "strings",
    "user_id": "integer",
    "last_used_at": "datetime?",
    "active": "boolean",
    "expires_at": "date?",
}
_BOT_TOKEN: Mapping[str, Field] = {
    **_TOKEN,
    "access_level": _LEVEL,
    "resource_type": {"type": "string", "enum": ["project", "group"]},
    "resource_id": "integer",
}
_DEPLOY_TOKEN: Mapping[str, Field] = {
    "id": "integer",
    "name": "string",
    "username": "string",
    "expires_at": "datetime?",
    "scopes": {"type": "array", "items": {"type": "string", "enum": list(DEPLOY_TOKEN_SCOPES)}},
    "revoked": "boolean",
    "expired": "boolean",
}
_TEXT: Mapping[str, Field] = {"token": {"type": "string", "description": "the token itself, shown this once"}}

PERSONAL_ACCESS_TOKEN = entity("PersonalAccessToken", _TOKEN)
PERSONAL_ACCESS_TOKENS = listing(PERSONAL_ACCESS_TOKEN)
NEW_PERSONAL_ACCESS_TOKEN = entity("NewPersonalAccessToken", {**_TOKEN, **_TEXT})
ACCESS_TOKEN = entity("AccessToken", _BOT_TOKEN)
ACCESS_TOKENS = listing(ACCESS_TOKEN)
NEW_ACCESS_TOKEN = entity("NewAccessToken", {**_BOT_TOKEN, **_TEXT})
DEPLOY_TOKEN = entity("DeployToken", _DEPLOY_TOKEN)
DEPLOY_TOKENS = listing(DEPLOY_TOKEN)
NEW_DEPLOY_TOKEN = entity("NewDeployToken", {**_DEPLOY_TOKEN, **_TEXT})
ASSOCIATIONS = entity("TokenAssociations", {"groups": listing(entity("SimpleGroup", _GROUP)), "projects": PROJECTS})

# --- packages --------------------------------------------------------------------------------------------------------

_PIPELINES: Schema = {"type": "array", "maxItems": 0}
_TAGS = listing(
    entity(
        "Tag",
        {
            "id": "integer",
            "package_id": "integer",
            "name": "string",
            "created_at": "datetime",
            "updated_at": "datetime",
        },
    )
)
_PACKAGE: Mapping[str, Field] = {
    "id": "integer",
    "name": "string",
    "version": "string",
    "package_type": "string",
    "status": "string",
    "_links": {"type": "object", "additionalProperties": {"type": "string"}, "required": ["web_path"]},
    "created_at": "datetime",
    "last_downloaded_at": "datetime?",
    "creator_id": "integer?",
    "tags": _TAGS,
    "pipelines": _PIPELINES,
}
_HOME: Mapping[str, Field] = {"project_id": "integer", "project_path": "string"}
_VERSION = entity(
    "PackageVersion",
    {"id": "integer", "version": "string", "created_at": "datetime", "tags": _TAGS, "pipelines": _PIPELINES},
)
PACKAGES = listing(entity("Package", _PACKAGE))
GROUP_PACKAGES = listing(entity("PackageOfGroup", {**_PACKAGE, **_HOME}))
PACKAGE = entity("DetailedPackage", {**_PACKAGE, "versions": listing(_VERSION)})
PIPELINES = Content(_PIPELINES)
_ATTESTATION = entity(
    "Attestation",
    {
        "predicate_type": "string",
        "verified": {"type": "boolean", "description": "whether the signer is known to be who the rest says"},
        "issuer": "string",
        "identity": "string",
        "claims": {
            "type": "object",
            "description": "where the certificate says the file was built, source_repository_uri and the like",
            "additionalProperties": {"type": "string"},
        },
    },
)
PACKAGE_FILES = listing(
    entity(
        "PackageFile",
        {
            "id": "integer",
            "package_id": "integer",
            "created_at": "datetime",
            "file_name": "string",
            "size": {"type": "integer", "description": "in bytes"},
            "file_md5": "string?",
            "file_sha1": "string?",
            "file_sha256": "string",
            "pipelines": _PIPELINES,
            "attestations": listing(_ATTESTATION),
        },
        optional=("attestations",),
    )
)
PROTECTION_RULE = entity(
    "ProtectionRule",
    {
        "id": "integer",
        "project_id": "integer",
        "package_name_pattern": "string",
        "package_type": "string",
        "minimum_access_level_for_push": "string?",
        "minimum_access_level_for_delete": "string?",
    },
)
PROTECTION_RULES = listing(PROTECTION_RULE)
_STAGED_FILE = entity(
    "StagedFile",
    {
        "id": "integer",
        "name": "string",
        "version": "string",
        "file_name": "string",
        "size": {"type": "integer", "description": "in bytes"},
        "file_sha256": "string",
        "author": "string",
        "created_at": "datetime",
    },
)
_RELEASED = entity("ReleasedPackage", {"id": "integer", "name": "string", "version": "string"})
STAGE = entity(
    "Stage",
    {
        "id": {"type": "string", "format": "uuid"},
        "project_id": "integer",
        "package_type": "string",
        "title": "string",
        "sealed": {"type": "boolean", "description": "whether it takes no file but its first"},
        "state": {"enum": ["open", "promoted"]},
        "author": "string",
        "created_at": "datetime",
        "expires_at": "datetime",
        "promoted_at": "datetime?",
        "upload_url": "string",
        "preview_url": "string",
        "files": listing(_STAGED_FILE),
        "packages": listing(_RELEASED),
    },
)
STAGES = listing(STAGE)

GRANT = entity(
    "Grant",
    {
        "id": "integer",
        "package_type": {"const": "pypi"},
        "prefix": "string",
        "group_id": "integer",
        "group_path": "string",
        "created_at": "datetime",
    },
)
GRANTS = listing(GRANT)
_HOOK: Mapping[str, Field] = {
    "id": "integer",
    "project_id": "integer?",
    "group_id": "integer?",
    "url": "string",
    "name": "string",
    "description": "string",
    "events": "strings",
    "enable_ssl_verification": "boolean",
    "token_present": "boolean",
    "alert_status": {"type": "string", "enum": ["executable", "temporarily_disabled", "disabled"]},
    "disabled_until": "datetime?",
    "created_at": "datetime",
}
HOOK = entity("Hook", _HOOK)
HOOKS = listing(HOOK)
NEW_HOOK = entity("NewHook", {**_HOOK, "signing_token": "string"})
HOOK_EVENT = entity(
    "HookEvent",
    {
        "id": "integer",
        "webhook_id": "string",
        "url": "string",
        "trigger": "string",
        "state": {"type": "string", "enum": ["pending", "delivered", "failed"]},
        "attempts": "integer",
        "request_data": "object",
        "response_status": "integer?",
        "response_body": "string",
        "error": "string",
        "execution_duration": "number",
        "attempted_at": "datetime?",
        "created_at": "datetime",
    },
)
HOOK_EVENTS = listing(HOOK_EVENT)

MOUNT = entity(
    "Mount",
    {
        "id": "integer",
        "url": "string",
        "package_type": "string?",
        "project_id": "integer?",
        "group_id": "integer?",
        "full_path": "string",
        "created_at": "datetime",
    },
)
MOUNTS = listing(MOUNT)

# --- the instance ----------------------------------------------------------------------------------------------------

VERSION = entity("Version", {"version": "string", "revision": "string"})
METADATA = entity(
    "Metadata",
    {
        "version": "string",
        "revision": "string",
        "kas": entity(
            "Kas",
            {"enabled": "boolean", "externalUrl": _NOTHING, "externalK8sProxyUrl": _NOTHING, "version": _NOTHING},
        ),
        "enterprise": "boolean",
    },
)
AUDIT_EVENT = entity(
    "AuditEvent",
    {
        "id": "integer",
        "author_id": "integer",
        "entity_id": "integer?",
        "entity_type": "string",
        "event_name": "string",
        "details": {"type": "object", "additionalProperties": True},
        "created_at": "datetime",
    },
)
AUDIT_EVENTS = listing(AUDIT_EVENT)
