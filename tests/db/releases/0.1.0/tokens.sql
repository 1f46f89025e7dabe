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
-- A token about to be rotated or revoked, held until the transaction ends.
SELECT id, user_id, name, description, scopes, created_at, expires_at, revoked, coalesce(family_id, id) AS family_id
  FROM personal_access_tokens
 WHERE id = $1
   FOR UPDATE;

-- name: revoke_token
-- Revoke one token; answers its digest.
UPDATE personal_access_tokens SET revoked = true WHERE id = $1 RETURNING sha256;

-- name: revoke_family
-- Revoke every token of a chain of rotations that is still good; answers their digests.
UPDATE personal_access_tokens SET revoked = true
 WHERE user_id = $1 AND (id = $2 OR family_id = $2) AND NOT revoked
RETURNING sha256;

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
