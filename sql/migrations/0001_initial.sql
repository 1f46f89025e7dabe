-- The first schema: accounts, the tree of namespaces, packages, blobs, audit, the change log.
--
-- Conventions: identities are bigint; times are timestamptz of this database's clock; text that clients see is stored
-- as they sent it, beside the normalised form that is compared; nothing that can be derived is stored, except serials.

CREATE TABLE application_settings (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    settings  jsonb NOT NULL DEFAULT '{}',
    secrets   jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO application_settings DEFAULT VALUES;
COMMENT ON COLUMN application_settings.settings IS 'what PUT /application/settings and /application/plan_limits changed';
COMMENT ON COLUMN application_settings.secrets IS 'generated once per installation, never shown by the API';

CREATE TABLE users (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username   text NOT NULL,
    name       text NOT NULL,
    email      text NOT NULL,
    admin      boolean NOT NULL DEFAULT false,
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'blocked')),
    kind       text NOT NULL DEFAULT 'human' CHECK (kind IN ('human', 'project_bot', 'group_bot')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE email <> '';

-- A group, or the personal namespace of a user.
CREATE TABLE namespaces (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('group', 'user')),
    parent_id   bigint REFERENCES namespaces,
    owner_id    bigint REFERENCES users ON DELETE CASCADE,
    ancestry    bigint[] NOT NULL,
    name        text NOT NULL,
    path        text NOT NULL,
    full_path   text NOT NULL,
    description text NOT NULL DEFAULT '',
    visibility  text NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'internal', 'public')),
    settings    jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'user') = (owner_id IS NOT NULL)),
    CHECK (kind = 'group' OR parent_id IS NULL)
);
CREATE UNIQUE INDEX namespaces_owner_key ON namespaces (owner_id) WHERE kind = 'user';
CREATE INDEX namespaces_parent ON namespaces (parent_id);
CREATE INDEX namespaces_ancestry ON namespaces USING gin (ancestry);
COMMENT ON COLUMN namespaces.ancestry IS 'ids from the top-level namespace down to this one, itself included';

CREATE TABLE projects (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace_id bigint NOT NULL REFERENCES namespaces,
    name         text NOT NULL,
    path         text NOT NULL,
    full_path    text NOT NULL,
    description  text NOT NULL DEFAULT '',
    visibility   text NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'internal', 'public')),
    package_registry_access_level text NOT NULL DEFAULT 'enabled'
        CHECK (package_registry_access_level IN ('disabled', 'private', 'enabled', 'public')),
    archived     boolean NOT NULL DEFAULT false,
    settings     jsonb NOT NULL DEFAULT '{}',
    creator_id   bigint REFERENCES users ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX projects_namespace ON projects (namespace_id);

-- Who holds which full path; one unique index keeps groups and projects from colliding.
CREATE TABLE routes (
    path         text PRIMARY KEY,
    namespace_id bigint UNIQUE REFERENCES namespaces ON DELETE CASCADE,
    project_id   bigint UNIQUE REFERENCES projects ON DELETE CASCADE,
    CHECK (path = lower(path)),
    CHECK (num_nonnulls(namespace_id, project_id) = 1)
);
CREATE INDEX routes_prefix ON routes (path text_pattern_ops);

CREATE TABLE members (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace_id  bigint REFERENCES namespaces ON DELETE CASCADE,
    project_id    bigint REFERENCES projects ON DELETE CASCADE,
    user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    access_level  smallint NOT NULL CHECK (access_level IN (10, 15, 20, 30, 40, 50)),
    expires_at    date,
    created_by_id bigint REFERENCES users ON DELETE SET NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(namespace_id, project_id) = 1)
);
CREATE UNIQUE INDEX members_namespace_key ON members (namespace_id, user_id) WHERE namespace_id IS NOT NULL;
CREATE UNIQUE INDEX members_project_key ON members (project_id, user_id) WHERE project_id IS NOT NULL;
CREATE INDEX members_user ON members (user_id);

