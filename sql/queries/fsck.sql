-- name: list_stored -> StoredBlob
-- Blobs that files refer to, by id, beginning after one.
SELECT b.id, b.key, b.size, b.sha256
  FROM blobs AS b
 WHERE b.state = 'stored' AND b.id > $1
 ORDER BY b.id
 LIMIT $2;

-- name: is_stored
-- Whether a blob still is what it was seen to be.
SELECT EXISTS (SELECT 1 FROM blobs WHERE id = $1 AND state = 'stored');

-- name: list_files_of -> FilePlace
-- The file that refers to a blob, and where it is; also one of a stage.
SELECT r.full_path AS project, f.package_type, p.name, p.version, f.file_name
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN projects AS r ON r.id = f.project_id
 WHERE f.blob_id = $1
 UNION ALL
SELECT r.full_path AS project, f.package_type, f.name, f.version, f.file_name
  FROM staged_files AS f
  JOIN projects AS r ON r.id = f.project_id
 WHERE f.blob_id = $1;

-- name: find_newest_blob
-- When the youngest of all blobs was begun; null when there is none.
SELECT max(created_at) FROM blobs;

-- name: count_blobs
-- How many blobs there are.
SELECT count(*) FROM blobs;

-- name: list_unreferenced -> BlobState
-- Stored blobs that no file refers to.
SELECT b.id, b.key, b.state
  FROM blobs AS b
 WHERE b.state = 'stored' AND NOT EXISTS (SELECT 1 FROM blob_references AS f WHERE f.blob_id = b.id)
 ORDER BY b.id;

-- name: doom_unreferenced
-- Doom a stored blob that still nobody refers to; no row when somebody does.
UPDATE blobs AS b SET state = 'doomed', state_at = now()
 WHERE b.id = $1 AND b.state = 'stored' AND NOT EXISTS (SELECT 1 FROM blob_references AS f WHERE f.blob_id = b.id)
RETURNING b.id;

-- name: list_unstored -> BlobState
-- Blobs that a file refers to without being stored.
SELECT b.id, b.key, b.state
  FROM blobs AS b
 WHERE b.state <> 'stored' AND EXISTS (SELECT 1 FROM blob_references AS f WHERE f.blob_id = b.id)
 ORDER BY b.id;

-- name: keep_referenced
-- Make a complete blob that a file refers to a stored one; no row when it is not complete or nobody refers to it.
UPDATE blobs AS b SET state = 'stored', upload_id = NULL, state_at = now()
 WHERE b.id = $1 AND b.state <> 'stored' AND b.size IS NOT NULL AND b.sha256 IS NOT NULL
   AND EXISTS (SELECT 1 FROM blob_references AS f WHERE f.blob_id = b.id)
RETURNING b.id;

-- name: list_misfiled -> NamePlace
-- Files that do not belong where their version does.
SELECT r.full_path AS project, f.project_id, f.package_type, f.normalized_name, f.file_name AS what
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN projects AS r ON r.id = f.project_id
 WHERE (f.project_id, f.package_type, f.normalized_name) <> (p.project_id, p.package_type, p.normalized_name)
 ORDER BY f.id;

-- name: list_dangling_tags -> NamePlace
-- Tags that point at a version of something else, or at one without a file.
SELECT r.full_path AS project, t.project_id, t.package_type, t.normalized_name, t.name AS what
  FROM tags AS t
  JOIN packages AS p ON p.id = t.package_id
  JOIN projects AS r ON r.id = t.project_id
 WHERE (t.project_id, t.package_type, t.normalized_name) <> (p.project_id, p.package_type, p.normalized_name)
    OR NOT EXISTS (SELECT 1 FROM package_files AS f WHERE f.package_id = p.id)
 ORDER BY t.id;

-- name: delete_dangling_tag
-- Delete a tag that still points at nothing; no row when it does not.
DELETE FROM tags AS t
 USING packages AS p
 WHERE p.id = t.package_id
   AND t.project_id = $1 AND t.package_type = $2 AND t.normalized_name = $3 AND t.name = $4
   AND ((t.project_id, t.package_type, t.normalized_name) <> (p.project_id, p.package_type, p.normalized_name)
        OR NOT EXISTS (SELECT 1 FROM package_files AS f WHERE f.package_id = p.id))
