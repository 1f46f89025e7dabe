-- Generated from sql/migrations, for reading: UPDATE_SCHEMA=1 pytest test_migrate.py
CREATE TABLE public.advisories (
    id bigint NOT NULL,
    osv_id text NOT NULL,
    title text NOT NULL,
    details text NOT NULL,
    severity text NOT NULL,
    cvss_vector text,
    cvss_score double precision NOT NULL,
    cwes text[] NOT NULL,
    url text NOT NULL,
    published timestamp with time zone NOT NULL,
    modified timestamp with time zone NOT NULL,
    CONSTRAINT advisories_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'low'::text, 'moderate'::text, 'high'::text, 'critical'::text])))
);
ALTER TABLE public.advisories ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.advisories_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.advisory_packages (
    advisory_id bigint NOT NULL,
    ecosystem text NOT NULL,
    name text NOT NULL,
    ranges jsonb NOT NULL,
    versions text[] NOT NULL
);
COMMENT ON COLUMN public.advisory_packages.ranges IS 'intervals of affected versions: [[introduced, fixed or null, last affected or null], ...]';
CREATE TABLE public.application_settings (
    singleton boolean DEFAULT true NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    secrets jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT application_settings_singleton_check CHECK (singleton)
);
COMMENT ON COLUMN public.application_settings.settings IS 'what PUT /application/settings and /application/plan_limits changed';
COMMENT ON COLUMN public.application_settings.secrets IS 'generated once per installation, never shown by the API';
CREATE TABLE public.audit_events (
    id bigint NOT NULL,
    author_kind text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    token_id bigint,
    ip_address text,
    entity_type text NOT NULL,
    entity_id bigint,
    entity_path text NOT NULL,
    event_name text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.audit_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.package_files (
    id bigint NOT NULL,
    package_id bigint NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    normalized_name text NOT NULL,
    file_name text NOT NULL,
    blob_id bigint NOT NULL,
    requires_python text DEFAULT ''::text NOT NULL,
    yanked boolean DEFAULT false NOT NULL,
    yanked_reason text,
    core_metadata bytea,
    core_metadata_sha256 text,
    provenance text,
    facts jsonb DEFAULT '{}'::jsonb NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.package_files.provenance IS 'JSON text of the format: who attested what about the file';
COMMENT ON COLUMN public.package_files.facts IS 'what the format learnt by opening the file, and what it says about it';
COMMENT ON COLUMN public.package_files.revision IS 'moves whenever anything shown of this row changes';
COMMENT ON COLUMN public.package_files.created_at IS 'the upload time of the simple repository API';
CREATE TABLE public.staged_files (
    id bigint NOT NULL,
    stage_id uuid NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    name text NOT NULL,
    normalized_name text NOT NULL,
    version text NOT NULL,
    file_name text NOT NULL,
    blob_id bigint NOT NULL,
    publication jsonb NOT NULL,
    requires_python text GENERATED ALWAYS AS ((publication ->> 'requires_python'::text)) STORED,
    tag text GENERATED ALWAYS AS (((publication -> 'tags'::text) ->> 0)) STORED,
    unique_below bigint GENERATED ALWAYS AS (((publication ->> 'unique_below'::text))::bigint) STORED,
    author_kind text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    people bigint[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.staged_files.publication IS 'what the format made of the upload, to become rows when it is promoted';
COMMENT ON COLUMN public.staged_files.requires_python IS 'with the two after it: what is asked of many files, without megabytes each';
COMMENT ON COLUMN public.staged_files.people IS 'users behind the upload: who sent it; behind bots, who made them or rotated their tokens; who made its deploy token';
CREATE VIEW public.blob_references AS
 SELECT package_files.blob_id,
    package_files.project_id
   FROM public.package_files
UNION ALL
 SELECT staged_files.blob_id,
    staged_files.project_id
   FROM public.staged_files;
CREATE TABLE public.blobs (
    id bigint NOT NULL,
    key text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    upload_id text,
    size bigint,
    sha256 text,
    md5 text,
    sha1 text,
    sha512 text,
    blake2b_256 text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT blobs_check CHECK (((state = 'open'::text) OR (state = 'doomed'::text) OR ((size IS NOT NULL) AND (sha256 IS NOT NULL)))),
    CONSTRAINT blobs_key_check CHECK ((key ~ '^[0-9a-f/]+$'::text)),
    CONSTRAINT blobs_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT blobs_state_check CHECK ((state = ANY (ARRAY['open'::text, 'stored'::text, 'doomed'::text])))
);
COMMENT ON COLUMN public.blobs.upload_id IS 'multipart upload of the object store, to be aborted when its writer died';
ALTER TABLE public.blobs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.blobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.change_head (
    singleton boolean DEFAULT true NOT NULL,
    number bigint DEFAULT 0 NOT NULL,
    trimmed bigint DEFAULT 0 NOT NULL,
    CONSTRAINT change_head_singleton_check CHECK (singleton)
)
WITH (fillfactor='10');
COMMENT ON COLUMN public.change_head.trimmed IS 'rows up to this number are gone: who has seen less must forget everything';
CREATE TABLE public.changes (
    number bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.deploy_tokens (
    id bigint NOT NULL,
    namespace_id bigint,
    project_id bigint,
    name text NOT NULL,
    username text NOT NULL,
    sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    expires_at timestamp with time zone,
    revoked boolean DEFAULT false NOT NULL,
    creator_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deploy_tokens_check CHECK ((num_nonnulls(namespace_id, project_id) = 1)),
    CONSTRAINT deploy_tokens_sha256_check CHECK ((length(sha256) = 32))
);
ALTER TABLE public.deploy_tokens ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deploy_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.hook_events (
    id bigint NOT NULL,
    message_id uuid DEFAULT gen_random_uuid() NOT NULL,
    hook_id bigint NOT NULL,
    trigger text NOT NULL,
    payload jsonb NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    response_status integer,
    response_body text DEFAULT ''::text NOT NULL,
    error text DEFAULT ''::text NOT NULL,
    duration double precision DEFAULT 0 NOT NULL,
    attempted_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT hook_events_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
);
COMMENT ON COLUMN public.hook_events.message_id IS 'what receivers know it by, unlike the id never used again after a restore';
COMMENT ON COLUMN public.hook_events.duration IS 'of the last attempt, in seconds';
ALTER TABLE public.hook_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.hook_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.hooks (
    id bigint NOT NULL,
    namespace_id bigint,
    project_id bigint,
    url text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    events text[] NOT NULL,
    token text,
    signing_token text NOT NULL,
    enable_ssl_verification boolean DEFAULT true NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    disabled boolean DEFAULT false NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    busy_until timestamp with time zone DEFAULT now() NOT NULL,
    revision integer DEFAULT 0 NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT hooks_check CHECK ((num_nonnulls(namespace_id, project_id) = 1))
);
COMMENT ON COLUMN public.hooks.token IS 'sent as X-Gitlab-Token, never shown';
COMMENT ON COLUMN public.hooks.signing_token IS 'the key of the signatures, shown once at most';
COMMENT ON COLUMN public.hooks.failures IS 'attempts in a row that failed';
COMMENT ON COLUMN public.hooks.next_attempt_at IS 'nothing is sent before: the pause after a failure';
COMMENT ON COLUMN public.hooks.busy_until IS 'until then it is the turn of one replica';
COMMENT ON COLUMN public.hooks.revision IS 'moves when somebody repairs it: what an attempt before that met says nothing';
COMMENT ON COLUMN public.hooks.deleted IS 'nobody sees it any more; the row goes after its events';
ALTER TABLE public.hooks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.hooks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.members (
    id bigint NOT NULL,
    namespace_id bigint,
    project_id bigint,
    user_id bigint NOT NULL,
    access_level smallint NOT NULL,
    expires_at date,
    created_by_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT members_access_level_check CHECK ((access_level = ANY (ARRAY[10, 15, 20, 30, 40, 50]))),
    CONSTRAINT members_check CHECK ((num_nonnulls(namespace_id, project_id) = 1))
);
ALTER TABLE public.members ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.members_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.mounts (
    id bigint NOT NULL,
    url text NOT NULL,
    host text NOT NULL,
    prefix text NOT NULL,
    package_type text DEFAULT ''::text NOT NULL,
    namespace_id bigint,
    project_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT mounts_check CHECK ((num_nonnulls(namespace_id, project_id) = 1))
);
COMMENT ON COLUMN public.mounts.url IS 'as documents name it: a URL, or a path below the external URL';
COMMENT ON COLUMN public.mounts.host IS 'what the Host header must say; empty for any';
COMMENT ON COLUMN public.mounts.package_type IS 'empty for every type that no other mount of this place has';
ALTER TABLE public.mounts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.mounts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.name_changes (
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    normalized_name text NOT NULL,
    number bigint NOT NULL
);
CREATE TABLE public.name_grants (
    id bigint NOT NULL,
    package_type text NOT NULL,
    prefix text NOT NULL,
    namespace_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.name_grants.prefix IS 'normalised; covers this name and those that go on with a hyphen';
ALTER TABLE public.name_grants ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.name_grants_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.namespaces (
    id bigint NOT NULL,
    kind text NOT NULL,
    parent_id bigint,
    owner_id bigint,
    ancestry bigint[] NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    full_path text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    visibility text DEFAULT 'private'::text NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT namespaces_check CHECK (((kind = 'user'::text) = (owner_id IS NOT NULL))),
    CONSTRAINT namespaces_check1 CHECK (((kind = 'group'::text) OR (parent_id IS NULL))),
    CONSTRAINT namespaces_kind_check CHECK ((kind = ANY (ARRAY['group'::text, 'user'::text]))),
    CONSTRAINT namespaces_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'internal'::text, 'public'::text])))
);
COMMENT ON COLUMN public.namespaces.ancestry IS 'ids from the top-level namespace down to this one, itself included';
ALTER TABLE public.namespaces ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.namespaces_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE public.package_files ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.package_files_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.package_names (
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    normalized_name text NOT NULL,
    serial bigint DEFAULT 1 NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    status_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT package_names_status_check CHECK ((status = ANY (ARRAY['active'::text, 'archived'::text, 'quarantined'::text, 'deprecated'::text])))
);
COMMENT ON COLUMN public.package_names.serial IS 'moves whenever anything shown for the name changes; survives the last version';
COMMENT ON COLUMN public.package_names.moved_at IS 'when the serial moved: the time a document about the name was last modified';
CREATE TABLE public.package_protection_rules (
    id bigint NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    package_name_pattern text NOT NULL,
    normalized_pattern text NOT NULL,
    minimum_access_level_for_push smallint,
    minimum_access_level_for_delete smallint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT package_protection_rules_check CHECK ((num_nonnulls(minimum_access_level_for_push, minimum_access_level_for_delete) > 0)),
    CONSTRAINT package_protection_rules_minimum_access_level_for_delete_check CHECK ((minimum_access_level_for_delete = ANY (ARRAY[50, 60]))),
    CONSTRAINT package_protection_rules_minimum_access_level_for_push_check CHECK ((minimum_access_level_for_push = ANY (ARRAY[40, 50, 60])))
);
COMMENT ON COLUMN public.package_protection_rules.normalized_pattern IS 'what is compared with normalised names';
ALTER TABLE public.package_protection_rules ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.package_protection_rules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.package_stars (
    user_id bigint NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.package_stars.name IS 'as the format compares names';
CREATE TABLE public.packages (
    id bigint NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    name text NOT NULL,
    normalized_name text NOT NULL,
    version text NOT NULL,
    status text DEFAULT 'default'::text NOT NULL,
    status_message text,
    manifest text,
    abbreviated text,
    readme text,
    publish_session text,
    creator_id bigint,
    revision integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_downloaded_at timestamp with time zone,
    CONSTRAINT packages_status_check CHECK ((status = ANY (ARRAY['default'::text, 'hidden'::text, 'processing'::text, 'error'::text, 'pending_destruction'::text, 'deprecated'::text])))
);
COMMENT ON COLUMN public.packages.manifest IS 'JSON text of the format, as it will be served';
COMMENT ON COLUMN public.packages.abbreviated IS 'the shorter JSON text, where the format has one';
COMMENT ON COLUMN public.packages.publish_session IS 'what makes a retry of the very same publish recognisable';
COMMENT ON COLUMN public.packages.revision IS 'moves whenever anything shown of this row changes';
ALTER TABLE public.packages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.packages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.personal_access_tokens (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    expires_at date,
    revoked boolean DEFAULT false NOT NULL,
    family_id bigint,
    last_used_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    parent_id bigint,
    networks text[] DEFAULT '{}'::text[] NOT NULL,
    packages text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT personal_access_tokens_sha256_check CHECK ((length(sha256) = 32))
);
COMMENT ON COLUMN public.personal_access_tokens.sha256 IS 'of the token text; the token itself is shown once and never stored';
COMMENT ON COLUMN public.personal_access_tokens.family_id IS 'the first token of a chain of rotations; null for that one itself';
COMMENT ON COLUMN public.personal_access_tokens.parent_id IS 'the token it was made with, and with which it ends; null when an operator or the API made it';
COMMENT ON COLUMN public.personal_access_tokens.networks IS 'the only networks it is accepted from; any, when empty';
COMMENT ON COLUMN public.personal_access_tokens.packages IS 'the only packages it opens, as type:name or type:@scope/*; any, when empty';
ALTER TABLE public.personal_access_tokens ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.personal_access_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.projects (
    id bigint NOT NULL,
    namespace_id bigint NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    full_path text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    visibility text DEFAULT 'private'::text NOT NULL,
    package_registry_access_level text DEFAULT 'enabled'::text NOT NULL,
    archived boolean DEFAULT false NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    creator_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT projects_package_registry_access_level_check CHECK ((package_registry_access_level = ANY (ARRAY['disabled'::text, 'private'::text, 'enabled'::text, 'public'::text]))),
    CONSTRAINT projects_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'internal'::text, 'public'::text])))
);
ALTER TABLE public.projects ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.projects_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.retired_names (
    package_type text NOT NULL,
    normalized_name text NOT NULL,
    root_path text NOT NULL,
    retired_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT retired_names_root_path_check CHECK ((root_path = lower(root_path)))
);
CREATE TABLE public.routes (
    path text NOT NULL,
    namespace_id bigint,
    project_id bigint,
    CONSTRAINT routes_check CHECK ((num_nonnulls(namespace_id, project_id) = 1)),
    CONSTRAINT routes_path_check CHECK ((path = lower(path)))
);
CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.sign_ins (
    id bigint NOT NULL,
    browser_sha256 bytea NOT NULL,
    client_sha256 bytea NOT NULL,
    address text NOT NULL,
    site text NOT NULL,
    token_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sign_ins_browser_sha256_check CHECK ((length(browser_sha256) = 32)),
    CONSTRAINT sign_ins_client_sha256_check CHECK ((length(client_sha256) = 32))
);
COMMENT ON COLUMN public.sign_ins.site IS 'the address, or the network around it that one site may have';
COMMENT ON COLUMN public.sign_ins.token_id IS 'the token shown in the browser; null until then';
ALTER TABLE public.sign_ins ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sign_ins_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.signing_keys (
    id text NOT NULL,
    public_key bytea NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON TABLE public.signing_keys IS 'every key that ever signed here; private keys are never stored in the database';
COMMENT ON COLUMN public.signing_keys.id IS 'SHA256: and the digest of public_key in base64 without padding';
COMMENT ON COLUMN public.signing_keys.public_key IS 'SubjectPublicKeyInfo, DER';
COMMENT ON COLUMN public.signing_keys.expires_at IS 'signatures of versions published from then on do not count';
ALTER TABLE public.staged_files ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.staged_files_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.stages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    sealed boolean NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    released jsonb DEFAULT '[]'::jsonb NOT NULL,
    author_kind text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    promoted_at timestamp with time zone,
    CONSTRAINT stages_state_check CHECK ((state = ANY (ARRAY['open'::text, 'promoted'::text])))
);
COMMENT ON COLUMN public.stages.id IS 'random, so that it cannot be guessed: addresses of previews hold it';
COMMENT ON COLUMN public.stages.sealed IS 'whether it takes no file but its first';
COMMENT ON COLUMN public.stages.released IS 'the packages it became: id, name and version of each';
COMMENT ON COLUMN public.stages.expires_at IS 'from then on it is gone; a promoted one is forgotten';
CREATE TABLE public.tags (
    id bigint NOT NULL,
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    normalized_name text NOT NULL,
    name text NOT NULL,
    package_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.tags ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.tags_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.tombstones (
    project_id bigint NOT NULL,
    package_type text NOT NULL,
    normalized_name text NOT NULL,
    file_name text NOT NULL,
    version text NOT NULL,
    sha256 text NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.users (
    id bigint NOT NULL,
    username text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    admin boolean DEFAULT false NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    kind text DEFAULT 'human'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_kind_check CHECK ((kind = ANY (ARRAY['human'::text, 'project_bot'::text, 'group_bot'::text]))),
    CONSTRAINT users_state_check CHECK ((state = ANY (ARRAY['active'::text, 'blocked'::text])))
);
ALTER TABLE public.users ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY public.advisories
    ADD CONSTRAINT advisories_osv_id_key UNIQUE (osv_id);
ALTER TABLE ONLY public.advisories
    ADD CONSTRAINT advisories_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.advisory_packages
    ADD CONSTRAINT advisory_packages_pkey PRIMARY KEY (advisory_id, ecosystem, name);
ALTER TABLE ONLY public.application_settings
    ADD CONSTRAINT application_settings_pkey PRIMARY KEY (singleton);
ALTER TABLE ONLY public.audit_events
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.blobs
    ADD CONSTRAINT blobs_key_key UNIQUE (key);
ALTER TABLE ONLY public.blobs
    ADD CONSTRAINT blobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.change_head
    ADD CONSTRAINT change_head_pkey PRIMARY KEY (singleton);
ALTER TABLE ONLY public.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (number, kind, key);
ALTER TABLE ONLY public.deploy_tokens
    ADD CONSTRAINT deploy_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hook_events
    ADD CONSTRAINT hook_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hooks
    ADD CONSTRAINT hooks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.mounts
    ADD CONSTRAINT mounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.name_changes
    ADD CONSTRAINT name_changes_pkey PRIMARY KEY (package_type, normalized_name, project_id);
ALTER TABLE ONLY public.name_grants
    ADD CONSTRAINT name_grants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.package_files
    ADD CONSTRAINT package_files_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.package_names
    ADD CONSTRAINT package_names_pkey PRIMARY KEY (package_type, normalized_name, project_id);
ALTER TABLE ONLY public.package_protection_rules
    ADD CONSTRAINT package_protection_rules_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.package_stars
    ADD CONSTRAINT package_stars_pkey PRIMARY KEY (user_id, project_id, package_type, name);
ALTER TABLE ONLY public.packages
    ADD CONSTRAINT packages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.retired_names
    ADD CONSTRAINT retired_names_pkey PRIMARY KEY (package_type, normalized_name, root_path);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_namespace_id_key UNIQUE (namespace_id);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_pkey PRIMARY KEY (path);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_project_id_key UNIQUE (project_id);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_browser_sha256_key UNIQUE (browser_sha256);
ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_client_sha256_key UNIQUE (client_sha256);
ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.staged_files
    ADD CONSTRAINT staged_files_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.stages
    ADD CONSTRAINT stages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (project_id, package_type, normalized_name, file_name, sha256);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX advisory_packages_name ON public.advisory_packages USING btree (ecosystem, name);
CREATE INDEX audit_events_bot ON public.audit_events USING btree (((details ->> 'user_id'::text))) WHERE (event_name = ANY (ARRAY['project_access_token_created'::text, 'group_access_token_created'::text]));
CREATE INDEX audit_events_entity ON public.audit_events USING btree (entity_type, entity_id, id);
CREATE INDEX blobs_unfinished ON public.blobs USING btree (state, state_at) WHERE (state <> 'stored'::text);
CREATE INDEX deploy_tokens_namespace ON public.deploy_tokens USING btree (namespace_id);
CREATE INDEX deploy_tokens_project ON public.deploy_tokens USING btree (project_id);
CREATE UNIQUE INDEX deploy_tokens_sha256_key ON public.deploy_tokens USING btree (sha256);
CREATE INDEX hook_events_created ON public.hook_events USING btree (created_at);
CREATE INDEX hook_events_hook ON public.hook_events USING btree (hook_id, id);
CREATE INDEX hook_events_pending ON public.hook_events USING btree (hook_id, id) WHERE (state = 'pending'::text);
CREATE INDEX hooks_namespace ON public.hooks USING btree (namespace_id);
CREATE INDEX hooks_project ON public.hooks USING btree (project_id);
CREATE UNIQUE INDEX members_namespace_key ON public.members USING btree (namespace_id, user_id) WHERE (namespace_id IS NOT NULL);
CREATE UNIQUE INDEX members_project_key ON public.members USING btree (project_id, user_id) WHERE (project_id IS NOT NULL);
CREATE INDEX members_user ON public.members USING btree (user_id);
CREATE INDEX mounts_namespace ON public.mounts USING btree (namespace_id);
CREATE UNIQUE INDEX mounts_place_key ON public.mounts USING btree (host, prefix, package_type);
CREATE INDEX mounts_project ON public.mounts USING btree (project_id);
CREATE INDEX name_changes_number ON public.name_changes USING btree (project_id, number);
CREATE INDEX name_grants_namespace ON public.name_grants USING btree (namespace_id);
CREATE UNIQUE INDEX name_grants_prefix_key ON public.name_grants USING btree (package_type, prefix);
CREATE INDEX namespaces_ancestry ON public.namespaces USING gin (ancestry);
CREATE UNIQUE INDEX namespaces_owner_key ON public.namespaces USING btree (owner_id) WHERE (kind = 'user'::text);
CREATE INDEX namespaces_parent ON public.namespaces USING btree (parent_id);
CREATE UNIQUE INDEX package_files_blob_key ON public.package_files USING btree (blob_id);
CREATE UNIQUE INDEX package_files_name_key ON public.package_files USING btree (project_id, package_type, normalized_name, file_name);
CREATE INDEX package_files_package ON public.package_files USING btree (package_id);
CREATE INDEX package_names_project ON public.package_names USING btree (project_id, package_type, normalized_name);
CREATE UNIQUE INDEX package_protection_rules_pattern_key ON public.package_protection_rules USING btree (project_id, package_type, package_name_pattern);
CREATE INDEX package_stars_project ON public.package_stars USING btree (project_id);
CREATE INDEX packages_listing ON public.packages USING btree (project_id, created_at, id) INCLUDE (status, package_type, name, version);
CREATE INDEX packages_name ON public.packages USING btree (project_id, package_type, normalized_name, id);
CREATE UNIQUE INDEX packages_version_key ON public.packages USING btree (project_id, package_type, name, version);
CREATE INDEX personal_access_tokens_parent ON public.personal_access_tokens USING btree (parent_id) WHERE (parent_id IS NOT NULL);
CREATE UNIQUE INDEX personal_access_tokens_sha256_key ON public.personal_access_tokens USING btree (sha256);
CREATE INDEX personal_access_tokens_user ON public.personal_access_tokens USING btree (user_id);
CREATE INDEX projects_namespace ON public.projects USING btree (namespace_id);
CREATE INDEX routes_prefix ON public.routes USING btree (path text_pattern_ops);
CREATE INDEX sign_ins_created_at ON public.sign_ins USING btree (created_at);
CREATE INDEX sign_ins_token ON public.sign_ins USING btree (token_id) WHERE (token_id IS NOT NULL);
CREATE UNIQUE INDEX staged_files_blob_key ON public.staged_files USING btree (blob_id);
CREATE UNIQUE INDEX staged_files_name_key ON public.staged_files USING btree (project_id, package_type, normalized_name, file_name);
CREATE INDEX staged_files_stage ON public.staged_files USING btree (stage_id);
CREATE INDEX stages_expiry ON public.stages USING btree (expires_at);
CREATE INDEX stages_project ON public.stages USING btree (project_id, package_type, created_at);
CREATE UNIQUE INDEX tags_name_key ON public.tags USING btree (project_id, package_type, normalized_name, name);
CREATE INDEX tags_package ON public.tags USING btree (package_id);
CREATE UNIQUE INDEX users_email_key ON public.users USING btree (lower(email)) WHERE (email <> ''::text);
CREATE UNIQUE INDEX users_username_key ON public.users USING btree (lower(username));
ALTER TABLE ONLY public.advisory_packages
    ADD CONSTRAINT advisory_packages_advisory_id_fkey FOREIGN KEY (advisory_id) REFERENCES public.advisories(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.deploy_tokens
    ADD CONSTRAINT deploy_tokens_creator_id_fkey FOREIGN KEY (creator_id) REFERENCES public.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.deploy_tokens
    ADD CONSTRAINT deploy_tokens_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.deploy_tokens
    ADD CONSTRAINT deploy_tokens_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hook_events
    ADD CONSTRAINT hook_events_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES public.hooks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hooks
    ADD CONSTRAINT hooks_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hooks
    ADD CONSTRAINT hooks_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_created_by_id_fkey FOREIGN KEY (created_by_id) REFERENCES public.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.mounts
    ADD CONSTRAINT mounts_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.mounts
    ADD CONSTRAINT mounts_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.name_changes
    ADD CONSTRAINT name_changes_package_type_normalized_name_project_id_fkey FOREIGN KEY (package_type, normalized_name, project_id) REFERENCES public.package_names(package_type, normalized_name, project_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.name_grants
    ADD CONSTRAINT name_grants_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.namespaces
    ADD CONSTRAINT namespaces_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.namespaces(id);
ALTER TABLE ONLY public.package_files
    ADD CONSTRAINT package_files_blob_id_fkey FOREIGN KEY (blob_id) REFERENCES public.blobs(id);
ALTER TABLE ONLY public.package_files
    ADD CONSTRAINT package_files_package_id_fkey FOREIGN KEY (package_id) REFERENCES public.packages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.package_files
    ADD CONSTRAINT package_files_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.package_names
    ADD CONSTRAINT package_names_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.package_protection_rules
    ADD CONSTRAINT package_protection_rules_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.package_stars
    ADD CONSTRAINT package_stars_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.package_stars
    ADD CONSTRAINT package_stars_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.packages
    ADD CONSTRAINT packages_creator_id_fkey FOREIGN KEY (creator_id) REFERENCES public.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.packages
    ADD CONSTRAINT packages_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.personal_access_tokens(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.personal_access_tokens
    ADD CONSTRAINT personal_access_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_creator_id_fkey FOREIGN KEY (creator_id) REFERENCES public.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES public.namespaces(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_token_id_fkey FOREIGN KEY (token_id) REFERENCES public.personal_access_tokens(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staged_files
    ADD CONSTRAINT staged_files_blob_id_fkey FOREIGN KEY (blob_id) REFERENCES public.blobs(id);
ALTER TABLE ONLY public.staged_files
    ADD CONSTRAINT staged_files_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.staged_files
    ADD CONSTRAINT staged_files_stage_id_fkey FOREIGN KEY (stage_id) REFERENCES public.stages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.stages
    ADD CONSTRAINT stages_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_package_id_fkey FOREIGN KEY (package_id) REFERENCES public.packages(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
