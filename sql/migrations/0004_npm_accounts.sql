-- Tokens made with others (npm login, npm token) and their limits, sign-ins under way, stars, and advisories.

ALTER TABLE personal_access_tokens
    ADD COLUMN parent_id bigint REFERENCES personal_access_tokens ON DELETE CASCADE,
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}',
    ADD COLUMN packages text[] NOT NULL DEFAULT '{}';
CREATE INDEX personal_access_tokens_parent ON personal_access_tokens (parent_id) WHERE parent_id IS NOT NULL;
COMMENT ON COLUMN personal_access_tokens.parent_id IS 'the token it was made with, and with which it ends; null when an operator or the API made it';
COMMENT ON COLUMN personal_access_tokens.networks IS 'the only networks it is accepted from; any, when empty';
COMMENT ON COLUMN personal_access_tokens.packages IS 'the only packages it opens, as type:name or type:@scope/*; any, when empty';

-- A sign-in that a browser finishes: neither of its two addresses nor the token that comes of it is stored in clear.
CREATE TABLE sign_ins (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    browser_sha256 bytea NOT NULL UNIQUE CHECK (length(browser_sha256) = 32),
    client_sha256  bytea NOT NULL UNIQUE CHECK (length(client_sha256) = 32),
    address        text NOT NULL,
    site           text NOT NULL,
    token_id       bigint REFERENCES personal_access_tokens ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sign_ins_created_at ON sign_ins (created_at);
CREATE INDEX sign_ins_token ON sign_ins (token_id) WHERE token_id IS NOT NULL;
COMMENT ON COLUMN sign_ins.site IS 'the address, or the network around it that one site may have';
COMMENT ON COLUMN sign_ins.token_id IS 'the token shown in the browser; null until then';

CREATE TABLE package_stars (
    user_id      bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    project_id   bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    package_type text NOT NULL,
    name         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, project_id, package_type, name)
);
CREATE INDEX package_stars_project ON package_stars (project_id);
COMMENT ON COLUMN package_stars.name IS 'as the format compares names';

-- What is known against packages, loaded by the operator from OSV documents.
CREATE TABLE advisories (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    osv_id      text NOT NULL UNIQUE,
    title       text NOT NULL,
    details     text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('info', 'low', 'moderate', 'high', 'critical')),
    cvss_vector text,
    cvss_score  double precision NOT NULL,
    cwes        text[] NOT NULL,
    url         text NOT NULL,
    published   timestamptz NOT NULL,
    modified    timestamptz NOT NULL
);
CREATE TABLE advisory_packages (
    advisory_id bigint NOT NULL REFERENCES advisories ON DELETE CASCADE,
    ecosystem   text NOT NULL,
    name        text NOT NULL,
    ranges      jsonb NOT NULL,
    versions    text[] NOT NULL,
    PRIMARY KEY (advisory_id, ecosystem, name)
);
CREATE INDEX advisory_packages_name ON advisory_packages (ecosystem, name);
COMMENT ON COLUMN advisory_packages.ranges IS 'intervals of affected versions: [[introduced, fixed or null, last affected or null], ...]';
