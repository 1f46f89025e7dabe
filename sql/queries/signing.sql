-- name: list_keys -> PublicKey
-- Every key that ever signed here, oldest first.
SELECT id, public_key, expires_at
  FROM signing_keys
 ORDER BY created_at, id;

-- name: insert_key
-- Make a key known; false when it was already.
WITH added AS (
    INSERT INTO signing_keys (id, public_key) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id
)
SELECT count(*) = 1 FROM added;

-- name: expire_key
-- Let a key expire; false when there is none of this id.
WITH changed AS (
    UPDATE signing_keys SET expires_at = $2 WHERE id = $1 RETURNING id
)
SELECT count(*) = 1 FROM changed;
