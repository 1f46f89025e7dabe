-- name: page_tokens -> PageOfIds
-- Access tokens of a user ($1), of the bots of a group or project ($2, $3), or of all people; filtered and ordered.
WITH found AS (
    SELECT t.id,
           CASE $15::text WHEN 'name' THEN lower(t.name) END AS text_key,
           CASE $15::text WHEN 'created' THEN t.created_at WHEN 'last_used' THEN t.last_used_at
                          WHEN 'expires' THEN t.expires_at::timestamptz END AS time_key
      FROM personal_access_tokens AS t
      JOIN users AS u ON u.id = t.user_id
     WHERE CASE WHEN num_nonnulls($2::bigint, $3::bigint) = 1
                THEN u.kind <> 'human' AND EXISTS (SELECT 1 FROM members AS m
                                                    WHERE m.user_id = u.id
                                                      AND (m.namespace_id = $2 OR m.project_id = $3))
                WHEN $1::bigint IS NOT NULL THEN t.user_id = $1
                ELSE u.kind = 'human' END
       AND ($4::boolean IS NULL
            OR $4 = (NOT t.revoked AND (t.expires_at IS NULL OR t.expires_at > (now() AT TIME ZONE 'UTC')::date)))
       AND ($5::boolean IS NULL OR t.revoked = $5)
       AND ($6::text IS NULL OR strpos(lower(t.name), lower($6)) > 0)
       AND ($7::timestamptz IS NULL OR t.created_at > $7)
       AND ($8::timestamptz IS NULL OR t.created_at < $8)
       AND ($9::timestamptz IS NULL OR t.last_used_at > $9)
       AND ($10::timestamptz IS NULL OR t.last_used_at < $10)
       AND ($11::date IS NULL OR t.expires_at > $11)
       AND ($12::date IS NULL OR t.expires_at < $12)
)
SELECT ARRAY(SELECT id
               FROM found
              ORDER BY CASE WHEN NOT $16::boolean THEN text_key END, CASE WHEN $16 THEN text_key END DESC,
                       CASE WHEN NOT $16 THEN time_key END, CASE WHEN $16 THEN time_key END DESC NULLS LAST,
                       CASE WHEN NOT $16 THEN id END, id DESC
              LIMIT $13 OFFSET $14) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_tokens -> AccessToken
-- Access tokens by id, in the order of the ids; with the level of their bot in a group or project, where it has one.
SELECT t.id, t.user_id, t.name, t.description, t.scopes, t.expires_at, t.revoked, t.last_used_at, t.created_at,
       NOT t.revoked AND (t.expires_at IS NULL OR t.expires_at > (now() AT TIME ZONE 'UTC')::date) AS active, m.access_level
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN personal_access_tokens AS t ON t.id = asked.id
  JOIN users AS u ON u.id = t.user_id
  LEFT JOIN members AS m ON m.user_id = u.id AND u.kind <> 'human' AND (m.namespace_id = $2 OR m.project_id = $3)
 ORDER BY asked.position;

-- name: lock_token -> LockedToken
-- A token about to be rotated, revoked or used to make another, held until the transaction ends. Rows that refer to it
-- may be written meanwhile: whoever revokes it holds it, and waits for those who hold what was made with it.
SELECT t.id, t.user_id, t.name, t.description, t.scopes, t.created_at, t.expires_at, t.revoked,
       coalesce(t.family_id, t.id) AS family_id, t.parent_id, p.expires_at AS parent_expires_at, t.networks, t.packages
  FROM personal_access_tokens AS t
  LEFT JOIN personal_access_tokens AS p ON p.id = t.parent_id
 WHERE t.id = $1
   FOR NO KEY UPDATE OF t;

-- name: revoke_token
-- Revoke one token and those made with it; answers the digests of those that were still good.
WITH RECURSIVE made AS (
    SELECT $1::bigint AS id
    UNION
    SELECT t.id FROM personal_access_tokens AS t JOIN made ON t.parent_id = made.id
)
UPDATE personal_access_tokens SET revoked = true
 WHERE id IN (SELECT id FROM made) AND NOT revoked
RETURNING sha256;

-- name: revoke_family
-- Revoke every token of a chain of rotations, and those made with them; answers the digests of those still good.
WITH RECURSIVE made AS (
    SELECT id FROM personal_access_tokens WHERE user_id = $1 AND (id = $2 OR family_id = $2)
    UNION
    SELECT t.id FROM personal_access_tokens AS t JOIN made ON t.parent_id = made.id
)
UPDATE personal_access_tokens SET revoked = true
 WHERE id IN (SELECT id FROM made) AND NOT revoked
RETURNING sha256;

-- name: list_own -> OwnToken
-- The usable tokens of a user, newest first.
SELECT id, name, sha256, scopes, expires_at, created_at, networks, packages
  FROM personal_access_tokens
 WHERE user_id = $1 AND NOT revoked AND (expires_at IS NULL OR expires_at > (now() AT TIME ZONE 'UTC')::date)
 ORDER BY id DESC
 LIMIT $2 OFFSET $3;

-- name: count_own
-- How many usable tokens a user has.
SELECT count(*)
  FROM personal_access_tokens
 WHERE user_id = $1 AND NOT revoked AND (expires_at IS NULL OR expires_at > (now() AT TIME ZONE 'UTC')::date);

-- name: find_own -> OwnTokenId
-- A token of a user by the digest of its text, and whether it was made with another.
SELECT id, parent_id IS NOT NULL AS derived FROM personal_access_tokens WHERE user_id = $1 AND sha256 = $2;

-- name: delete_bots
-- Delete the bots of groups and projects that are about to go, with their tokens; answers their ids.
DELETE FROM users
 WHERE kind <> 'human'
   AND id IN (SELECT user_id FROM members WHERE namespace_id = ANY($1::bigint[]) OR project_id = ANY($2::bigint[]))
RETURNING id;

-- name: page_deploy_tokens -> PageOfIds
-- Deploy tokens of one place, or of all places when both are null.
WITH found AS (
    SELECT id
      FROM deploy_tokens
     WHERE (namespace_id = $1 OR $1::bigint IS NULL) AND (project_id = $2 OR $2::bigint IS NULL)
       AND (NOT $3::boolean OR (NOT revoked AND (expires_at IS NULL OR expires_at > now())))
)
SELECT ARRAY(SELECT id FROM found ORDER BY id LIMIT $4 OFFSET $5) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_deploy_tokens -> DeployTokenDetails
-- Deploy tokens by id, of one place or of all.
SELECT id, name, username, scopes, expires_at, revoked, expires_at IS NOT NULL AND expires_at <= now() AS expired
  FROM deploy_tokens
 WHERE id = ANY($1::bigint[]) AND (namespace_id = $2 OR $2::bigint IS NULL) AND (project_id = $3 OR $3::bigint IS NULL)
 ORDER BY id;
