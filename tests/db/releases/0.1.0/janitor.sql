-- name: take_turn
-- Whether this transaction is the one that cleans up. A transaction's lock, because a pooler shares sessions.
SELECT pg_try_advisory_xact_lock($1);
