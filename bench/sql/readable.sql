-- The documents that reading is measured on: up to 20,000, in a table of their own.
CREATE TABLE readable AS
SELECT enrichment FROM session_summaries WHERE enrichment IS NOT NULL ORDER BY session_id LIMIT 20000;
VACUUM ANALYZE readable;
