-- name: find_settings
-- What was changed of the instance's settings.
SELECT settings FROM application_settings;

-- name: update_settings
-- Change some of the instance's settings; null returns one to its default.
UPDATE application_settings SET settings = jsonb_strip_nulls(settings || $1::jsonb) RETURNING settings;

-- name: insert_audit_event
-- One row for one change, in its transaction.
INSERT INTO audit_events (author_kind, author_id, author_name, token_id, ip_address, entity_type, entity_id, entity_path,
                          event_name, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
