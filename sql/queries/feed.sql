-- name: page_names -> FedName
-- Names of some projects ($1) that changed after a number ($2), of one type ($3) or any, in the order of their last
-- change; $4 of them, and those that changed at once with the last. One row with a null number when there are none.
WITH moved AS (
    SELECT package_type, normalized_name, max(number) AS number
      FROM name_changes
     WHERE project_id = ANY ($1::bigint[])
       AND number > $2
       AND ($3::text IS NULL OR package_type = $3)
     GROUP BY package_type, normalized_name
     ORDER BY max(number)
     FETCH FIRST ($4) ROWS WITH TIES
)
SELECT h.number AS head, m.number, m.package_type, m.normalized_name AS name,
       NOT EXISTS (SELECT 1
                     FROM packages AS p
                    WHERE p.project_id = ANY ($1::bigint[]) AND p.package_type = m.package_type
                      AND p.normalized_name = m.normalized_name
                      AND p.status IN ('default', 'hidden', 'deprecated')) AS deleted
  FROM change_head AS h
  LEFT JOIN moved AS m ON true
 ORDER BY m.number, m.package_type, m.normalized_name;
