-- Addresses of projects and groups of their own, the feed of changed names, and webhooks.

-- A base URL at which one project or group is served, next to its place below /api/v4.
CREATE TABLE mounts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url          text NOT NULL,
    host         text NOT NULL,
    prefix       text NOT NULL,
    package_type text NOT NULL DEFAULT '',
    namespace_id bigint REFERENCES namespaces ON DELETE CASCADE,
    project_id   bigint REFERENCES projects ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(namespace_id, project_id) = 1)
);
CREATE UNIQUE INDEX mounts_place_key ON mounts (host, prefix, package_type);
CREATE INDEX mounts_namespace ON mounts (namespace_id);
CREATE INDEX mounts_project ON mounts (project_id);
COMMENT ON COLUMN mounts.url IS 'as documents name it: a URL, or a path below the external URL';
COMMENT ON COLUMN mounts.host IS 'what the Host header must say; empty for any';
COMMENT ON COLUMN mounts.package_type IS 'empty for every type that no other mount of this place has';

-- When each name that was ever there to be read changed last, by the numbers of the change log. Never trimmed.
CREATE TABLE name_changes (
    project_id      bigint NOT NULL,
    package_type    text NOT NULL,
    normalized_name text NOT NULL,
    number          bigint NOT NULL,
    PRIMARY KEY (package_type, normalized_name, project_id),
    FOREIGN KEY (package_type, normalized_name, project_id) REFERENCES package_names ON DELETE CASCADE
);
CREATE INDEX name_changes_number ON name_changes (project_id, number);
-- A number for each, so that a page of them may end anywhere.
WITH known AS (
    SELECT project_id, package_type, normalized_name, row_number() OVER (ORDER BY moved_at, project_id) AS position
      FROM package_names
     WHERE normalized_name <> ''
), head AS (
    UPDATE change_head SET number = number + (SELECT count(*) FROM known) RETURNING number
)
INSERT INTO name_changes (project_id, package_type, normalized_name, number)
SELECT project_id, package_type, normalized_name, head.number - (SELECT count(*) FROM known) + position
  FROM known, head;

CREATE TABLE hooks (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace_id    bigint REFERENCES namespaces ON DELETE CASCADE,
    project_id      bigint REFERENCES projects ON DELETE CASCADE,
    url             text NOT NULL,
    name            text NOT NULL DEFAULT '',
    description     text NOT NULL DEFAULT '',
    events          text[] NOT NULL,
    token           text,
    signing_token   text NOT NULL,
    enable_ssl_verification boolean NOT NULL DEFAULT true,
    failures        integer NOT NULL DEFAULT 0,
    disabled        boolean NOT NULL DEFAULT false,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    busy_until      timestamptz NOT NULL DEFAULT now(),
    revision        integer NOT NULL DEFAULT 0,
    deleted         boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(namespace_id, project_id) = 1)
);
CREATE INDEX hooks_namespace ON hooks (namespace_id);
CREATE INDEX hooks_project ON hooks (project_id);
COMMENT ON COLUMN hooks.token IS 'sent as X-Gitlab-Token, never shown';
COMMENT ON COLUMN hooks.signing_token IS 'the key of the signatures, shown once at most';
COMMENT ON COLUMN hooks.failures IS 'attempts in a row that failed';
COMMENT ON COLUMN hooks.next_attempt_at IS 'nothing is sent before: the pause after a failure';
COMMENT ON COLUMN hooks.busy_until IS 'until then it is the turn of one replica';
COMMENT ON COLUMN hooks.revision IS 'moves when somebody repairs it: what an attempt before that met says nothing';
COMMENT ON COLUMN hooks.deleted IS 'nobody sees it any more; the row goes after its events';

-- What is to be told to a hook, written in the transaction of the change, and then the log of what became of it.
CREATE TABLE hook_events (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id      uuid NOT NULL DEFAULT gen_random_uuid(),
    hook_id         bigint NOT NULL REFERENCES hooks ON DELETE CASCADE,
    trigger         text NOT NULL,
    payload         jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    response_status integer,
    response_body   text NOT NULL DEFAULT '',
    error           text NOT NULL DEFAULT '',
    duration        double precision NOT NULL DEFAULT 0,
    attempted_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hook_events_hook ON hook_events (hook_id, id);
CREATE INDEX hook_events_pending ON hook_events (hook_id, id) WHERE state = 'pending';
CREATE INDEX hook_events_created ON hook_events (created_at);
COMMENT ON COLUMN hook_events.message_id IS 'what receivers know it by, unlike the id never used again after a restore';
COMMENT ON COLUMN hook_events.duration IS 'of the last attempt, in seconds';
