-- name: forget_old
-- Forget the sign-ins that nobody finished in time.
DELETE FROM sign_ins WHERE created_at < now() - $1::interval;

-- name: count_open -> OpenSignIns
-- How many sign-ins are under way: from one address, from one site, and from all.
SELECT count(*) FILTER (WHERE address = $1) AS here, count(*) FILTER (WHERE site = $2) AS around, count(*) AS everywhere
  FROM sign_ins
 WHERE created_at >= now() - $3::interval;

-- name: insert
-- A sign-in that begins.
INSERT INTO sign_ins (browser_sha256, client_sha256, address, site) VALUES ($1, $2, $3, $4);

-- name: find_waiting -> SignIn
-- A sign-in that waits for a token to be shown.
SELECT address, created_at
  FROM sign_ins
 WHERE browser_sha256 = $1 AND token_id IS NULL AND created_at >= now() - $2::interval;

-- name: show_token
-- Note which token was shown; no row when there is nothing that waits for one.
UPDATE sign_ins SET token_id = $2
 WHERE browser_sha256 = $1 AND token_id IS NULL AND created_at >= now() - $3::interval
RETURNING id;

-- name: find_asked -> AskedSignIn
-- The sign-in that a client asks about.
SELECT id, token_id FROM sign_ins WHERE client_sha256 = $1 AND created_at >= now() - $2::interval;

-- name: lock_asked -> AskedSignIn
-- The same, held until the transaction ends.
SELECT id, token_id
  FROM sign_ins
 WHERE client_sha256 = $1 AND created_at >= now() - $2::interval
   FOR UPDATE;

-- name: delete
-- A sign-in that is over.
DELETE FROM sign_ins WHERE id = $1;
