-- What data.sql has made, in another shape; BENCH_SHAPE says which.
--
-- psql variables, each optional:
--   size     documents of about 1 or 16 kB: without their largest parts, or with hashes added
--   storage  of the documents: main keeps them in their row, external out of it and uncompressed
--   method   that compresses them: pglz or lz4
--   dirty    so many sessions of a hundred have values that no column takes

\if :{?storage}
  ALTER TABLE session_summaries ALTER COLUMN enrichment SET STORAGE :storage;
  SELECT format('ALTER TABLE session_summaries SET (toast_tuple_target = %s)',
                CASE :'storage' WHEN 'main' THEN 8160 ELSE 128 END) \gexec
\endif
\if :{?method}
  ALTER TABLE session_summaries ALTER COLUMN enrichment SET COMPRESSION :method;
\endif

-- Documents are read as text and made again: so they are compressed and stored as is wanted now.
\if :{?size}
  SELECT :size < 4 AS smaller, :size > 4 AS larger \gset
\else
  \set smaller false
  \set larger false
\endif
\if :smaller
  UPDATE session_summaries
  SET enrichment = (enrichment::jsonb - 'password_stats' - 'virustotal')::json
  WHERE json_typeof(enrichment) = 'object';
\elif :larger
  UPDATE session_summaries
  SET enrichment = (left(enrichment::text, -1) || ',"downloads":['
                    || (SELECT string_agg(format('"%s"', encode(sha512((i || session_id)::bytea), 'hex')), ',')
                        FROM generate_series(1, 92) AS i)
                    || ']}')::json
  WHERE json_typeof(enrichment) = 'object';
\else
  UPDATE session_summaries SET enrichment = enrichment::text::json;
\endif
\if :{?dirty}
  UPDATE session_summaries
  SET enrichment = (left(enrichment::text, -1) || ',"maxmind":{"country":"Atlantis","asn":-7,"asn_org":["?"]},'
                    '"enriched_at":"soon","cymru":{"asn":"NA"},"note":"\u0000"}')::json
  WHERE json_typeof(enrichment) = 'object' AND abs(hashtext(session_id)) % 100 < :dirty;
\endif
VACUUM (FULL, FREEZE, ANALYZE) session_summaries;
VACUUM session_summaries;
