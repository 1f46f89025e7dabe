-- name: list_hooks -> Hook
-- The hooks of a group ($1) or project ($2), oldest first; only one of them with $3.
SELECT id, namespace_id, project_id, url, name, description, events, enable_ssl_verification, token IS NOT NULL AS token,
       failures, disabled, next_attempt_at, created_at
  FROM hooks
 WHERE (namespace_id = $1 OR project_id = $2)
   AND ($3::bigint IS NULL OR id = $3)
   AND NOT deleted
 ORDER BY id;

-- name: lock_hook
-- Lock a hook of a group ($1) or project ($2) until the end of the transaction; no row when there is none.
SELECT id
  FROM hooks
 WHERE (namespace_id = $1 OR project_id = $2) AND id = $3 AND NOT deleted
   -- What refers to it does not wait.
   FOR NO KEY UPDATE;

-- name: insert_hook
-- A new hook, unless the place has $10 of them already.
INSERT INTO hooks (namespace_id, project_id, url, name, description, events, token, signing_token,
                   enable_ssl_verification)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
 WHERE (SELECT count(*) FROM hooks WHERE (namespace_id = $1 OR project_id = $2) AND NOT deleted) < $10
RETURNING id;

-- name: update_hook
-- Change a hook and let it be told again; a null secret stays as it is, an empty token is none.
UPDATE hooks
   SET url = $2, name = $3, description = $4, events = $5, token = nullif(coalesce($6, token), ''),
       signing_token = coalesce($7, signing_token), enable_ssl_verification = $8, failures = 0, disabled = false,
       next_attempt_at = now(), revision = revision + 1
 WHERE id = $1;

-- name: delete_hook
-- Take a hook out of sight and tell it nothing more; `bury` removes it.
UPDATE hooks SET deleted = true, disabled = true, revision = revision + 1 WHERE id = $1;

