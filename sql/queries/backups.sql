-- name: export_snapshot
-- A name under which pg_dump sees what this transaction sees, as long as it lasts.
SELECT pg_export_snapshot();

-- name: find_schema
-- The number of the newest migration.
SELECT max(number) FROM schema_migrations;

-- name: leap_changes
-- The change log goes on far beyond any number that was given out after the state that was restored; whoever has seen
-- less forgets everything.
UPDATE change_head SET number = number + $1, trimmed = number + $1;

-- name: forget_changes
-- The rows of the log, which all come before the leap.
DELETE FROM changes;

-- name: leap_serials
-- So do the serials: none is given out twice for different content.
UPDATE package_names SET serial = serial + $1, moved_at = now();

-- name: leap_feed
-- And the feed of changed names: its followers notice by their sequences, which are of before the leap.
UPDATE name_changes SET number = number + $1;

-- name: renew_graces
-- Uploads that were under way then, and what was deleted: the time they are left alone begins again.
UPDATE blobs SET state_at = now() WHERE state <> 'stored';
