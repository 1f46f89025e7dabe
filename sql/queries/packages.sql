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

-- name: delete_packages
-- Delete package rows; their tags go with them.
DELETE FROM packages WHERE project_id = $1 AND id = ANY($2::bigint[]);

-- name: touch_downloads
-- Note when packages were last downloaded, many at once.
UPDATE packages AS p
   SET last_downloaded_at = greatest(p.last_downloaded_at, d.at)
  FROM unnest($1::bigint[], $2::timestamptz[]) AS d (id, at)
 WHERE p.id = d.id;

-- name: find_front -> Front
-- What the document about a name repeats from the version at its front.
SELECT manifest, readme FROM packages WHERE id = $1;
