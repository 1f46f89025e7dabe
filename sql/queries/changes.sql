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
-- Names of a project ($3) that can be read, or could once, get that number in the feed.
WITH next AS (
    UPDATE change_head SET number = number + 1 RETURNING number
), moved AS (
    SELECT DISTINCT kind, key FROM unnest($1::text[], $2::text[]) AS moved (kind, key)
), named AS (
    SELECT split_part(key, ':', 1) AS package_type, substr(key, strpos(key, ':') + 1) AS normalized_name
      FROM moved
     WHERE kind = 'name' AND $3::bigint IS NOT NULL
), fed AS (
    INSERT INTO name_changes (project_id, package_type, normalized_name, number)
    SELECT $3, m.package_type, m.normalized_name, next.number
      FROM next, named AS m
     WHERE EXISTS (SELECT 1
                     FROM packages AS p
                    WHERE p.project_id = $3 AND p.package_type = m.package_type
                      AND p.normalized_name = m.normalized_name AND p.status IN ('default', 'hidden', 'deprecated'))
        OR EXISTS (SELECT 1
                     FROM name_changes AS c
                    WHERE c.project_id = $3 AND c.package_type = m.package_type
                      AND c.normalized_name = m.normalized_name)
    ON CONFLICT (package_type, normalized_name, project_id) DO UPDATE SET number = excluded.number
)
INSERT INTO changes (number, kind, key)
SELECT next.number, moved.kind, moved.key
  FROM next, moved;

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
