-- name: list_grants -> Grant
-- The reserved prefixes of one package type, by prefix.
SELECT g.id, g.package_type, g.prefix, g.namespace_id, n.full_path, g.created_at
  FROM name_grants AS g
  JOIN namespaces AS n ON n.id = g.namespace_id
 WHERE g.package_type = $1
 ORDER BY g.prefix;

-- name: find_foreign -> Grant
-- The longest of some prefixes that is reserved for a group other than these.
SELECT g.id, g.package_type, g.prefix, g.namespace_id, n.full_path, g.created_at
  FROM name_grants AS g
  JOIN namespaces AS n ON n.id = g.namespace_id
 WHERE g.package_type = $1 AND g.prefix = ANY($2::text[]) AND g.namespace_id <> ALL($3::bigint[])
 ORDER BY length(g.prefix) DESC
 LIMIT 1;

-- name: lock_grants
-- Keep others from changing grants until the end of the transaction.
LOCK TABLE name_grants IN SHARE ROW EXCLUSIVE MODE;

-- name: insert_grant
-- Reserve a prefix; answers its id.
INSERT INTO name_grants (package_type, prefix, namespace_id) VALUES ($1, $2, $3) RETURNING id;

-- name: delete_grant -> Grant
-- Give a prefix back; answers what was granted.
DELETE FROM name_grants AS g
 USING namespaces AS n
 WHERE g.id = $1 AND n.id = g.namespace_id
RETURNING g.id, g.package_type, g.prefix, g.namespace_id, n.full_path, g.created_at;
