-- Stages: sets of files that are stored and checked, and that nobody sees before all of them become visible at once.

CREATE TABLE stages (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id   bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type text NOT NULL,
    title        text NOT NULL DEFAULT '',
    sealed       boolean NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'promoted')),
    released     jsonb NOT NULL DEFAULT '[]',
    author_kind  text NOT NULL,
    author_id    bigint,
    author_name  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    promoted_at  timestamptz
);
CREATE INDEX stages_project ON stages (project_id, package_type, created_at);
CREATE INDEX stages_expiry ON stages (expires_at);
COMMENT ON COLUMN stages.id IS 'random, so that it cannot be guessed: addresses of previews hold it';
COMMENT ON COLUMN stages.sealed IS 'whether it takes no file but its first';
COMMENT ON COLUMN stages.released IS 'the packages it became: id, name and version of each';
COMMENT ON COLUMN stages.expires_at IS 'from then on it is gone; a promoted one is forgotten';

-- Files of open stages. A file name is in one stage of a project at most.
CREATE TABLE staged_files (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage_id        uuid NOT NULL REFERENCES stages ON DELETE CASCADE,
    project_id      bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type    text NOT NULL,
    name            text NOT NULL,
    normalized_name text NOT NULL,
    version         text NOT NULL,
    file_name       text NOT NULL,
    blob_id         bigint NOT NULL REFERENCES blobs,
    publication     jsonb NOT NULL,
    requires_python text GENERATED ALWAYS AS (publication ->> 'requires_python') STORED,
    tag             text GENERATED ALWAYS AS (publication -> 'tags' ->> 0) STORED,
    unique_below    bigint GENERATED ALWAYS AS ((publication ->> 'unique_below')::bigint) STORED,
    author_kind     text NOT NULL,
    author_id       bigint,
    author_name     text NOT NULL,
    people          bigint[] NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX staged_files_name_key ON staged_files (project_id, package_type, normalized_name, file_name);
CREATE UNIQUE INDEX staged_files_blob_key ON staged_files (blob_id);
CREATE INDEX staged_files_stage ON staged_files (stage_id);
COMMENT ON COLUMN staged_files.publication IS 'what the format made of the upload, to become rows when it is promoted';
COMMENT ON COLUMN staged_files.requires_python IS 'with the two after it: what is asked of many files, without megabytes each';
COMMENT ON COLUMN staged_files.people IS 'users behind the upload: who sent it; behind bots, who made them or rotated their tokens; who made its deploy token';

-- Who made a bot is known even when it is no member any more.
CREATE INDEX audit_events_bot ON audit_events ((details ->> 'user_id'))
    WHERE event_name IN ('project_access_token_created', 'group_access_token_created');

-- Whatever refers to a blob.
CREATE VIEW blob_references AS
SELECT blob_id, project_id FROM package_files
 UNION ALL
SELECT blob_id, project_id FROM staged_files;
