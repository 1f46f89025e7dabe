-- name: insert_stage
-- A new stage that ends after so many days.
INSERT INTO stages (project_id, package_type, title, sealed, author_kind, author_id, author_name, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(days => $8))
RETURNING id;

-- name: find_stage -> Stage
-- One stage of a project that has not expired.
SELECT id, project_id, package_type, title, sealed, state, released, author_kind, author_name, created_at,
       expires_at, promoted_at
  FROM stages
 WHERE project_id = $1 AND id = $2 AND expires_at > now();

-- name: lock_stage -> Stage
-- The same, locked until the end of the transaction.
SELECT id, project_id, package_type, title, sealed, state, released, author_kind, author_name, created_at,
       expires_at, promoted_at
  FROM stages
 WHERE project_id = $1 AND id = $2 AND expires_at > now()
   FOR UPDATE;

-- name: list_stages -> Stage
-- The stages of a project, newest first; of one package type, or in one state, where these are given.
SELECT id, project_id, package_type, title, sealed, state, released, author_kind, author_name, created_at,
       expires_at, promoted_at
  FROM stages
 WHERE project_id = $1 AND (package_type = $2 OR $2 IS NULL) AND (state = $3 OR $3 IS NULL) AND expires_at > now()
 ORDER BY created_at DESC, id
 LIMIT $4 OFFSET $5;

-- name: count_stages
-- How many of these there are.
SELECT count(*)
  FROM stages
 WHERE project_id = $1 AND (package_type = $2 OR $2 IS NULL) AND (state = $3 OR $3 IS NULL) AND expires_at > now();

-- name: lock_project
-- Lock a project until the end of the transaction, for what is counted in it; no row when it is gone.
SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE;

-- name: finish_stage
-- A stage was promoted.
UPDATE stages SET state = 'promoted', promoted_at = now(), released = $2 WHERE id = $1;

-- name: delete_stage
-- Forget a stage; its files go with it.
DELETE FROM stages WHERE id = $1;

-- name: list_expired -> ExpiredStage
-- Stages whose time is over.
SELECT s.id, s.project_id
  FROM stages AS s
 WHERE s.expires_at <= now()
 ORDER BY s.expires_at, s.id
 LIMIT $1;

-- name: lock_expired
-- A stage whose time is over, locked until the end of the transaction; no row when it is gone or busy.
SELECT id FROM stages WHERE id = $1 AND expires_at <= now() FOR UPDATE SKIP LOCKED;

-- name: insert_file
-- A new file of a stage; no row when the file name is in a stage already.
INSERT INTO staged_files (stage_id, project_id, package_type, name, normalized_name, version, file_name, blob_id,
                          publication, author_kind, author_id, author_name, people)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (project_id, package_type, normalized_name, file_name) DO NOTHING
RETURNING id;

-- name: list_files -> StagedFile
-- The files of some stages, oldest first; of one normalised name where that is given.
SELECT f.id, f.stage_id, f.package_type, f.name, f.normalized_name, f.version, f.file_name,
       f.requires_python, f.tag, f.unique_below, f.author_kind, f.author_name, f.people, f.created_at, b.id AS blob_id,
       b.key, b.size, b.sha256, b.md5, b.sha1, b.sha512, b.blake2b_256
  FROM staged_files AS f
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.stage_id = ANY($1::uuid[]) AND (f.normalized_name = $2 OR $2 IS NULL)
 ORDER BY f.id;

-- name: find_file -> StagedFile
-- The file of a stage with a file name and a SHA-256.
SELECT f.id, f.stage_id, f.package_type, f.name, f.normalized_name, f.version, f.file_name,
       f.requires_python, f.tag, f.unique_below, f.author_kind, f.author_name, f.people, f.created_at, b.id AS blob_id,
       b.key, b.size, b.sha256, b.md5, b.sha1, b.sha512, b.blake2b_256
  FROM staged_files AS f
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.stage_id = $1 AND f.file_name = $2 AND b.sha256 = $3;

-- name: find_publication
-- What a staged file will be published as.
SELECT publication FROM staged_files WHERE id = $1;

