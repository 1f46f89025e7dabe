-- name: list_mounts -> MountRow
-- All mounts, by address.
SELECT m.id, m.url, m.host, m.prefix, m.package_type, m.namespace_id, m.project_id, m.created_at,
       coalesce(p.full_path, n.full_path) AS full_path
  FROM mounts AS m
  LEFT JOIN projects AS p ON p.id = m.project_id
  LEFT JOIN namespaces AS n ON n.id = m.namespace_id
 ORDER BY m.host, m.prefix, m.package_type;

-- name: insert_mount
-- A new mount; a unique violation says that the address is taken.
INSERT INTO mounts (url, host, prefix, package_type, namespace_id, project_id)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id;

-- name: delete_mount
-- Delete a mount; answers its address.
DELETE FROM mounts WHERE id = $1 RETURNING url;
