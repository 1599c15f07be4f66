// Versions: the list of declared versions, and what adds up to each of them.
#include "core/schema/versions.hpp"

#include <charconv>

#include "core/schema/v16.hpp"
#include "core/schema/v17.hpp"

namespace cowrie {
namespace {

/** What each version adds to the one before it, from 16 on. */
const std::vector<const Schema *> &additions() {
  static const std::vector<const Schema *> list = {&schema_v16(), &added_by_v17()};
  return list;
}

template <typename Object>
void append_all(std::vector<Object> &to, const std::vector<Object> &from, int phases_before) {
  for (Object each : from) {
    each.phase += phases_before;
    to.push_back(std::move(each));
  }
}

/** Adds what a version adds: its phases come after those that are there. */
void add(Schema &sum, const Schema &addition) {
  const int before = sum.last_phase();
  for (const Table &table : addition.tables) {
    Table *known = sum.table(table.name);
    if (!known) {
      sum.tables.emplace_back();
      known = &sum.tables.back();
      known->name = table.name;
      known->phase = table.phase == 0 ? 0 : table.phase + before;
      known->comment = table.comment;
    }
    append_all(known->columns, table.columns, before);
    append_all(known->constraints, table.constraints, before);
    append_all(known->indexes, table.indexes, before);
    known->retired_columns.insert(known->retired_columns.end(), table.retired_columns.begin(),
                                  table.retired_columns.end());
  }
  sum.phases.insert(sum.phases.end(), addition.phases.begin(), addition.phases.end());
  sum.version = addition.version;
}

/** The schemas of all declared versions, each with what was before it. */
const std::vector<Schema> &schemas() {
  static const std::vector<Schema> sums = [] {
    std::vector<Schema> result;
    for (const Schema *each : additions()) {
      Schema sum = result.empty() ? Schema() : result.back();
      add(sum, *each);
      result.push_back(std::move(sum));
    }
    return result;
  }();
  return sums;
}

} // namespace

bool is_declared(int version) noexcept {
  return version > base_version && version <= base_version + static_cast<int>(additions().size());
}

const Schema &declared_schema(int version) {
  return is_declared(version) ? schemas()[version - base_version - 1] : newest_schema();
}

const Schema &newest_schema() { return schemas().back(); }

std::string known_versions() {
  std::string result = std::to_string(base_version);
  for (const Schema &each : schemas())
    result += (&each == &schemas().back() ? " and " : ", ") + std::to_string(each.version);
  return result;
}

const Table &filled_sessions(int version) {
  static const std::vector<Table> tables = [] {
    std::vector<Table> result;
    for (const Schema &each : schemas())
      result.push_back(each.table("session_summaries")->with_filled_columns());
    return result;
  }();
  return tables[declared_schema(version).version - base_version - 1];
}

std::string_view phase_name(int phase) noexcept {
  const Schema &all = newest_schema();
  return phase >= 1 && phase <= all.last_phase() ? all.phases[phase - 1].name : "run";
}

std::string subphase_text(int phase) {
  const Phase &said = newest_schema().phases.at(static_cast<std::size_t>(phase - 1));
  return std::to_string(said.version) + "." + std::to_string(said.number);
}

std::string state_values(const Schema &declared) {
  std::string rows = "('schema_version'::varchar, " +
                     quote_literal(std::to_string(declared.version)) + "::varchar)";
  for (int phase = 1; phase <= declared.last_phase(); ++phase)
    rows += ", ('schema_subphase', " + quote_literal(subphase_text(phase)) + ")";
  return rows;
}

std::optional<int> phase_of_subphase(std::string_view text, const Schema &declared) {
  const std::size_t point = text.find('.');
  if (point != 2 || text.size() != 4)
    return std::nullopt;
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + point, version);
  const int number = text[point + 1] - '0';
  if (error != std::errc() || end != text.data() + point || number < 1 || number > 9)
    return std::nullopt;
  if (version > declared.version) // a later one builds on all of this
    return declared.last_phase();
  for (int phase = 1; phase <= declared.last_phase(); ++phase)
    if (declared.phases[phase - 1].version == version &&
        declared.phases[phase - 1].number == number)
      return phase;
  return std::nullopt;
}

} // namespace cowrie
