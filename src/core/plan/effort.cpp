// Effort: how much of a run each of its steps is.
#include "core/plan/effort.hpp"

namespace cowrie {
namespace {

constexpr double trifle = 10;
/** What a rewrite does after its last row. */
constexpr double rebuilt_indexes = 1'000;

double effort_of_load(const std::string &table) {
  return table == "ip_inventory" ? 1'700 : table == "ip_asn_history" ? 500 : 400;
}

double effort_of(const Step &step, Filling filling) {
  const bool large = step.table == "session_summaries";
  switch (step.kind) {
  case StepKind::fill_sessions:
    return filling == Filling::in_batches ? 18'000
                                          : rebuilt_indexes + (step.heap_only ? 4'200 : 9'900);
  case StepKind::fill_new_rows:
    return 1'000;
  case StepKind::repair:
    return large ? 6'000 : 500;
  case StepKind::load_rows:
  case StepKind::refresh_rows:
    return effort_of_load(step.table);
  case StepKind::create_index:
    return large ? 250 : 70;
  case StepKind::analyze:
    return large || step.table == "ip_inventory" ? 450 : 40;
  case StepKind::zero_loss_gate:
    return 180;
  case StepKind::verify:
  case StepKind::set_version:
  case StepKind::create_table:
  case StepKind::drop:
  case StepKind::statement:
    return trifle;
  }
  return trifle;
}

} // namespace

std::vector<Portion> portions_of(const std::vector<Step> &plan, Filling filling) {
  std::vector<Portion> result;
  for (const Step &each : plan) {
    const bool in_batches = filling == Filling::in_batches;
    Portion portion{each.phase, each.name, effort_of(each, filling)};
    if (each.kind == StepKind::fill_sessions) {
      if (in_batches)
        result.push_back({each.phase, "queue_sessions", 1'200});
      portion.counted = portion.effort - (in_batches ? 0 : rebuilt_indexes);
    }
    result.push_back(std::move(portion));
  }
  return result;
}

} // namespace cowrie