CREATE TABLE personal_access_tokens (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name         text NOT NULL,
    description  text NOT NULL DEFAULT '',
    sha256       bytea NOT NULL CHECK (length(sha256) = 32),
    scopes       text[] NOT NULL,
    expires_at   date,
    revoked      boolean NOT NULL DEFAULT false,
    family_id    bigint,
    last_used_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX personal_access_tokens_sha256_key ON personal_access_tokens (sha256);
CREATE INDEX personal_access_tokens_user ON personal_access_tokens (user_id);
COMMENT ON COLUMN personal_access_tokens.sha256 IS 'of the token text; the token itself is shown once and never stored';
COMMENT ON COLUMN personal_access_tokens.family_id IS 'the first token of a chain of rotations; null for that one itself';

CREATE TABLE deploy_tokens (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace_id bigint REFERENCES namespaces ON DELETE CASCADE,
    project_id   bigint REFERENCES projects ON DELETE CASCADE,
    name         text NOT NULL,
    username     text NOT NULL,
    sha256       bytea NOT NULL CHECK (length(sha256) = 32),
    scopes       text[] NOT NULL,
    expires_at   timestamptz,
    revoked      boolean NOT NULL DEFAULT false,
    creator_id   bigint REFERENCES users ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(namespace_id, project_id) = 1)
);
CREATE UNIQUE INDEX deploy_tokens_sha256_key ON deploy_tokens (sha256);
CREATE INDEX deploy_tokens_namespace ON deploy_tokens (namespace_id);
CREATE INDEX deploy_tokens_project ON deploy_tokens (project_id);

-- Stored bytes. `open` is the intent to write, committed before the first byte leaves; `stored` is referenced by a file;
-- `doomed` waits to be deleted from the object store.
CREATE TABLE blobs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text NOT NULL UNIQUE CHECK (key ~ '^[0-9a-f/]+$'),
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'stored', 'doomed')),
    upload_id   text,
    size        bigint,
    sha256      text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    md5         text,
    sha1        text,
    sha512      text,
    blake2b_256 text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    state_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (state = 'open' OR state = 'doomed' OR (size IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX blobs_unfinished ON blobs (state, state_at) WHERE state <> 'stored';
COMMENT ON COLUMN blobs.upload_id IS 'multipart upload of the object store, to be aborted when its writer died';

-- A name of one format in one project: what a serial and a status belong to.
CREATE TABLE package_names (
    project_id      bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type    text NOT NULL,
    normalized_name text NOT NULL,
    serial          bigint NOT NULL DEFAULT 1,
    status          text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'archived', 'quarantined', 'deprecated')),
    status_reason   text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    moved_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package_type, normalized_name, project_id)
);
CREATE INDEX package_names_project ON package_names (project_id, package_type, normalized_name);
COMMENT ON COLUMN package_names.serial IS 'moves whenever anything shown for the name changes; survives the last version';
COMMENT ON COLUMN package_names.moved_at IS 'when the serial moved: the time a document about the name was last modified';

-- GitLab's package: one name at one version.
CREATE TABLE packages (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id         bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type       text NOT NULL,
    name               text NOT NULL,
    normalized_name    text NOT NULL,
    version            text NOT NULL,
    status             text NOT NULL DEFAULT 'default'
        CHECK (status IN ('default', 'hidden', 'processing', 'error', 'pending_destruction', 'deprecated')),
    status_message     text,
    manifest           text,
    abbreviated        text,
    readme             text,
    publish_session    text,
    creator_id         bigint REFERENCES users ON DELETE SET NULL,
    revision           integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    last_downloaded_at timestamptz
);
CREATE UNIQUE INDEX packages_version_key ON packages (project_id, package_type, name, version);
CREATE INDEX packages_name ON packages (project_id, package_type, normalized_name, id);
-- With everything that lists are filtered by, so that the wide rows are not read for it.
CREATE INDEX packages_listing ON packages (project_id, created_at, id) INCLUDE (status, package_type, name, version);
COMMENT ON COLUMN packages.manifest IS 'JSON text of the format, as it will be served';
COMMENT ON COLUMN packages.abbreviated IS 'the shorter JSON text, where the format has one';
COMMENT ON COLUMN packages.publish_session IS 'what makes a retry of the very same publish recognisable';
COMMENT ON COLUMN packages.revision IS 'moves whenever anything shown of this row changes';

