// Derivation parts: the pieces of SQL that the derivation's statements share.
#include "core/sql/derivation_parts.hpp"

#include "core/sql/conversion.hpp"

namespace cowrie::derivation {

std::string sessions_of(const Target &target) {
  return qualified(target.schema, "session_summaries");
}

std::string staging_of(const Target &target) { return qualified(target.schema, target.staging); }

std::string utc(const Table &observed, const std::string &column, const std::string &alias) {
  const Column *found = observed.column(column);
  const std::string name = alias + quote_identifier(column);
  // timestamp(3) is written "timestamp(3) without time zone".
  const bool naive = found && found->type.find("without time zone") != std::string::npos;
  return (naive ? "(" + name + " AT TIME ZONE 'UTC')" : name) + "::timestamptz";
}

std::string without_length(const std::string &type) { return type.substr(0, type.find('(')); }

std::string document(const Target &target, const std::string &alias) {
  return alias + "enrichment::" + target.document_type;
}

namespace {

/** What a session column holds already: a column of another type is converted, a list of types that
 *  an older attempt left gives its strongest. */
std::string existing_value(const Target &target, const Table &declared, const Table &observed,
                           const Column &column) {
  const Column *found = observed.column(column.name);
  std::string value = found && found->type != column.type
                          ? conversion(target, column, *found).values
                          : quote_identifier(column.name);
  if (column.name != "snapshot_ip_type")
    return value;
  for (const std::string &old : declared.retired_columns)
    if (const Column *list = observed.column(old); list && is_list_of_texts(*list))
      return "COALESCE(" + value + ", " +
             qualified(target.extension_schema, "cowrie_strongest_type") + "(" +
             quote_identifier(old) + "::text[]))";
  return value;
}

} // namespace

std::string fill_arguments(const Target &target, const Table &declared, const Table &observed,
                           const std::function<std::string(const Column &)> &value_of) {
  std::string result = document(target) + ", session_id::varchar";
  for (const Column &each : declared.columns)
    result += ", " +
              (value_of ? value_of(each) : existing_value(target, declared, observed, each)) +
              "::" + without_length(each.type);
  for (const char *each : {"first_event_at", "last_event_at", "created_at"})
    result += ", " + utc(observed, each);
  return result;
}

std::string fill_call(const Target &target, const Column &column, const std::string &arguments) {
  return qualified(target.extension_schema, "cowrie_fill_" + column.name) + "(" + arguments + ")";
}

std::string condition(const Table &declared, FillScope scope) {
  std::string result;
  for (const Column &each : declared.columns) {
    if (scope == FillScope::unfinished && each.name != "source_ip" && each.name != "enrichment_at")
      continue;
    result += (result.empty()                  ? ""
               : scope == FillScope::untouched ? " AND "
                                               : " OR ") +
              quote_identifier(each.name) + " IS NULL";
  }
  return "(" + result + ")";
}

std::string system_sample(double share) {
  return " SYSTEM (" + std::to_string(share * 100) + ") REPEATABLE (16)";
}

} // namespace cowrie::derivation
