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

-- name: list_versions -> VersionRow
-- The installable versions of one name in some projects, in publish order, each with one of its two manifest texts; of
-- some ids only, where they are given.
SELECT p.id, p.revision, p.project_id, p.name, p.version,
       CASE WHEN $4 THEN p.abbreviated ELSE p.manifest END AS manifest, p.status, p.status_message, p.created_at,
       f.file_name, f.facts, b.size, b.sha1, b.sha512
  FROM packages AS p
  JOIN package_files AS f ON f.package_id = p.id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE p.package_type = $1 AND p.normalized_name = $2 AND p.project_id = ANY($3::bigint[])
   AND p.status IN ('default', 'hidden', 'deprecated')
   AND ($5::bigint[] IS NULL OR p.id = ANY($5))
 ORDER BY p.id;

-- name: find_outline
-- Which versions `list_versions` would list, in its order, and their revisions; the dist-tags, where projects disagree
-- the one updated last coming last; when anything shown for the name moved last. Arrays, not rows: a quarter of the time.
SELECT v.ids, v.revisions, v.versions, t.tags, t.tagged, n.moved_at
  FROM (SELECT array_agg(p.id ORDER BY p.id) AS ids, array_agg(p.revision ORDER BY p.id) AS revisions,
               array_agg(p.version ORDER BY p.id) AS versions
          FROM packages AS p
         WHERE p.package_type = $1 AND p.normalized_name = $2 AND p.project_id = ANY($3::bigint[])
           AND p.status IN ('default', 'hidden', 'deprecated')
           AND EXISTS (SELECT 1 FROM package_files AS f WHERE f.package_id = p.id)) AS v,
       (SELECT array_agg(t.name ORDER BY t.updated_at, t.id) AS tags,
               array_agg(p.version ORDER BY t.updated_at, t.id) AS tagged
          FROM tags AS t
          JOIN packages AS p ON p.id = t.package_id
         WHERE t.package_type = $1 AND t.normalized_name = $2 AND t.project_id = ANY($3::bigint[])
           AND p.status IN ('default', 'hidden', 'deprecated')) AS t,
       (SELECT max(moved_at) AS moved_at FROM package_names
         WHERE package_type = $1 AND normalized_name = $2 AND project_id = ANY($3::bigint[])) AS n;

-- name: list_manifests -> VersionRow
-- Some packages with their full manifest texts.
SELECT p.id, p.revision, p.project_id, p.name, p.version, p.manifest, p.status, p.status_message, p.created_at,
       f.file_name, f.facts, b.size, b.sha1, b.sha512
  FROM packages AS p
  JOIN package_files AS f ON f.package_id = p.id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE p.id = ANY($1::bigint[])
 ORDER BY p.id;

-- name: list_numbers -> VersionNumber
-- The installable versions of some names in some projects without their manifests, in publish order. A version whose
-- file was deleted is not installable.
SELECT p.id, p.normalized_name AS name, p.version
  FROM packages AS p
 WHERE p.package_type = $1 AND p.normalized_name = ANY($2::text[]) AND p.project_id = ANY($3::bigint[])
   AND p.status IN ('default', 'hidden', 'deprecated')
   AND EXISTS (SELECT 1 FROM package_files AS f WHERE f.package_id = p.id)
 ORDER BY p.id;

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

-- name: find_description -> Description
-- What is kept of a version to describe it: its fields, and the core metadata of its first file that has any.
SELECT p.manifest,
       (SELECT f.core_metadata
          FROM package_files AS f
         WHERE f.package_id = p.id AND f.core_metadata IS NOT NULL
         ORDER BY f.id
         LIMIT 1) AS core_metadata
  FROM packages AS p
 WHERE p.id = $1;

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

