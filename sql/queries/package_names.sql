-- name: list_serials -> SerialRow
-- The serials of one name in some projects, with its status (PEP 792); a row only where the name has ever been.
SELECT n.project_id, n.serial, n.status, n.status_reason,
       EXISTS (SELECT 1
                 FROM packages AS p
                WHERE p.project_id = n.project_id
                  AND p.package_type = n.package_type
                  AND p.normalized_name = n.normalized_name) AS exists,
       EXISTS (SELECT 1
                 FROM package_files AS f
                 JOIN packages AS p ON p.id = f.package_id
                WHERE f.project_id = n.project_id
                  AND f.package_type = n.package_type
                  AND f.normalized_name = n.normalized_name
                  AND p.status IN ('default', 'hidden', 'deprecated')) AS listed
  FROM package_names AS n
 WHERE n.package_type = $1 AND n.normalized_name = $2 AND n.project_id = ANY($3::bigint[])
 ORDER BY n.project_id;

-- name: list_index_serials -> SerialRow
-- The serials of the indexes of some projects: they move when a name appears or disappears. The index is the name ''.
SELECT project_id, serial, status, status_reason, true AS exists, true AS listed
  FROM package_names
 WHERE package_type = $1 AND normalized_name = '' AND project_id = ANY($2::bigint[])
 ORDER BY project_id;

-- name: list_names -> NameRow
-- One row per name in some projects: the first package's spelling.
SELECT DISTINCT ON (p.normalized_name) p.normalized_name, p.name
  FROM packages AS p
 WHERE p.package_type = $1 AND p.project_id = ANY($2::bigint[]) AND p.status IN ('default', 'hidden', 'deprecated')
 ORDER BY p.normalized_name, p.id;

-- name: move_serial
-- Move the serial of a name, making its row when this is its first appearance.
INSERT INTO package_names AS n (project_id, package_type, normalized_name)
VALUES ($1, $2, $3)
ON CONFLICT (package_type, normalized_name, project_id) DO UPDATE
   SET serial = n.serial + 1, moved_at = now()
RETURNING serial;

-- name: lock_serial
-- The serial of a name, locked until the end of the transaction; no row for a new name.
SELECT serial FROM package_names
 WHERE package_type = $1 AND normalized_name = $2 AND project_id = $3
   FOR UPDATE;

-- name: find_name_status
-- The status of a name (PEP 792), locked until the end of the transaction; no row for a new name.
SELECT status FROM package_names
 WHERE package_type = $1 AND normalized_name = $2 AND project_id = $3
   FOR UPDATE;

-- name: set_name_status
-- Give a name another status (PEP 792); no row when it had this one.
UPDATE package_names
   SET status = $4, status_reason = $5
 WHERE package_type = $1 AND normalized_name = $2 AND project_id = $3
   AND (status, status_reason) IS DISTINCT FROM ($4, $5::text)
RETURNING status;

-- name: has_name
-- Whether a name has any version in a project.
SELECT EXISTS (SELECT 1 FROM packages WHERE project_id = $1 AND package_type = $2 AND normalized_name = $3);

-- name: has_prefix
-- Whether any name that begins like this is or once was in some projects.
SELECT EXISTS (SELECT 1
                 FROM package_names
                WHERE package_type = $1 AND starts_with(normalized_name, $2) AND project_id = ANY($3::bigint[]));

-- name: list_retired
-- The paths of the top-level namespaces in which a name was lost with its project; for a prefix, any name that begins so.
SELECT DISTINCT root_path
  FROM retired_names
 WHERE package_type = $1
   AND CASE WHEN $3::boolean THEN starts_with(normalized_name, $2) ELSE normalized_name = $2 END;

-- name: lock_root
-- Lock a top-level namespace until the end of the transaction, for what must be unique in all of it.
SELECT id FROM namespaces WHERE id = $1 FOR NO KEY UPDATE;

-- name: is_elsewhere
-- Whether another project below the same top-level namespace has this name at this version.
SELECT EXISTS (SELECT 1
                 FROM packages AS p
                 JOIN projects AS r ON r.id = p.project_id
                 JOIN namespaces AS n ON n.id = r.namespace_id
                WHERE p.package_type = $1 AND p.normalized_name = $2 AND p.version = $3
                  AND p.project_id <> $4 AND n.ancestry[1] = $5);

-- name: find_home
-- The project of the newest package of a name, among some projects.
SELECT project_id FROM packages
 WHERE package_type = $1 AND normalized_name = $2 AND project_id = ANY($3::bigint[])
   AND status IN ('default', 'hidden', 'deprecated')
 ORDER BY id DESC
 LIMIT 1;

-- name: search -> FoundName
-- Names in some projects that begin like $4 and hold all words of $5, in themselves or in the description or keywords
-- of the version tagged $3 (the newest where none is); with how many there are in all, exact names first. A manifest is
-- parsed only when its text, which holds the name too, has the word.
WITH heads AS (
    SELECT DISTINCT ON (n.normalized_name) n.normalized_name AS name, t.package_id AS tagged_id,
           coalesce(t.package_id, (SELECT max(p.id)
                                     FROM packages AS p
                                    WHERE p.project_id = n.project_id AND p.package_type = n.package_type
                                      AND p.normalized_name = n.normalized_name
                                      AND p.status IN ('default', 'deprecated'))) AS id
      FROM package_names AS n
      LEFT JOIN tags AS t ON t.project_id = n.project_id AND t.package_type = n.package_type
                         AND t.normalized_name = n.normalized_name AND t.name = $3
     WHERE n.package_type = $1 AND n.project_id = ANY($2::bigint[]) AND n.normalized_name <> ''
       AND starts_with(n.normalized_name, $4)
     ORDER BY n.normalized_name, t.updated_at DESC NULLS LAST, id DESC NULLS LAST
)
SELECT h.name, h.tagged_id, count(*) OVER () AS total
  FROM heads AS h
  JOIN packages AS p ON p.id = h.id
 WHERE p.status IN ('default', 'deprecated')
   AND EXISTS (SELECT 1 FROM package_files AS f WHERE f.package_id = p.id)
   AND NOT EXISTS (SELECT 1
                     FROM unnest($5::text[]) AS w (word)
                    WHERE strpos(lower(p.manifest), w.word) = 0
                       OR (strpos(lower(h.name), w.word) = 0
                      AND strpos(lower(concat_ws(' ', p.manifest::json ->> 'description',
                                                 p.manifest::json ->> 'keywords')), w.word) = 0))
 ORDER BY h.name <> ALL($5::text[]), h.name
 LIMIT $6 OFFSET $7;