-- name: bury
-- Remove what deleted hooks were told, some rows at a time, and a hook when nothing is left; answers how many rows.
WITH gone AS (
    DELETE FROM hook_events
     WHERE id IN (SELECT e.id
                    FROM hook_events AS e
                    JOIN hooks AS h ON h.id = e.hook_id
                   WHERE h.deleted
                   LIMIT 1000
                     FOR UPDATE OF e SKIP LOCKED)
    RETURNING 1
), buried AS (
    DELETE FROM hooks
     WHERE id IN (SELECT h.id
                    FROM hooks AS h
                   WHERE h.deleted AND NOT EXISTS (SELECT 1 FROM hook_events AS e WHERE e.hook_id = h.id)
                     FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM buried);

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
SELECT e.id, e.message_id, e.trigger, e.payload, e.state, e.attempts, e.response_status, e.response_body, e.error,
       e.duration, e.attempted_at, e.created_at
  FROM unnest($2::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN hook_events AS e ON e.id = asked.id AND e.hook_id = $1
 ORDER BY asked.position;

-- name: insert_event
-- Something to be told to one hook.
INSERT INTO hook_events (hook_id, trigger, payload)
VALUES ($1, $2, $3::jsonb || jsonb_build_object('created_at', now()))
RETURNING id;

-- name: resend
-- Tell an event once more; no row when the hook has none of this id.
UPDATE hook_events SET state = 'pending' WHERE hook_id = $1 AND id = $2 RETURNING id;

-- name: revive
-- Let a hook be told again, at once.
UPDATE hooks SET failures = 0, disabled = false, next_attempt_at = now(), revision = revision + 1 WHERE id = $1;

-- name: claim -> Claim
-- The oldest event of a hook whose turn it is; for the time of $1 the turn is the caller's. Below one top-level
-- namespace $2 hooks are busy at once (more for a moment, when replicas ask together): others' need not wait for them.
WITH full_tops AS (
    SELECT n.ancestry[1] AS top
      FROM hooks AS h
      LEFT JOIN projects AS p ON p.id = h.project_id
      JOIN namespaces AS n ON n.id = coalesce(h.namespace_id, p.namespace_id)
     WHERE h.busy_until > now()
     GROUP BY 1
    HAVING count(*) >= $2
), due AS (
    SELECT h.id
      FROM hooks AS h
      LEFT JOIN projects AS p ON p.id = h.project_id
      JOIN namespaces AS n ON n.id = coalesce(h.namespace_id, p.namespace_id)
     WHERE NOT h.disabled
       AND h.next_attempt_at <= now()
       AND h.busy_until <= now()
       AND EXISTS (SELECT 1 FROM hook_events AS e WHERE e.hook_id = h.id AND e.state = 'pending')
       AND n.ancestry[1] NOT IN (SELECT top FROM full_tops)
     ORDER BY h.next_attempt_at
     LIMIT 1
       -- A change that is telling this hook, and so refers to it, is not waited for and does not wait.
       FOR NO KEY UPDATE OF h SKIP LOCKED
), taken AS (
    UPDATE hooks AS h
       SET busy_until = now() + $1::interval
      FROM due
     WHERE h.id = due.id
    RETURNING h.id, h.url, h.token, h.signing_token, h.enable_ssl_verification, h.failures, h.busy_until, h.revision
)
SELECT taken.id AS hook_id, taken.url, taken.token, taken.signing_token, taken.enable_ssl_verification, taken.failures,
       taken.busy_until, taken.revision, e.id AS event_id, e.message_id, e.payload
  FROM taken
  JOIN LATERAL (SELECT p.id, p.message_id, p.payload
                  FROM hook_events AS p
                 WHERE p.hook_id = taken.id AND p.state = 'pending'
                 ORDER BY p.id
                 LIMIT 1) AS e ON true;

-- name: settle
-- Write down what became of an attempt, and when the hook's next turn is. What waits for a disabled hook is given up.
-- Nothing is written when the turn ($11) was over and somebody else's began: it is told again. When somebody repaired
-- the hook since ($12), a failure says nothing about it: the turn ends, and the event is told again at once.
WITH mine AS (
    UPDATE hooks
       SET failures = CASE WHEN revision = $12 THEN $8 ELSE failures END,
           disabled = CASE WHEN revision = $12 THEN $9 ELSE disabled END,
           next_attempt_at = CASE WHEN revision = $12 THEN now() + $10::interval ELSE next_attempt_at END,
           busy_until = now()
     WHERE id = $1 AND busy_until = $11
    RETURNING id, disabled
), given_up AS (
    UPDATE hook_events
       SET state = 'failed', error = 'the hook was disabled'
     WHERE hook_id = (SELECT id FROM mine WHERE disabled) AND id <> $2 AND state = 'pending'
)
UPDATE hook_events AS e
   SET state = CASE WHEN $3 = 'delivered' THEN $3 WHEN mine.disabled THEN 'failed' ELSE 'pending' END,
       attempts = attempts + 1, response_status = $4, response_body = $5, error = $6, duration = $7,
       attempted_at = now()
  FROM mine
 WHERE e.hook_id = mine.id AND e.id = $2;

-- name: put_off
-- End a turn ($2) in which nothing was tried, until later.
UPDATE hooks SET busy_until = now(), next_attempt_at = now() + $3::interval WHERE id = $1 AND busy_until = $2;

-- name: disable_full
-- Disable the hooks for which more than $1 events wait, and give these up; answers the hooks.
WITH full_ones AS (
    SELECT h.id
      FROM hooks AS h
     WHERE NOT h.disabled
       AND EXISTS (SELECT 1 FROM hook_events AS e WHERE e.hook_id = h.id AND e.state = 'pending' OFFSET $1)
       FOR NO KEY UPDATE SKIP LOCKED
), disabled AS (
    UPDATE hooks SET disabled = true, revision = revision + 1 WHERE id IN (SELECT id FROM full_ones) RETURNING id
), given_up AS (
    UPDATE hook_events
       SET state = 'failed', error = 'the hook was disabled: too many events waited for it'
     WHERE hook_id IN (SELECT id FROM disabled) AND state = 'pending'
)
SELECT id FROM disabled;

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
