-- name: page_projects -> PageOfIds
-- Projects that somebody may see ($1 all, $2 by visibility, $3 and $4 by membership), filtered and ordered.
WITH found AS (
    SELECT p.id,
           CASE $15::text WHEN 'name' THEN lower(p.name) WHEN 'path' THEN lower(p.path) END AS text_key,
           CASE $15::text WHEN 'created_at' THEN p.created_at
                          WHEN 'last_activity_at' THEN greatest(p.created_at, (SELECT max(k.created_at)
                                                                                 FROM packages AS k
                                                                                WHERE k.project_id = p.id))
           END AS time_key
      FROM projects AS p
      JOIN namespaces AS n ON n.id = p.namespace_id
     WHERE ($1::boolean OR p.visibility = ANY($2::text[]) OR p.id = ANY($3::bigint[]) OR n.ancestry && $4::bigint[])
       AND ($5::bigint IS NULL OR p.namespace_id = $5)
       AND ($6::bigint IS NULL OR n.ancestry @> ARRAY[$6::bigint])
       AND ($7::text IS NULL OR strpos(lower(p.name), lower($7)) > 0 OR strpos(lower(p.path), lower($7)) > 0
            OR strpos(lower(p.description), lower($7)) > 0
            OR ($8::boolean AND strpos(lower(p.full_path), lower($7)) > 0))
       AND ($9::text IS NULL OR p.visibility = $9)
       AND ($10::boolean IS NULL OR p.archived = $10)
       AND ($11::bigint IS NULL OR p.id > $11)
       AND ($12::bigint IS NULL OR p.id < $12)
)
SELECT ARRAY(SELECT id
               FROM found
              ORDER BY CASE WHEN NOT $16::boolean THEN text_key END, CASE WHEN $16 THEN text_key END DESC,
                       CASE WHEN NOT $16 THEN time_key END, CASE WHEN $16 THEN time_key END DESC,
                       CASE WHEN NOT $16 THEN id END, id DESC
              LIMIT $13 OFFSET $14) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_projects -> ProjectDetails
-- Projects by id, in the order of the ids, with what the API shows of their namespaces.
SELECT p.id, p.namespace_id, n.ancestry, p.name, p.path, p.full_path, p.description, p.visibility,
       p.package_registry_access_level, p.archived, p.creator_id, p.created_at,
       greatest(p.created_at, (SELECT max(k.created_at) FROM packages AS k WHERE k.project_id = p.id))
       AS last_activity_at,
       n.name AS namespace_name, n.path AS namespace_path, n.kind AS namespace_kind,
       n.full_path AS namespace_full_path, n.parent_id AS namespace_parent_id,
       (SELECT string_agg(a.name, ' / ' ORDER BY cardinality(a.ancestry)) FROM namespaces AS a WHERE a.id = ANY(n.ancestry))
       AS namespace_full_name,
       (SELECT settings FROM application_settings)
       || jsonb_build_object('above', (SELECT coalesce(jsonb_agg(a.settings ORDER BY cardinality(a.ancestry)), '[]')
                                         FROM namespaces AS a WHERE a.id = ANY(n.ancestry)),
                             'own', p.settings) AS settings
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN projects AS p ON p.id = asked.id
  JOIN namespaces AS n ON n.id = p.namespace_id
 ORDER BY asked.position;

-- name: page_groups -> PageOfIds
-- Groups that somebody may see ($1 all, $2 by visibility, $3 each of them, $4 with all below), filtered and ordered.
WITH found AS (
    SELECT n.id,
           CASE $14::text WHEN 'name' THEN lower(n.name) WHEN 'path' THEN lower(n.path) END AS text_key
      FROM namespaces AS n
     WHERE n.kind = 'group'
       AND ($1::boolean OR n.visibility = ANY($2::text[]) OR n.id = ANY($3::bigint[]) OR n.ancestry && $4::bigint[])
       AND ($5::bigint IS NULL OR n.parent_id = $5)
       AND ($6::bigint IS NULL OR (n.ancestry @> ARRAY[$6::bigint] AND n.id <> $6))
       AND ($7::text IS NULL OR strpos(lower(n.name), lower($7)) > 0 OR strpos(lower(n.full_path), lower($7)) > 0)
       AND ($8::text IS NULL OR n.visibility = $8)
       AND (NOT $9::boolean OR n.parent_id IS NULL)
       AND n.id <> ALL($10::bigint[])
       AND ($11::bigint IS NULL OR n.id > $11)
       AND ($12::bigint IS NULL OR n.id < $12)
)
SELECT ARRAY(SELECT id
               FROM found
              ORDER BY CASE WHEN NOT $15::boolean THEN text_key END, CASE WHEN $15 THEN text_key END DESC,
                       CASE WHEN NOT $15 THEN id END, id DESC
              LIMIT $13 OFFSET $16) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_groups -> GroupDetails
