-- name: find_settings
-- What was changed of the instance's settings.
SELECT settings FROM application_settings;

-- name: update_settings
-- Change some of the instance's settings; null returns one to its default.
UPDATE application_settings SET settings = jsonb_strip_nulls(settings || $1::jsonb) RETURNING settings;

-- name: insert_audit_event
-- One row for one change, in its transaction, and one for each hook that wants to be told; $11 is null for what none is.
WITH written AS (
    INSERT INTO audit_events (author_kind, author_id, author_name, token_id, ip_address, entity_type, entity_id,
                              entity_path, event_name, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
)
INSERT INTO hook_events (hook_id, trigger, payload)
SELECT h.id, $11::text, $12::jsonb || jsonb_build_object('created_at', now())
  FROM hooks AS h
 WHERE (h.project_id = $7 OR h.namespace_id = ANY ($13::bigint[]))
   AND $11 = ANY (h.events)
   AND NOT h.disabled
   -- A hook whose row is being removed is not waited for; other changes of it do not wait for this one.
   FOR KEY SHARE SKIP LOCKED;
