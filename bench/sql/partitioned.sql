-- Sessions in hash partitions instead of one table, for measuring: the same rows, keys and indexes.
--
-- psql variable: partitions, how many.

ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;
ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session;
ALTER TABLE session_summaries RENAME TO plain;
CREATE TABLE session_summaries (LIKE plain INCLUDING DEFAULTS) PARTITION BY HASH (session_id);
SELECT format('CREATE TABLE sessions_%s PARTITION OF session_summaries FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
              n, :partitions, n)
FROM generate_series(0, :partitions - 1) AS n \gexec
INSERT INTO session_summaries TABLE plain;
CREATE TABLE definitions AS
SELECT replace(pg_get_indexdef(indexrelid), 'public.plain ', 'public.session_summaries ') AS statement
FROM pg_index WHERE indrelid = 'plain'::regclass AND NOT indisprimary;
DROP TABLE plain;
ALTER TABLE session_summaries ADD CONSTRAINT pk_session_summaries PRIMARY KEY (session_id);
SELECT statement FROM definitions \gexec
DROP TABLE definitions;
ALTER TABLE password_session_usage ADD CONSTRAINT fk_password_session_usage_session
  FOREIGN KEY (session_id) REFERENCES session_summaries (session_id);
ALTER TABLE longtail_detection_sessions ADD CONSTRAINT fk_longtail_detection_sessions_session
  FOREIGN KEY (session_id) REFERENCES session_summaries (session_id) ON DELETE CASCADE;
VACUUM (FREEZE, ANALYZE) session_summaries;
