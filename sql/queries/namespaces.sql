-- name: find_project -> ProjectRow
-- A project by id, with the settings of its namespaces (top-level first) and of the instance.
SELECT p.id, p.namespace_id, n.ancestry, p.name, p.path, p.full_path, p.description, p.visibility,
       p.package_registry_access_level, p.archived, p.created_at,
       (SELECT settings FROM application_settings)
       || jsonb_build_object('above', (SELECT coalesce(jsonb_agg(a.settings ORDER BY cardinality(a.ancestry)), '[]')
                                         FROM namespaces AS a WHERE a.id = ANY(n.ancestry)),
                             'own', p.settings) AS settings
  FROM projects AS p
  JOIN namespaces AS n ON n.id = p.namespace_id
 WHERE p.id = $1;

-- name: find_group -> GroupRow
-- A namespace by id, with the settings of those above it and of the instance.
SELECT n.id, n.kind, n.parent_id, n.ancestry, n.name, n.path, n.full_path, n.description, n.visibility, n.created_at,
       n.owner_id,
       (SELECT settings FROM application_settings)
       || jsonb_build_object('above', (SELECT coalesce(jsonb_agg(a.settings ORDER BY cardinality(a.ancestry)), '[]')
                                         FROM namespaces AS a WHERE a.id = ANY(n.ancestry) AND a.id <> n.id),
                             'own', n.settings) AS settings
  FROM namespaces AS n
 WHERE n.id = $1;

-- name: find_route -> RouteRow
-- What holds a full path, in lower case.
SELECT namespace_id, project_id FROM routes WHERE path = $1;

-- name: list_group_projects -> ProjectRow
-- All projects below a namespace, at any depth; all there are when it is null.
SELECT p.id, p.namespace_id, n.ancestry, p.name, p.path, p.full_path, p.description, p.visibility,
       p.package_registry_access_level, p.archived, p.created_at, '{}'::jsonb AS settings
  FROM namespaces AS n
  JOIN projects AS p ON p.namespace_id = n.id
 WHERE n.ancestry @> ARRAY[$1::bigint] OR $1 IS NULL
 ORDER BY p.id;

-- name: insert_namespace
-- A new group or personal namespace; its ancestry ends with its own id.
INSERT INTO namespaces (kind, parent_id, owner_id, ancestry, name, path, full_path, description, visibility)
VALUES ($1, $2, $3, '{}', $4, $5, $6, $7, $8)
RETURNING id;

-- name: set_ancestry
-- Complete a new namespace.
UPDATE namespaces
   SET ancestry = coalesce((SELECT above.ancestry FROM namespaces AS above WHERE above.id = $2), '{}') || $1::bigint
 WHERE id = $1;

-- name: insert_project
-- A new project.
INSERT INTO projects (namespace_id, name, path, full_path, description, visibility, package_registry_access_level,
                      creator_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id;

-- name: insert_route
-- Claim a full path; a unique violation of routes_pkey says that it is taken.
INSERT INTO routes (path, namespace_id, project_id) VALUES (lower($1), $2, $3);

-- name: update_namespace
-- Change what may be changed in place.
UPDATE namespaces
   SET name = $2, description = $3, visibility = $4, settings = $5, path = $6, full_path = $7
 WHERE id = $1;

-- name: update_project
-- Change what may be changed in place.
UPDATE projects
   SET name = $2, description = $3, visibility = $4, package_registry_access_level = $5, archived = $6, settings = $7,
       path = $8, full_path = $9
 WHERE id = $1;

-- name: rename_namespaces
-- New full paths for everything below a renamed group.
UPDATE namespaces
   SET full_path = $3 || substr(full_path, length($2) + 1)
 WHERE ancestry @> ARRAY[$1::bigint] AND id <> $1;

-- name: rename_projects
-- New full paths for the projects below a renamed group.
UPDATE projects AS p
   SET full_path = $3 || substr(p.full_path, length($2) + 1)
  FROM namespaces AS n
 WHERE n.id = p.namespace_id AND n.ancestry @> ARRAY[$1::bigint];

-- name: rename_routes
-- New routes for a renamed group or project and everything below it.
UPDATE routes
   SET path = lower($2) || substr(path, length($1) + 1)
 WHERE path = lower($1) OR starts_with(path, lower($1) || '/');

-- name: delete_namespaces
-- Delete a group with all groups below it; their projects are gone already.
DELETE FROM namespaces WHERE id = ANY($1::bigint[]);

-- name: list_subtree
-- A namespace and all below it, deepest first, held until the transaction ends.
SELECT id FROM namespaces WHERE ancestry @> ARRAY[$1::bigint] ORDER BY cardinality(ancestry) DESC, id FOR UPDATE;

-- name: doom_project_blobs
-- Nobody will refer to these blobs once the project is gone.
UPDATE blobs SET state = 'doomed', state_at = now()
 WHERE id IN (SELECT blob_id FROM blob_references WHERE project_id = $1);

-- name: retire_project_names
-- Remember the names of a project about to be deleted, so that nobody else is asked for them.
INSERT INTO retired_names (package_type, normalized_name, root_path)
SELECT n.package_type, n.normalized_name, lower(split_part(p.full_path, '/', 1))
  FROM package_names AS n
  JOIN projects AS p ON p.id = n.project_id
 WHERE n.project_id = $1 AND n.normalized_name <> ''
ON CONFLICT (package_type, normalized_name, root_path) DO NOTHING;

-- name: copy_retired_names
-- A top-level namespace was renamed: what was retired below its old path is so below the new one, too.
INSERT INTO retired_names (package_type, normalized_name, root_path, retired_at)
SELECT package_type, normalized_name, lower($2), retired_at FROM retired_names WHERE root_path = lower($1)
ON CONFLICT (package_type, normalized_name, root_path) DO NOTHING;

-- name: delete_project_files
-- The files of a project about to be deleted.
DELETE FROM package_files WHERE project_id = $1;

-- name: delete_project
-- Delete a project; its packages, tags, members and tokens go with it.
DELETE FROM projects WHERE id = $1;

-- name: group_settings
-- The layer of settings of a namespace.
SELECT settings FROM namespaces WHERE id = $1;

-- name: project_settings
-- The layer of settings of a project.
SELECT settings FROM projects WHERE id = $1;

-- name: list_visibilities_below
-- The visibilities of what is below a group.
SELECT visibility FROM namespaces WHERE ancestry @> ARRAY[$1::bigint] AND id <> $1
 UNION
SELECT p.visibility
  FROM projects AS p
  JOIN namespaces AS n ON n.id = p.namespace_id
 WHERE n.ancestry @> ARRAY[$1::bigint];

-- name: list_project_names
-- Everything that has a serial in a project.
SELECT package_type, normalized_name FROM package_names WHERE project_id = $1 ORDER BY package_type, normalized_name;

-- name: lock_namespace
-- Hold a namespace until the transaction ends.
SELECT id FROM namespaces WHERE id = $1 FOR UPDATE;

-- name: lock_project
-- Hold a project until the transaction ends.
SELECT id FROM projects WHERE id = $1 FOR UPDATE;
