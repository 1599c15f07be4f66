// What version 16 builds on: schema version 15 as the application left it, as far as the migration
// and the check of a sound v15 need it. The only list of these columns.
#include "core/schema/v15.hpp"

namespace cowrie {
namespace {

Column column(const char *name, const char *type, bool not_null = false,
              std::vector<std::string> other_types = {}) {
  Column made;
  made.name = name;
  made.type = type;
  made.not_null = not_null;
  made.other_types = std::move(other_types);
  return made;
}

/** Event times are UTC, whether or not the column says so. */
Column event_time(const char *name, bool not_null = false) {
  return column(name, "timestamp with time zone", not_null, {"timestamp without time zone"});
}

Constraint primary_key(const char *name, const char *column_name) {
  Constraint made;
  made.name = name;
  made.kind = ConstraintKind::primary_key;
  made.columns = {column_name};
  return made;
}

Index index(const char *name, std::vector<IndexColumn> columns) {
  Index made;
  made.name = name;
  made.columns = std::move(columns);
  return made;
}

Schema declared() {
  Table state;
  state.name = "schema_state";
  state.columns = {column("key", "character varying(128)", true),
                   column("value", "character varying(256)", true)};
  state.constraints = {primary_key("schema_state_pkey", "key")};

  Table sessions;
  sessions.name = "session_summaries";
  sessions.columns = {
      column("session_id", "character varying(64)", true),
      event_time("first_event_at"),
      event_time("last_event_at"),
      column("event_count", "integer", true),
      column("command_count", "integer", true),
      column("file_downloads", "integer", true),
      column("login_attempts", "integer", true),
      column("vt_flagged", "boolean", true),
      column("dshield_flagged", "boolean", true),
      column("risk_score", "integer"),
      column("matcher", "character varying(32)"),
      column("source_files", "json", false, {"jsonb"}),
      column("enrichment", "json", false, {"jsonb"}),
      event_time("created_at", true),
      event_time("updated_at", true),
      column("ssh_key_injections", "integer", true),
      column("unique_ssh_keys", "integer", true),
  };
  sessions.constraints = {primary_key("pk_session_summaries", "session_id")};
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
      column("id", "integer", true, {"bigint"}),
      column("payload", "json", true, {"jsonb"}),
      column("session_id", "character varying(64)"),
      column("event_type", "character varying(128)"),
      event_time("event_timestamp"),
  };
  events.constraints = {primary_key("raw_events_pkey", "id")};
  events.indexes = {index("ix_raw_events_session_id", {{"session_id"}})};
  return Schema{{state, sessions, events}};
}

} // namespace

const Schema &schema_v15() {
  static const Schema schema = declared();
  return schema;
}

} // namespace cowrie
