-- name: poll -> ChangeRow
-- Everything after a number, and how far the log was trimmed; one row with a null number when there is nothing new.
-- `started` and `place` tell this server and this table from any other: a restore changes one of them.
SELECT h.number AS head, h.trimmed, pg_postmaster_start_time() AS started, pg_relation_filepath(h.tableoid) AS place,
       c.number, c.kind, c.key
  FROM change_head AS h
  LEFT JOIN changes AS c ON c.number > $1
 ORDER BY c.number;

-- name: glance -> Glance
-- The first columns of `poll`: whether there is anything new at all.
SELECT number AS head, pg_postmaster_start_time() AS started, pg_relation_filepath(tableoid) AS place FROM change_head;

-- name: head
-- The newest number.
SELECT number FROM change_head;

-- name: record
-- Take the next number and log what moved under it. Last statement of a transaction: it holds the lock until commit.
WITH next AS (UPDATE change_head SET number = number + 1 RETURNING number)
INSERT INTO changes (number, kind, key)
SELECT DISTINCT next.number, moved.kind, moved.key
  FROM next, unnest($1::text[], $2::text[]) AS moved (kind, key);

-- name: count_old
-- How many rows trim would take.
SELECT count(*) FROM changes WHERE created_at < now() - $1::interval;

-- name: trim
-- Forget changes older than an age; replicas that saw less empty their caches. Answers how many rows are gone.
WITH gone AS (
    DELETE FROM changes WHERE created_at < now() - $1::interval RETURNING number
), head AS (
    UPDATE change_head SET trimmed = greatest(trimmed, (SELECT max(number) FROM gone))
     WHERE EXISTS (SELECT 1 FROM gone)
)
SELECT count(*) FROM gone;
