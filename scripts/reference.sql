-- docs/REFERENCE.md, out of the catalog: what people call, with its comments. Run by scripts/reference.sh in a
-- database that has the extension and nothing else, as a superuser, with the settings as they come.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\pset recordsep '\n'

-- What belongs to the extension and stands in its own schema.
CREATE TEMP VIEW members AS
SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'cowrie_migrate';

-- What a comment has no room for.
CREATE TEMP TABLE notes AS SELECT * FROM (VALUES
  ('cowrie_migrate_v16', 'It resumes a migration of which phases were kept, and reports where nothing is to do.

- `repair`: complete an incomplete version 16 in place and keep every row. What would lose a value is refused.
- `dry_run`: only show the plan.
- `on_failure`: `abort` rolls everything back and raises the error. `keep` rolls back the phase that failed, keeps the phases before it,
  and returns the failure as a row and a WARNING.'),
  ('cowrie_migrate_v16_online', 'It must be a statement of its own, outside a transaction block. The next CALL resumes where an interrupted one
stopped.

- `repair`: as in `cowrie_migrate_v16`.
- `batch_size`: sessions of the first batch.
- `pause`: how long to wait between batches.
- `target_batch`: how long a batch should take; batches grow and shrink until they do. 0: all have the size of the first. A writer may
  have to wait that long for a row of the batch.
- `max_lag`: hold back while a standby or subscriber lags more. NULL or 0: any lag.
- `max_wal`: hold back while a slot keeps, or the archiver has not taken, more bytes of WAL. NULL: half of the free space of the file
  system that pg_wal is on. 0: any.
- `max_active`: hold back while more sessions of clients are busy, its own apart. NULL or 0: any number.
- `cut_over`: `now`, or `wait`: when all else is done, wait for `cowrie_allow_cut_over()`.'),
  ('cowrie_pace', 'The arguments are those of the online procedure; 0 switches off a pause, a target or a limit. It takes effect before
the next batch.'),
  ('cowrie_pause_migration', 'A pause begins before the next batch or step, holds no lock on a table and no snapshot, and outlasts the
session, a crash and a restart: the next CALL is paused, too.'),
  ('cowrie_allow_cut_over', 'It is for the run in progress: if that ends before the cut-over, the next one must be allowed again.'),
  ('cowrie_preflight_v16', 'Blockers have the words of the refusal; warnings come with a remedy; information is about space, WAL, duration and
what the documents would give.'),
  ('cowrie_checkpoint_v16', 'One of the criteria is that nothing was lost. A criterion that cannot be measured says so and has not passed.'),
  ('cowrie_migration_report', 'To be filed: who, when, versions, settings, steps and their times, rejected values with examples, the proof that
nothing was lost, the criteria, coverage and sizes before and after, the largest networks and countries. It needs nothing else.

- `format`: `html`, or `markdown` with the tables of GitHub''s flavour.
- `run_id`: a run of the log; without it the latest one, even if it was rolled back and has left no row.'),
  ('cowrie_validate_schema', '- `version`: which declaration the database is compared with.'),
  ('cowrie_cleanup_v16', 'It refuses to drop what is not declared (2BP01), and to discard data that cannot be rebuilt from the sessions (55000).
Without the extension: `psql -U owner -f scripts/cleanup_v16_incomplete.sql`.

- `to_phase`: the last phase that stays.
- `dry_run`: only show the plan.
- `force`: discard the data all the same.'),
  ('cowrie_migrate_v17', 'From 15 it goes through version 16 in the same run, with one rewrite and one proof. The arguments mean what they do in
`cowrie_migrate_v16`, which ends at 16.'),
  ('cowrie_migrate_v17_online', 'The arguments mean what they do in `cowrie_migrate_v16_online`.'),
  ('cowrie_cleanup_v17', 'It refuses to drop what is not declared (2BP01), and values in the columns of version 17, which only the application
writes (55000).

- `dry_run`: only show the plan.
- `force`: discard the values all the same.'),
  ('cowrie_enrichment_facts', 'Immutable and parallel safe.')
) AS v (function, words);

-- A column of a relation in one row of a table.
CREATE TEMP VIEW members_columns AS
SELECT a.attrelid, a.attnum, format('| `%s` | `%s` | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
  col_description(a.attrelid, a.attnum)) AS line
FROM pg_attribute AS a WHERE a.attnum > 0 AND NOT a.attisdropped;

CREATE FUNCTION pg_temp.sentence(words text) RETURNS text IMMUTABLE LANGUAGE SQL
RETURN upper(left(words, 1)) || substr(words, 2);

SELECT '# Reference

Everything that the extension offers. This page is made from the catalog and its comments (`make reference`), which psql shows
with `\df+ cowrie_*`, `\d+ cowrie_migration_status` and `\dT+ cowrie_*`.

`target_schema` NULL means the first schema of the caller''s `search_path` that has a table `session_summaries`. Who may call
what: [SECURITY.md](SECURITY.md).

## Functions and procedures
';
SELECT format(E'### %s\n\n```text\n%s%s(%s)%s\n```\n\n%s.\n%s', signature.title, CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END,
  p.proname, regexp_replace(regexp_replace(pg_get_function_arguments(p.oid), '::(name|text|interval|integer|bigint)', '', 'g'), '\mIN ', '', 'g'),
  COALESCE(' RETURNS ' || pg_get_function_result(p.oid), ''), pg_temp.sentence(obj_description(p.oid, 'pg_proc')),
  COALESCE(E'\n' || (SELECT words FROM notes WHERE function = p.proname) || E'\n', ''))
FROM members AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
JOIN pg_extension AS e ON e.extname = 'cowrie_migrate' AND e.extnamespace = p.pronamespace,
LATERAL (SELECT p.proname || CASE WHEN count(*) > 1
  THEN '(' || pg_get_function_identity_arguments(p.oid) || ')' ELSE '' END AS title
  FROM pg_proc WHERE proname = p.proname AND pronamespace = p.pronamespace) AS signature
ORDER BY p.proname, pg_get_function_identity_arguments(p.oid);

SELECT '## Row types
';
SELECT format(E'### %s\n\n%s.\n\n```text\n%s\n```\n', t.typname, pg_temp.sentence(obj_description(t.oid, 'pg_type')),
  (SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), E'\n' ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0))
FROM members AS m JOIN pg_type AS t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
JOIN pg_extension AS e ON e.extname = 'cowrie_migrate' AND e.extnamespace = t.typnamespace
JOIN pg_class AS r ON r.oid = t.typrelid AND r.relkind = 'c' -- from 17 on those of tables are members, too
ORDER BY t.typname;

SELECT '## Status and log
';
SELECT format(E'### %s\n\n%s.\n\n| column | type | |\n|---|---|---|\n%s\n', c.relname, pg_temp.sentence(obj_description(c.oid, 'pg_class')),
  (SELECT string_agg(line, E'\n' ORDER BY attnum) FROM members_columns WHERE attrelid = c.oid))
FROM members AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
JOIN pg_extension AS e ON e.extname = 'cowrie_migrate' AND e.extnamespace = c.relnamespace
WHERE c.relkind IN ('r', 'v') ORDER BY c.relname DESC;

SELECT '## Settings

Set them for a session (`SET`), a role or a database (`ALTER … SET`). Those of the context `superuser` and `internal` serve the tests.

| setting | default | context | |
|---|---|---|---|';
\o /dev/null
SELECT cowrie_enrichment_facts('{}'::json); -- loads the library, which brings the settings
\o
SELECT format('| `%s` | %s | %s | %s |', name, COALESCE('`' || NULLIF(current_setting(name), '') || '`', 'empty'),
  context, replace(concat_ws(' ', short_desc, extra_desc), '<', '&lt;'))
FROM pg_settings WHERE name LIKE 'cowrie\_migrate.%' ORDER BY name;
