// Cleanup script: the cleanup as plain SQL. Puts what is declared into the template.
#include "tools/cleanup_script.hpp"

#include "core/sql/dependents.hpp"
#include "core/sql/derivation.hpp"
#include "core/schema/schema.hpp"
#include "core/schema/versions.hpp"
#include "core/base/text.hpp"
#include "tools/cleanup_template.hpp"

namespace cowrie {
namespace {

std::string literal_array(const std::vector<std::string> &items) {
  std::string result = "'{";
  for (const std::string &each : items)
    result += (result.back() == '{' ? "" : ",") + each;
  return result + "}'";
}

/** Writes the rows of a VALUES list under each other. */
class Values {
public:
  void add(const std::string &row) { text_ += (text_.empty() ? "    (" : ",\n    (") + row + ")"; }
  const std::string &text() const { return text_; }

private:
  std::string text_;
};

/** `'name', 3`: what it is called and its phase. */
std::string with_phase(const std::string &name, int phase) {
  return quote_literal(name) + ", " + std::to_string(phase);
}

/** The versions that can be gone back to, with the last phase that stays, as schema_subphase says
 *  it. */
std::string versions() {
  Values rows;
  const Schema &all = newest_schema();
  for (int version = base_version; version < all.version; ++version) {
    const int phase = all.last_phase_of(version);
    rows.add(std::to_string(version) + ", " + std::to_string(phase) + ", " +
             (phase == 0 ? "NULL" : quote_literal(subphase_text(phase))));
  }
  return rows.text();
}

/** What functions may name that goes. */
std::string words() {
  Values rows;
  for (const Table &table : newest_schema().tables) {
    if (table.phase > 0)
      rows.add(with_phase(table.name, table.phase));
    else
      for (const Column &each : table.columns)
        rows.add(with_phase(each.name, each.phase));
  }
  return rows.text();
}

/** The tables that are added, the last phase first. */
std::string tables() {
  Values rows;
  const std::vector<Table> &declared = newest_schema().tables;
  for (auto table = declared.rbegin(); table != declared.rend(); ++table)
    if (table->phase > 0)
      rows.add(with_phase(table->name, table->phase));
  return rows.text();
}

/** The columns of its tables, and those that it adds to tables of version 15: these go one by one.
 */
std::string columns() {
  Values rows;
  for (const Table &table : newest_schema().tables) {
    const std::string one_by_one = table.phase > 0 ? "false" : "true";
    for (const Column &each : table.columns)
      rows.add(quote_literal(table.name) + ", " + with_phase(each.name, each.phase) + ", " +
               one_by_one);
    for (const std::string &each : table.retired_columns)
      rows.add(quote_literal(table.name) + ", " + with_phase(each, 1) + ", " + one_by_one);
  }
  return rows.text();
}

/** Its indexes: method, columns, and whether another name makes no difference: on a column of
 *  version 15 it is a DBA's own. */
std::string indexes() {
  Values rows;
  for (const Table &table : newest_schema().tables)
    for (const Index &each : table.indexes) {
      std::vector<std::string> names;
      bool any_name = true;
      for (const IndexColumn &column : each.columns) {
        names.push_back(column.name);
        any_name = any_name && table.column(column.name);
      }
      rows.add(quote_literal(table.name) + ", " + with_phase(each.name, each.phase) + ", " +
               quote_literal(each.method) + ", " + literal_array(names) + "::name[], " +
               (any_name ? "true" : "false"));
    }
  return rows.text();
}

std::string constraints() {
  Values rows;
  for (const Table &table : newest_schema().tables)
    for (const Constraint &each : table.constraints)
      rows.add(quote_literal(table.name) + ", " + with_phase(each.name, each.phase) + ", " +
               (each.kind == ConstraintKind::primary_key ? "'p', "
                : each.kind == ConstraintKind::check     ? "'c', "
                                                         : "'f', ") +
               literal_array(each.columns) + "::name[], " + quote_literal(each.target_table));
  return rows.text();
}

/** The columns that only the application fills, with what they hold when it has not. */
std::string marks() {
  Values rows;
  for (const Table &table : newest_schema().tables)
    for (const Column &each : table.columns)
      if (each.filled_by == FilledBy::application)
        rows.add(quote_literal(table.name) + ", " + with_phase(each.name, each.phase) + ", " +
                 (each.default_value.empty() ? "NULL" : "(" + each.default_value.sql + ")::text"));
  return rows.text();
}

std::string replaced(std::string text, const std::string &what, const std::string &by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.replace(at, what.size(), by), at += by.size();
  return text;
}

std::string indented(const std::string &text, const std::string &margin) {
  return margin + replaced(text, "\n", "\n" + margin);
}

} // namespace

std::string cleanup_script() {
  const std::string removed = "SELECT * FROM unnest(classes, objects, parts)";
  std::string text = cleanup_template;
  text = replaced(text, "@tables@", tables());
  text = replaced(text, "@columns@", columns());
  text = replaced(text, "@indexes@", indexes());
  text = replaced(text, "@constraints@", constraints());
  text = replaced(text, "@marks@", marks());
  text = replaced(text, "@dependents@", indented(dependents_query(removed), "    "));
  text = replaced(text, "@versions@", versions());
  text = replaced(text, "@words@", words());
  text = replaced(text, "@newest@", std::to_string(newest_schema().version));
  text = replaced(text, "@last_but_one@", std::to_string(newest_schema().version - 1));
  text = replaced(text, "@routines@", naming_routines_query("words"));
  return replaced(text, "@work_tables@",
                  quote_literal(derivation::staging_table) + ", " +
                      quote_literal(derivation::event_table));
}

} // namespace cowrie
