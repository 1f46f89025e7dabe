-- Prefixes of names that are reserved for one group (PEP 752), and the public halves of the keys that sign versions.

CREATE TABLE name_grants (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package_type text NOT NULL,
    prefix       text NOT NULL,
    namespace_id bigint NOT NULL REFERENCES namespaces ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX name_grants_prefix_key ON name_grants (package_type, prefix);
CREATE INDEX name_grants_namespace ON name_grants (namespace_id);
COMMENT ON COLUMN name_grants.prefix IS 'normalised; covers this name and those that go on with a hyphen';

CREATE TABLE signing_keys (
    id         text PRIMARY KEY,
    public_key bytea NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_keys IS 'every key that ever signed here; private keys are never stored in the database';
COMMENT ON COLUMN signing_keys.id IS 'SHA256: and the digest of public_key in base64 without padding';
COMMENT ON COLUMN signing_keys.public_key IS 'SubjectPublicKeyInfo, DER';
COMMENT ON COLUMN signing_keys.expires_at IS 'signatures of versions published from then on do not count';
COMMENT ON COLUMN package_files.facts IS 'what the format learnt by opening the file, and what it says about it';