-- name: upsert_package
-- The package of this name and version, made if it was missing; `created` says which. A second file of a version
-- overwrites the version's stored metadata, as on GitLab.
INSERT INTO packages (project_id, package_type, name, normalized_name, version, manifest, abbreviated, readme,
                      publish_session, creator_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (project_id, package_type, name, version) DO UPDATE
   SET manifest = excluded.manifest, revision = packages.revision + 1, updated_at = now()
RETURNING id, (xmax = 0) AS created;

-- name: insert_package
-- A new package; no row when the version is there already.
INSERT INTO packages (project_id, package_type, name, normalized_name, version, manifest, abbreviated, readme,
                      publish_session, creator_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (project_id, package_type, name, version) DO NOTHING
RETURNING id, true AS created;

-- name: list_beside_yanks -> VersionNumber
-- All versions of a name of which any file is yanked; none of other names.
SELECT p.id, p.normalized_name AS name, p.version
  FROM packages AS p
 WHERE p.project_id = $1 AND p.package_type = $2 AND p.normalized_name = $3
   AND EXISTS (SELECT 1
                 FROM package_files AS f
                WHERE f.project_id = $1 AND f.package_type = $2 AND f.normalized_name = $3 AND f.yanked)
 ORDER BY p.id;

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

-- name: set_yanked
-- Yank files of one name, or take it back (PEP 592); a row for each that changed.
UPDATE package_files AS f
   SET yanked = $5, yanked_reason = $6, revision = f.revision + 1
 WHERE f.project_id = $1 AND f.package_type = $2 AND f.normalized_name = $3 AND f.file_name = ANY($4::text[])
   AND (f.yanked, f.yanked_reason) IS DISTINCT FROM ($5, $6::text)
RETURNING f.file_name;

-- name: has_name
-- Whether a name has any version in a project.
SELECT EXISTS (SELECT 1 FROM packages WHERE project_id = $1 AND package_type = $2 AND normalized_name = $3);

-- name: find_tombstone
-- The digest of another content that this file name once had.
SELECT sha256 FROM tombstones
 WHERE project_id = $1 AND package_type = $2 AND normalized_name = $3 AND file_name = $4 AND sha256 <> $5
 LIMIT 1;

-- name: set_tag
-- Point a dist-tag at a package, moving it if it exists.
INSERT INTO tags (project_id, package_type, normalized_name, name, package_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (project_id, package_type, normalized_name, name) DO UPDATE
   SET package_id = excluded.package_id, updated_at = now();

-- name: delete_tag
-- Remove a dist-tag; no row when there is none.
DELETE FROM tags
 WHERE project_id = $1 AND package_type = $2 AND normalized_name = $3 AND name = $4
RETURNING id;

-- name: find_version
-- The id of one installable version of a name.
SELECT p.id
  FROM packages AS p
 WHERE p.project_id = $1 AND p.package_type = $2 AND p.normalized_name = $3 AND p.version = $4
   AND p.status IN ('default', 'hidden', 'deprecated')
   AND EXISTS (SELECT 1 FROM package_files AS f WHERE f.package_id = p.id);

-- name: set_deprecated
-- Deprecate versions with their message, or take it back where the message is null.
UPDATE packages AS p
   SET status = CASE WHEN d.message IS NULL THEN 'default' ELSE 'deprecated' END,
       status_message = d.message,
       revision = p.revision + 1,
       updated_at = now()
  FROM unnest($4::text[], $5::text[]) AS d (version, message)
 WHERE p.project_id = $1 AND p.package_type = $2 AND p.normalized_name = $3 AND p.version = d.version
   AND p.status IN ('default', 'deprecated')
   AND p.status_message IS DISTINCT FROM d.message
RETURNING p.version;

-- name: list_unsigned -> UnsignedVersion
-- Versions after an id whose files do not have these facts, in the order of ids.
SELECT p.id, p.project_id, p.normalized_name, p.name, p.version, b.sha512
  FROM packages AS p
  JOIN package_files AS f ON f.package_id = p.id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE p.package_type = $1 AND p.id > $2 AND NOT f.facts @> $3::jsonb
 ORDER BY p.id
 LIMIT $4;

-- name: add_facts
-- Add to what is known of the files of some packages of a project.
WITH known AS (
    SELECT k.package_id, k.facts FROM unnest($2::bigint[], $3::jsonb[]) AS k (package_id, facts)
), told AS (
    UPDATE package_files AS f
       SET facts = f.facts || k.facts, revision = f.revision + 1
      FROM known AS k
     WHERE f.package_id = k.package_id AND f.project_id = $1
)
UPDATE packages AS p
   SET revision = p.revision + 1
  FROM known AS k
 WHERE p.id = k.package_id AND p.project_id = $1;

-- name: lock_packages -> DoomedPackage
-- Packages about to be deleted, locked in order.
SELECT id, name, normalized_name, package_type, version, updated_at FROM packages
 WHERE project_id = $1 AND id = ANY($2::bigint[])
 ORDER BY id
   FOR UPDATE;

-- name: list_package_ids
-- The ids of the packages of one name.
SELECT id FROM packages
 WHERE project_id = $1 AND package_type = $2 AND normalized_name = $3 AND (version = ANY($4::text[]) OR $4 IS NULL)
 ORDER BY id;

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

-- name: delete_packages
-- Delete package rows; their tags go with them.
DELETE FROM packages WHERE project_id = $1 AND id = ANY($2::bigint[]);

-- name: touch_downloads
-- Note when packages were last downloaded, many at once.
UPDATE packages AS p
   SET last_downloaded_at = greatest(p.last_downloaded_at, d.at)
  FROM unnest($1::bigint[], $2::timestamptz[]) AS d (id, at)
 WHERE p.id = d.id;

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

-- name: find_front -> Front
-- What the document about a name repeats from the version at its front.
SELECT manifest, readme FROM packages WHERE id = $1;

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
