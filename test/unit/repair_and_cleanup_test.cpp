// Repair and cleanup: from any damaged shape of version 16 forwards to the declaration, and back to
// version 15 or to the end of a phase, without taking along what is not declared.
#include <functional>
#include <ostream>

#include <gtest/gtest.h>

#include "core/run/atomic_run.hpp"
#include "core/run/cleanup.hpp"
#include "core/inspect/inspection.hpp"
#include "fake_database.hpp"

namespace cowrie {
namespace {

using test::contains;
using test::erase_named;
using test::failure_of;
using test::FakeDatabase;
using test::find_named;

/** A way to damage a complete database. */
struct Damage {
  std::string name;
  std::function<void(Schema &)> inflict;
};

void PrintTo(const Damage &each, std::ostream *out) { *out << each.name; }

template <typename Object>
void add_damage(std::vector<Damage> &all, const std::string &what, const Table &table,
                std::vector<Object> Table::*list, const Object &object,
                std::function<void(Object &)> change) {
  all.push_back({table.name + "_" + object.name + "_" + what,
                 [table = table.name, list, name = object.name, change](Schema &schema) {
                   change(*find_named(schema.table(table)->*list, name));
                 }});
}

template <typename Object>
void add_loss(std::vector<Damage> &all, const Table &table, std::vector<Object> Table::*list,
              const Object &object) {
  all.push_back({table.name + "_" + object.name + "_missing",
                 [table = table.name, list, name = object.name](Schema &schema) {
                   erase_named(schema.table(table)->*list, name);
                 }});
}

/** Every damage to one object that can be mended without deciding about anybody's rows. */
std::vector<Damage> all_damages() {
  std::vector<Damage> all;
  for (const Table &table : schema_v16().tables) {
    for (const Column &each : table.columns) {
      all.push_back({table.name + "_" + each.name + "_missing",
                     [table = table.name, name = each.name](Schema &schema) {
                       test::FakeCatalog::drop_column(*schema.table(table), name);
                     }});
      if (table.phase == 0)
        continue;
      add_damage<Column>(all, "other_nullness", table, &Table::columns, each,
                         [](Column &column) { column.not_null = !column.not_null; });
      if (each.generated.empty())
        add_damage<Column>(all, "other_default", table, &Table::columns, each, [](Column &column) {
          column.default_value = {"42", "{42}"};
        });
    }
    for (const Constraint &each : table.constraints) {
      if (each.kind == ConstraintKind::primary_key)
        continue;
      add_loss(all, table, &Table::constraints, each);
      add_damage<Constraint>(all, "not_valid", table, &Table::constraints, each,
                             [](Constraint &constraint) { constraint.validated = false; });
      add_damage<Constraint>(all, "not_valid_under_another_name", table, &Table::constraints, each,
                             [](Constraint &constraint) {
                               constraint.validated = false;
                               constraint.name = "mine";
                             });
      add_damage<Constraint>(all, "other", table, &Table::constraints, each,
                             [](Constraint &constraint) { constraint.ordinary = false; });
    }
    for (const Index &each : table.indexes) {
      add_loss(all, table, &Table::indexes, each);
      add_damage<Index>(all, "invalid", table, &Table::indexes, each,
                        [](Index &index) { index.valid = false; });
      if (each.method != "brin") // under another name, one on event times is the user's own
        add_damage<Index>(all, "invalid_under_another_name", table, &Table::indexes, each,
                          [](Index &index) {
                            index.valid = false;
                            index.name = "mine";
                          });
      add_damage<Index>(all, "other", table, &Table::indexes, each,
                        [](Index &index) { index.method = "hash"; });
    }
    if (table.phase == 4) // the others are held by foreign keys
      all.push_back({table.name + "_missing",
                     [name = table.name](Schema &schema) { erase_named(schema.tables, name); }});
  }
  return all;
}

class DamagedDatabase : public testing::TestWithParam<Damage> {};

TEST_P(DamagedDatabase, IsRefusedAndThenRepaired) {
  FakeDatabase database(phase_count);
  GetParam().inflict(database.state.schema);
  const Failure failure =
      failure_of(database, [&] { migrate(database, database, database, MigrateOptions{}); });
  EXPECT_EQ(failure.sqlstate, "55000");
  EXPECT_EQ(failure.message, "incomplete v16 schema detected");

  MigrateOptions repair;
  repair.repair = true;
  migrate(database, database, database, repair);
  EXPECT_EQ(inspect(database).situation.state, SchemaState::complete);
  for (const std::string &sql : database.changing_statements()) {
    EXPECT_FALSE(contains(sql, "DROP COLUMN")) << sql;
    EXPECT_FALSE(contains(sql, "DROP TABLE \"public\".\"ip_") ||
                 contains(sql, "DROP TABLE \"public\".\"asn_"))
        << sql;
  }
}

TEST_P(DamagedDatabase, IsTakenBackToVersion15) {
  FakeDatabase database(phase_count);
  GetParam().inflict(database.state.schema);
  cleanup(database, database, database, CleanupOptions{});
  EXPECT_EQ(inspect(database).situation.state, SchemaState::version15);
  EXPECT_EQ(database.state.dump(), FakeDatabase(0).state.dump());
}

INSTANTIATE_TEST_SUITE_P(Declaration, DamagedDatabase, testing::ValuesIn(all_damages()),
                         [](const auto &info) { return info.param.name; });

} // namespace
} // namespace cowrie
