-- The documents that reading is measured on: those that PostgreSQL's own operators can read. They
-- fail on \u0000 and on lone surrogates, so nothing with such an escape is in it.
CREATE TABLE readable AS
SELECT enrichment FROM session_summaries
WHERE enrichment::text !~* '\\u(0000|d[89a-f])' ORDER BY session_id;
