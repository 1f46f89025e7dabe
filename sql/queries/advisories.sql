-- name: put
-- Put advisories in place ($1, a JSON array), unless a newer state of one is there; answers how many were put.
WITH given AS (
    SELECT g.osv_id, g.title, g.details, g.severity, g.cvss_vector, g.cvss_score, g.cwes, g.url, g.published, g.modified
      FROM jsonb_to_recordset($1::jsonb) AS g (osv_id text, title text, details text, severity text, cvss_vector text,
           cvss_score double precision, cwes text[], url text, published timestamptz, modified timestamptz)
), stored AS (
    INSERT INTO advisories AS a
           (osv_id, title, details, severity, cvss_vector, cvss_score, cwes, url, published, modified)
    SELECT osv_id, title, details, severity, cvss_vector, cvss_score, cwes, url, published, modified
      FROM given
        ON CONFLICT (osv_id) DO UPDATE
       SET title = excluded.title, details = excluded.details, severity = excluded.severity,
           cvss_vector = excluded.cvss_vector, cvss_score = excluded.cvss_score, cwes = excluded.cwes,
           url = excluded.url, published = excluded.published, modified = excluded.modified
     WHERE a.modified <= excluded.modified
    RETURNING id, osv_id
)
SELECT id, osv_id FROM stored;

-- name: clear_packages
-- Forget what packages some advisories are about, to say it anew.
DELETE FROM advisory_packages WHERE advisory_id = ANY($1::bigint[]);

-- name: put_packages
-- What packages advisories are about ($1, a JSON array).
INSERT INTO advisory_packages (advisory_id, ecosystem, name, ranges, versions)
SELECT g.advisory_id, g.ecosystem, g.name, g.ranges, g.versions
  FROM jsonb_to_recordset($1::jsonb) AS g (advisory_id bigint, ecosystem text, name text, ranges jsonb, versions text[]);

-- name: delete
-- Forget advisories by their OSV ids; answers how many there were.
WITH gone AS (DELETE FROM advisories WHERE osv_id = ANY($1::text[]) RETURNING 1)
SELECT count(*) FROM gone;

-- name: delete_others
-- Forget the advisories whose OSV ids begin with none of some prefixes and are not among some; answers how many.
WITH gone AS (
    DELETE FROM advisories AS a
     WHERE NOT a.osv_id = ANY($1::text[])
       AND NOT EXISTS (SELECT 1 FROM unnest($2::text[]) AS kept (prefix) WHERE starts_with(a.osv_id, kept.prefix))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: exist
-- Whether any advisory was loaded.
SELECT EXISTS (SELECT 1 FROM advisories);

-- name: count -> AdvisoryCount
-- How many advisories there are, by severity.
SELECT severity, count(*) AS advisories, max(modified) AS newest FROM advisories GROUP BY severity ORDER BY severity;

-- name: list_about -> PackageAdvisory
-- What is known against some packages of an ecosystem: $4 at most, with the first $3 characters of the details of each.
-- A title may be as long, where it was taken from the details.
SELECT p.name, a.id, a.osv_id, left(a.title, 500) AS title, left(a.details, $3) AS details, a.severity, a.cvss_vector,
       a.cvss_score, a.cwes, a.url, a.published, a.modified, p.ranges, p.versions
  FROM (SELECT advisory_id, name, ranges, versions
          FROM advisory_packages
         WHERE ecosystem = $1 AND name = ANY($2::text[])
         LIMIT $4) AS p
  JOIN advisories AS a ON a.id = p.advisory_id
 ORDER BY p.name, a.id;
