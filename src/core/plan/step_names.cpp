// Step names: the fixed ones, and those that follow from the declaration.
#include "core/plan/step_names.hpp"

#include "core/schema/versions.hpp"

namespace cowrie {

const std::vector<std::string> &step_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result = {
        "start", "lock_tables", "inspect", "add_columns", "fill_columns", "fill_new_rows",
        "add_missing_asns", "verify", "zero_loss_gate", "set_version", "drop_columns",
        "count_losses", "lock_exclusively",
        // online
        "drop_online_objects", "create_work_tables", "queue_sessions", "stage_documents",
        "catch_up", "cut_over", "last_catch_up", "fill_rest", "wait_for_cut_over"};
    for (const Table &table : newest_schema().tables) {
      for (const char *verb : {"create_", "load_", "refresh_", "analyze_", "drop_", "repair_",
                               "set_aside_", "relax_", "unlink_", "link_"})
        result.push_back(verb + table.name);
      for (const Column &each : table.columns)
        result.push_back("alter_" + each.name);
      for (const Constraint &each : table.constraints)
        for (const char *verb : {"", "validate_", "drop_"})
          result.push_back(verb + each.name);
      for (const Index &each : table.indexes)
        for (const char *verb : {"", "drop_"})
          result.push_back(verb + each.name);
    }
    return result;
  }();
  return names;
}

} // namespace cowrie