-- name: list_sealed_files -> StagedFile
-- The files of all sealed open stages of a project of one package type, newest first; of one normalised name where that
-- is given.
SELECT f.id, f.stage_id, f.package_type, f.name, f.normalized_name, f.version, f.file_name,
       f.requires_python, f.tag, f.unique_below, f.author_kind, f.author_name, f.people, f.created_at, b.id AS blob_id,
       b.key, b.size, b.sha256, b.md5, b.sha1, b.sha512, b.blake2b_256
  FROM staged_files AS f
  JOIN stages AS s ON s.id = f.stage_id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.project_id = $1 AND f.package_type = $2 AND (f.normalized_name = $3 OR $3 IS NULL)
   AND s.sealed AND s.expires_at > now()
 ORDER BY f.id DESC
 LIMIT $4 OFFSET $5;

-- name: count_sealed_files
-- How many of these there are.
SELECT count(*)
  FROM staged_files AS f
  JOIN stages AS s ON s.id = f.stage_id
 WHERE f.project_id = $1 AND f.package_type = $2 AND (f.normalized_name = $3 OR $3 IS NULL)
   AND s.sealed AND s.expires_at > now();

-- name: find_staged -> StagedFile
-- The file that holds a file name, of whichever stage that has not expired.
SELECT f.id, f.stage_id, f.package_type, f.name, f.normalized_name, f.version, f.file_name,
       f.requires_python, f.tag, f.unique_below, f.author_kind, f.author_name, f.people, f.created_at, b.id AS blob_id,
       b.key, b.size, b.sha256, b.md5, b.sha1, b.sha512, b.blake2b_256
  FROM staged_files AS f
  JOIN stages AS s ON s.id = f.stage_id
  JOIN blobs AS b ON b.id = f.blob_id
 WHERE f.project_id = $1 AND f.package_type = $2 AND f.normalized_name = $3 AND f.file_name = $4
   AND s.expires_at > now();

-- name: find_expired -> ExpiredStage
-- The stage that held a file name until its time was over.
SELECT s.id, s.project_id
  FROM staged_files AS f
  JOIN stages AS s ON s.id = f.stage_id
 WHERE f.project_id = $1 AND f.package_type = $2 AND f.normalized_name = $3 AND f.file_name = $4
   AND s.expires_at <= now();

-- name: count_files
-- How many files a stage has.
SELECT count(*) FROM staged_files WHERE stage_id = $1;

-- name: delete_files
-- Take files out of a stage, all of them or one; answers their blobs.
DELETE FROM staged_files WHERE stage_id = $1 AND (id = $2 OR $2 IS NULL) RETURNING blob_id;

-- name: take_file
-- Take a file out of its stage; answers what it will be published as.
DELETE FROM staged_files WHERE id = $1 RETURNING publication;

-- name: list_people
-- The users behind an actor: a user; who made a deploy token; behind every bot among them who made it or its membership,
-- and who rotated its token and so was shown it, which may be bots again.
WITH RECURSIVE behind (user_id) AS (
    SELECT u.id FROM users AS u WHERE $1 = 'user' AND u.id = $2
     UNION
    SELECT d.creator_id FROM deploy_tokens AS d WHERE $1 = 'deploy_token' AND d.id = $2 AND d.creator_id IS NOT NULL
     UNION
    SELECT next.user_id
      FROM behind AS b
      LEFT JOIN users AS u ON u.id = b.user_id
     CROSS JOIN LATERAL (
        SELECT m.created_by_id AS user_id FROM members AS m WHERE m.user_id = b.user_id
         UNION ALL
        SELECT e.author_id
          FROM audit_events AS e
         WHERE e.event_name IN ('project_access_token_created', 'group_access_token_created')
           AND e.details ->> 'user_id' = b.user_id::text AND e.author_kind = 'user'
         UNION ALL
        SELECT e.author_id
          FROM audit_events AS e
         WHERE e.entity_type = 'User' AND e.entity_id = b.user_id AND e.author_kind = 'user'
           AND e.event_name = 'personal_access_token_rotated'
     ) AS next
     -- No row is a bot that was deleted.
     WHERE u.kind IS DISTINCT FROM 'human' AND next.user_id IS NOT NULL
)
SELECT user_id FROM behind ORDER BY user_id;

-- name: is_human
-- Whether a user is a person.
SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND kind = 'human');
