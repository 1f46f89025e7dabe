-- name: list_first_ids
-- Ids of one project's packages by the time they were made, newest first when $6, at most $7 of them (all when null).
-- Eight bytes each, big-endian: a tenth of what an array costs to read.
SELECT coalesce(string_agg(int8send(found.id), ''), '')
  FROM ((SELECT p.id
           FROM packages AS p
          WHERE NOT $6::boolean AND p.project_id = $1 AND p.status = ANY($2::text[])
            AND ($3::text IS NULL OR p.package_type = $3) AND ($4::text IS NULL OR p.version = $4)
            AND (cardinality($5::text[]) = 0
                 OR NOT EXISTS (SELECT 1 FROM unnest($5) AS w (word) WHERE strpos(lower(p.name), w.word) = 0))
          ORDER BY p.created_at, p.id
          LIMIT $7)
         UNION ALL
        (SELECT p.id
           FROM packages AS p
          WHERE $6::boolean AND p.project_id = $1 AND p.status = ANY($2::text[])
            AND ($3::text IS NULL OR p.package_type = $3) AND ($4::text IS NULL OR p.version = $4)
            AND (cardinality($5::text[]) = 0
                 OR NOT EXISTS (SELECT 1 FROM unnest($5) AS w (word) WHERE strpos(lower(p.name), w.word) = 0))
          ORDER BY p.created_at DESC, p.id DESC
          LIMIT $7)) AS found;

-- name: count_packages
-- How many packages of one project there are, counted up to 10,001.
SELECT count(*)
  FROM (SELECT 1
          FROM packages AS p
         WHERE p.project_id = $1 AND p.status = ANY($2::text[])
           AND ($3::text IS NULL OR p.package_type = $3) AND ($4::text IS NULL OR p.version = $4)
           AND (cardinality($5::text[]) = 0
                OR NOT EXISTS (SELECT 1 FROM unnest($5) AS w (word) WHERE strpos(lower(p.name), w.word) = 0))
         LIMIT 10001) AS counted;

-- name: list_ids
-- Ids of the packages of some projects in the order $6, ascending, as in list_first_ids.
SELECT coalesce(string_agg(int8send(found.id), '' ORDER BY found.text_key, found.created_at, found.id), '')
  FROM (SELECT p.id, p.created_at,
               CASE $6::text WHEN 'name' THEN lower(p.name)
                             WHEN 'version' THEN p.version
                             WHEN 'type' THEN p.package_type
                             WHEN 'project_path' THEN (SELECT lower(r.full_path) FROM projects AS r WHERE r.id = p.project_id)
               END AS text_key
          FROM packages AS p
         WHERE p.project_id = ANY($1::bigint[]) AND p.status = ANY($2::text[])
           AND ($3::text IS NULL OR p.package_type = $3) AND ($4::text IS NULL OR p.version = $4)
           AND (cardinality($5::text[]) = 0
                OR NOT EXISTS (SELECT 1 FROM unnest($5) AS w (word) WHERE strpos(lower(p.name), w.word) = 0))) AS found;

-- name: list_packages -> PackageDetails
-- Packages by id, in the order of the ids.
SELECT p.id, p.project_id, r.full_path AS project_path, p.package_type, p.name, p.version, p.status, p.creator_id,
       p.created_at, p.last_downloaded_at
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN packages AS p ON p.id = asked.id
  JOIN projects AS r ON r.id = p.project_id
 ORDER BY asked.position;

-- name: list_siblings -> Sibling
-- The other versions of a package's name in its project.
SELECT o.id, o.version, o.created_at
  FROM packages AS p
  JOIN packages AS o ON o.project_id = p.project_id AND o.package_type = p.package_type
                    AND o.normalized_name = p.normalized_name AND o.id <> p.id
 WHERE p.id = $1 AND o.status = ANY($2::text[])
 ORDER BY o.version, o.id;

-- name: list_tags -> Tag
-- The dist-tags that point at some packages.
SELECT id, package_id, name, created_at, updated_at FROM tags WHERE package_id = ANY($1::bigint[]) ORDER BY id;

-- name: page_files -> PageOfIds
-- Files of a package in the order $2, the other way round when $3.
SELECT ARRAY(SELECT f.id
               FROM package_files AS f
              WHERE f.package_id = $1
              ORDER BY CASE WHEN $2::text = 'file_name' AND NOT $3::boolean THEN f.file_name END,
                       CASE WHEN $2 = 'file_name' AND $3 THEN f.file_name END DESC,
                       CASE WHEN $2 = 'created_at' AND NOT $3 THEN f.created_at END,
                       CASE WHEN $2 = 'created_at' AND $3 THEN f.created_at END DESC,
                       CASE WHEN NOT $3 THEN f.id END, f.id DESC
              LIMIT $4 OFFSET $5) AS ids,
       (SELECT count(*) FROM package_files AS f WHERE f.package_id = $1) AS total;

-- name: list_files -> FileDetails
-- Files by id, in the order of the ids.
SELECT f.id, f.package_id, f.file_name, f.created_at, b.size, b.md5, b.sha1, b.sha256,
       f.facts -> 'attestations' AS attestations
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN package_files AS f ON f.id = asked.id
  JOIN blobs AS b ON b.id = f.blob_id
 ORDER BY asked.position;