RETURNING t.id;

-- name: list_stale_serials -> NamePlace
-- Names with versions whose serial is missing, or did not move when a version, a file or a tag did. Transactions that
-- wait for each other write times that are out of order by as long as they may last: a minute is allowed for.
SELECT r.full_path AS project, s.project_id, s.package_type, s.normalized_name,
       CASE WHEN n.serial IS NULL THEN 'missing' ELSE 'stale' END AS what
  FROM (SELECT project_id, package_type, normalized_name, max(at) AS at
          FROM (SELECT project_id, package_type, normalized_name, greatest(created_at, updated_at) AS at FROM packages
                 UNION ALL
                SELECT project_id, package_type, normalized_name, created_at FROM package_files
                 UNION ALL
                SELECT project_id, package_type, normalized_name, updated_at FROM tags
                 UNION ALL
                SELECT project_id, package_type, normalized_name, deleted_at FROM tombstones) AS moved
         GROUP BY project_id, package_type, normalized_name) AS s
  JOIN projects AS r ON r.id = s.project_id
  LEFT JOIN package_names AS n
    ON n.project_id = s.project_id AND n.package_type = s.package_type AND n.normalized_name = s.normalized_name
 WHERE n.serial IS NULL OR n.moved_at < s.at - interval '1 minute'
 ORDER BY s.project_id, s.package_type, s.normalized_name;

-- name: list_stale_indexes -> NamePlace
-- Projects whose index has no serial, or one that did not move when a name appeared.
SELECT r.full_path AS project, s.project_id, s.package_type, '' AS normalized_name,
       CASE WHEN n.serial IS NULL THEN 'missing' ELSE 'stale' END AS what
  FROM (SELECT project_id, package_type, max(created_at) AS at
          FROM package_names WHERE normalized_name <> ''
         GROUP BY project_id, package_type) AS s
  JOIN projects AS r ON r.id = s.project_id
  LEFT JOIN package_names AS n
    ON n.project_id = s.project_id AND n.package_type = s.package_type AND n.normalized_name = ''
 WHERE n.serial IS NULL OR n.moved_at < s.at - interval '1 minute'
 ORDER BY s.project_id, s.package_type;

-- name: find_change_numbers -> ChangeNumbers
-- The counter of the change log beside its rows.
SELECT h.number, h.trimmed, coalesce((SELECT max(c.number) FROM changes AS c), 0) AS newest FROM change_head AS h;

-- name: raise_change_head
-- Bring the counter of the change log up to its rows.
UPDATE change_head SET number = greatest(number, trimmed, coalesce((SELECT max(c.number) FROM changes AS c), 0));

-- name: list_names -> NameKey
-- Names that have versions, beginning after one.
SELECT DISTINCT p.project_id, r.full_path AS project, p.package_type, p.normalized_name
  FROM packages AS p
  JOIN projects AS r ON r.id = p.project_id
 WHERE (p.project_id, p.package_type, p.normalized_name) > ($1, $2, $3)
 ORDER BY p.project_id, p.package_type, p.normalized_name
 LIMIT $4;

-- name: list_versions -> StoredVersion
-- Everything stored about a name: each version with each of its files, or with nulls where it has none.
SELECT p.name, p.version, p.created_at, p.manifest, p.abbreviated, p.readme, f.file_name, f.requires_python,
       f.core_metadata, f.core_metadata_sha256, f.facts, b.size, b.sha1, b.sha256, b.sha512
  FROM packages AS p
  LEFT JOIN package_files AS f ON f.package_id = p.id
  LEFT JOIN blobs AS b ON b.id = f.blob_id
 WHERE p.project_id = $1 AND p.package_type = $2 AND p.normalized_name = $3
 ORDER BY p.id, f.id;

-- name: list_tags -> StoredTag
-- The tags of a name.
SELECT t.name, p.version
  FROM tags AS t
  JOIN packages AS p ON p.id = t.package_id
 WHERE t.project_id = $1 AND t.package_type = $2 AND t.normalized_name = $3
 ORDER BY t.id;