-- Groups by id, in the order of the ids, with the names of those above them.
SELECT n.id, n.kind, n.parent_id, n.ancestry, n.name, n.path, n.full_path, n.description, n.visibility, n.created_at,
       (SELECT string_agg(a.name, ' / ' ORDER BY cardinality(a.ancestry)) FROM namespaces AS a WHERE a.id = ANY(n.ancestry))
       AS full_name,
       (SELECT settings FROM application_settings)
       || jsonb_build_object('above', (SELECT coalesce(jsonb_agg(a.settings ORDER BY cardinality(a.ancestry)), '[]')
                                         FROM namespaces AS a WHERE a.id = ANY(n.ancestry) AND a.id <> n.id),
                             'own', n.settings) AS settings
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN namespaces AS n ON n.id = asked.id
 ORDER BY asked.position;

-- name: page_users -> PageOfIds
-- Users, filtered and ordered.
WITH found AS (
    SELECT u.id,
           CASE $13::text WHEN 'name' THEN lower(u.name) WHEN 'username' THEN lower(u.username) END AS text_key,
           CASE $13::text WHEN 'created_at' THEN u.created_at END AS time_key
      FROM users AS u
     WHERE ($1::text IS NULL OR lower(u.username) = lower($1))
       AND ($2::text IS NULL OR strpos(lower(u.name), lower($2)) > 0 OR strpos(lower(u.username), lower($2)) > 0
            OR ($3::boolean AND strpos(lower(u.email), lower($2)) > 0))
       AND ($4::text IS NULL OR u.state = $4)
       AND (NOT $5::boolean OR u.admin)
       AND (NOT $6::boolean OR u.kind = 'human')
       AND ($7::timestamptz IS NULL OR u.created_at > $7)
       AND ($8::timestamptz IS NULL OR u.created_at < $8)
       AND ($9::bigint IS NULL OR u.id > $9)
       AND ($10::bigint IS NULL OR u.id < $10)
)
SELECT ARRAY(SELECT id
               FROM found
              ORDER BY CASE WHEN NOT $14::boolean THEN text_key END, CASE WHEN $14 THEN text_key END DESC,
                       CASE WHEN NOT $14 THEN time_key END, CASE WHEN $14 THEN time_key END DESC,
                       CASE WHEN NOT $14 THEN id END, id DESC
              LIMIT $11 OFFSET $12) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_users -> UserDetails
-- Users by id, in the order of the ids, with their personal namespaces.
SELECT u.id, u.username, u.name, u.email, u.admin, u.state, u.kind, u.created_at, n.id AS namespace_id
  FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
  JOIN users AS u ON u.id = asked.id
  LEFT JOIN namespaces AS n ON n.owner_id = u.id AND n.kind = 'user'
 ORDER BY asked.position;

-- name: page_members -> PageOfIds
-- Users who are members of any of some groups or of a project.
WITH found AS (
    SELECT DISTINCT u.id
      FROM members AS m
      JOIN users AS u ON u.id = m.user_id
     WHERE (m.namespace_id = ANY($1::bigint[]) OR m.project_id = $2)
       AND (m.expires_at IS NULL OR m.expires_at > (now() AT TIME ZONE 'UTC')::date)
       AND ($3::text IS NULL OR strpos(lower(u.name), lower($3)) > 0 OR strpos(lower(u.username), lower($3)) > 0)
       AND (cardinality($4::bigint[]) = 0 OR u.id = ANY($4::bigint[]))
)
SELECT ARRAY(SELECT id FROM found ORDER BY id LIMIT $5 OFFSET $6) AS ids,
       (SELECT count(*) FROM (SELECT 1 FROM found LIMIT 10001) AS counted) AS total;

-- name: list_members -> Member
-- Members of any of some groups or of a project, each with the highest of their levels.
SELECT DISTINCT ON (m.user_id) m.user_id, u.username, u.name, u.state, m.access_level, m.expires_at, m.created_at,
       m.created_by_id, c.username AS created_by_username, c.name AS created_by_name, c.state AS created_by_state
  FROM members AS m
  JOIN users AS u ON u.id = m.user_id
  LEFT JOIN users AS c ON c.id = m.created_by_id
 WHERE (m.namespace_id = ANY($1::bigint[]) OR m.project_id = $2) AND m.user_id = ANY($3::bigint[])
   AND (m.expires_at IS NULL OR m.expires_at > (now() AT TIME ZONE 'UTC')::date)
 ORDER BY m.user_id, m.access_level DESC, m.id;
