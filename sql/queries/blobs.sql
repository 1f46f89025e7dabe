-- name: open
-- The intent to write an object, before its first byte.
INSERT INTO blobs (key) VALUES ($1) RETURNING id;

-- name: set_upload_id
-- Remember the multipart upload, so that it can be aborted if its writer dies.
UPDATE blobs SET upload_id = $2 WHERE id = $1 AND state = 'open';

-- name: complete
-- The object is complete: what it turned out to be. It stays open until a file refers to it.
UPDATE blobs
   SET size = $2, sha256 = $3, md5 = $4, sha1 = $5, sha512 = $6, blake2b_256 = $7, state_at = now()
 WHERE id = $1 AND state = 'open';

-- name: store
-- A file refers to it now. No row means that the janitor was faster.
UPDATE blobs SET state = 'stored', upload_id = NULL, state_at = now() WHERE id = $1 AND state = 'open' RETURNING id;

-- name: abandon
-- Its own writer gives it up. No row means that a file refers to it after all, or that the janitor was faster.
-- As for doom_abandoned: without its digest it has no restore window.
UPDATE blobs SET state = 'doomed', state_at = now(), sha256 = NULL WHERE id = $1 AND state = 'open' RETURNING id;

-- name: doom
-- Nobody refers to these any more.
UPDATE blobs SET state = 'doomed', state_at = now() WHERE id = ANY($1::bigint[]);

-- name: list_abandoned -> DoomedBlob
-- What doom_abandoned would take, a page of it.
SELECT id, key, upload_id, size
  FROM blobs
 WHERE state = 'open' AND state_at < now() - $1::interval AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: doom_abandoned -> DoomedBlob
-- Writers that died: open for longer than any upload may take. No file ever referred to these, so no backup does;
-- without its digest a doomed blob has no restore window.
UPDATE blobs SET state = 'doomed', state_at = now(), sha256 = NULL
 WHERE id IN (SELECT id
                FROM blobs
               WHERE state = 'open' AND state_at < now() - $1::interval
               ORDER BY id
               LIMIT $2
                 FOR UPDATE SKIP LOCKED)
RETURNING id, key, upload_id, size;

-- name: list_unknown
-- Keys that no row knows.
SELECT k.key FROM unnest($1::text[]) AS k (key) WHERE NOT EXISTS (SELECT 1 FROM blobs AS b WHERE b.key = k.key);

-- name: find_state
-- Whether a publish whose commit was lost did happen.
SELECT state FROM blobs WHERE id = $1;

-- name: list_doomed -> DoomedBlob
-- What may be deleted from the store: doomed for longer than the restore window, or never referred to at all.
-- A doomed blob with a file would be a mistake made elsewhere; it is not made worse here.
SELECT b.id, b.key, b.upload_id, b.size
  FROM blobs AS b
 WHERE b.state = 'doomed'
   AND (b.state_at < now() - $1::interval OR (b.sha256 IS NULL AND b.state_at < now() - $2::interval))
   AND NOT EXISTS (SELECT 1 FROM blob_references AS f WHERE f.blob_id = b.id)
   AND b.id > $3
 ORDER BY b.id
 LIMIT $4;

-- name: delete
-- The object is gone; so is its row.
DELETE FROM blobs WHERE id = $1 AND state = 'doomed';
