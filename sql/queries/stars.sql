-- name: put
-- Star a name; a star stays where it is.
INSERT INTO package_stars (user_id, project_id, package_type, name)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: delete
-- Take a star back from a name in some projects.
DELETE FROM package_stars
 WHERE user_id = $1 AND project_id = ANY($2::bigint[]) AND package_type = $3 AND name = $4;

-- name: list_names -> StarredName
-- What a user has starred in some projects and is still there, in the order of the names.
SELECT DISTINCT s.name
  FROM package_stars AS s
  JOIN users AS u ON u.id = s.user_id
 WHERE lower(u.username) = lower($1) AND s.package_type = $2 AND s.project_id = ANY($3::bigint[])
   AND EXISTS (SELECT 1
                 FROM packages AS p
                WHERE p.project_id = s.project_id AND p.package_type = s.package_type AND p.normalized_name = s.name)
 ORDER BY s.name;