CREATE TABLE package_files (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package_id           bigint NOT NULL REFERENCES packages ON DELETE CASCADE,
    project_id           bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type         text NOT NULL,
    normalized_name      text NOT NULL,
    file_name            text NOT NULL,
    blob_id              bigint NOT NULL REFERENCES blobs,
    requires_python      text NOT NULL DEFAULT '',
    yanked               boolean NOT NULL DEFAULT false,
    yanked_reason        text,
    core_metadata        bytea,
    core_metadata_sha256 text,
    provenance           text,
    facts                jsonb NOT NULL DEFAULT '{}',
    revision             integer NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX package_files_name_key ON package_files (project_id, package_type, normalized_name, file_name);
CREATE INDEX package_files_package ON package_files (package_id);
CREATE UNIQUE INDEX package_files_blob_key ON package_files (blob_id);
COMMENT ON COLUMN package_files.provenance IS 'JSON text of the format: who attested what about the file';
COMMENT ON COLUMN package_files.facts IS 'what the format learnt by opening the file';
COMMENT ON COLUMN package_files.revision IS 'moves whenever anything shown of this row changes';
COMMENT ON COLUMN package_files.created_at IS 'the upload time of the simple repository API';

-- File names that were deleted: what a policy of immutable names refuses to see again with other bytes.
CREATE TABLE tombstones (
    project_id      bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type    text NOT NULL,
    normalized_name text NOT NULL,
    file_name       text NOT NULL,
    version         text NOT NULL,
    sha256          text NOT NULL,
    deleted_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, package_type, normalized_name, file_name, sha256)
);

-- Names of projects that were deleted. They are kept by the path of the top-level namespace, because its id may be gone
-- with it, and no public registry is ever asked for them there.
CREATE TABLE retired_names (
    package_type    text NOT NULL,
    normalized_name text NOT NULL,
    root_path       text NOT NULL CHECK (root_path = lower(root_path)),
    retired_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package_type, normalized_name, root_path)
);

-- Dist-tags: a name that points at one version.
CREATE TABLE tags (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id      bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type    text NOT NULL,
    normalized_name text NOT NULL,
    name            text NOT NULL,
    package_id      bigint NOT NULL REFERENCES packages ON DELETE CASCADE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX tags_name_key ON tags (project_id, package_type, normalized_name, name);
CREATE INDEX tags_package ON tags (package_id);

CREATE TABLE package_protection_rules (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id           bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type         text NOT NULL,
    package_name_pattern text NOT NULL,
    normalized_pattern   text NOT NULL,
    minimum_access_level_for_push   smallint CHECK (minimum_access_level_for_push IN (40, 50, 60)),
    minimum_access_level_for_delete smallint CHECK (minimum_access_level_for_delete IN (50, 60)),
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(minimum_access_level_for_push, minimum_access_level_for_delete) > 0)
);
CREATE UNIQUE INDEX package_protection_rules_pattern_key
    ON package_protection_rules (project_id, package_type, package_name_pattern);
COMMENT ON COLUMN package_protection_rules.normalized_pattern IS 'what is compared with normalised names';

-- Written in the transaction of the change it tells of; never updated.
CREATE TABLE audit_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_kind text NOT NULL,
    author_id   bigint,
    author_name text NOT NULL,
    token_id    bigint,
    ip_address  text,
    entity_type text NOT NULL,
    entity_id   bigint,
    entity_path text NOT NULL,
    event_name  text NOT NULL,
    details     jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_events_entity ON audit_events (entity_type, entity_id, id);

-- The change log. Its numbers are in commit order, because taking one locks this row until the commit.
CREATE TABLE change_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    number    bigint NOT NULL DEFAULT 0,
    trimmed   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO change_head DEFAULT VALUES;
COMMENT ON COLUMN change_head.trimmed IS 'rows up to this number are gone: who has seen less must forget everything';

CREATE TABLE changes (
    number     bigint NOT NULL,
    kind       text NOT NULL,
    key        text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (number, kind, key)
);
