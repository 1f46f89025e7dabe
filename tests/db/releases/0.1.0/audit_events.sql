-- name: page_events -> PageOfIds
-- Events about everything or about one kind of thing or one thing, in a time, by id, newest first when $7.
WITH found AS NOT MATERIALIZED (
    SELECT e.id
      FROM audit_events AS e
     WHERE ($1::text IS NULL OR e.entity_type = $1)
       AND ($2::bigint IS NULL OR e.entity_id = $2)
       AND ($3::timestamptz IS NULL OR e.created_at >= $3)
       AND ($4::timestamptz IS NULL OR e.created_at <= $4)
       AND ($5::bigint IS NULL OR e.id > $5)
       AND ($6::bigint IS NULL OR e.id < $6)
)
SELECT ARRAY((SELECT id FROM found WHERE NOT $7::boolean ORDER BY id LIMIT $8 OFFSET $9)
             UNION ALL
             (SELECT id FROM found WHERE $7::boolean ORDER BY id DESC LIMIT $8 OFFSET $9)) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_events -> AuditEvent
-- Events by id, in the order of the ids.
SELECT e.id, e.author_kind, e.author_id, e.author_name, e.token_id, e.ip_address, e.entity_type, e.entity_id,
       e.entity_path, e.event_name, e.details, e.created_at
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN audit_events AS e ON e.id = asked.id
 ORDER BY asked.position;
