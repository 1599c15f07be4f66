-- create_staging
CREATE UNLOGGED TABLE "public"."cowrie_migrate_staging" (
  session_id varchar COLLATE "C" NOT NULL, source_ip varchar(45) COLLATE "C", asn integer,
  asn_source text, started timestamptz, ended timestamptz, has_provider_data boolean NOT NULL,
  organization text, organization_country varchar(2), registry varchar(10));

-- analyze_staging
ANALYZE "public"."cowrie_migrate_staging" (source_ip, asn);

-- stage_from_documents
CREATE UNLOGGED TABLE "public"."cowrie_migrate_staging" AS
SELECT s.session_id COLLATE "C" AS session_id, s.source_ip COLLATE "C" AS source_ip,
  s.snapshot_asn AS asn, f.asn_source,
  COALESCE(s."first_event_at"::timestamptz, s."last_event_at"::timestamptz, s."created_at"::timestamptz) AS started, COALESCE(s."last_event_at"::timestamptz, s."first_event_at"::timestamptz, s."created_at"::timestamptz) AS ended,
  f.has_provider_data, f.organization, f.organization_country, f.registry
FROM "public"."session_summaries" AS s, LATERAL
  "ext"."cowrie_staged_facts"(s.enrichment::json, s.source_ip::varchar, s.snapshot_asn::integer) AS f
WHERE s.source_ip IS NOT NULL OR s.snapshot_asn IS NOT NULL;

-- create_event_table
CREATE UNLOGGED TABLE "public"."cowrie_migrate_events" AS
SELECT DISTINCT ON (session_id) session_id, id FROM "public"."raw_events"
WHERE session_id IS NOT NULL ORDER BY session_id, event_timestamp, id;

-- index_event_table
CREATE UNIQUE INDEX ON "public"."cowrie_migrate_events" (session_id);

-- fill_by_rewrite
ALTER TABLE "public"."session_summaries" ALTER COLUMN "source_ip" TYPE character varying(45) USING "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ALTER COLUMN "enrichment_at" TYPE timestamp with time zone USING "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ALTER COLUMN "snapshot_asn" TYPE integer USING "ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ALTER COLUMN "snapshot_country" TYPE character varying(2) USING "ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ALTER COLUMN "snapshot_ip_type" TYPE text USING "ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ADD CONSTRAINT "snapshot_country_iso" CHECK ((snapshot_country IS NULL) OR ((snapshot_country)::text ~ ('^[A-Z]{2}$'::text COLLATE "C")));

