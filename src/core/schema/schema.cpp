// The words of a schema: look-ups, phase names and quoting.
#include "core/schema/schema.hpp"

#include "core/base/text.hpp"

namespace cowrie {

std::string_view phase_name(int phase) noexcept {
  switch (phase) {
  case 1:
    return "session_columns";
  case 2:
    return "asn_inventory";
  case 3:
    return "ip_inventory";
  case 4:
    return "history_and_indexes";
  case 5:
    return "foreign_keys";
  default:
    return "run";
  }
}

const Column *Table::column(std::string_view column_name) const noexcept {
  for (const Column &each : columns)
    if (each.name == column_name)
      return &each;
  return nullptr;
}

Column *Table::column(std::string_view column_name) noexcept {
  return const_cast<Column *>(static_cast<const Table *>(this)->column(column_name));
}

const Constraint *Table::primary_key() const noexcept {
  for (const Constraint &each : constraints)
    if (each.kind == ConstraintKind::primary_key)
      return &each;
  return nullptr;
}

const Table *Schema::table(std::string_view table_name) const noexcept {
  for (const Table &each : tables)
    if (each.name == table_name)
      return &each;
  return nullptr;
}

Table *Schema::table(std::string_view table_name) noexcept {
  return const_cast<Table *>(static_cast<const Schema *>(this)->table(table_name));
}

namespace {
std::string quoted(std::string_view text, char quote) {
  std::string result(1, quote);
  for (char c : text) {
    if (c == quote)
      result += quote;
    result += c;
  }
  result += quote;
  return result;
}
} // namespace

std::string quote_identifier(std::string_view name) { return quoted(name, '"'); }

std::string qualified(std::string_view schema, std::string_view name) {
  return quote_identifier(schema) + "." + quote_identifier(name);
}

// A backslash is an ordinary character only while standard_conforming_strings is on; the E form
// means the same whatever that setting is.
std::string quote_literal(std::string_view text) {
  if (text.find('\\') == std::string_view::npos)
    return quoted(text, '\'');
  std::string escaped;
  for (char c : text) {
    if (c == '\\')
      escaped += '\\';
    escaped += c;
  }
  return "E" + quoted(escaped, '\'');
}

std::string text_array(const std::vector<std::string> &items) {
  return "ARRAY[" + join(items, ", ", [](const std::string &each) { return quote_literal(each); }) +
         "]::text[]";
}

} // namespace cowrie
