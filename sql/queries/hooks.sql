-- name: list_hooks -> Hook
-- The hooks of a group ($1) or project ($2), oldest first; only one of them with $3.
SELECT id, namespace_id, project_id, url, name, description, events, enable_ssl_verification, token IS NOT NULL AS token,
       failures, disabled, next_attempt_at, created_at
  FROM hooks
 WHERE (namespace_id = $1 OR project_id = $2)
   AND ($3::bigint IS NULL OR id = $3)
 ORDER BY id;

-- name: insert_hook
-- A new hook, unless the place has $10 of them already.
INSERT INTO hooks (namespace_id, project_id, url, name, description, events, token, signing_token,
                   enable_ssl_verification)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
 WHERE (SELECT count(*) FROM hooks WHERE namespace_id = $1 OR project_id = $2) < $10
RETURNING id;

-- name: update_hook
-- Change a hook and let it be told again; a null secret stays as it is, an empty token is none.
UPDATE hooks
   SET url = $2, name = $3, description = $4, events = $5, token = nullif(coalesce($6, token), ''),
       signing_token = coalesce($7, signing_token), enable_ssl_verification = $8, failures = 0, disabled = false,
       next_attempt_at = now()
 WHERE id = $1;

-- name: delete_hook
-- Delete a hook with everything that it was told.
DELETE FROM hooks WHERE id = $1;

-- name: page_events -> PageOfIds
-- What a hook was told and is to be told, newest first, in one state ($2) or any.
SELECT ARRAY(SELECT id
               FROM hook_events
              WHERE hook_id = $1 AND ($2::text IS NULL OR state = $2)
              ORDER BY id DESC
              LIMIT $3 OFFSET $4) AS ids,
       (SELECT count(*)
          FROM (SELECT 1
                  FROM hook_events
                 WHERE hook_id = $1 AND ($2::text IS NULL OR state = $2)
                 LIMIT 10001) AS counted) AS total;

-- name: list_events -> HookEvent
-- Events of a hook by id, in the order of the ids.
SELECT e.id, e.trigger, e.payload, e.state, e.attempts, e.response_status, e.response_body, e.error, e.duration,
       e.attempted_at, e.created_at
  FROM unnest($2::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN hook_events AS e ON e.id = asked.id AND e.hook_id = $1
 ORDER BY asked.position;

-- name: insert_event
-- Something to be told to one hook.
INSERT INTO hook_events (hook_id, trigger, payload)
VALUES ($1, $2, $3::jsonb || jsonb_build_object('created_at', now()))
RETURNING id;

-- name: resend
-- Tell an event once more, and let its hook be told again.
WITH again AS (
    UPDATE hook_events SET state = 'pending' WHERE hook_id = $1 AND id = $2 RETURNING hook_id
)
UPDATE hooks AS h
   SET failures = 0, disabled = false, next_attempt_at = now()
  FROM again
 WHERE h.id = again.hook_id
RETURNING h.id;

-- name: revive
-- Let a hook be told again, at once.
UPDATE hooks SET failures = 0, disabled = false, next_attempt_at = now() WHERE id = $1;

-- name: claim -> Claim
-- The oldest event of a hook whose turn it is; for the time of $1 the turn is the caller's.
WITH due AS (
    SELECT h.id
      FROM hooks AS h
     WHERE NOT h.disabled
       AND h.next_attempt_at <= now()
       AND h.busy_until <= now()
       AND EXISTS (SELECT 1 FROM hook_events AS e WHERE e.hook_id = h.id AND e.state = 'pending')
     ORDER BY h.next_attempt_at
     LIMIT 1
       -- A change that is telling this hook, and so refers to it, is not waited for and does not wait.
       FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    UPDATE hooks AS h
       SET busy_until = now() + $1::interval
      FROM due
     WHERE h.id = due.id
    RETURNING h.id, h.url, h.token, h.signing_token, h.enable_ssl_verification, h.failures, h.busy_until
)
SELECT taken.id AS hook_id, taken.url, taken.token, taken.signing_token, taken.enable_ssl_verification, taken.failures,
       taken.busy_until, e.id AS event_id, e.payload
  FROM taken
  JOIN LATERAL (SELECT p.id, p.payload
                  FROM hook_events AS p
                 WHERE p.hook_id = taken.id AND p.state = 'pending'
                 ORDER BY p.id
                 LIMIT 1) AS e ON true;

-- name: settle
-- Write down what became of an attempt, and when the hook's next turn is. What waits for a disabled hook is given up.
-- Nothing is written when the turn ($11) was over and somebody else's began: it is told again.
WITH mine AS (
    UPDATE hooks
       SET failures = $8, disabled = $9, next_attempt_at = now() + $10::interval, busy_until = now()
     WHERE id = $1 AND busy_until = $11
    RETURNING id
), given_up AS (
    UPDATE hook_events
       SET state = 'failed', error = 'the hook was disabled'
     WHERE hook_id = (SELECT id FROM mine) AND id <> $2 AND state = 'pending' AND $9
)
UPDATE hook_events
   SET state = $3, attempts = attempts + 1, response_status = $4, response_body = $5, error = $6, duration = $7,
       attempted_at = now()
 WHERE hook_id = (SELECT id FROM mine) AND id = $2;

-- name: trim
-- Forget what was told longer ago than an age, some rows at a time; answers how many.
WITH gone AS (
    DELETE FROM hook_events
     WHERE id IN (SELECT id
                    FROM hook_events
                   WHERE created_at < now() - $1::interval AND state <> 'pending'
                   ORDER BY created_at
                   LIMIT 1000)
    RETURNING 1
)
SELECT count(*) FROM gone;
