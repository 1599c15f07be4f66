// Subject: which run a report is about, and what is on record of it.
#include "core/report/subject.hpp"

#include <algorithm>

#include "core/base/failure.hpp"
#include "core/base/text.hpp"

namespace cowrie::report {
namespace {

constexpr const char *function = "cowrie_migration_report";

std::string call(const Target &target, const std::string &arguments = {}) {
  return "SELECT " + target.call(function, arguments) + ";";
}

[[noreturn]] void refuse_unknown_run(const Target &target, const std::vector<RunRecord> &runs,
                                     std::int64_t id) {
  std::string known, detail, command = call(target);
  for (auto each = runs.rbegin(); each != runs.rend(); ++each) {
    if (each->here && std::count(known.begin(), known.end(), ',') < 9)
      append(known, std::to_string(each->id));
    if (each->id != id)
      continue;
    detail = "That run was for another schema of this name, or in another database.";
    if (each->schema != target.schema) {
      detail = "That run was for schema \"" + each->schema + "\".";
      command = call(target.with_schema(each->schema), "run_id => " + std::to_string(id));
    }
  }
  if (detail.empty())
    detail = known.empty() ? "It has no runs." : "Its latest runs are " + known + ".";
  throw Failure(sqlstate::undefined_object,
                "the ledger has no run " + std::to_string(id) + " of this schema", detail,
                "Run " + command);
}

[[noreturn]] void refuse_without_run(const Target &target) {
  throw Failure(sqlstate::prerequisite_state,
                "no migration of schema \"" + target.schema + "\" is on record",
                "Neither the ledger nor the status view has any run.",
                "Check the database with " + target.command("cowrie_preflight_v16") +
                    " and migrate with " + target.command("cowrie_migrate_v16"));
}

/** The runs that one migration took: those right before it that came to no end. */
std::vector<RunRecord> story_of(const RunRecord &run, const std::vector<RunRecord> &here) {
  std::vector<RunRecord> story = {run};
  auto at = std::find_if(here.begin(), here.end(),
                         [&](const RunRecord &each) { return each.id == run.id; });
  while (run.mode != "cleanup" && at != here.begin()) {
    --at;
    if (at->mode == "cleanup" || at->status == "done")
      break;
    story.insert(story.begin(), *at);
  }
  return story;
}

Verdict verdict_without_record(const LatestRun &latest) {
  if (latest.running)
    return {Mark::warning, latest.outcome == "waiting" ? "Running, waiting for a lock" : "Running"};
  if (latest.outcome == "failed")
    return {Mark::bad, "Failed, everything was rolled back"};
  if (latest.outcome == "died")
    return {Mark::bad, "Its process ended without an error message, everything was rolled back"};
  return {Mark::warning, "Rolled back"};
}

} // namespace

std::int64_t Subject::elapsed_us() const {
  std::int64_t sum = 0;
  for (const RunRecord &each : story)
    sum += each.elapsed_us.value_or(0);
  return sum;
}

// The latest run may have left no record; the status view then tells what there is to tell.
Subject find_subject(Records &records, const Target &target, std::optional<std::int64_t> run) {
  Subject subject;
  const std::vector<RunRecord> runs = records.runs();
  std::copy_if(runs.begin(), runs.end(), std::back_inserter(subject.all_here),
               [](const RunRecord &each) { return each.here; });
  subject.latest = records.latest();
  const bool recorded =
      std::any_of(runs.begin(), runs.end(), [](const RunRecord &each) { return each.is_latest; });
  const std::vector<RunRecord> &here = subject.all_here;
  if (run) {
    const auto found = std::find_if(here.begin(), here.end(),
                                    [&](const RunRecord &each) { return each.id == *run; });
    if (found == here.end())
      refuse_unknown_run(target, runs, *run);
    subject.run = *found;
  } else if (!subject.latest.outcome.empty() && !recorded) {
    subject.is_latest = true;
    return subject;
  } else if (here.empty()) {
    refuse_without_run(target);
  } else {
    subject.run = here.back();
  }
  subject.is_latest = subject.run->is_latest;
  subject.story = story_of(*subject.run, here);
  for (RunRecord &each : subject.story) {
    records.complete(each);
    const std::vector<StepRecord> steps = records.steps(each.id);
    subject.steps.insert(subject.steps.end(), steps.begin(), steps.end());
  }
  subject.run = subject.story.back();
  for (const RunRecord &each : here)
    if (each.id > subject.run->id && each.mode == "cleanup" && each.status == "done" &&
        subject.run->mode != "cleanup" && !subject.taken_back_by)
      subject.taken_back_by = each.id;
  return subject;
}

Verdict verdict_of(const Subject &subject) {
  if (!subject.run)
    return verdict_without_record(subject.latest);
  const std::string &status = subject.run->status;
  if (status == "done" && subject.taken_back_by)
    return {Mark::warning,
            "Completed, then undone by run " + std::to_string(*subject.taken_back_by)};
  if (status == "done")
    return {Mark::good, "Completed"};
  if (status == "failed")
    return {Mark::bad, subject.run->mode == "online" ? "Failed; what it had committed remains"
                                                     : "Failed; the phases before it remain"};
  if (status == "stopped")
    return {Mark::warning, "Stopped on request"};
  if (status == "running" && subject.is_running())
    return {Mark::warning,
            subject.latest.outcome == "waiting" ? "Running, waiting for a lock" : "Running"};
  return {Mark::bad, "Its process ended without an error message; what it had committed remains"};
}

} // namespace cowrie::report
