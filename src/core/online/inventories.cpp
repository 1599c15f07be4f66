// Online inventories: the inventories of an online migration, from the staged sessions.
#include "core/online/inventories.hpp"

#include <set>

#include "core/online/partitions.hpp"
#include "core/run/work_tables.hpp"
#include "core/sql/online.hpp"

namespace cowrie {
namespace {

/** The keys of inventories that some sessions count for. */
struct Keys {
  std::set<std::string> addresses, asns;

  void add(const std::vector<Row> &rows) {
    for (const Row &row : rows) {
      if (row[0])
        addresses.insert(*row[0]);
      if (row[1])
        asns.insert(*row[1]);
    }
  }
};

std::vector<std::string> list(const std::set<std::string> &items) {
  return {items.begin(), items.end()};
}

} // namespace

// What this migration has made, nobody else has written; what it has found is kept.
derivation::OnExisting OnlineInventories::existing() const {
  switch (origin_) {
  case Origin::version15:
    return derivation::OnExisting::replace;
  case Origin::phases:
    return derivation::OnExisting::refresh;
  case Origin::repair:
  case Origin::catalog:
    break;
  }
  return derivation::OnExisting::keep;
}

bool OnlineInventories::staging_is_whole(Monitor &monitor) {
  const std::string name = qualified(target().schema, derivation::staging_table);
  if (database_.query("SELECT 1 WHERE to_regclass($1::text) IS NOT NULL", {name}).empty())
    return false;
  note_attached(database_, monitor);
  return database_.query(online::staging_is_whole(target())).front()[0] == "t";
}

void OnlineInventories::stage_all(const Table &base) {
  database_.remove_notes(online::places_of_keys_with_address(target()));
  drop_work_table(database_, derivation::staging_table);
  database_.execute(derivation::stage_from_documents(target(), base));
  database_.execute(online::mark_staging(target()));
}

std::int64_t OnlineInventories::load_all(const std::string &table, bool existed) {
  database_.execute(derivation::analyze_staging(target()));
  if (!existed)
    return database_.execute(
        derivation::load_rows(target(), table, derivation::OnExisting::none_there));
  const bool ours = origin_ == Origin::version15;
  if (ours && table == "ip_asn_history")
    database_.execute(online::drop_history(target(), nullptr));
  const std::int64_t rows = database_.execute(derivation::load_rows(target(), table, existing()));
  if (ours && table == "ip_inventory")
    for (const char *each : {"ip_inventory", "asn_inventory"})
      database_.execute(online::drop_gone(target(), each, nullptr));
  return rows;
}

void OnlineInventories::refresh_all(const Table &base) {
  stage_all(base);
  for (const Table &table : target().declared().tables)
    if (table.phase > 0)
      load_all(table.name, true);
}

std::int64_t OnlineInventories::pending() {
  return database_.number(online::count_changed_keys(target()));
}

// The order matters where foreign keys are there already: parents first, then who refers to them,
// and at last what nobody refers to any more.
void OnlineInventories::refresh(const std::vector<std::string> &sessions, const Table &declared,
                                const Table &base) {
  Keys keys;
  keys.add(database_.query(online::staged_keys(target(), sessions)));
  database_.execute(online::unstage(target(), sessions));
  database_.stage(online::read_sessions(target(), declared, base, sessions));
  keys.add(database_.query(online::staged_keys(target(), sessions)));
  const std::vector<std::string> asns = list(keys.asns), addresses = list(keys.addresses);
  refresh_asns(asns);
  refresh_addresses(addresses);
  if (origin_ == Origin::version15) {
    database_.execute(online::drop_gone(target(), "ip_inventory", &addresses));
    database_.execute(online::drop_gone(target(), "asn_inventory", &asns));
  }
}

Target OnlineInventories::delta(const std::string &key, const std::vector<std::string> &values) {
  for (const std::string &sql : online::take_delta(target(), key, values))
    database_.execute(sql);
  Target result = target();
  result.staging = online::delta_table;
  return result;
}

void OnlineInventories::refresh_asns(const std::vector<std::string> &asns) {
  if (asns.empty())
    return;
  const Target part = delta("asn", asns);
  database_.execute(derivation::load_rows(part, "asn_inventory", existing()));
}

void OnlineInventories::refresh_addresses(const std::vector<std::string> &addresses) {
  if (addresses.empty())
    return;
  const Target part = delta("source_ip", addresses);
  database_.execute(derivation::load_rows(part, "ip_inventory", existing()));
  if (origin_ == Origin::version15)
    database_.execute(online::drop_history(target(), &addresses));
  database_.execute(derivation::load_rows(part, "ip_asn_history", existing()));
}

} // namespace cowrie
