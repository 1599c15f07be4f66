// The words of a schema: look-ups, phases and quoting.
#include "core/schema/schema.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace cowrie {

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

Table Table::with_filled_columns() const {
  Table result = *this;
  result.columns.clear();
  for (const Column &each : columns)
    if (each.filled_by == FilledBy::migration)
      result.columns.push_back(each);
  return result;
}

int Schema::last_phase_of(int wanted_version) const noexcept {
  int result = 0;
  for (int phase = 1; phase <= last_phase(); ++phase)
    if (phases[phase - 1].version <= wanted_version)
      result = phase;
  return result;
}

int Schema::version_after(int phase) const noexcept {
  if (phase < 1 || phases.empty())
    return base_version;
  const int building = phases[std::min(phase, last_phase()) - 1].version;
  return phase >= last_phase_of(building) ? building : building - 1;
}

int Schema::last_deriving_phase() const noexcept {
  int derives = 0;
  for (const Table &table : tables) {
    derives = std::max(derives, table.phase);
    for (const Column &each : table.columns)
      if (each.filled_by == FilledBy::migration)
        derives = std::max(derives, each.phase);
  }
  return derives == 0 ? 0 : last_phase_of(phases[derives - 1].version);
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
