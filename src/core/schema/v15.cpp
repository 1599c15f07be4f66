// What version 16 builds on: schema version 15 as the application left it, as far as the migration
// and the check of a sound v15 need it. The only list of these columns.
#include "core/schema/v15.hpp"

#include "core/schema/declaring.hpp"

namespace cowrie {

using namespace declaring;

namespace {

Column or_type(Column made, const char *other) {
  made.other_types = {other};
  return made;
}

/** Event times are UTC, whether or not the column says so. */
Column event_time(const char *name, Nullness nullness = nullable) {
  return or_type(column(name, moment, nullness), "timestamp without time zone");
}

Schema declared() {
  Table state;
  state.name = "schema_state";
  state.columns = {column("key", "character varying(128)", not_null),
                   column("value", "character varying(256)", not_null)};
  state.constraints = {primary_key("schema_state_pkey", {"key"})};

  Table sessions;
  sessions.name = "session_summaries";
  sessions.columns = {
      column("session_id", "character varying(64)", not_null),
      event_time("first_event_at"),
      event_time("last_event_at"),
      column("event_count", integer, not_null),
      column("command_count", integer, not_null),
      column("file_downloads", integer, not_null),
      column("login_attempts", integer, not_null),
      column("vt_flagged", "boolean", not_null),
      column("dshield_flagged", "boolean", not_null),
      column("risk_score", integer),
      column("matcher", "character varying(32)"),
      or_type(column("source_files", "json"), "jsonb"),
      or_type(column("enrichment", "json"), "jsonb"),
      event_time("created_at", not_null),
      event_time("updated_at", not_null),
      column("ssh_key_injections", integer, not_null),
      column("unique_ssh_keys", integer, not_null),
  };
  sessions.constraints = {primary_key("pk_session_summaries", {"session_id"})};
  // The application is slower without them, and no less sound.
  sessions.indexes = {
      index("ix_session_summaries_first_event", {{"first_event_at"}}),
      index("ix_session_summaries_last_event", {{"last_event_at"}}),
      index("ix_session_summaries_flags", {{"vt_flagged"}, {"dshield_flagged"}}),
      index("ix_session_summaries_ssh_keys", {{"ssh_key_injections"}}),
  };

  Table events;
  events.name = "raw_events";
  events.columns = {
      or_type(column("id", integer, not_null), "bigint"),
      or_type(column("payload", "json", not_null), "jsonb"),
      column("session_id", "character varying(64)"),
      column("event_type", "character varying(128)"),
      event_time("event_timestamp"),
  };
  events.constraints = {primary_key("raw_events_pkey", {"id"})};
  events.indexes = {index("ix_raw_events_session_id", {{"session_id"}})};
  return Schema{{state, sessions, events}};
}

} // namespace

const Schema &schema_v15() {
  static const Schema schema = declared();
  return schema;
}

} // namespace cowrie
