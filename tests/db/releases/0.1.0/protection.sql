-- name: list_rules -> ProtectionRule
-- The protection rules of a project, oldest first.
SELECT id, project_id, package_type, package_name_pattern, normalized_pattern, minimum_access_level_for_push,
       minimum_access_level_for_delete, updated_at
  FROM package_protection_rules
 WHERE project_id = $1
 ORDER BY id;

-- name: lock_rule -> ProtectionRule
-- One rule of a project, locked until the end of the transaction.
SELECT id, project_id, package_type, package_name_pattern, normalized_pattern, minimum_access_level_for_push,
       minimum_access_level_for_delete, updated_at
  FROM package_protection_rules
 WHERE project_id = $1 AND id = $2
   FOR UPDATE;

-- name: insert_rule -> ProtectionRule
-- A new rule; a unique violation says that the project has one of this pattern and type.
INSERT INTO package_protection_rules (project_id, package_type, package_name_pattern, normalized_pattern,
                                      minimum_access_level_for_push, minimum_access_level_for_delete)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, project_id, package_type, package_name_pattern, normalized_pattern, minimum_access_level_for_push,
          minimum_access_level_for_delete, updated_at;

-- name: update_rule
-- Change a rule; a unique violation as above.
UPDATE package_protection_rules
   SET package_type = $2, package_name_pattern = $3, normalized_pattern = $4, minimum_access_level_for_push = $5,
       minimum_access_level_for_delete = $6, updated_at = now()
 WHERE id = $1;

-- name: delete_rule
-- Delete a rule.
DELETE FROM package_protection_rules WHERE id = $1;