-- fill_rows, untouched
UPDATE "public"."session_summaries" AS s SET "source_ip" = f."source_ip", "enrichment_at" = f."enrichment_at", "snapshot_asn" = f."snapshot_asn", "snapshot_country" = f."snapshot_country", "snapshot_ip_type" = f."snapshot_ip_type"
FROM (SELECT ctid AS place, "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "source_ip", "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "enrichment_at", "ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "snapshot_asn", "ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "snapshot_country", "ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "snapshot_ip_type" FROM "public"."session_summaries" WHERE ("source_ip" IS NULL AND "enrichment_at" IS NULL AND "snapshot_asn" IS NULL AND "snapshot_country" IS NULL AND "snapshot_ip_type" IS NULL) OFFSET 0) AS f
WHERE s.ctid = f.place AND ((s."source_ip" IS NULL AND f."source_ip" IS NOT NULL) OR (s."enrichment_at" IS NULL AND f."enrichment_at" IS NOT NULL) OR (s."snapshot_asn" IS NULL AND f."snapshot_asn" IS NOT NULL) OR (s."snapshot_country" IS NULL AND f."snapshot_country" IS NOT NULL) OR (s."snapshot_ip_type" IS NULL AND f."snapshot_ip_type" IS NOT NULL));

-- load_rows of asn_inventory
INSERT INTO "public"."asn_inventory" AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, "ext"."cowrie_asn_data"(d.enrichment::json, g.source_ip::varchar)
FROM (
  SELECT g.*, k.place FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    "ext"."cowrie_latest"(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    "ext"."cowrie_latest"(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    "ext"."cowrie_latest"(organization::text, ended::timestamptz, session_id::text) AS organization,
    "ext"."cowrie_latest"(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    "ext"."cowrie_latest"(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL GROUP BY asn) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn;

-- load_rows of asn_inventory, refresh
INSERT INTO "public"."asn_inventory" AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, "ext"."cowrie_asn_data"(d.enrichment::json, g.source_ip::varchar)
FROM (
  SELECT g.*, k.place FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    "ext"."cowrie_latest"(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    "ext"."cowrie_latest"(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    "ext"."cowrie_latest"(organization::text, ended::timestamptz, session_id::text) AS organization,
    "ext"."cowrie_latest"(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    "ext"."cowrie_latest"(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL GROUP BY asn) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn ON CONFLICT ("asn_number") DO UPDATE SET "organization_name" = COALESCE(EXCLUDED."organization_name", t."organization_name"), "organization_country" = COALESCE(EXCLUDED."organization_country", t."organization_country"), "rir_registry" = COALESCE(EXCLUDED."rir_registry", t."rir_registry"), "first_seen" = EXCLUDED."first_seen", "last_seen" = EXCLUDED."last_seen", "unique_ip_count" = EXCLUDED."unique_ip_count", "total_session_count" = EXCLUDED."total_session_count", "enrichment" = CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END WHERE ROW(t."organization_name", t."organization_country", t."rir_registry", t."first_seen", t."last_seen", t."unique_ip_count", t."total_session_count", t."enrichment") IS DISTINCT FROM ROW(COALESCE(EXCLUDED."organization_name", t."organization_name"), COALESCE(EXCLUDED."organization_country", t."organization_country"), COALESCE(EXCLUDED."rir_registry", t."rir_registry"), EXCLUDED."first_seen", EXCLUDED."last_seen", EXCLUDED."unique_ip_count", EXCLUDED."total_session_count", CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END);

-- load_rows of asn_inventory, keep
INSERT INTO "public"."asn_inventory" AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, "ext"."cowrie_asn_data"(d.enrichment::json, g.source_ip::varchar)
FROM (
  SELECT g.*, k.place FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    "ext"."cowrie_latest"(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    "ext"."cowrie_latest"(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    "ext"."cowrie_latest"(organization::text, ended::timestamptz, session_id::text) AS organization,
    "ext"."cowrie_latest"(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    "ext"."cowrie_latest"(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL GROUP BY asn) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn ON CONFLICT ("asn_number") DO UPDATE SET "organization_name" = COALESCE(t."organization_name", EXCLUDED."organization_name"), "organization_country" = COALESCE(t."organization_country", EXCLUDED."organization_country"), "rir_registry" = EXCLUDED."rir_registry", "first_seen" = COALESCE(t."first_seen", EXCLUDED."first_seen"), "last_seen" = COALESCE(t."last_seen", EXCLUDED."last_seen"), "unique_ip_count" = COALESCE(t."unique_ip_count", EXCLUDED."unique_ip_count"), "total_session_count" = COALESCE(t."total_session_count", EXCLUDED."total_session_count"), "enrichment" = CASE WHEN t."enrichment" IS NULL OR (t."enrichment" = '{}'::jsonb AND t.enrichment_updated_at IS NULL) THEN EXCLUDED."enrichment" ELSE t."enrichment" END WHERE ROW(t."organization_name", t."organization_country", t."rir_registry", t."first_seen", t."last_seen", t."unique_ip_count", t."total_session_count", t."enrichment") IS DISTINCT FROM ROW(COALESCE(t."organization_name", EXCLUDED."organization_name"), COALESCE(t."organization_country", EXCLUDED."organization_country"), EXCLUDED."rir_registry", COALESCE(t."first_seen", EXCLUDED."first_seen"), COALESCE(t."last_seen", EXCLUDED."last_seen"), COALESCE(t."unique_ip_count", EXCLUDED."unique_ip_count"), COALESCE(t."total_session_count", EXCLUDED."total_session_count"), CASE WHEN t."enrichment" IS NULL OR (t."enrichment" = '{}'::jsonb AND t.enrichment_updated_at IS NULL) THEN EXCLUDED."enrichment" ELSE t."enrichment" END);

-- load_rows of asn_inventory, replace
INSERT INTO "public"."asn_inventory" AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, "ext"."cowrie_asn_data"(d.enrichment::json, g.source_ip::varchar)
FROM (
  SELECT g.*, k.place FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    "ext"."cowrie_latest"(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    "ext"."cowrie_latest"(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    "ext"."cowrie_latest"(organization::text, ended::timestamptz, session_id::text) AS organization,
    "ext"."cowrie_latest"(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    "ext"."cowrie_latest"(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL GROUP BY asn) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn ON CONFLICT ("asn_number") DO UPDATE SET "organization_name" = EXCLUDED."organization_name", "organization_country" = EXCLUDED."organization_country", "rir_registry" = EXCLUDED."rir_registry", "first_seen" = EXCLUDED."first_seen", "last_seen" = EXCLUDED."last_seen", "unique_ip_count" = EXCLUDED."unique_ip_count", "total_session_count" = EXCLUDED."total_session_count", "enrichment" = CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END WHERE ROW(t."organization_name", t."organization_country", t."rir_registry", t."first_seen", t."last_seen", t."unique_ip_count", t."total_session_count", t."enrichment") IS DISTINCT FROM ROW(EXCLUDED."organization_name", EXCLUDED."organization_country", EXCLUDED."rir_registry", EXCLUDED."first_seen", EXCLUDED."last_seen", EXCLUDED."unique_ip_count", EXCLUDED."total_session_count", CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END);

-- load_rows of ip_inventory
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM (
  SELECT g.*, k.place FROM (SELECT source_ip, min(started) AS first_seen,
    max(ended) AS last_seen, count(*) AS sessions,
    "ext"."cowrie_latest"(asn::text, ended::timestamptz, session_id::text) AS asn,
    "ext"."cowrie_latest"((CASE WHEN has_provider_data THEN session_id END)::text, ended::timestamptz,
      session_id::text) AS session_id
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL GROUP BY source_ip) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true;

-- load_rows of ip_inventory, refresh
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM (
  SELECT g.*, k.place FROM (SELECT source_ip, min(started) AS first_seen,
    max(ended) AS last_seen, count(*) AS sessions,
    "ext"."cowrie_latest"(asn::text, ended::timestamptz, session_id::text) AS asn,
    "ext"."cowrie_latest"((CASE WHEN has_provider_data THEN session_id END)::text, ended::timestamptz,
      session_id::text) AS session_id
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL GROUP BY source_ip) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true ON CONFLICT ("ip_address") DO UPDATE SET "current_asn" = COALESCE(EXCLUDED."current_asn", t."current_asn"), "first_seen" = EXCLUDED."first_seen", "last_seen" = EXCLUDED."last_seen", "session_count" = EXCLUDED."session_count", "enrichment" = CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END WHERE ROW(t."current_asn", t."first_seen", t."last_seen", t."session_count", t."enrichment") IS DISTINCT FROM ROW(COALESCE(EXCLUDED."current_asn", t."current_asn"), EXCLUDED."first_seen", EXCLUDED."last_seen", EXCLUDED."session_count", CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END);

-- load_rows of ip_inventory, keep
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM (
  SELECT g.*, k.place FROM (SELECT source_ip, min(started) AS first_seen,
    max(ended) AS last_seen, count(*) AS sessions,
    "ext"."cowrie_latest"(asn::text, ended::timestamptz, session_id::text) AS asn,
    "ext"."cowrie_latest"((CASE WHEN has_provider_data THEN session_id END)::text, ended::timestamptz,
      session_id::text) AS session_id
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL GROUP BY source_ip) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true ON CONFLICT ("ip_address") DO UPDATE SET "current_asn" = COALESCE(t."current_asn", EXCLUDED."current_asn"), "first_seen" = COALESCE(t."first_seen", EXCLUDED."first_seen"), "last_seen" = COALESCE(t."last_seen", EXCLUDED."last_seen"), "session_count" = COALESCE(t."session_count", EXCLUDED."session_count"), "enrichment" = CASE WHEN t."enrichment" IS NULL OR (t."enrichment" = '{}'::jsonb AND t.enrichment_updated_at IS NULL) THEN EXCLUDED."enrichment" ELSE t."enrichment" END WHERE ROW(t."current_asn", t."first_seen", t."last_seen", t."session_count", t."enrichment") IS DISTINCT FROM ROW(COALESCE(t."current_asn", EXCLUDED."current_asn"), COALESCE(t."first_seen", EXCLUDED."first_seen"), COALESCE(t."last_seen", EXCLUDED."last_seen"), COALESCE(t."session_count", EXCLUDED."session_count"), CASE WHEN t."enrichment" IS NULL OR (t."enrichment" = '{}'::jsonb AND t.enrichment_updated_at IS NULL) THEN EXCLUDED."enrichment" ELSE t."enrichment" END);

-- load_rows of ip_inventory, replace
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM (
  SELECT g.*, k.place FROM (SELECT source_ip, min(started) AS first_seen,
    max(ended) AS last_seen, count(*) AS sessions,
    "ext"."cowrie_latest"(asn::text, ended::timestamptz, session_id::text) AS asn,
    "ext"."cowrie_latest"((CASE WHEN has_provider_data THEN session_id END)::text, ended::timestamptz,
      session_id::text) AS session_id
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL GROUP BY source_ip) AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true ON CONFLICT ("ip_address") DO UPDATE SET "current_asn" = EXCLUDED."current_asn", "first_seen" = EXCLUDED."first_seen", "last_seen" = EXCLUDED."last_seen", "session_count" = EXCLUDED."session_count", "enrichment" = CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END WHERE ROW(t."current_asn", t."first_seen", t."last_seen", t."session_count", t."enrichment") IS DISTINCT FROM ROW(EXCLUDED."current_asn", EXCLUDED."first_seen", EXCLUDED."last_seen", EXCLUDED."session_count", CASE WHEN t.enrichment_updated_at IS NULL THEN EXCLUDED."enrichment" ELSE t."enrichment" END);

-- load_rows of ip_asn_history
INSERT INTO "public"."ip_asn_history" AS t
  (ip_address, asn_number, observed_at, verification_source)
SELECT DISTINCT ON (source_ip, asn, started) source_ip, asn, started, asn_source
FROM (
  SELECT source_ip, asn, asn_source, started, session_id,
    lag(asn) OVER (PARTITION BY source_ip ORDER BY started, session_id) AS previous
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL AND asn IS NOT NULL
) AS seen
WHERE previous IS DISTINCT FROM asn ORDER BY source_ip, asn, started, session_id;

-- load_rows of ip_asn_history, refresh
INSERT INTO "public"."ip_asn_history" AS t
  (ip_address, asn_number, observed_at, verification_source)
SELECT DISTINCT ON (source_ip, asn, started) source_ip, asn, started, asn_source
FROM (
  SELECT source_ip, asn, asn_source, started, session_id,
    lag(asn) OVER (PARTITION BY source_ip ORDER BY started, session_id) AS previous
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL AND asn IS NOT NULL
) AS seen
WHERE previous IS DISTINCT FROM asn ORDER BY source_ip, asn, started, session_id ON CONFLICT ("ip_address", "asn_number", "observed_at") DO NOTHING;

-- load_rows of ip_asn_history, keep
INSERT INTO "public"."ip_asn_history" AS t
  (ip_address, asn_number, observed_at, verification_source)
SELECT DISTINCT ON (source_ip, asn, started) source_ip, asn, started, asn_source
FROM (
  SELECT source_ip, asn, asn_source, started, session_id,
    lag(asn) OVER (PARTITION BY source_ip ORDER BY started, session_id) AS previous
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL AND asn IS NOT NULL
) AS seen
WHERE previous IS DISTINCT FROM asn ORDER BY source_ip, asn, started, session_id ON CONFLICT ("ip_address", "asn_number", "observed_at") DO UPDATE SET "verification_source" = COALESCE(t."verification_source", EXCLUDED."verification_source") WHERE ROW(t."verification_source") IS DISTINCT FROM ROW(COALESCE(t."verification_source", EXCLUDED."verification_source"));

-- load_rows of ip_asn_history, replace
INSERT INTO "public"."ip_asn_history" AS t
  (ip_address, asn_number, observed_at, verification_source)
SELECT DISTINCT ON (source_ip, asn, started) source_ip, asn, started, asn_source
FROM (
  SELECT source_ip, asn, asn_source, started, session_id,
    lag(asn) OVER (PARTITION BY source_ip ORDER BY started, session_id) AS previous
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL AND asn IS NOT NULL
) AS seen
WHERE previous IS DISTINCT FROM asn ORDER BY source_ip, asn, started, session_id ON CONFLICT ("ip_address", "asn_number", "observed_at") DO NOTHING;

-- fill_rows, partitioned
UPDATE "public"."session_summaries" AS s SET "source_ip" = f."source_ip", "enrichment_at" = f."enrichment_at", "snapshot_asn" = f."snapshot_asn", "snapshot_country" = f."snapshot_country", "snapshot_ip_type" = f."snapshot_ip_type"
FROM (SELECT tableoid AS leaf, ctid AS place, "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "source_ip", "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "enrichment_at", "ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "snapshot_asn", "ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "snapshot_country", "ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) AS "snapshot_ip_type" FROM "public"."session_summaries" WHERE ("source_ip" IS NULL OR "enrichment_at" IS NULL OR "snapshot_asn" IS NULL OR "snapshot_country" IS NULL OR "snapshot_ip_type" IS NULL) OFFSET 0) AS f
WHERE s.tableoid = f.leaf AND s.ctid = f.place AND ((s."source_ip" IS NULL AND f."source_ip" IS NOT NULL) OR (s."enrichment_at" IS NULL AND f."enrichment_at" IS NOT NULL) OR (s."snapshot_asn" IS NULL AND f."snapshot_asn" IS NOT NULL) OR (s."snapshot_country" IS NULL AND f."snapshot_country" IS NOT NULL) OR (s."snapshot_ip_type" IS NULL AND f."snapshot_ip_type" IS NOT NULL));

-- load_chosen, partitioned
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM (
  SELECT g.*, k.leaf, k.place FROM (SELECT * FROM "public"."cowrie_migrate_chosen") AS g
  LEFT JOIN (SELECT session_id, tableoid AS leaf, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.leaf, k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.tableoid = g.leaf AND s.ctid = g.place AND s.session_id = g.session_id COLLATE "default" OFFSET 0
) AS d ON true;

-- load_rows of asn_inventory, partitioned
INSERT INTO "public"."asn_inventory" AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, "ext"."cowrie_asn_data"(d.enrichment::json, g.source_ip::varchar)
FROM (
  SELECT g.*, k.leaf, k.place FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    "ext"."cowrie_latest"(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    "ext"."cowrie_latest"(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    "ext"."cowrie_latest"(organization::text, ended::timestamptz, session_id::text) AS organization,
    "ext"."cowrie_latest"(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    "ext"."cowrie_latest"(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL GROUP BY asn) AS g
  LEFT JOIN LATERAL (
    SELECT tableoid AS leaf, ctid AS place FROM "public"."session_summaries" WHERE session_id = g.session_id COLLATE "default" OFFSET 0
  ) AS k ON true
  ORDER BY k.leaf, k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.tableoid = g.leaf AND s.ctid = g.place AND s.session_id = g.session_id COLLATE "default" OFFSET 0
) AS d ON true LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn;

-- load_rows of asn_inventory, partitioned, without index
INSERT INTO "public"."asn_inventory" AS t
  (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
SELECT g.asn, g.organization, g.organization_country, g.registry, g.first_seen, g.last_seen,
  COALESCE(i.ips, 0), g.sessions, "ext"."cowrie_asn_data"(d.enrichment::json, g.source_ip::varchar)
FROM (
  SELECT g.*, k.leaf, k.place FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
    count(*) AS sessions,
    "ext"."cowrie_latest"(session_id::text, ended::timestamptz, session_id::text) AS session_id,
    "ext"."cowrie_latest"(COALESCE(source_ip, '')::text, ended::timestamptz, session_id::text)
      AS source_ip,
    "ext"."cowrie_latest"(organization::text, ended::timestamptz, session_id::text) AS organization,
    "ext"."cowrie_latest"(organization_country::text, ended::timestamptz, session_id::text)
      AS organization_country,
    "ext"."cowrie_latest"(registry::text, ended::timestamptz, session_id::text) AS registry
  FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL GROUP BY asn) AS g
  LEFT JOIN (SELECT session_id, tableoid AS leaf, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.leaf, k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.tableoid = g.leaf AND s.ctid = g.place AND s.session_id = g.session_id COLLATE "default" OFFSET 0
) AS d ON true LEFT JOIN (
  SELECT asn, count(*) AS ips FROM (
    SELECT DISTINCT asn, source_ip FROM "public"."cowrie_migrate_staging" WHERE asn IS NOT NULL AND source_ip IS NOT NULL
  ) AS pairs GROUP BY asn
) AS i ON i.asn = g.asn;

-- choose_sessions
CREATE UNLOGGED TABLE "public"."cowrie_migrate_chosen" AS SELECT source_ip, min(started) AS first_seen,
    max(ended) AS last_seen, count(*) AS sessions,
    "ext"."cowrie_latest"(asn::text, ended::timestamptz, session_id::text) AS asn,
    "ext"."cowrie_latest"((CASE WHEN has_provider_data THEN session_id END)::text, ended::timestamptz,
      session_id::text) AS session_id
  FROM "public"."cowrie_migrate_staging" WHERE source_ip IS NOT NULL GROUP BY source_ip;

-- choose_sessions
ANALYZE "public"."cowrie_migrate_chosen" (session_id);

-- chosen_fits
SELECT pg_relation_size('"public"."cowrie_migrate_chosen"'::regclass) * 1.25
  <= setting::float8 * 1024 * current_setting('hash_mem_multiplier')::float8
FROM pg_settings WHERE name = 'work_mem';

-- load_chosen, fits
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM "public"."cowrie_migrate_chosen" AS g
JOIN "public"."session_summaries" AS d ON d.session_id = g.session_id COLLATE "default"
UNION ALL SELECT source_ip, asn::integer, first_seen, last_seen, sessions, '{}'::jsonb
FROM "public"."cowrie_migrate_chosen" WHERE session_id IS NULL;

-- load_chosen, does not fit
INSERT INTO "public"."ip_inventory" AS t
  (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, g.asn::integer, g.first_seen, g.last_seen, g.sessions,
  COALESCE("ext"."cowrie_provider_data"(d.enrichment::json, g.source_ip::varchar), '{}')
FROM (
  SELECT g.*, k.place FROM (SELECT * FROM "public"."cowrie_migrate_chosen") AS g
  LEFT JOIN (SELECT session_id, ctid AS place FROM "public"."session_summaries") AS k
    ON k.session_id = g.session_id COLLATE "default"
  ORDER BY k.place
) AS g LEFT JOIN LATERAL (
  SELECT enrichment FROM "public"."session_summaries" AS s WHERE s.ctid = g.place OFFSET 0
) AS d ON true;

-- add_missing_asns
INSERT INTO "public"."asn_inventory"
  (asn_number, first_seen, last_seen, unique_ip_count)
SELECT current_asn, min(first_seen), max(last_seen), count(*) FROM "public"."ip_inventory"
WHERE current_asn IS NOT NULL GROUP BY current_asn ON CONFLICT (asn_number) DO NOTHING;

-- fingerprint
SELECT (f).sessions, (f).documents, (f).times,
  (f).settled_sessions, (f).settled_documents, (f).settled_times
FROM (
  SELECT "ext"."cowrie_fingerprint"(session_id::varchar, enrichment::json, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz <= statement_timestamp()) AS f
  FROM "public"."session_summaries"
) AS summed;

-- stored_fingerprint
SELECT (f).sessions, (f).documents, (f).times,
  (f).settled_sessions, (f).settled_documents, (f).settled_times
FROM (
  SELECT "ext"."cowrie_kept_fingerprint"(session_id::varchar, enrichment::json, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz <= statement_timestamp()) AS f
  FROM "public"."session_summaries"
) AS summed;

-- create_changes
CREATE TABLE "public"."cowrie_migrate_changes" (session_id varchar);

-- create_changes
COMMENT ON TABLE "public"."cowrie_migrate_changes" IS 'cowrie_migrate: sessions that an online migration has still to look at';

-- create_changes
CREATE TRIGGER "zz_cowrie_migrate_online" BEFORE TRUNCATE ON "public"."cowrie_migrate_changes" EXECUTE FUNCTION "ext"."cowrie_online_change"();

-- create_delta
CREATE UNLOGGED TABLE "public"."cowrie_migrate_delta" (LIKE "public"."cowrie_migrate_staging");

-- create_queue
CREATE TABLE "public"."cowrie_migrate_queue" AS
SELECT row_number() OVER (ORDER BY floor(at[0] / 4096), at[1], at[0]) AS place,
  session_id AS session
FROM (SELECT session_id, ctid::text::point AS at FROM "public"."session_summaries" OFFSET 0) AS s;

-- create_queue, sent to nobody
CREATE UNLOGGED TABLE "public"."cowrie_migrate_queue" AS
SELECT row_number() OVER (ORDER BY floor(at[0] / 4096), at[1], at[0]) AS place,
  session_id AS session
FROM (SELECT session_id, ctid::text::point AS at FROM "public"."session_summaries" OFFSET 0) AS s;

-- finish_queue, sent to nobody
ALTER TABLE "public"."cowrie_migrate_queue" SET LOGGED;

-- finish_queue, sent to nobody
CREATE UNIQUE INDEX ON "public"."cowrie_migrate_queue" (place);

-- finish_queue, sent to nobody
COMMENT ON TABLE "public"."cowrie_migrate_queue" IS 'cowrie_migrate: sessions in the order in which an online migration fills them';

-- sum_up_queue
SELECT count(*),
  COALESCE(sum(hashtextextended((q.place || ' ' || q.session) COLLATE "C", 0)), 0)
FROM "public"."cowrie_migrate_queue" AS q;

-- create_trigger
CREATE TRIGGER "zz_cowrie_migrate_online" BEFORE INSERT OR DELETE OR UPDATE OF session_id, enrichment, first_event_at, last_event_at, created_at, source_ip, snapshot_asn ON "public"."session_summaries" FOR EACH ROW EXECUTE FUNCTION "ext"."cowrie_online_change"('raw_events');

-- create_trigger
ALTER TABLE "public"."session_summaries" ENABLE ALWAYS TRIGGER "zz_cowrie_migrate_online";

-- drop_trigger
DROP TRIGGER "zz_cowrie_migrate_online" ON "public"."session_summaries";

-- find_objects
SELECT max(t.oid::int8), bool_and(t.tgenabled = 'A') AND NOT EXISTS (
    SELECT FROM pg_partition_tree(to_regclass('"public"."session_summaries"')) AS part
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = part.relid
      AND g.tgname = 'zz_cowrie_migrate_online' AND g.tgenabled = 'A')),
  (SELECT relkind = 'r' AND obj_description(oid, 'pg_class') = 'cowrie_migrate: sessions that an online migration has still to look at'
   FROM pg_class WHERE oid = to_regclass('"public"."cowrie_migrate_changes"')),
  (SELECT oid::int8 FROM pg_class WHERE oid = to_regclass('"public"."cowrie_migrate_queue"') AND relkind = 'r'
   AND obj_description(oid, 'pg_class') = 'cowrie_migrate: sessions in the order in which an online migration fills them'),
  (SELECT oid::int8 FROM pg_class WHERE oid = to_regclass('"public"."cowrie_migrate_changes"'))
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgrelid = to_regclass('"public"."session_summaries"') AND t.tgname = 'zz_cowrie_migrate_online' AND p.proname = 'cowrie_online_change'
  AND n.nspname = 'ext';

-- mark_staging
INSERT INTO "public"."cowrie_migrate_staging"
  (session_id, has_provider_data, organization) VALUES ('', false, pg_relation_filenode('"public"."session_summaries"'::regclass)::text);

-- staging_is_whole
SELECT EXISTS (
  SELECT FROM "public"."cowrie_migrate_staging" WHERE session_id = '' AND source_ip IS NULL AND asn IS NULL
  AND organization = pg_relation_filenode('"public"."session_summaries"'::regclass)::text);

-- count_places
SELECT count(*) FROM "public"."cowrie_migrate_queue" AS q WHERE q.place > 0 AND q.place <= 500;

-- count_heap_only
SELECT pg_stat_get_xact_tuples_hot_updated('"public"."session_summaries"'::regclass);

-- fill_batch, keep
UPDATE "public"."session_summaries" SET "source_ip" = "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "enrichment_at" = "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "snapshot_asn" = NULLIF("ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), 0), "snapshot_country" = NULLIF("ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ''), "snapshot_ip_type" = NULLIF("ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '')
FROM "public"."cowrie_migrate_queue" AS q
WHERE q.place > 0 AND q.place <= 500 AND session_id = q.session AND ("ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "source_ip" OR "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "enrichment_at" OR NULLIF("ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), 0) IS DISTINCT FROM "snapshot_asn" OR NULLIF("ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '') IS DISTINCT FROM "snapshot_country" OR NULLIF("ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '') IS DISTINCT FROM "snapshot_ip_type") AND "ext"."cowrie_columns_as_read"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0))
RETURNING "ext"."cowrie_session_unchanged"(session_id::varchar, enrichment::json, "first_event_at"::timestamptz, "last_event_at"::timestamptz),
  "ext"."cowrie_columns_unchanged"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0));

-- fill_batch, complete
UPDATE "public"."session_summaries" SET "source_ip" = "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "enrichment_at" = "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "snapshot_asn" = "ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "snapshot_country" = "ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "snapshot_ip_type" = "ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz)
FROM "public"."cowrie_migrate_queue" AS q
WHERE q.place > 0 AND q.place <= 500 AND session_id = q.session AND ("ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "source_ip" OR "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "enrichment_at" OR "ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "snapshot_asn" OR "ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "snapshot_country" OR "ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "snapshot_ip_type") AND "ext"."cowrie_columns_as_read"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0))
RETURNING "ext"."cowrie_session_unchanged"(session_id::varchar, enrichment::json, "first_event_at"::timestamptz, "last_event_at"::timestamptz),
  "ext"."cowrie_columns_unchanged"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0));

-- fill_sessions
UPDATE "public"."session_summaries" SET "source_ip" = "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "enrichment_at" = "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "snapshot_asn" = NULLIF("ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), 0), "snapshot_country" = NULLIF("ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ''), "snapshot_ip_type" = NULLIF("ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '')
WHERE session_id = ANY (ARRAY['s1', 's2']::text[]) AND ("ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "source_ip" OR "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "enrichment_at" OR NULLIF("ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), 0) IS DISTINCT FROM "snapshot_asn" OR NULLIF("ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '') IS DISTINCT FROM "snapshot_country" OR NULLIF("ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '') IS DISTINCT FROM "snapshot_ip_type") AND "ext"."cowrie_columns_as_read"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0))
RETURNING "ext"."cowrie_session_unchanged"(session_id::varchar, enrichment::json, "first_event_at"::timestamptz, "last_event_at"::timestamptz),
  "ext"."cowrie_columns_unchanged"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0));

-- read_sessions
SELECT "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) FROM "public"."session_summaries" WHERE session_id = ANY (ARRAY['s1', 's2']::text[]);

-- unfilled_keys
SELECT session_id FROM "public"."session_summaries" WHERE ("source_ip" IS NULL AND "enrichment_at" IS NULL AND "snapshot_asn" IS NULL AND "snapshot_country" IS NULL AND "snapshot_ip_type" IS NULL) AND ("ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "source_ip" OR "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "enrichment_at" OR "ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "snapshot_asn" OR "ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "snapshot_country" OR "ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, "snapshot_asn"::integer, "snapshot_country"::character varying, "snapshot_ip_type"::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "snapshot_ip_type") LIMIT 20;

-- orphan_keys
SELECT session_id FROM "public"."session_summaries" AS s WHERE source_ip IS NOT NULL
AND NOT EXISTS (SELECT FROM "public"."ip_inventory" AS i WHERE i.ip_address = s.source_ip);

-- read_changed_keys
SELECT ctid, session_id, pg_relation_filenode('"public"."cowrie_migrate_changes"'::regclass)::text FROM "public"."cowrie_migrate_changes"
WHERE session_id IS NOT NULL LIMIT 20000;

-- places_of_keys
SELECT place FROM unnest($1::text::tid[]) AS place WHERE pg_relation_filenode('"public"."cowrie_migrate_changes"'::regclass)::text = '16384';

-- count_changed_keys
SELECT count(*) FROM "public"."cowrie_migrate_changes";

-- count_changed_keys_and_sessions
SELECT (SELECT count(*) FROM "public"."cowrie_migrate_changes"), sum(GREATEST(reltuples, 0))::int8 FROM pg_class WHERE relkind = 'r' AND (oid = to_regclass($1::text)
  OR oid IN (SELECT relid FROM pg_partition_tree(to_regclass($1::text))));

-- places_of_keys_with_address
SELECT c.ctid FROM "public"."cowrie_migrate_changes" AS c
WHERE NOT EXISTS (
  SELECT FROM "public"."session_summaries" AS s WHERE s.session_id = c.session_id AND s.source_ip IS NULL);

-- staged_keys
SELECT DISTINCT source_ip, asn FROM "public"."cowrie_migrate_staging" WHERE session_id = ANY (ARRAY['s1', 's2']::text[]);

-- unstage
DELETE FROM "public"."cowrie_migrate_staging" WHERE session_id = ANY (ARRAY['s1', 's2']::text[]);

-- take_delta, asn
DELETE FROM "public"."cowrie_migrate_delta";

-- take_delta, asn
INSERT INTO "public"."cowrie_migrate_delta" SELECT * FROM "public"."cowrie_migrate_staging" WHERE asn = ANY (ARRAY['64500']::text[]::integer[]);

-- take_delta, source_ip
DELETE FROM "public"."cowrie_migrate_delta";

-- take_delta, source_ip
INSERT INTO "public"."cowrie_migrate_delta" SELECT * FROM "public"."cowrie_migrate_staging" WHERE source_ip = ANY (ARRAY['192.0.2.1']::text[]);

-- drop_gone, asn_inventory
DELETE FROM "public"."asn_inventory" AS t
WHERE enrichment_updated_at IS NULL AND t.asn_number = ANY (ARRAY['64500']::text[]::integer[])
AND NOT EXISTS (SELECT FROM "public"."cowrie_migrate_staging" AS d WHERE d.asn = t.asn_number)
AND NOT EXISTS (SELECT FROM "public"."ip_inventory" WHERE current_asn = t.asn_number);

-- drop_gone, ip_inventory
DELETE FROM "public"."ip_inventory" AS t
WHERE enrichment_updated_at IS NULL
AND NOT EXISTS (SELECT FROM "public"."cowrie_migrate_staging" AS d WHERE d.source_ip = t.ip_address)
AND NOT EXISTS (SELECT FROM "public"."session_summaries" WHERE source_ip = t.ip_address);

-- drop_history
DELETE FROM "public"."ip_asn_history";

-- create_queue, partitioned
CREATE TABLE "public"."cowrie_migrate_queue" AS
SELECT row_number() OVER (ORDER BY leaf, floor(at[0] / 4096), at[1], at[0]) AS place,
  session_id AS session, leaf
FROM (SELECT session_id, ctid::text::point AS at, tableoid AS leaf FROM "public"."session_summaries" OFFSET 0) AS s;

-- sum_up_queue, partitioned
SELECT count(*),
  COALESCE(sum(hashtextextended((q.place || ' ' || q.session || ' ' || q.leaf) COLLATE "C", 0)), 0)
FROM "public"."cowrie_migrate_queue" AS q;

-- mark_staging, partitioned
INSERT INTO "public"."cowrie_migrate_staging"
  (session_id, has_provider_data, organization) SELECT '', false, m.mark FROM (SELECT 'cowrie_migrate partition ' AS mark, 0::oid AS id
UNION ALL
SELECT 'cowrie_migrate partition ' || concat_ws(' ', i.inhrelid, i.xmin, pg_relation_filenode(i.inhrelid)), i.inhrelid
FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p JOIN pg_inherits AS i ON i.inhrelid = p.relid) AS m;

-- staging_is_whole, partitioned
WITH known AS MATERIALIZED (
  SELECT s.organization AS mark FROM "public"."cowrie_migrate_staging" AS s WHERE s.session_id = '' AND s.source_ip IS NULL AND s.asn IS NULL AND starts_with(s.organization, 'cowrie_migrate partition ')
), now AS MATERIALIZED (
  SELECT mark FROM (SELECT 'cowrie_migrate partition ' AS mark, 0::oid AS id
UNION ALL
SELECT 'cowrie_migrate partition ' || concat_ws(' ', i.inhrelid, i.xmin, pg_relation_filenode(i.inhrelid)), i.inhrelid
FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p JOIN pg_inherits AS i ON i.inhrelid = p.relid) AS m
)
SELECT NOT EXISTS (SELECT mark FROM now EXCEPT SELECT mark FROM known)
  AND NOT EXISTS (SELECT mark FROM known EXCEPT SELECT mark FROM now);

-- unknown_partitions
WITH known AS MATERIALIZED (
  SELECT s.organization AS mark FROM "public"."cowrie_migrate_staging" AS s WHERE s.session_id = '' AND s.source_ip IS NULL AND s.asn IS NULL AND starts_with(s.organization, 'cowrie_migrate partition ')
)
SELECT c.oid::int8, n.nspname, c.relname, p.isleaf FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p
JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.parentrelid IS NOT NULL AND EXISTS (SELECT FROM known AS k WHERE k.mark = 'cowrie_migrate partition ')
  AND NOT EXISTS (SELECT FROM known AS k WHERE starts_with(k.mark, 'cowrie_migrate partition ' || c.oid || ' '))
ORDER BY c.oid;

-- mark_partition
INSERT INTO "public"."cowrie_migrate_staging"
  (session_id, has_provider_data, organization) SELECT '', false, m.mark FROM (SELECT 'cowrie_migrate partition ' AS mark, 0::oid AS id
UNION ALL
SELECT 'cowrie_migrate partition ' || concat_ws(' ', i.inhrelid, i.xmin, pg_relation_filenode(i.inhrelid)), i.inhrelid
FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p JOIN pg_inherits AS i ON i.inhrelid = p.relid) AS m
WHERE m.id = 16384;

-- sessions_of_leaf
SELECT session_id FROM "cold"."sessions_1";

-- leaf_of_places
SELECT n.nspname, c.relname, (
    SELECT max(l.place) FROM "public"."cowrie_migrate_queue" AS l
    WHERE l.place > 0 AND l.place <= 500 AND l.leaf = q.leaf)
FROM "public"."cowrie_migrate_queue" AS q LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)
  ON c.oid = q.leaf AND pg_partition_root(q.leaf) = '"public"."session_summaries"'::regclass
WHERE q.place = 0 + 1;

-- count_heap_only, of a leaf
SELECT pg_stat_get_xact_tuples_hot_updated('"cold"."sessions_1"'::regclass);

-- fill_batch, of a leaf
UPDATE "cold"."sessions_1" SET "source_ip" = "ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "enrichment_at" = "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), "snapshot_asn" = NULLIF("ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), 0), "snapshot_country" = NULLIF("ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), ''), "snapshot_ip_type" = NULLIF("ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '')
FROM "public"."cowrie_migrate_queue" AS q
WHERE q.place > 0 AND q.place <= 500 AND session_id = q.session AND ("ext"."cowrie_fill_source_ip"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "source_ip" OR "ext"."cowrie_fill_enrichment_at"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz) IS DISTINCT FROM "enrichment_at" OR NULLIF("ext"."cowrie_fill_snapshot_asn"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), 0) IS DISTINCT FROM "snapshot_asn" OR NULLIF("ext"."cowrie_fill_snapshot_country"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '') IS DISTINCT FROM "snapshot_country" OR NULLIF("ext"."cowrie_fill_snapshot_ip_type"(enrichment::json, session_id::varchar, "source_ip"::character varying, "enrichment_at"::timestamp with time zone, (CASE WHEN enrichment_at IS NULL THEN "snapshot_asn" ELSE COALESCE("snapshot_asn", 0) END)::integer, (CASE WHEN enrichment_at IS NULL THEN "snapshot_country" ELSE COALESCE("snapshot_country", '') END)::character varying, (CASE WHEN enrichment_at IS NULL THEN "snapshot_ip_type" ELSE COALESCE("snapshot_ip_type", '') END)::text, "first_event_at"::timestamptz, "last_event_at"::timestamptz, "created_at"::timestamptz), '') IS DISTINCT FROM "snapshot_ip_type") AND "ext"."cowrie_columns_as_read"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0))
RETURNING "ext"."cowrie_session_unchanged"(session_id::varchar, enrichment::json, "first_event_at"::timestamptz, "last_event_at"::timestamptz),
  "ext"."cowrie_columns_unchanged"(session_id::varchar, hashtextextended(ROW("event_count", "command_count", "file_downloads", "login_attempts", "vt_flagged", "dshield_flagged", "risk_score", "matcher", "source_files", "created_at", "updated_at", "ssh_key_injections", "unique_ssh_keys")::text, 0));

-- list_leaf_indexes
SELECT c.oid::int8, n.nspname, c.relname, x.usable FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p
JOIN pg_class AS c ON c.oid = p.relid AND p.isleaf JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT i.indisvalid AND i.indisready AND i.indislive AS usable
  FROM pg_index AS i JOIN pg_class AS o ON o.oid = i.indexrelid
  WHERE i.indrelid = c.oid AND o.relname = 'idx_session_source_ip' || '_' || c.oid) AS x ON true
ORDER BY c.oid;

-- rename_leaf_indexes
SELECT format('ALTER INDEX %I.%I RENAME TO %I', n.nspname, o.relname, w.wanted)
FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p
JOIN pg_class AS c ON c.oid = p.relid AND p.isleaf JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_index AS i ON i.indrelid = c.oid
JOIN pg_class AS o ON o.oid = i.indexrelid AND o.relispartition
  AND o.relname = 'idx_session_source_ip' || '_' || c.oid
CROSS JOIN LATERAL (
  SELECT f.wanted FROM (
    SELECT k, c.relname || '_' || (
        SELECT string_agg(a.attname, '_' ORDER BY key.position)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (number, position)
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = key.number)
      || '_idx' || CASE WHEN k > 0 THEN k::text ELSE '' END AS wanted
    FROM generate_series(0, 99) AS k) AS f
  WHERE octet_length(f.wanted) < 64 AND NOT EXISTS (
    SELECT FROM pg_class AS t WHERE t.relnamespace = n.oid AND t.relname = f.wanted)
  ORDER BY f.k LIMIT 1) AS w;

-- list_leaf_foreign_keys
SELECT n.nspname, c.relname, k.convalidated FROM pg_partition_tree('"public"."session_summaries"'::regclass) AS p
JOIN pg_class AS c ON c.oid = p.relid AND p.isleaf JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'f' AND k.conname = 'fk_session_source_ip'
ORDER BY c.oid;

-- loose_parts
SELECT 'pg_class'::regclass::oid AS classid, o.oid AS objid,
  format('DROP INDEX %s', o.oid::regclass) AS command
FROM pg_partition_tree('app.session_summaries'::regclass) AS p
JOIN pg_index AS i ON i.indrelid = p.relid
JOIN pg_class AS o ON o.oid = i.indexrelid AND NOT o.relispartition
WHERE p.isleaf AND o.relname IN (
  SELECT name || '_' || p.relid::oid FROM unnest(ARRAY['idx_session_source_ip', 'idx_session_snapshot_asn', 'idx_session_snapshot_country', 'idx_session_snapshot_ip_type', 'idx_session_first_event_brin', 'idx_session_last_event_brin', 'idx_session_ssh_key_fp', 'idx_session_password_hash', 'idx_session_command_sig']) AS name)
UNION ALL
SELECT 'pg_constraint'::regclass, k.oid,
  format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
FROM pg_partition_tree('app.session_summaries'::regclass) AS p
JOIN pg_constraint AS k ON k.conrelid = p.relid AND k.contype = 'f' AND k.conparentid = 0
WHERE p.isleaf AND k.conname = ANY (ARRAY['fk_session_source_ip']);

-- unexplained_rows, to phase 0
WITH derived AS MATERIALIZED (
  SELECT s.session_id, (s.f).source_ip AS source_ip, (s.f).asn AS asn, (s.f).asn_source AS asn_source,
    COALESCE(s.first, s.last, s.created) AS started,
    COALESCE(s.last, s.first, s.created) AS ended,
    (s.f).has_provider_data, (s.f).organization, (s.f).organization_country, (s.f).registry,
    s.unlike OR (s."source_ip" IS NOT NULL AND s."source_ip" IS DISTINCT FROM (s.f).source_ip) OR (s."enrichment_at" IS NOT NULL AND s."enrichment_at" IS DISTINCT FROM CASE WHEN (s.f).has_document THEN COALESCE((s.f).enriched_at, s.created, s.last) END) OR (s."snapshot_asn" IS NOT NULL AND s."snapshot_asn" IS DISTINCT FROM (s.f).asn) OR (s."snapshot_country" IS NOT NULL AND s."snapshot_country" IS DISTINCT FROM (s.f).country) OR (s."snapshot_ip_type" IS NOT NULL AND s."snapshot_ip_type" IS DISTINCT FROM (s.f).ip_type) AS own_values,
    false AS retired_values
  FROM (
    SELECT s.session_id, s."first_event_at"::timestamptz AS first, s."last_event_at"::timestamptz AS last, s."created_at"::timestamptz AS created,
      "source_ip" AS "source_ip", "enrichment_at" AS "enrichment_at", "snapshot_asn" AS "snapshot_asn", "snapshot_country" AS "snapshot_country", "snapshot_ip_type" AS "snapshot_ip_type",
      false AS unlike,
      "ext"."cowrie_derived_facts"(s.enrichment::json, NULL::varchar, CASE WHEN "ext"."cowrie_needs_event"(s.enrichment::json) THEN (
        SELECT e.payload::json FROM (
          SELECT payload, event_timestamp, id, tableoid AS place FROM "public"."raw_events"
          WHERE session_id = s.session_id OFFSET 0
        ) AS e ORDER BY e.event_timestamp, e.id, e.place LIMIT 1) END) AS f
    FROM "public"."session_summaries" AS s
    OFFSET 0
  ) AS s
), addresses AS (
  SELECT source_ip,
    array_agg(session_id ORDER BY ended DESC) FILTER (WHERE has_provider_data) AS sessions
  FROM derived WHERE source_ip IS NOT NULL GROUP BY source_ip
), systems AS (
  SELECT asn, array_agg(session_id ORDER BY ended DESC) AS sessions,
    array_agg(source_ip ORDER BY ended DESC) AS addresses
  FROM derived WHERE asn IS NOT NULL GROUP BY asn
)
SELECT 'session_summaries'::text, 'with values that their documents do not give'::text, count(*) FILTER (WHERE own_values) FROM derived
UNION ALL SELECT 'asn_inventory'::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT k.asn IS NULL AS added,
      CASE WHEN k.asn IS NOT NULL THEN t.unlike OR t."asn_type" IS NOT NULL OR t."is_known_hosting"::text <> (false)::text OR t."is_known_vpn"::text <> (false)::text OR t."enrichment_updated_at" IS NOT NULL OR (t.organization_name IS NOT NULL AND given_organization.asn IS NULL) OR (t.organization_country IS NOT NULL AND given_organization_country.asn IS NULL) OR (t.rir_registry IS NOT NULL AND given_registry.asn IS NULL) OR (t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM unnest(k.sessions, k.addresses) AS u (session_id, source_ip)
      JOIN "public"."session_summaries" AS d ON d.session_id = u.session_id
      WHERE "ext"."cowrie_asn_data"(d.enrichment::json, u.source_ip::varchar) = t.enrichment LIMIT 1), false)) END AS changed
    FROM (SELECT "asn_number" AS "asn_number", "organization_name" AS "organization_name", "organization_country" AS "organization_country", "rir_registry" AS "rir_registry", "asn_type" AS "asn_type", "is_known_hosting" AS "is_known_hosting", "is_known_vpn" AS "is_known_vpn", "first_seen" AS "first_seen", "last_seen" AS "last_seen", "unique_ip_count" AS "unique_ip_count", "total_session_count" AS "total_session_count", "enrichment" AS "enrichment", "enrichment_updated_at" AS "enrichment_updated_at", "created_at" AS "created_at", "updated_at" AS "updated_at", false AS unlike FROM "public"."asn_inventory") AS t
    LEFT JOIN systems AS k ON k.asn = t.asn_number
    LEFT JOIN (SELECT DISTINCT asn, organization FROM derived) AS given_organization
      ON given_organization.asn = t.asn_number AND given_organization.organization = t.organization_name
    LEFT JOIN (SELECT DISTINCT asn, organization_country FROM derived) AS given_organization_country
      ON given_organization_country.asn = t.asn_number AND given_organization_country.organization_country = t.organization_country
    LEFT JOIN (SELECT DISTINCT asn, registry FROM derived) AS given_registry
      ON given_registry.asn = t.asn_number AND given_registry.registry = t.rir_registry
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows)
UNION ALL SELECT 'ip_inventory'::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT k.source_ip IS NULL AS added,
      CASE WHEN k.source_ip IS NOT NULL THEN t.unlike OR t."asn_last_verified" IS NOT NULL OR t."enrichment_updated_at" IS NOT NULL OR t."enrichment_version"::text <> ('2.2'::character varying)::text OR (t."geo_country" IS NOT NULL AND t."geo_country"::text NOT IN ((SELECT COALESCE((upper(COALESCE(substring((enrichment #>> '{maxmind,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{cymru,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{dshield,ip,ascountry}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), 'XX') COLLATE "C")::varchar(2))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((upper(COALESCE(substring((enrichment #>> '{maxmind,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{cymru,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{dshield,ip,ascountry}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), 'XX') COLLATE "C")::varchar(2))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."ip_types" IS NOT NULL AND t."ip_types"::text NOT IN ((SELECT COALESCE((COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur[3] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur.client.types[*] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) ELSE jsonb_path_query_array(enrichment, 'strict $.spur.client.types ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur[3] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur.client.types[*] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) ELSE jsonb_path_query_array(enrichment, 'strict $.spur.client.types ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."is_scanner" IS NOT NULL AND t."is_scanner"::text NOT IN ((SELECT COALESCE((COALESCE(((enrichment #> '{greynoise,noise}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{greynoise,noise}'::text[])) = 'string'::text AND lower((enrichment #>> '{greynoise,noise}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(((enrichment #> '{greynoise,noise}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{greynoise,noise}'::text[])) = 'string'::text AND lower((enrichment #>> '{greynoise,noise}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."is_bogon" IS NOT NULL AND t."is_bogon"::text NOT IN ((SELECT COALESCE((COALESCE(((enrichment #> '{validation,is_bogon}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{validation,is_bogon}'::text[])) = 'string'::text AND lower((enrichment #>> '{validation,is_bogon}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(((enrichment #> '{validation,is_bogon}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{validation,is_bogon}'::text[])) = 'string'::text AND lower((enrichment #>> '{validation,is_bogon}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t.current_asn IS NOT NULL AND given.asn IS NULL) OR (t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM (SELECT id, k.source_ip FROM unnest(k.sessions) AS ids (id)) AS u (session_id, source_ip)
      JOIN "public"."session_summaries" AS d ON d.session_id = u.session_id
      WHERE "ext"."cowrie_provider_data"(d.enrichment::json, u.source_ip::varchar) = t.enrichment LIMIT 1), false)) END AS changed
    FROM (SELECT "ip_address" AS "ip_address", "current_asn" AS "current_asn", "asn_last_verified" AS "asn_last_verified", "first_seen" AS "first_seen", "last_seen" AS "last_seen", "session_count" AS "session_count", "enrichment" AS "enrichment", "enrichment_updated_at" AS "enrichment_updated_at", "enrichment_version" AS "enrichment_version", NULL::character varying(2) AS "geo_country", NULL::text[] AS "ip_types", NULL::boolean AS "is_scanner", NULL::boolean AS "is_bogon", "created_at" AS "created_at", "updated_at" AS "updated_at", false AS unlike FROM "public"."ip_inventory") AS t
    LEFT JOIN addresses AS k ON k.source_ip = t.ip_address
    LEFT JOIN (SELECT DISTINCT source_ip, asn FROM derived) AS given
      ON given.source_ip = t.ip_address AND given.asn = t.current_asn
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows)
UNION ALL SELECT 'ip_asn_history'::text, 'written by the application'::text, count(*) FROM (SELECT "ip_address" AS "ip_address", "asn_number" AS "asn_number", "observed_at" AS "observed_at", "verification_source" AS "verification_source", false AS unlike FROM "public"."ip_asn_history") AS t WHERE NOT EXISTS (
  SELECT FROM derived AS d
  WHERE NOT t.unlike AND d.source_ip = t.ip_address AND d.asn = t.asn_number
    AND d.started = t.observed_at
    AND (t.verification_source IS NULL OR t.verification_source = d.asn_source)
);

-- unexplained_rows, to phase 1
WITH derived AS MATERIALIZED (
  SELECT s.session_id, COALESCE(s.source_ip, (s.f).source_ip) AS source_ip,
    COALESCE(s.snapshot_asn, (s.f).asn) AS asn,
    CASE WHEN s.snapshot_asn IS NULL OR s.snapshot_asn = (s.f).asn THEN (s.f).asn_source END
      AS asn_source,
    COALESCE(s.first, s.last, s.created) AS started,
    COALESCE(s.last, s.first, s.created) AS ended,
    (s.f).has_provider_data, (s.f).organization, (s.f).organization_country, (s.f).registry,
    s.unlike OR (s."source_ip" IS NOT NULL AND s."source_ip" IS DISTINCT FROM (s.f).source_ip) OR (s."enrichment_at" IS NOT NULL AND s."enrichment_at" IS DISTINCT FROM CASE WHEN (s.f).has_document THEN COALESCE((s.f).enriched_at, s.created, s.last) END) OR (s."snapshot_asn" IS NOT NULL AND s."snapshot_asn" IS DISTINCT FROM (s.f).asn) OR (s."snapshot_country" IS NOT NULL AND s."snapshot_country" IS DISTINCT FROM (s.f).country) OR (s."snapshot_ip_type" IS NOT NULL AND s."snapshot_ip_type" IS DISTINCT FROM (s.f).ip_type) AS own_values,
    false AS retired_values
  FROM (
    SELECT s.session_id, s."first_event_at"::timestamptz AS first, s."last_event_at"::timestamptz AS last, s."created_at"::timestamptz AS created,
      "source_ip" AS "source_ip", "enrichment_at" AS "enrichment_at", "snapshot_asn" AS "snapshot_asn", "snapshot_country" AS "snapshot_country", "snapshot_ip_type" AS "snapshot_ip_type",
      false AS unlike,
      "ext"."cowrie_derived_facts"(s.enrichment::json, s.source_ip::varchar, CASE WHEN "ext"."cowrie_needs_event"(s.enrichment::json) THEN (
        SELECT e.payload::json FROM (
          SELECT payload, event_timestamp, id, tableoid AS place FROM "public"."raw_events"
          WHERE session_id = s.session_id OFFSET 0
        ) AS e ORDER BY e.event_timestamp, e.id, e.place LIMIT 1) END) AS f
    FROM "public"."session_summaries" AS s
    OFFSET 0
  ) AS s
), addresses AS (
  SELECT source_ip,
    array_agg(session_id ORDER BY ended DESC) FILTER (WHERE has_provider_data) AS sessions
  FROM derived WHERE source_ip IS NOT NULL GROUP BY source_ip
), systems AS (
  SELECT asn, array_agg(session_id ORDER BY ended DESC) AS sessions,
    array_agg(source_ip ORDER BY ended DESC) AS addresses
  FROM derived WHERE asn IS NOT NULL GROUP BY asn
)
SELECT 'asn_inventory'::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT k.asn IS NULL AS added,
      CASE WHEN k.asn IS NOT NULL THEN t.unlike OR t."asn_type" IS NOT NULL OR t."is_known_hosting"::text <> (false)::text OR t."is_known_vpn"::text <> (false)::text OR t."enrichment_updated_at" IS NOT NULL OR (t.organization_name IS NOT NULL AND given_organization.asn IS NULL) OR (t.organization_country IS NOT NULL AND given_organization_country.asn IS NULL) OR (t.rir_registry IS NOT NULL AND given_registry.asn IS NULL) OR (t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM unnest(k.sessions, k.addresses) AS u (session_id, source_ip)
      JOIN "public"."session_summaries" AS d ON d.session_id = u.session_id
      WHERE "ext"."cowrie_asn_data"(d.enrichment::json, u.source_ip::varchar) = t.enrichment LIMIT 1), false)) END AS changed
    FROM (SELECT "asn_number" AS "asn_number", "organization_name" AS "organization_name", "organization_country" AS "organization_country", "rir_registry" AS "rir_registry", "asn_type" AS "asn_type", "is_known_hosting" AS "is_known_hosting", "is_known_vpn" AS "is_known_vpn", "first_seen" AS "first_seen", "last_seen" AS "last_seen", "unique_ip_count" AS "unique_ip_count", "total_session_count" AS "total_session_count", "enrichment" AS "enrichment", "enrichment_updated_at" AS "enrichment_updated_at", "created_at" AS "created_at", "updated_at" AS "updated_at", false AS unlike FROM "public"."asn_inventory") AS t
    LEFT JOIN systems AS k ON k.asn = t.asn_number
    LEFT JOIN (SELECT DISTINCT asn, organization FROM derived) AS given_organization
      ON given_organization.asn = t.asn_number AND given_organization.organization = t.organization_name
    LEFT JOIN (SELECT DISTINCT asn, organization_country FROM derived) AS given_organization_country
      ON given_organization_country.asn = t.asn_number AND given_organization_country.organization_country = t.organization_country
    LEFT JOIN (SELECT DISTINCT asn, registry FROM derived) AS given_registry
      ON given_registry.asn = t.asn_number AND given_registry.registry = t.rir_registry
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows)
UNION ALL SELECT 'ip_inventory'::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT k.source_ip IS NULL AS added,
      CASE WHEN k.source_ip IS NOT NULL THEN t.unlike OR t."asn_last_verified" IS NOT NULL OR t."enrichment_updated_at" IS NOT NULL OR t."enrichment_version"::text <> ('2.2'::character varying)::text OR (t."geo_country" IS NOT NULL AND t."geo_country"::text NOT IN ((SELECT COALESCE((upper(COALESCE(substring((enrichment #>> '{maxmind,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{cymru,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{dshield,ip,ascountry}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), 'XX') COLLATE "C")::varchar(2))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((upper(COALESCE(substring((enrichment #>> '{maxmind,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{cymru,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{dshield,ip,ascountry}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), 'XX') COLLATE "C")::varchar(2))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."ip_types" IS NOT NULL AND t."ip_types"::text NOT IN ((SELECT COALESCE((COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur[3] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur.client.types[*] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) ELSE jsonb_path_query_array(enrichment, 'strict $.spur.client.types ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur[3] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur.client.types[*] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) ELSE jsonb_path_query_array(enrichment, 'strict $.spur.client.types ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."is_scanner" IS NOT NULL AND t."is_scanner"::text NOT IN ((SELECT COALESCE((COALESCE(((enrichment #> '{greynoise,noise}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{greynoise,noise}'::text[])) = 'string'::text AND lower((enrichment #>> '{greynoise,noise}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(((enrichment #> '{greynoise,noise}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{greynoise,noise}'::text[])) = 'string'::text AND lower((enrichment #>> '{greynoise,noise}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."is_bogon" IS NOT NULL AND t."is_bogon"::text NOT IN ((SELECT COALESCE((COALESCE(((enrichment #> '{validation,is_bogon}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{validation,is_bogon}'::text[])) = 'string'::text AND lower((enrichment #>> '{validation,is_bogon}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(((enrichment #> '{validation,is_bogon}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{validation,is_bogon}'::text[])) = 'string'::text AND lower((enrichment #>> '{validation,is_bogon}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t.current_asn IS NOT NULL AND given.asn IS NULL) OR (t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM (SELECT id, k.source_ip FROM unnest(k.sessions) AS ids (id)) AS u (session_id, source_ip)
      JOIN "public"."session_summaries" AS d ON d.session_id = u.session_id
      WHERE "ext"."cowrie_provider_data"(d.enrichment::json, u.source_ip::varchar) = t.enrichment LIMIT 1), false)) END AS changed
    FROM (SELECT "ip_address" AS "ip_address", "current_asn" AS "current_asn", "asn_last_verified" AS "asn_last_verified", "first_seen" AS "first_seen", "last_seen" AS "last_seen", "session_count" AS "session_count", "enrichment" AS "enrichment", "enrichment_updated_at" AS "enrichment_updated_at", "enrichment_version" AS "enrichment_version", NULL::character varying(2) AS "geo_country", NULL::text[] AS "ip_types", NULL::boolean AS "is_scanner", NULL::boolean AS "is_bogon", "created_at" AS "created_at", "updated_at" AS "updated_at", false AS unlike FROM "public"."ip_inventory") AS t
    LEFT JOIN addresses AS k ON k.source_ip = t.ip_address
    LEFT JOIN (SELECT DISTINCT source_ip, asn FROM derived) AS given
      ON given.source_ip = t.ip_address AND given.asn = t.current_asn
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows)
UNION ALL SELECT 'ip_asn_history'::text, 'written by the application'::text, count(*) FROM (SELECT "ip_address" AS "ip_address", "asn_number" AS "asn_number", "observed_at" AS "observed_at", "verification_source" AS "verification_source", false AS unlike FROM "public"."ip_asn_history") AS t WHERE NOT EXISTS (
  SELECT FROM derived AS d
  WHERE NOT t.unlike AND d.source_ip = t.ip_address AND d.asn = t.asn_number
    AND d.started = t.observed_at
    AND (t.verification_source IS NULL OR t.verification_source = d.asn_source)
);

-- unexplained_rows, to phase 3
WITH derived AS MATERIALIZED (
  SELECT s.session_id, COALESCE(s.source_ip, (s.f).source_ip) AS source_ip,
    COALESCE(s.snapshot_asn, (s.f).asn) AS asn,
    CASE WHEN s.snapshot_asn IS NULL OR s.snapshot_asn = (s.f).asn THEN (s.f).asn_source END
      AS asn_source,
    COALESCE(s.first, s.last, s.created) AS started,
    COALESCE(s.last, s.first, s.created) AS ended,
    (s.f).has_provider_data, (s.f).organization, (s.f).organization_country, (s.f).registry,
    s.unlike OR (s."source_ip" IS NOT NULL AND s."source_ip" IS DISTINCT FROM (s.f).source_ip) OR (s."enrichment_at" IS NOT NULL AND s."enrichment_at" IS DISTINCT FROM CASE WHEN (s.f).has_document THEN COALESCE((s.f).enriched_at, s.created, s.last) END) OR (s."snapshot_asn" IS NOT NULL AND s."snapshot_asn" IS DISTINCT FROM (s.f).asn) OR (s."snapshot_country" IS NOT NULL AND s."snapshot_country" IS DISTINCT FROM (s.f).country) OR (s."snapshot_ip_type" IS NOT NULL AND s."snapshot_ip_type" IS DISTINCT FROM (s.f).ip_type) AS own_values,
    false AS retired_values
  FROM (
    SELECT s.session_id, s."first_event_at"::timestamptz AS first, s."last_event_at"::timestamptz AS last, s."created_at"::timestamptz AS created,
      "source_ip" AS "source_ip", "enrichment_at" AS "enrichment_at", "snapshot_asn" AS "snapshot_asn", "snapshot_country" AS "snapshot_country", "snapshot_ip_type" AS "snapshot_ip_type",
      false AS unlike,
      "ext"."cowrie_derived_facts"(s.enrichment::json, s.source_ip::varchar, CASE WHEN "ext"."cowrie_needs_event"(s.enrichment::json) THEN (
        SELECT e.payload::json FROM (
          SELECT payload, event_timestamp, id, tableoid AS place FROM "public"."raw_events"
          WHERE session_id = s.session_id OFFSET 0
        ) AS e ORDER BY e.event_timestamp, e.id, e.place LIMIT 1) END) AS f
    FROM "public"."session_summaries" AS s
    OFFSET 0
  ) AS s
), addresses AS (
  SELECT source_ip,
    array_agg(session_id ORDER BY ended DESC) FILTER (WHERE has_provider_data) AS sessions
  FROM derived WHERE source_ip IS NOT NULL GROUP BY source_ip
), systems AS (
  SELECT asn, array_agg(session_id ORDER BY ended DESC) AS sessions,
    array_agg(source_ip ORDER BY ended DESC) AS addresses
  FROM derived WHERE asn IS NOT NULL GROUP BY asn
)
SELECT 'ip_asn_history'::text, 'written by the application'::text, count(*) FROM (SELECT "ip_address" AS "ip_address", "asn_number" AS "asn_number", "observed_at" AS "observed_at", "verification_source" AS "verification_source", false AS unlike FROM "public"."ip_asn_history") AS t WHERE NOT EXISTS (
  SELECT FROM derived AS d
  WHERE NOT t.unlike AND d.source_ip = t.ip_address AND d.asn = t.asn_number
    AND d.started = t.observed_at
    AND (t.verification_source IS NULL OR t.verification_source = d.asn_source)
);

-- unexplained_rows, raw_events without an index
WITH events AS MATERIALIZED (
  SELECT DISTINCT ON (session_id) session_id, id, tableoid AS place FROM "public"."raw_events"
  WHERE session_id IS NOT NULL ORDER BY session_id, event_timestamp, id, tableoid
), derived AS MATERIALIZED (
  SELECT s.session_id, (s.f).source_ip AS source_ip, (s.f).asn AS asn, (s.f).asn_source AS asn_source,
    COALESCE(s.first, s.last, s.created) AS started,
    COALESCE(s.last, s.first, s.created) AS ended,
    (s.f).has_provider_data, (s.f).organization, (s.f).organization_country, (s.f).registry,
    s.unlike OR (s."source_ip" IS NOT NULL AND s."source_ip" IS DISTINCT FROM (s.f).source_ip) OR (s."enrichment_at" IS NOT NULL AND s."enrichment_at" IS DISTINCT FROM CASE WHEN (s.f).has_document THEN COALESCE((s.f).enriched_at, s.created, s.last) END) OR (s."snapshot_asn" IS NOT NULL AND s."snapshot_asn" IS DISTINCT FROM (s.f).asn) OR (s."snapshot_country" IS NOT NULL AND s."snapshot_country" IS DISTINCT FROM (s.f).country) OR (s."snapshot_ip_type" IS NOT NULL AND s."snapshot_ip_type" IS DISTINCT FROM (s.f).ip_type) AS own_values,
    false AS retired_values
  FROM (
    SELECT s.session_id, s."first_event_at"::timestamptz AS first, s."last_event_at"::timestamptz AS last, s."created_at"::timestamptz AS created,
      "source_ip" AS "source_ip", "enrichment_at" AS "enrichment_at", "snapshot_asn" AS "snapshot_asn", "snapshot_country" AS "snapshot_country", "snapshot_ip_type" AS "snapshot_ip_type",
      false AS unlike,
      "ext"."cowrie_derived_facts"(s.enrichment::json, NULL::varchar, CASE WHEN "ext"."cowrie_needs_event"(s.enrichment::json) THEN r.payload::json END) AS f
    FROM "public"."session_summaries" AS s
    LEFT JOIN (
      SELECT e.session_id, r.payload FROM events AS e JOIN "public"."raw_events" AS r
        ON r.id = e.id AND r.tableoid = e.place AND r.session_id = e.session_id
    ) AS r ON r.session_id = s.session_id
    OFFSET 0
  ) AS s
), addresses AS (
  SELECT source_ip,
    array_agg(session_id ORDER BY ended DESC) FILTER (WHERE has_provider_data) AS sessions
  FROM derived WHERE source_ip IS NOT NULL GROUP BY source_ip
), systems AS (
  SELECT asn, array_agg(session_id ORDER BY ended DESC) AS sessions,
    array_agg(source_ip ORDER BY ended DESC) AS addresses
  FROM derived WHERE asn IS NOT NULL GROUP BY asn
)
SELECT 'session_summaries'::text, 'with values that their documents do not give'::text, count(*) FILTER (WHERE own_values) FROM derived
UNION ALL SELECT 'asn_inventory'::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT k.asn IS NULL AS added,
      CASE WHEN k.asn IS NOT NULL THEN t.unlike OR t."asn_type" IS NOT NULL OR t."is_known_hosting"::text <> (false)::text OR t."is_known_vpn"::text <> (false)::text OR t."enrichment_updated_at" IS NOT NULL OR (t.organization_name IS NOT NULL AND given_organization.asn IS NULL) OR (t.organization_country IS NOT NULL AND given_organization_country.asn IS NULL) OR (t.rir_registry IS NOT NULL AND given_registry.asn IS NULL) OR (t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM unnest(k.sessions, k.addresses) AS u (session_id, source_ip)
      JOIN "public"."session_summaries" AS d ON d.session_id = u.session_id
      WHERE "ext"."cowrie_asn_data"(d.enrichment::json, u.source_ip::varchar) = t.enrichment LIMIT 1), false)) END AS changed
    FROM (SELECT "asn_number" AS "asn_number", "organization_name" AS "organization_name", "organization_country" AS "organization_country", "rir_registry" AS "rir_registry", "asn_type" AS "asn_type", "is_known_hosting" AS "is_known_hosting", "is_known_vpn" AS "is_known_vpn", "first_seen" AS "first_seen", "last_seen" AS "last_seen", "unique_ip_count" AS "unique_ip_count", "total_session_count" AS "total_session_count", "enrichment" AS "enrichment", "enrichment_updated_at" AS "enrichment_updated_at", "created_at" AS "created_at", "updated_at" AS "updated_at", false AS unlike FROM "public"."asn_inventory") AS t
    LEFT JOIN systems AS k ON k.asn = t.asn_number
    LEFT JOIN (SELECT DISTINCT asn, organization FROM derived) AS given_organization
      ON given_organization.asn = t.asn_number AND given_organization.organization = t.organization_name
    LEFT JOIN (SELECT DISTINCT asn, organization_country FROM derived) AS given_organization_country
      ON given_organization_country.asn = t.asn_number AND given_organization_country.organization_country = t.organization_country
    LEFT JOIN (SELECT DISTINCT asn, registry FROM derived) AS given_registry
      ON given_registry.asn = t.asn_number AND given_registry.registry = t.rir_registry
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows)
UNION ALL SELECT 'ip_inventory'::text, found.reason, found.rows FROM (
  SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE changed) AS changed FROM (
    SELECT k.source_ip IS NULL AS added,
      CASE WHEN k.source_ip IS NOT NULL THEN t.unlike OR t."asn_last_verified" IS NOT NULL OR t."enrichment_updated_at" IS NOT NULL OR t."enrichment_version"::text <> ('2.2'::character varying)::text OR (t."geo_country" IS NOT NULL AND t."geo_country"::text NOT IN ((SELECT COALESCE((upper(COALESCE(substring((enrichment #>> '{maxmind,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{cymru,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{dshield,ip,ascountry}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), 'XX') COLLATE "C")::varchar(2))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((upper(COALESCE(substring((enrichment #>> '{maxmind,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{cymru,country}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), substring((enrichment #>> '{dshield,ip,ascountry}'::text[]) COLLATE "C" from '^(?![Xx][Xx])[A-Za-z]{2}$'), 'XX') COLLATE "C")::varchar(2))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."ip_types" IS NOT NULL AND t."ip_types"::text NOT IN ((SELECT COALESCE((COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur[3] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur.client.types[*] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) ELSE jsonb_path_query_array(enrichment, 'strict $.spur.client.types ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(string_to_array(substring((CASE WHEN jsonb_typeof(enrichment -> 'spur'::text) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur[3] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) WHEN jsonb_typeof(enrichment #> '{spur,client,types}'::text[]) = 'array'::text THEN jsonb_path_query_array(enrichment, 'strict $.spur.client.types[*] ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) ELSE jsonb_path_query_array(enrichment, 'strict $.spur.client.types ? (@ like_regex "^[^\"\\\\\\x01-\\x1f\\x7f]+$")'::jsonpath, '{}'::jsonb, true) END #>> '{}'::text[]) from '^\["(.*)"\]$'), '", "'::text), '{}'::text[]))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."is_scanner" IS NOT NULL AND t."is_scanner"::text NOT IN ((SELECT COALESCE((COALESCE(((enrichment #> '{greynoise,noise}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{greynoise,noise}'::text[])) = 'string'::text AND lower((enrichment #>> '{greynoise,noise}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(((enrichment #> '{greynoise,noise}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{greynoise,noise}'::text[])) = 'string'::text AND lower((enrichment #>> '{greynoise,noise}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t."is_bogon" IS NOT NULL AND t."is_bogon"::text NOT IN ((SELECT COALESCE((COALESCE(((enrichment #> '{validation,is_bogon}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{validation,is_bogon}'::text[])) = 'string'::text AND lower((enrichment #>> '{validation,is_bogon}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT t.enrichment AS enrichment) AS given), (SELECT COALESCE((COALESCE(((enrichment #> '{validation,is_bogon}'::text[]) = 'true'::jsonb) OR (jsonb_typeof((enrichment #> '{validation,is_bogon}'::text[])) = 'string'::text AND lower((enrichment #>> '{validation,is_bogon}'::text[]) COLLATE "C") = 'true'::text), false))::text, '') FROM (SELECT '{}'::jsonb AS enrichment) AS given))) OR (t.current_asn IS NOT NULL AND given.asn IS NULL) OR (t.enrichment <> '{}'::jsonb AND NOT COALESCE((
      SELECT true FROM (SELECT id, k.source_ip FROM unnest(k.sessions) AS ids (id)) AS u (session_id, source_ip)
      JOIN "public"."session_summaries" AS d ON d.session_id = u.session_id
      WHERE "ext"."cowrie_provider_data"(d.enrichment::json, u.source_ip::varchar) = t.enrichment LIMIT 1), false)) END AS changed
    FROM (SELECT "ip_address" AS "ip_address", "current_asn" AS "current_asn", "asn_last_verified" AS "asn_last_verified", "first_seen" AS "first_seen", "last_seen" AS "last_seen", "session_count" AS "session_count", "enrichment" AS "enrichment", "enrichment_updated_at" AS "enrichment_updated_at", "enrichment_version" AS "enrichment_version", NULL::character varying(2) AS "geo_country", NULL::text[] AS "ip_types", NULL::boolean AS "is_scanner", NULL::boolean AS "is_bogon", "created_at" AS "created_at", "updated_at" AS "updated_at", false AS unlike FROM "public"."ip_inventory") AS t
    LEFT JOIN addresses AS k ON k.source_ip = t.ip_address
    LEFT JOIN (SELECT DISTINCT source_ip, asn FROM derived) AS given
      ON given.source_ip = t.ip_address AND given.asn = t.current_asn
  ) AS seen
) AS counted CROSS JOIN LATERAL (
  VALUES ('added by the application', added), ('enriched by the application', changed)
) AS found (reason, rows)
UNION ALL SELECT 'ip_asn_history'::text, 'written by the application'::text, count(*) FROM (SELECT "ip_address" AS "ip_address", "asn_number" AS "asn_number", "observed_at" AS "observed_at", "verification_source" AS "verification_source", false AS unlike FROM "public"."ip_asn_history") AS t WHERE NOT EXISTS (
  SELECT FROM derived AS d
  WHERE NOT t.unlike AND d.source_ip = t.ip_address AND d.asn = t.asn_number
    AND d.started = t.observed_at
    AND (t.verification_source IS NULL OR t.verification_source = d.asn_source)
);

-- orphans_query
SELECT count(*) FROM "public"."session_summaries" AS c WHERE c."source_ip" IS NOT NULL
AND NOT EXISTS (SELECT FROM "public"."ip_inventory" AS p WHERE p."ip_address" = c."source_ip");

-- taken_names_query
SELECT w.name, w.on_table
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN (VALUES ('idx', 'ip_inventory')) AS w (name, on_table) ON c.relname = w.name
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_class AS t ON t.oid = i.indrelid
WHERE n.nspname = $1::text AND t.relname IS DISTINCT FROM w.on_table;

-- taken_constraints_query
SELECT k.conname, c.relname, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN (VALUES ('fk', 'ip_inventory')) AS w (name, on_table) ON k.conname = w.name AND c.relname = w.on_table
WHERE n.nspname = $1::text AND k.contype NOT IN ('c', 'f') ORDER BY 1, 2 LIMIT 1;

-- type_names_query
SELECT t.typname FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname = $1::text AND t.typname = ANY ($2::text::name[]) AND t.typrelid = 0
AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid) ORDER BY t.typname LIMIT 1;

-- room_for_columns_query
SELECT c.relnatts, (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attisdropped),
  (SELECT count(*) FROM unnest($2::text::name[]) AS w (name) WHERE NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = w.name AND NOT attisdropped))
FROM pg_class AS c WHERE c.oid = $1::text::regclass;

-- invalid_unique_query
SELECT i.indexrelid::regclass, i.indrelid::regclass
FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE (i.indrelid = $1::text::regclass OR i.indrelid IN (SELECT relid FROM pg_partition_tree($1::text::regclass)))
AND NOT i.indisvalid AND (i.indisunique OR i.indisexclusion) AND x.relkind = 'i' ORDER BY 1 LIMIT 1;

-- state_columns_query
SELECT a.attname, format_type(a.atttypid, a.atttypmod), COALESCE(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(t.typdefaultbin, 0)), a.attgenerated <> '', CASE WHEN t.typtype = 'd' THEN format('TYPE %s', format_type(t.typbasetype, t.typtypmod)) WHEN a.attgenerated <> '' THEN 'DROP EXPRESSION' ELSE 'DROP DEFAULT' END FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('key', 'value') AND NOT (a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend AS p JOIN pg_class AS s ON s.oid = p.refobjid WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass AND s.relkind = 'S')) AND NOT EXISTS (SELECT FROM pg_depend AS p JOIN pg_attribute AS b ON b.attrelid = p.refobjid AND b.attnum = p.refobjsubid LEFT JOIN pg_attrdef AS e ON e.adrelid = b.attrelid AND e.adnum = b.attnum WHERE a.attgenerated <> '' AND p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid AND b.attnum <> a.attnum AND b.attname NOT IN ('key', 'value') AND (b.attidentity <> '' OR e.oid IS NOT NULL)) ORDER BY a.attgenerated <> '', a.attnum;

-- state_checks_query
SELECT k.conname, pg_get_expr(k.conbin, k.conrelid), pg_get_constraintdef(k.oid) FROM pg_constraint AS k WHERE k.conrelid = $1::text::regclass AND k.contype = 'c' AND NOT EXISTS (SELECT FROM unnest(k.conkey) AS c (number) LEFT JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number AND a.attnum > 0 LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum IS NULL OR a.attgenerated <> '' OR (a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend AS p JOIN pg_class AS s ON s.oid = p.refobjid WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass AND s.relkind = 'S'))) AND (EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname NOT IN ('key', 'value')) OR EXISTS (SELECT FROM pg_depend AS p WHERE p.classid = 'pg_constraint'::regclass AND p.objid = k.oid AND p.refclassid <> 'pg_class'::regclass)) ORDER BY k.conname;

-- firing_triggers_query
SELECT format('trigger %I', tgname) || COALESCE(' of ' || CASE WHEN tgrelid <> to_regclass($1::text) AND NOT tgparentid <> 0 THEN tgrelid::regclass::text END, ''), tgtype & 3 <> 3,
  CASE WHEN tgrelid <> to_regclass($1::text) AND NOT tgparentid <> 0 THEN tgrelid::regclass::text END
FROM pg_trigger WHERE (tgrelid = to_regclass($1::text)
  OR tgrelid IN (SELECT relid FROM pg_partition_tree(to_regclass($1::text)))) AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0
AND (tgattr::text = '' OR EXISTS (
  SELECT FROM pg_attribute WHERE attrelid = tgrelid AND attnum = ANY (tgattr::int2[])
  AND attname::text = ANY (ARRAY['source_ip']::text[])))
AND NOT (tgname = 'zz_cowrie_migrate_online' AND EXISTS (
  SELECT FROM pg_proc AS p WHERE p.oid = tgfoid AND p.proname = 'cowrie_online_change'))
AND NOT (tgtype & 3 <> 3 AND tgname = ANY (
  regexp_split_to_array(trim(current_setting('cowrie_migrate.harmless_triggers')), '\s*,\s*')))
UNION SELECT format('rule %I', rulename) || COALESCE(' of ' || CASE WHEN ev_class <> to_regclass($1::text) AND NOT false THEN ev_class::regclass::text END, ''), false, CASE WHEN ev_class <> to_regclass($1::text) AND NOT false THEN ev_class::regclass::text END
FROM pg_rewrite WHERE (ev_class = to_regclass($1::text)
  OR ev_class IN (SELECT relid FROM pg_partition_tree(to_regclass($1::text)))) AND ev_type = '2' AND ev_enabled <> 'D' ORDER BY 1;

-- index_expressions_query
SELECT c.oid::regclass, i.indexrelid::regclass,
  concat_ws(', ', 'ROW(' || pg_get_expr(i.indexprs, i.indrelid) || ')::text', pg_get_expr(i.indpred, i.indrelid)),
  (SELECT string_agg(format('ALTER FUNCTION %s SET search_path = %I, pg_temp;',
    p.oid::regprocedure, n.nspname), ' ' ORDER BY p.oid::regprocedure::text)
  FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.refobjid JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_language AS l ON l.oid = p.prolang
  WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_proc'::regclass
  AND l.lanname NOT IN ('internal', 'c')
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE starts_with(s, 'search_path=')))

FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS i ON i.indrelid = c.oid
WHERE (n.nspname = 'public' AND c.relname = ANY (ARRAY['session_summaries', 'asn_inventory', 'ip_inventory', 'ip_asn_history']::text[]) OR c.relispartition AND (c.oid = to_regclass('"public"."session_summaries"')
  OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass('"public"."session_summaries"'))))
  AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid))
AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) ORDER BY 1, 2;

-- checks_query
SELECT k.conname, pg_get_expr(k.conbin, k.conrelid), k.convalidated,
  (SELECT string_agg(format('ALTER FUNCTION %s SET search_path = %I, pg_temp;',
    p.oid::regprocedure, n.nspname), ' ' ORDER BY p.oid::regprocedure::text)
  FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.refobjid JOIN pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_language AS l ON l.oid = p.prolang
  WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
  AND l.lanname NOT IN ('internal', 'c')
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE starts_with(s, 'search_path=')))

FROM pg_constraint AS k WHERE k.conrelid = '"public"."session_summaries"'::regclass AND k.contype = 'c'
AND k.conname <> ALL (ARRAY['snapshot_country_iso', 'fk_session_source_ip']::text[]) ORDER BY k.conname;

-- row_type_users_query
WITH RECURSIVE kinds (id) AS (
  SELECT reltype FROM pg_class WHERE oid = $1::text::regclass
    OR oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))
  UNION SELECT t.oid FROM kinds AS k JOIN pg_type AS t ON t.typelem = k.id OR t.typbasetype = k.id
    OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.atttypid = k.id
               AND NOT a.attisdropped AND a.attnum > 0)
)
SELECT format('column %I of %s', a.attname, c.oid::regclass),
  format('ALTER TABLE %s DROP COLUMN %I;', c.oid::regclass, a.attname)
FROM kinds AS k JOIN pg_attribute AS a ON a.atttypid = k.id AND NOT a.attisdropped AND a.attnum > 0
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm', 'p', 'f') ORDER BY 1;

-- carried_over_query
WITH columns AS (
  SELECT * FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = ANY (ARRAY['ip_types']::text[])
), users AS (
  SELECT DISTINCT d.classid, d.objid FROM columns AS c JOIN pg_depend AS d
  ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.attrelid AND d.refobjsubid = c.attnum
), indexes AS (
  SELECT c.*, format('index %I', c.relname) AS words, i.indisclustered, i.indisreplident, i.indrelid
  FROM users AS u JOIN pg_class AS c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid
  JOIN pg_index AS i ON i.indexrelid = c.oid
  WHERE c.relname <> ALL (ARRAY['ip_inventory_pkey']::text[])
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
), constraints AS (
  SELECT k.*, format('constraint %I', k.conname) AS words
  FROM users AS u JOIN pg_constraint AS k ON u.classid = 'pg_constraint'::regclass AND k.oid = u.objid
  WHERE k.conrelid = $1::text::regclass AND k.contype IN ('c', 'u', 'x', 'f')
  AND k.conname <> ALL (ARRAY['ip_inventory_pkey']::text[])
), statistics AS (
  SELECT s.*, format('statistics %I', s.stxname) AS words,
    format('%I.%I', n.nspname, s.stxname) AS name
  FROM users AS u
  JOIN pg_statistic_ext AS s ON u.classid = 'pg_statistic_ext'::regclass AND s.oid = u.objid
  JOIN pg_namespace AS n ON n.oid = s.stxnamespace
), steps (object, part, words, dropped, made) AS (
  SELECT oid, 1, words, format('DROP INDEX %s', oid::regclass), pg_get_indexdef(oid) FROM indexes
  UNION ALL SELECT i.oid, 2, words, NULL, format('ALTER INDEX %I.%I SET TABLESPACE %I',
    n.nspname, i.relname, t.spcname) FROM indexes AS i JOIN pg_tablespace AS t ON t.oid = i.reltablespace
    JOIN pg_namespace AS n ON n.oid = i.relnamespace
  UNION ALL SELECT i.oid, 3, words, NULL, format('ALTER TABLE %s CLUSTER ON %I', indrelid::regclass,
    relname) FROM indexes AS i WHERE indisclustered
  UNION ALL SELECT i.oid, 4, words, NULL, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I',
    indrelid::regclass, relname) FROM indexes AS i WHERE indisreplident
  UNION ALL SELECT i.oid, 5, words, NULL, format('COMMENT ON INDEX %I.%I IS %L', n.nspname, i.relname,
    obj_description(i.oid, 'pg_class')) FROM indexes AS i
    JOIN pg_namespace AS n ON n.oid = i.relnamespace WHERE obj_description(i.oid, 'pg_class') IS NOT NULL
  UNION ALL SELECT oid, 1, words, format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM constraints
  UNION ALL SELECT oid, 2, words, NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname,
    conrelid::regclass, obj_description(oid, 'pg_constraint'))
    FROM constraints WHERE obj_description(oid, 'pg_constraint') IS NOT NULL
  UNION ALL SELECT oid, 1, words, format('DROP STATISTICS %s', name), pg_get_statisticsobjdef(oid)
    FROM statistics
  UNION ALL SELECT oid, 2, words, NULL, format('ALTER STATISTICS %s SET STATISTICS %s', name, stxstattarget)
    FROM statistics WHERE stxstattarget >= 0
  UNION ALL SELECT oid, 3, words, NULL, format('COMMENT ON STATISTICS %s IS %L', name,
    obj_description(oid, 'pg_statistic_ext'))
    FROM statistics WHERE obj_description(oid, 'pg_statistic_ext') IS NOT NULL
  UNION ALL SELECT a.attnum, 1, format('grants of %I', a.attname), NULL,
    format('GRANT %s (%I) ON TABLE %s TO %s', x.privilege_type, a.attname, a.attrelid::regclass,
      CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
      || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    FROM columns AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS x
  UNION ALL SELECT attnum, 2, format('comment of %I', attname), NULL,
    format('COMMENT ON COLUMN %s.%I IS %L', attrelid::regclass, attname, col_description(attrelid, attnum))
    FROM columns WHERE col_description(attrelid, attnum) IS NOT NULL
  UNION ALL SELECT attnum, 3, format('statistics target of %I', attname), NULL,
    format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', attrelid::regclass, attname, attstattarget)
    FROM columns WHERE attstattarget >= 0
  UNION ALL SELECT attnum, 4, format('options of %I', attname), NULL,
    format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', attrelid::regclass, attname, o)
    FROM columns CROSS JOIN LATERAL unnest(attoptions) AS o WHERE o LIKE 'n\_distinct%'
) SELECT words, dropped, made FROM steps ORDER BY object, part, made;

-- lock_holders_query, readers too
WITH run_processes AS MATERIALIZED (
  SELECT h.pid, h.virtualtransaction, true AS certain FROM pg_locks AS h WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION
  SELECT w.pid, NULL, w.query <> '<insufficient privilege>' FROM pg_locks AS h JOIN pg_stat_activity AS w ON w.leader_pid = h.pid
    OR w.datname = current_database()
      AND (w.backend_type = 'cowrie_migrate'
           OR w.query = '<insufficient privilege>' AND h.pid IS DISTINCT FROM pg_backend_pid())
  WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT format('process %s of user %s holds %s (state %s, transaction since %s)', l.pid,
  COALESCE(a.usename, '?'), string_agg(DISTINCT l.mode || ' on ' || c.relname, ', '), COALESCE(a.state, '?'),
  COALESCE(date_trunc('second', a.xact_start)::text, '?')), l.pid, min(c.oid::int8)
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (n.nspname = $1::text AND c.relname = ANY (ARRAY['session_summaries']::text[]) OR 'session_summaries' = ANY (ARRAY['session_summaries']::text[])
  AND c.oid IN (SELECT relid FROM pg_partition_tree(
    to_regclass(format('%I.session_summaries', $1::text))))) AND l.mode <> ALL (ARRAY[]::text[])
AND NOT EXISTS (SELECT FROM run_processes AS r WHERE r.certain AND (r.pid = l.pid
  OR r.pid IS NULL AND l.pid IS NULL AND r.virtualtransaction = l.virtualtransaction))
GROUP BY l.pid, a.usename, a.state, a.xact_start ORDER BY a.xact_start NULLS LAST, l.pid;

-- lock_holders_query, writers
WITH run_processes AS MATERIALIZED (
  SELECT h.pid, h.virtualtransaction, true AS certain FROM pg_locks AS h WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION
  SELECT w.pid, NULL, w.query <> '<insufficient privilege>' FROM pg_locks AS h JOIN pg_stat_activity AS w ON w.leader_pid = h.pid
    OR w.datname = current_database()
      AND (w.backend_type = 'cowrie_migrate'
           OR w.query = '<insufficient privilege>' AND h.pid IS DISTINCT FROM pg_backend_pid())
  WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT format('process %s of user %s holds %s (state %s, transaction since %s)', l.pid,
  COALESCE(a.usename, '?'), string_agg(DISTINCT l.mode || ' on ' || c.relname, ', '), COALESCE(a.state, '?'),
  COALESCE(date_trunc('second', a.xact_start)::text, '?')), l.pid, min(c.oid::int8)
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (n.nspname = $1::text AND c.relname = ANY (ARRAY['session_summaries']::text[]) OR 'session_summaries' = ANY (ARRAY['session_summaries']::text[])
  AND c.oid IN (SELECT relid FROM pg_partition_tree(
    to_regclass(format('%I.session_summaries', $1::text))))) AND l.mode <> ALL (ARRAY['AccessShareLock']::text[])
AND NOT EXISTS (SELECT FROM run_processes AS r WHERE r.certain AND (r.pid = l.pid
  OR r.pid IS NULL AND l.pid IS NULL AND r.virtualtransaction = l.virtualtransaction))
GROUP BY l.pid, a.usename, a.state, a.xact_start ORDER BY a.xact_start NULLS LAST, l.pid;

-- run_objects::state_query
WITH run_processes AS MATERIALIZED (
  SELECT h.pid, h.virtualtransaction, true AS certain FROM pg_locks AS h WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION
  SELECT w.pid, NULL, w.query <> '<insufficient privilege>' FROM pg_locks AS h JOIN pg_stat_activity AS w ON w.leader_pid = h.pid
    OR w.datname = current_database()
      AND (w.backend_type = 'cowrie_migrate'
           OR w.query = '<insufficient privilege>' AND h.pid IS DISTINCT FROM pg_backend_pid())
  WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
), run AS (
  SELECT h.pid, h.virtualtransaction FROM pg_locks AS h WHERE h.granted AND h.locktype = 'object' AND h.classid = 'pg_extension'::regclass
AND h.objid = (SELECT oid FROM pg_extension WHERE extname = 'cowrie_migrate')
AND h.objsubid = 16
AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1
), awaited AS ( -- this moment, or between two attempts
  SELECT COALESCE(w.relation::regclass::text, w.locktype) AS what, pg_blocking_pids(w.pid) AS holders
  FROM pg_locks AS w JOIN run_processes AS p ON p.pid = w.pid AND p.certain WHERE NOT w.granted
  UNION ALL
  SELECT $1::int8::oid::regclass::text, ARRAY[NULLIF($2::int8, 0)::integer] WHERE $3::int8 > 0
  LIMIT 1
)
SELECT run.pid, CASE WHEN run.pid IS NULL THEN
  (SELECT format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L', x.gid)
   FROM pg_locks AS t JOIN pg_prepared_xacts AS x ON x.transaction = t.transactionid
   WHERE t.locktype = 'transactionid' AND t.pid IS NULL
   AND t.virtualtransaction = run.virtualtransaction LIMIT 1)
ELSE (SELECT a.what || ', held by ' || COALESCE(
    (SELECT string_agg(CASE b.pid WHEN 0 THEN 'a prepared transaction' ELSE
       format('process %s (%s, %s, since %s)', b.pid, COALESCE(s.usename, '?'),
         COALESCE(s.state, '?'), COALESCE(date_trunc('second', s.xact_start)::text, '?')) END,
       ' and ' ORDER BY b.pid)
     FROM unnest(a.holders) AS b (pid) LEFT JOIN pg_stat_activity AS s ON s.pid = b.pid
     WHERE b.pid = 0 OR s.pid IS NOT NULL), 'nobody any more')
    || CASE WHEN $3::int8 > 0 THEN format(', attempt %s of %s', $3::int8, $4::int8) ELSE '' END
  FROM awaited AS a) END
FROM run;

-- evidence::sizes

SELECT c.relname AS name, sum(pg_table_size(leaf.oid) - toast.bytes)::int8 AS heap, sum(toast.bytes)::int8 AS toast,
  sum(pg_indexes_size(leaf.oid))::int8 AS indexes
FROM pg_class AS c
JOIN pg_class AS leaf ON leaf.relkind = 'r'
  AND (leaf.oid = c.oid OR c.relkind = 'p' AND leaf.oid IN (SELECT relid FROM pg_partition_tree(c.oid))),
  LATERAL (SELECT CASE WHEN leaf.reltoastrelid = 0 THEN 0
    ELSE pg_total_relation_size(leaf.reltoastrelid) END AS bytes) AS toast
WHERE c.relnamespace = $1::int8::oid AND c.relkind IN ('r', 'p') AND c.relname IN ('raw_events', 'session_summaries', 'asn_inventory', 'ip_inventory', 'ip_asn_history')
GROUP BY c.relname;

-- evidence::filled_columns
SELECT attname FROM pg_attribute WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped AND attname IN ('source_ip', 'enrichment_at', 'snapshot_asn', 'snapshot_country', 'snapshot_ip_type') ORDER BY attnum;

-- evidence::filled_as_json
SELECT jsonb_object_agg(f.name, f.amount) FROM (
SELECT n.name, n.amount
FROM (SELECT ARRAY[count(*), count("source_ip"), count("snapshot_asn")] AS amounts FROM "app"."session_summaries") AS c, unnest(ARRAY['sessions', 'source_ip', 'snapshot_asn'], c.amounts) WITH ORDINALITY AS n (name, amount, place)
ORDER BY n.place) AS f;

-- evidence::settings

SELECT COALESCE(jsonb_object_agg(name, current_setting(name)), '{}'::jsonb)
FROM pg_settings
WHERE name IN ('cowrie_migrate.lock_timeout', 'cowrie_migrate.use_raw_events', 'cowrie_migrate.free_space',
    'cowrie_migrate.rewrite', 'cowrie_migrate.harmless_triggers', 'cowrie_migrate.fail_at', 'wal_level', 'synchronous_commit',
    'work_mem', 'maintenance_work_mem', 'shared_buffers', 'max_parallel_workers_per_gather', 'max_parallel_maintenance_workers');

-- alter_table_reason_query
SELECT max(CASE
  WHEN current_setting('cowrie_migrate.rewrite') = 'alter_table'
    THEN 'cowrie_migrate.rewrite is alter_table'
  WHEN m.amname <> 'heap' THEN format('the access method is %s', m.amname)
  WHEN c.relpersistence <> 'p' THEN 'the table is not logged'
  WHEN 'user_catalog_table=true' = ANY (c.reloptions) THEN 'the table is a catalog'
  WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
    THEN 'extension citus may have distributed the table'
  ELSE COALESCE((
    SELECT format('event trigger %I', evtname) FROM pg_event_trigger
    WHERE evtevent = 'table_rewrite' AND evtenabled <> 'D' ORDER BY evtname LIMIT 1), (
    SELECT format('constraint %I checks a column that is filled', k.conname)
    FROM pg_constraint AS k
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
    WHERE k.conrelid = c.oid AND a.attname IN ('source_ip', 'enrichment_at', 'snapshot_asn', 'snapshot_country', 'snapshot_ip_type')
    AND (k.contype = 'c' OR k.contype = 'f' AND k.convalidated AND (a.attname = 'source_ip' AND k.confrelid = to_regclass('"public"."ip_inventory"')) IS NOT TRUE)
    ORDER BY k.conname LIMIT 1)) END) AS reason
FROM pg_class AS c JOIN pg_am AS m ON m.oid = c.relam WHERE c.relkind = 'r' AND (c.oid = to_regclass('"public"."session_summaries"')
  OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass('"public"."session_summaries"'))));

-- wal_is_decoded_query
SELECT current_setting('wal_level') = 'logical';

-- published_query
SELECT current_setting('wal_level') = 'logical' AND c.relpersistence = 'p' AND EXISTS (
  SELECT FROM pg_publication AS p
  WHERE (p.pubinsert OR p.pubupdate OR p.pubdelete)
  AND (p.puballtables OR EXISTS (
    SELECT FROM pg_publication_namespace AS s
    WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)))
FROM pg_class AS c WHERE c.oid = to_regclass($1::text);

-- sends_updates_query
SELECT current_setting('wal_level') = 'logical' AND EXISTS (
  SELECT FROM pg_publication_tables AS t
  JOIN pg_publication AS p ON p.pubname = t.pubname AND p.pubupdate
  WHERE t.schemaname = $1::text AND t.tablename = 'session_summaries'
  OR EXISTS (
    SELECT FROM pg_partition_tree(to_regclass(format('%I.session_summaries', $1::text))) AS p
    JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = t.schemaname AND c.relname = t.tablename));

-- published_by_name_query
SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname),
  string_agg(format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, $1::text), ' ' ORDER BY p.pubname),
  string_agg(format('ALTER PUBLICATION %I ADD TABLE %s%s%s;', p.pubname, $1::text,
    (SELECT ' (' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ')' FROM pg_attribute
     WHERE attrelid = r.prrelid AND attnum = ANY (r.prattrs::int2[])),
    ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')'), ' ' ORDER BY p.pubname)
FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
WHERE r.prrelid = to_regclass($1::text) AND (p.pubinsert OR p.pubupdate OR p.pubdelete)
AND current_setting('wal_level') = 'logical'
HAVING count(*) > 0;

-- referring_keys_query
SELECT string_agg(conrelid::regclass || '.' || quote_ident(conname), ', ' ORDER BY conname),
  string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname), ' ' ORDER BY conname),
  string_agg(format('ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname,
    pg_get_constraintdef(oid)), ' ' ORDER BY conname)
FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass($1::text) AND conrelid <> confrelid
HAVING count(*) > 0;

-- subscribed_tables_query
SELECT c.oid::regclass, string_agg(quote_ident(s.subname), ', ' ORDER BY s.subname)
FROM pg_subscription AS s
JOIN pg_subscription_rel AS r ON r.srsubid = s.oid
JOIN pg_class AS c ON c.oid = r.srrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text AND c.relname = ANY ($2::text::text[])
AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY c.oid ORDER BY 1;

-- sample_documents_query
WITH sampled AS MATERIALIZED (
  SELECT f.source_ip, f.asn,
    "ext"."cowrie_stored_size"("ext"."cowrie_provider_data"(s.enrichment::json, f.source_ip)) AS provider
  FROM "public"."session_summaries" AS s TABLESAMPLE SYSTEM (50.000000) REPEATABLE (16), LATERAL
    "ext"."cowrie_derived_facts"(s.enrichment::json, NULL::varchar, NULL::json) AS f
), by_ip AS (
  SELECT count(*) AS n FROM sampled WHERE source_ip IS NOT NULL GROUP BY source_ip
), by_asn AS (
  SELECT count(*) AS n FROM sampled WHERE asn IS NOT NULL GROUP BY asn
)
SELECT (SELECT count(*) FROM sampled), (SELECT count(source_ip) FROM sampled),
  (SELECT count(asn) FROM sampled),
  (SELECT count(*) FROM by_ip), (SELECT count(*) FROM by_ip WHERE n = 1),
  (SELECT count(*) FROM by_asn), (SELECT count(*) FROM by_asn WHERE n = 1),
  (SELECT avg(length(source_ip)) FROM sampled),
  (SELECT avg(provider) FROM sampled WHERE source_ip IS NOT NULL);

-- sessions_size_query
SELECT
  COALESCE(sum(pg_relation_size(c.oid)), 0),
  COALESCE(sum(pg_table_size(c.oid) - pg_relation_size(c.oid)), 0),
  CASE WHEN min(c.reltuples) < 0 THEN -1 ELSE sum(c.reltuples) END, sum(c.relpages),
  sum(pg_stat_get_live_tuples(c.oid)), sum(pg_stat_get_dead_tuples(c.oid)),
  sum(pg_stat_get_live_tuples(c.reltoastrelid)), sum(pg_stat_get_dead_tuples(c.reltoastrelid)),
  pg_size_bytes(current_setting('work_mem')),
  pg_size_bytes(current_setting('maintenance_work_mem')),
  current_setting('wal_level') = 'minimal',
  pg_size_bytes(current_setting('max_wal_size')),
  EXISTS (SELECT FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL)
    OR (current_setting('archive_mode') <> 'off' AND EXISTS (
      SELECT FROM pg_stat_archiver
      WHERE last_failed_time > COALESCE(last_archived_time, '-infinity'))),
  pg_size_bytes(current_setting('wal_skip_threshold'))
FROM pg_class AS c WHERE c.relkind = 'r' AND (c.oid = $1::text::regclass
  OR c.oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass)));

-- index_sizes_query
SELECT m.amname, pg_relation_size(i.indexrelid), (
    SELECT sum(COALESCE(s.avg_width, 16)) FROM unnest(i.indkey::int2[]) AS k
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k
    LEFT JOIN pg_stats AS s ON s.schemaname = $2::text AND s.tablename = 'session_summaries'
      AND s.attname = a.attname), (
    SELECT max(CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * $3::int8 ELSE s.n_distinct END)
    FROM unnest(i.indkey::int2[]) AS k
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k
    JOIN pg_stats AS s ON s.schemaname = $2::text AND s.tablename = 'session_summaries'
      AND s.attname = a.attname)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
WHERE c.relkind = 'i' AND (i.indrelid = $1::text::regclass
  OR i.indrelid IN (SELECT relid FROM pg_partition_tree($1::text::regclass)));

-- dependents_query
WITH RECURSIVE removed (classid, objid, objsubid) AS (SELECT 1259::oid, 16384::oid, 0),
reached (classid, objid, objsubid) AS (
  SELECT classid, objid, objsubid FROM removed
  UNION
  SELECT next.classid, next.objid, next.objsubid
  FROM reached AS r
  CROSS JOIN LATERAL (
    SELECT d.classid, d.objid, d.objsubid
    FROM pg_depend AS d
    WHERE d.refclassid = r.classid AND d.refobjid = r.objid
      AND (r.objsubid = 0 OR d.refobjsubid = r.objsubid)
      AND (r.classid <> 'pg_class'::regclass
           OR NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = r.objid)
           OR EXISTS (SELECT FROM removed AS x WHERE x.classid = r.classid AND x.objid = r.objid))
    UNION ALL
    SELECT d.refclassid, d.refobjid, d.refobjsubid
    FROM pg_depend AS d
    WHERE d.classid = r.classid AND d.objid = r.objid AND d.objsubid = r.objsubid
      AND d.deptype IN ('i', 'P')
  ) AS next
),
row_types (oid) AS (
  SELECT c.reltype FROM removed AS r JOIN pg_class AS c ON c.oid = r.objid
  WHERE r.classid = 'pg_class'::regclass AND r.objsubid <> 0 AND c.reltype <> 0
  UNION
  SELECT next.oid
  FROM row_types AS x
  CROSS JOIN LATERAL (
    SELECT t.oid FROM pg_type AS t WHERE t.typelem = x.oid OR t.typbasetype = x.oid
    UNION ALL
    SELECT c.reltype FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'c' WHERE a.atttypid = x.oid
  ) AS next
),
holders (classid, objid, objsubid) AS (
  SELECT 'pg_class'::regclass::oid, a.attrelid, a.attnum::integer
  FROM row_types AS x
  JOIN pg_attribute AS a ON a.atttypid = x.oid AND NOT a.attisdropped
  JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f')
  UNION
  SELECT r.classid, i.inhrelid, 0
  FROM removed AS r JOIN pg_inherits AS i ON i.inhparent = r.objid
  JOIN pg_class AS c ON c.oid = i.inhrelid AND NOT c.relispartition
  WHERE r.classid = 'pg_class'::regclass AND r.objsubid <> 0
),
dependents (classid, objid, objsubid) AS (
  SELECT o.classid, o.objid, o.objsubid
  FROM (SELECT * FROM reached UNION SELECT * FROM holders) AS o
  WHERE NOT EXISTS (
      SELECT FROM removed AS r
      WHERE r.classid = o.classid AND r.objid = o.objid AND r.objsubid IN (0, o.objsubid))
    AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = o.objsubid
        AND d.deptype IN ('i', 'P', 'S'))
    AND NOT (o.classid = 'pg_attrdef'::regclass AND EXISTS (
      SELECT FROM pg_attrdef AS f JOIN removed AS r ON r.classid = 'pg_class'::regclass
        AND r.objid = f.adrelid AND r.objsubid IN (0, f.adnum)
      WHERE f.oid = o.objid))
    AND NOT (o.classid = 'pg_class'::regclass AND EXISTS (
      SELECT FROM pg_class AS s
      JOIN pg_depend AS d ON d.classid = o.classid AND d.objid = s.oid AND d.deptype = 'a'
      JOIN removed AS r ON r.classid = d.refclassid AND r.objid = d.refobjid
        AND r.objsubid IN (0, d.refobjsubid)
      WHERE s.oid = o.objid AND s.relkind = 'S'))
    AND NOT (o.classid = 'pg_constraint'::regclass AND EXISTS (
      SELECT FROM pg_constraint AS n WHERE n.oid = o.objid AND n.contype = 'n'))
    AND NOT (o.classid = 'pg_class'::regclass AND EXISTS (
      SELECT FROM pg_class AS i WHERE i.oid = o.objid AND i.relnamespace = 'pg_toast'::regnamespace))
    AND NOT (o.classid = 'pg_trigger'::regclass AND EXISTS (
      SELECT FROM pg_trigger AS g WHERE g.oid = o.objid AND EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e
  ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  WHERE d.classid = 'pg_proc'::regclass AND d.objid = g.tgfoid
  AND e.extname = 'cowrie_migrate'))))
SELECT pg_describe_object(o.classid, o.objid, o.objsubid) AS description,
  CASE o.classid
    WHEN 'pg_class'::regclass THEN (
      SELECT CASE
        WHEN o.objsubid <> 0 THEN (
          SELECT format('ALTER TABLE %s DROP COLUMN %I', c.oid::regclass, a.attname)
          FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = o.objsubid)
        WHEN c.relkind = 'v' THEN format('DROP VIEW %s', c.oid::regclass)
        WHEN c.relkind = 'm' THEN format('DROP MATERIALIZED VIEW %s', c.oid::regclass)
        WHEN c.relkind = 'i' THEN format('DROP INDEX %s', c.oid::regclass)
        WHEN c.relkind = 'S' THEN format('DROP SEQUENCE %s', c.oid::regclass)
        WHEN c.relkind = 'r' THEN (
          SELECT format('ALTER TABLE %s NO INHERIT %s', c.oid::regclass, i.inhparent::regclass)
          FROM pg_inherits AS i WHERE i.inhrelid = c.oid LIMIT 1)
        END
      FROM pg_class AS c WHERE c.oid = o.objid)
    WHEN 'pg_constraint'::regclass THEN (
      SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname)
      FROM pg_constraint AS c WHERE c.oid = o.objid AND c.conrelid <> 0)
    WHEN 'pg_trigger'::regclass THEN (
      SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
      FROM pg_trigger AS t WHERE t.oid = o.objid)
    WHEN 'pg_rewrite'::regclass THEN (
      SELECT format('DROP RULE %I ON %s', w.rulename, w.ev_class::regclass)
      FROM pg_rewrite AS w WHERE w.oid = o.objid)
    WHEN 'pg_policy'::regclass THEN (
      SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass)
      FROM pg_policy AS p WHERE p.oid = o.objid)
    WHEN 'pg_statistic_ext'::regclass THEN (
      SELECT format('DROP STATISTICS %s.%I', s.stxnamespace::regnamespace, s.stxname)
      FROM pg_statistic_ext AS s WHERE s.oid = o.objid)
    WHEN 'pg_publication_rel'::regclass THEN (
      SELECT format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, m.prrelid::regclass)
      FROM pg_publication_rel AS m JOIN pg_publication AS p ON p.oid = m.prpubid
      WHERE m.oid = o.objid)
    WHEN 'pg_attrdef'::regclass THEN (
      SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', f.adrelid::regclass, a.attname)
      FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
      WHERE f.oid = o.objid)
    WHEN 'pg_proc'::regclass THEN format('DROP ROUTINE %s', o.objid::regprocedure)
    WHEN 'pg_type'::regclass THEN format('DROP TYPE %s', o.objid::regtype)
  END AS command
FROM dependents AS o
ORDER BY o.objid DESC, o.objsubid;

