-- name: find_token_owner -> TokenOwner
-- A personal access token by the SHA-256 of its text, with its owner.
SELECT t.id AS token_id, t.scopes, t.expires_at, t.revoked, t.expires_at IS NOT NULL
       AND t.expires_at <= (now() AT TIME ZONE 'UTC')::date AS expired, u.id AS user_id, u.username, u.name, u.admin, u.state,
       t.networks, t.packages
  FROM personal_access_tokens AS t
  JOIN users AS u ON u.id = t.user_id
 WHERE t.sha256 = $1;

-- name: find_deploy_token -> DeployTokenOwner
-- A deploy token by the SHA-256 of its text.
SELECT id, name, username, scopes, expires_at, revoked, expires_at IS NOT NULL AND expires_at <= now() AS expired,
       namespace_id, project_id
  FROM deploy_tokens
 WHERE sha256 = $1;

-- name: list_memberships -> Membership
-- Where a user is a member, with the groups above each place.
SELECT m.namespace_id, m.project_id, m.access_level, m.expires_at, n.ancestry
  FROM members AS m
  LEFT JOIN projects AS p ON p.id = m.project_id
  JOIN namespaces AS n ON n.id = coalesce(m.namespace_id, p.namespace_id)
 WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > (now() AT TIME ZONE 'UTC')::date);

-- name: touch_tokens
-- Note when personal access tokens were last used, many at once.
UPDATE personal_access_tokens AS t SET last_used_at = greatest(t.last_used_at, u.at)
  FROM unnest($1::bigint[], $2::timestamptz[]) AS u (id, at)
 WHERE t.id = u.id;

-- name: find_user -> User
-- A user by id.
SELECT id, username, name, email, admin, state, kind, created_at FROM users WHERE id = $1;

-- name: find_user_by_name -> User
-- A user by user name.
SELECT id, username, name, email, admin, state, kind, created_at FROM users WHERE lower(username) = lower($1);

-- name: insert_user
-- A new user.
INSERT INTO users (username, name, email, admin, kind) VALUES ($1, $2, $3, $4, $5) RETURNING id;

-- name: set_user_state
-- Block or unblock; answers the user name.
UPDATE users SET state = $2 WHERE id = $1 RETURNING username;

-- name: insert_personal_access_token -> PersonalAccessToken
-- A new personal access token.
INSERT INTO personal_access_tokens
    (user_id, name, description, sha256, scopes, expires_at, family_id, parent_id, networks, packages)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING id, user_id, name, description, scopes, expires_at, revoked, last_used_at, created_at, family_id, networks,
          packages;

-- name: ensure_personal_access_token
-- The token that the operator names in the environment: in force, whatever happened to it before. No row when it was.
INSERT INTO personal_access_tokens AS t (user_id, name, sha256, scopes)
VALUES ($1, $2, $3, $4)
ON CONFLICT (sha256) DO UPDATE SET revoked = false, expires_at = NULL, user_id = excluded.user_id
 WHERE t.revoked OR t.expires_at IS NOT NULL OR t.user_id <> excluded.user_id
RETURNING id;

-- name: insert_deploy_token -> DeployToken
-- A new deploy token of a group or a project.
INSERT INTO deploy_tokens (namespace_id, project_id, name, username, sha256, scopes, expires_at, creator_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id, namespace_id, project_id, name, username, scopes, expires_at, revoked, created_at;

-- name: name_deploy_token -> DeployToken
-- The user name of a deploy token that was made without one.
UPDATE deploy_tokens SET username = 'gitlab+deploy-token-' || id
 WHERE id = $1
RETURNING id, namespace_id, project_id, name, username, scopes, expires_at, revoked, created_at;

-- name: revoke_deploy_token
-- Revoke a deploy token of one place; answers its digest.
UPDATE deploy_tokens SET revoked = true
 WHERE id = $1 AND (namespace_id = $2 OR $2 IS NULL) AND (project_id = $3 OR $3 IS NULL) AND NOT revoked
RETURNING sha256;

-- name: insert_member
-- A new member of a group or a project.
INSERT INTO members (namespace_id, project_id, user_id, access_level, expires_at, created_by_id)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: update_member
-- Change a member's level; no row when there is none.
UPDATE members SET access_level = $4, expires_at = $5
 WHERE (namespace_id = $1 OR project_id = $2) AND user_id = $3
RETURNING user_id;

-- name: delete_member
-- Remove a member; no row when there is none.
DELETE FROM members WHERE (namespace_id = $1 OR project_id = $2) AND user_id = $3 RETURNING user_id;

-- name: list_people -> Person
-- Who works on a project, the members of the groups above it included, each with the highest level,
-- and with the first day when one of the memberships has ended.
SELECT u.username, max(m.access_level)::int AS access_level, min(m.expires_at) AS expires_at
  FROM projects AS p
  JOIN namespaces AS n ON n.id = p.namespace_id
  JOIN members AS m ON m.project_id = p.id OR m.namespace_id = ANY(n.ancestry)
  JOIN users AS u ON u.id = m.user_id
 WHERE p.id = $1 AND u.kind = 'human' AND u.state = 'active'
   AND (m.expires_at IS NULL OR m.expires_at > (now() AT TIME ZONE 'UTC')::date)
 GROUP BY u.username
 ORDER BY u.username;

-- name: lock_member
-- The level of a direct member, held until the transaction ends.
SELECT access_level FROM members WHERE (namespace_id = $1 OR project_id = $2) AND user_id = $3 FOR UPDATE;

-- name: inherited_level
-- The highest level a user has in any of some groups.
SELECT max(access_level)
  FROM members
 WHERE namespace_id = ANY($1::bigint[]) AND user_id = $2 AND (expires_at IS NULL OR expires_at > (now() AT TIME ZONE 'UTC')::date);

-- name: has_other_owner
-- Whether anybody else is an owner of any of some groups.
SELECT EXISTS (SELECT 1
                 FROM members AS m
                 JOIN users AS u ON u.id = m.user_id
                WHERE m.namespace_id = ANY($1::bigint[]) AND m.user_id <> $2 AND m.access_level = 50
                  AND (m.expires_at IS NULL OR m.expires_at > (now() AT TIME ZONE 'UTC')::date)
                  AND u.state = 'active' AND u.kind = 'human');
