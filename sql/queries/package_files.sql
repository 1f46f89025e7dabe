-- name: list_files -> PageFile
-- The installable files of one name in some projects, in package and file order, with what a page shows of each; of
-- some ids only, where they are given.
SELECT f.id, f.revision, p.name, p.version, f.file_name, b.sha256, b.size, f.created_at, f.requires_python, f.yanked,
       f.yanked_reason, f.provenance IS NOT NULL AS attested, f.core_metadata_sha256
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.package_type = $1 AND f.normalized_name = $2 AND f.project_id = ANY($3::bigint[])
   AND p.status IN ('default', 'hidden', 'deprecated')
   AND ($4::bigint[] IS NULL OR f.id = ANY($4))
 ORDER BY f.package_id, f.id;

-- name: list_file_marks
-- Which files `list_files` would list, in its order, and their revisions.
SELECT array_agg(f.id ORDER BY f.package_id, f.id) AS ids,
       array_agg(f.revision ORDER BY f.package_id, f.id) AS revisions
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
 WHERE f.package_type = $1 AND f.normalized_name = $2 AND f.project_id = ANY($3::bigint[])
   AND p.status IN ('default', 'hidden', 'deprecated');

-- name: find_file -> FileRow
-- One file by its name and sha256. Of several, one that may be had, and whose core metadata is known.
SELECT f.id, f.package_id, f.project_id, p.name, f.normalized_name, p.version, f.file_name, f.requires_python,
       f.yanked, f.yanked_reason, f.core_metadata_sha256, f.created_at, b.key, b.size, b.sha256, b.sha1, b.sha512, f.facts, n.serial,
       n.status AS name_status
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN package_names AS n
    ON n.project_id = f.project_id AND n.package_type = f.package_type AND n.normalized_name = f.normalized_name
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.package_type = $1 AND f.project_id = ANY($2::bigint[]) AND f.file_name = $3 AND b.sha256 = $4
   AND p.status IN ('default', 'hidden', 'deprecated')
 ORDER BY n.status = 'quarantined', f.core_metadata_sha256 IS NULL, f.id DESC
 LIMIT 1;

-- name: find_core_metadata
-- The METADATA or PKG-INFO kept of a file, byte for byte (PEP 658); null where none is.
SELECT core_metadata FROM package_files WHERE id = $1;

-- name: list_release_files -> ReleaseFile
-- The installable files of one name in some projects, in package and file order, with their digests and yanks.
SELECT f.package_id, p.name, p.version, f.file_name, b.size, b.md5, b.sha256, b.blake2b_256, f.created_at,
       f.requires_python, f.yanked, f.yanked_reason
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.package_type = $1 AND f.normalized_name = $2 AND f.project_id = ANY($3::bigint[])
   AND p.status IN ('default', 'hidden', 'deprecated')
 ORDER BY f.package_id, f.id;

-- name: find_named_file -> FileRow
-- The newest file of a name with this file name.
SELECT f.id, f.package_id, f.project_id, p.name, f.normalized_name, p.version, f.file_name, f.requires_python,
       f.yanked, f.yanked_reason, f.core_metadata_sha256, f.created_at, b.key, b.size, b.sha256, b.sha1, b.sha512, f.facts, n.serial,
       n.status AS name_status
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN package_names AS n
    ON n.project_id = f.project_id AND n.package_type = f.package_type AND n.normalized_name = f.normalized_name
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.package_type = $1 AND f.normalized_name = $2 AND f.project_id = ANY($3::bigint[]) AND f.file_name = $4
   AND p.status IN ('default', 'hidden', 'deprecated')
 ORDER BY f.package_id DESC, f.id DESC
 LIMIT 1;

-- name: find_provenance -> Provenance
-- What is attested of the newest file of a name with this file name, and with this digest where one is given.
SELECT p.version, f.provenance AS text, f.facts
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.package_type = $1 AND f.normalized_name = $2 AND f.project_id = ANY($3::bigint[]) AND f.file_name = $4
   AND (b.sha256 = $5 OR $5 IS NULL)
   AND p.status IN ('default', 'hidden', 'deprecated')
 ORDER BY f.package_id DESC, f.id DESC
 LIMIT 1;

-- name: find_version_provenance -> Provenance
-- What is attested of the file of the newest package of a name at this version.
SELECT p.version, f.provenance AS text, f.facts
  FROM packages AS p
  JOIN package_files AS f ON f.package_id = p.id
 WHERE p.package_type = $1 AND p.normalized_name = $2 AND p.project_id = ANY($3::bigint[]) AND p.version = $4
   AND p.status IN ('default', 'hidden', 'deprecated')
 ORDER BY p.id DESC
 LIMIT 1;

-- name: insert_file
-- A new file of a package; no row when the file name is taken. Where all others of its release, which are those of the
-- packages $12, are yanked, so is this one: the release is.
INSERT INTO package_files (package_id, project_id, package_type, normalized_name, file_name, blob_id, requires_python,
                           core_metadata, core_metadata_sha256, provenance, facts, yanked, yanked_reason)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce(bool_and(f.yanked), false),
       CASE WHEN bool_and(f.yanked) THEN max(f.yanked_reason) END
  FROM package_files AS f
 WHERE f.package_id = ANY($12::bigint[])
ON CONFLICT (project_id, package_type, normalized_name, file_name) DO NOTHING
RETURNING id;

-- name: find_taken -> TakenFile
-- Who holds a file name: its package and what it holds.
SELECT f.id, f.package_id, p.name, p.version, p.publish_session, b.sha256, b.sha512
  FROM package_files AS f
  JOIN packages AS p ON p.id = f.package_id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.project_id = $1 AND f.package_type = $2 AND f.normalized_name = $3 AND f.file_name = $4;

-- name: set_yanked
-- Yank files of one name, or take it back (PEP 592); a row for each that changed.
UPDATE package_files AS f
   SET yanked = $5, yanked_reason = $6, revision = f.revision + 1
 WHERE f.project_id = $1 AND f.package_type = $2 AND f.normalized_name = $3 AND f.file_name = ANY($4::text[])
   AND (f.yanked, f.yanked_reason) IS DISTINCT FROM ($5, $6::text)
RETURNING f.file_name;

-- name: find_tombstone
-- The digest of another content that this file name once had.
SELECT sha256 FROM tombstones
 WHERE project_id = $1 AND package_type = $2 AND normalized_name = $3 AND file_name = $4 AND sha256 <> $5
 LIMIT 1;

-- name: delete_files -> DeletedFile
-- Delete the files of packages, leaving a tombstone for each.
WITH gone AS (
    DELETE FROM package_files AS f
     USING packages AS p
     WHERE p.id = f.package_id AND f.project_id = $1 AND f.package_id = ANY($2::bigint[])
       AND (f.id = $3 OR $3 IS NULL)
 RETURNING f.id, f.package_id, f.project_id, f.package_type, f.normalized_name, f.file_name, f.blob_id, f.created_at,
           p.version
), buried AS (
    INSERT INTO tombstones (project_id, package_type, normalized_name, file_name, version, sha256)
    SELECT g.project_id, g.package_type, g.normalized_name, g.file_name, g.version, b.sha256
      FROM gone AS g JOIN blobs AS b ON b.id = g.blob_id
    ON CONFLICT (project_id, package_type, normalized_name, file_name, sha256) DO UPDATE SET deleted_at = now()
)
SELECT id, package_id, file_name, blob_id, created_at FROM gone ORDER BY id;
