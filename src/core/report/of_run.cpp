// Of the run: the parts of a report that come from the records.
#include "core/report/of_run.hpp"

#include <algorithm>
#include <vector>

#include "core/base/text.hpp"
#include "core/report/words.hpp"
#include "core/schema/versions.hpp"

namespace cowrie::report {
namespace {

constexpr std::size_t most_characters = 600; ///< of a text that others have written
constexpr std::size_t most_steps = 300;
constexpr std::size_t most_runs = 20;
constexpr int phase_colours = 5; ///< c1 to c5 of the style sheet

int last_phase() { return newest_schema().last_phase(); }

std::string in_utc(const std::string &time) { return time.empty() ? "" : time + " UTC"; }

std::string time_of(const std::optional<std::int64_t> &microseconds) {
  return microseconds ? duration(*microseconds) : "";
}

std::string count_of(const std::optional<std::int64_t> &rows) { return rows ? grouped(*rows) : ""; }

Mark mark_of(const std::string &status) {
  if (status == "failed" || status == "interrupted")
    return Mark::bad;
  if (status == "rolled_back" || status == "stopped" || status == "running")
    return Mark::warning;
  return status == "done" ? Mark::good : Mark::none;
}

/** `repair => true, on_failure => 'abort'`: as somebody would type them. */
std::string written(const std::vector<Named> &arguments) {
  return join(arguments, ", ", [](const Named &each) {
    const std::string &value = each.second;
    const bool bare =
        value == "NULL" ||
        (value.size() < 19 &&
         value.find_first_not_of("0123456789", value[0] == '-' ? 1 : 0) == std::string::npos &&
         !value.empty());
    return each.first + " => " +
           (value == "t"   ? "true"
            : value == "f" ? "false"
            : bare         ? value
                           : quote_literal(value));
  });
}

std::string phase_title(int phase) {
  if (phase < 1 || phase > last_phase())
    return "before the phases";
  return "Phase " + std::to_string(phase) + ": " + std::string(phase_name(phase));
}

/** The phases of every version after 16 have the colours of the first ones again. */
int colour_of(int phase) {
  return phase < 1 || phase > last_phase() ? 4 : (phase - 1) % phase_colours + 1;
}

/** The steps of one phase of one run that follow one another. */
struct PhaseSteps {
  std::int64_t run = 0;
  int phase = 0;
  std::vector<const StepRecord *> steps;
  std::int64_t elapsed_us = 0;
};

// What a phase took beside its steps (looking, verifying) is in its own row, which comes after
// them.
std::vector<PhaseSteps> by_phase(const std::vector<StepRecord> &steps) {
  std::vector<PhaseSteps> result;
  for (const StepRecord &each : steps) {
    if (result.empty() || result.back().run != each.run || result.back().phase != each.phase)
      result.push_back({each.run, each.phase, {}, 0});
    PhaseSteps &phase = result.back();
    if (each.step.empty()) {
      phase.elapsed_us = std::max(phase.elapsed_us, each.elapsed_us.value_or(0));
    } else {
      phase.steps.push_back(&each);
      phase.elapsed_us += each.elapsed_us.value_or(0);
    }
  }
  return result;
}

Strip strip_of(const std::vector<PhaseSteps> &phases, std::int64_t whole) {
  std::vector<std::int64_t> took(last_phase() + 1);
  for (const PhaseSteps &each : phases)
    took.at(each.phase < 1 || each.phase > last_phase() ? 0 : each.phase) += each.elapsed_us;
  Strip strip{"How the time is divided between the phases", {}};
  for (int phase = 1; phase <= last_phase(); ++phase)
    if (took.at(phase) > 0)
      strip.parts.push_back({phase_title(phase), duration(took.at(phase)),
                             static_cast<double>(took.at(phase)) / static_cast<double>(whole),
                             colour_of(phase)});
  return strip;
}

Text words_of_step(const StepRecord &step) {
  Text text = code(step.step);
  for (const std::string &each :
       {step.message, step.detail == step.message ? std::string() : step.detail})
    text.add(cut(each, most_characters), Voice::aside);
  return text;
}

Table table_of(const std::vector<PhaseSteps> &phases, std::int64_t whole, bool several_runs) {
  Table table{"Steps",
              {{"Step", Column::words},
               {"", Column::words},
               {"Rows", Column::number},
               {"Time", Column::number},
               {"When", Column::bar}},
              {}};
  std::int64_t at = 0, run = 0;
  const auto bar = [&](std::int64_t from, std::int64_t took, int phase) {
    const double all = static_cast<double>(whole);
    return Bar{static_cast<double>(from) / all, static_cast<double>(from + took) / all,
               colour_of(phase)};
  };
  for (const PhaseSteps &phase : phases) {
    if (several_runs && phase.run != run)
      table.rows.push_back({strong("Run " + std::to_string(phase.run))});
    run = phase.run;
    table.rows.push_back({strong(phase_title(phase.phase)), "", "",
                          strong(duration(phase.elapsed_us)),
                          bar(at, phase.elapsed_us, phase.phase)});
    std::int64_t within = at;
    for (const StepRecord *each : phase.steps) {
      const std::int64_t took = each->elapsed_us.value_or(0);
      table.rows.push_back({words_of_step(*each), Cell(each->status, mark_of(each->status)),
                            count_of(each->rows), time_of(each->elapsed_us),
                            bar(within, took, phase.phase)});
      within += took;
    }
    at += phase.elapsed_us;
  }
  return table;
}

Note note_of_unrecorded(const Subject &subject, const Target &target) {
  const LatestRun &latest = subject.latest;
  Note note{verdict_of(subject).mark, "This run has left no record in the ledger", {}};
  if (!latest.sqlstate.empty())
    note.lines.push_back(Text("SQLSTATE ")
                             .add(latest.sqlstate, Voice::code)
                             .add(", in phase " + latest.phase + ", step ")
                             .add(latest.step, Voice::code)
                             .add("."));
  if (latest.running)
    note.lines.push_back(
        Text("It runs in one transaction, so its tables cannot be read before it"
             " ends. It is at step ")
            .add(latest.step, Voice::code)
            .add(", " + latest.percent + " % are done" +
                 (latest.waiting_for.empty() ? "." : "; waiting for " + latest.waiting_for + ".")));
  else if (latest.outcome != "undone")
    note.lines.push_back(
        "All that it did was rolled back. Its message was for the session that"
        " called, and is in the server's log with DETAIL and CONTEXT; look it up in"
        " docs/RECOVERY.md.");
  else
    note.lines.push_back("It came to its end, and then its transaction was rolled back.");
  if (!latest.running)
    note.lines.push_back(Text("Once the cause is removed: ").add(target.migration(), Voice::code));
  return note;
}

Note note_of_end(const Subject &subject, const Target &target) {
  const RunRecord &run = *subject.run;
  Note note{verdict_of(subject).mark, verdict_of(subject).words, {}};
  if (!run.message.empty())
    note.heading = cut(run.message, most_characters);
  Text where;
  if (!run.sqlstate.empty())
    where.add("SQLSTATE ").add(run.sqlstate, Voice::code).add(run.detail.empty() ? "." : ", ");
  if (!run.detail.empty())
    where.add("at " + cut(run.detail, most_characters) + ".");
  if (!where.empty())
    note.lines.push_back(where);
  if (!run.message.empty())
    note.lines.push_back("Read on in docs/RECOVERY.md, under the words of this message. DETAIL and"
                         " CONTEXT are in the server's log.");
  Target mode = target;
  mode.entry = run.mode == "online" ? Entry::online : Entry::atomic;
  if (!subject.is_running())
    note.lines.push_back(
        Text("The next call goes on where it ended: ").add(mode.migration(), Voice::code));
  return note;
}

/** What a migration that is done has rejected stands in a section of its own. */
std::string words_of_result(const RunRecord &run) {
  return run.status == "done" && run.mode != "cleanup" ? "" : run.detail;
}

} // namespace

Text lead_of(const Subject &subject, const std::string &database) {
  Text text;
  const LatestRun &latest = subject.latest;
  if (!subject.run)
    return text.add("The latest run in database ")
        .add(database, Voice::strong)
        .add(": " + latest.mode + ", called by role ")
        .add(latest.run_by, Voice::strong)
        .add(", began " + in_utc(latest.started) + ", last seen " + in_utc(latest.updated) + ".");
  const RunRecord &run = *subject.run;
  text.add("Run " + std::to_string(run.id) + " in database ")
      .add(database, Voice::strong)
      .add(": " + run.mode + ", called by role ")
      .add(run.run_by, Voice::strong)
      .add(", began " + in_utc(run.started));
  if (!run.finished.empty())
    text.add(", ended " + in_utc(run.finished));
  if (subject.story.size() > 1)
    text.add("; the migration took " + std::to_string(subject.story.size()) + " calls");
  return text.add(".");
}

std::vector<Block> notes_of(const Subject &subject, const Target &target) {
  if (!subject.run)
    return {note_of_unrecorded(subject, target)};
  std::vector<Block> notes;
  if (subject.run->status != "done")
    notes.push_back(note_of_end(subject, target));
  const LatestRun &latest = subject.latest;
  if (!latest.outcome.empty() && !subject.is_latest &&
      subject.run->id == subject.all_here.back().id)
    notes.push_back(Note{Mark::warning,
                         "A later run in this database is not in the ledger",
                         {Text("The status view tells of it: " + latest.outcome + ", began " +
                               in_utc(latest.started) + ".")}});
  return notes;
}

Section the_run(const Subject &subject, const std::string &database, const std::string &schema) {
  Facts facts;
  const auto add = [&](const char *name, Text value) {
    if (!value.empty())
      facts.rows.emplace_back(name, std::move(value));
  };
  add("Database", database);
  add("Schema", schema);
  if (!subject.run) {
    const LatestRun &latest = subject.latest;
    add("Mode", latest.mode);
    add("Called by", latest.run_by);
    add("Began", in_utc(latest.started));
    add("Last sign of life", in_utc(latest.updated));
    add("Outcome", latest.outcome);
    add("Sessions", latest.rows_done + " of " + latest.rows_total);
    add("Message", cut(latest.message, most_characters));
    return {"The run", {facts}};
  }
  const RunRecord &run = *subject.run;
  add("Run", std::to_string(run.id));
  add("Mode", run.mode);
  if (!run.function.empty())
    add("Call", code(run.function + "(" + written(run.arguments) + ")"));
  else if (!run.arguments.empty())
    add("Called with", code(written(run.arguments)));
  add("Called by", run.run_by);
  add("Began", in_utc(run.started));
  add("Ended", in_utc(run.finished));
  add("Took", time_of(run.elapsed_us));
  add("Result", cut(words_of_result(run), most_characters));
  add("cowrie_migrate", run.extension_version);
  add("PostgreSQL", run.server_version.empty() ? "not recorded" : run.server_version);
  Section section{"The run", {facts}};
  if (subject.story.size() > 1) {
    Table table{"Calls of this migration",
                {{"Run", Column::number},
                 {"Mode", Column::words},
                 {"Ended as", Column::words},
                 {"Began", Column::words},
                 {"Took", Column::number},
                 {"Message", Column::words}},
                {}};
    for (const RunRecord &each : subject.story)
      table.rows.push_back({std::to_string(each.id), each.mode,
                            Cell(each.status, mark_of(each.status)), in_utc(each.started),
                            time_of(each.elapsed_us), cut(each.message, most_characters)});
    section.blocks.emplace_back(std::move(table));
  }
  return section;
}

Section phases_and_steps(const Subject &subject) {
  Section section{"Phases and steps", {}};
  std::vector<StepRecord> steps = subject.steps;
  const bool cut_short = steps.size() > most_steps;
  if (cut_short)
    steps.erase(steps.begin(), steps.end() - most_steps);
  const std::vector<PhaseSteps> phases = by_phase(steps);
  std::int64_t whole = 0;
  for (const PhaseSteps &each : phases)
    whole += each.elapsed_us;
  if (phases.empty())
    section.blocks.emplace_back(Paragraph{"No step is on record."});
  else
    section.blocks.emplace_back(strip_of(phases, std::max<std::int64_t>(whole, 1)));
  if (cut_short)
    section.blocks.emplace_back(
        Paragraph{"The latest " + std::to_string(most_steps) + " steps of them all."});
  if (!phases.empty())
    section.blocks.emplace_back(
        table_of(phases, std::max<std::int64_t>(whole, 1), subject.story.size() > 1));
  return section;
}

Section settings(const Subject &subject) {
  Section section{"Settings", {}};
  const auto *recorded = subject.of(&RunRecord::settings);
  if (!recorded) {
    section.blocks.emplace_back(Paragraph{"They are not on record."});
    return section;
  }
  Facts facts;
  for (const auto &[name, value] : *recorded)
    facts.rows.emplace_back(name,
                            value.empty() ? Text("empty") : code(cut(value, most_characters)));
  section.blocks.emplace_back(std::move(facts));
  return section;
}

Section other_runs(const Subject &subject) {
  Section section{"All runs of this schema", {}};
  if (subject.all_here.empty()) {
    section.blocks.emplace_back(Paragraph{"The ledger has none."});
    return section;
  }
  Table table{"Runs",
              {{"Run", Column::number},
               {"Mode", Column::words},
               {"Ended as", Column::words},
               {"Began", Column::words},
               {"Took", Column::number},
               {"Role", Column::words},
               {"Message", Column::words}},
              {}};
  const auto &all = subject.all_here;
  for (auto each = all.rbegin(); each != all.rend() && table.rows.size() < most_runs; ++each)
    table.rows.push_back({std::to_string(each->id), each->mode,
                          Cell(each->status, mark_of(each->status)), in_utc(each->started),
                          time_of(each->elapsed_us), each->run_by,
                          cut(each->message, most_characters)});
  if (all.size() > most_runs)
    section.blocks.emplace_back(Paragraph{"The latest " + std::to_string(most_runs) + " of " +
                                          std::to_string(all.size()) + "."});
  section.blocks.emplace_back(std::move(table));
  return section;
}

} // namespace cowrie::report
