// Subject: which run a report is about, and what is on record of it.
//
// Error regime: throws Failure for a run that is not there, and what the ports throw.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/ports/records.hpp"
#include "core/report/page.hpp"

namespace cowrie::report {

struct Subject {
  /** Nothing: it has left no record, because all that it did was rolled back. */
  std::optional<RunRecord> run;
  LatestRun latest;
  bool is_latest = false; ///< the status view is about the same run

  /** The runs of the same migration, the oldest first: those before it that came to no end, and
   *  itself. */
  std::vector<RunRecord> story;
  std::vector<StepRecord> steps;             ///< of all of them, in their order
  std::vector<RunRecord> all_here;           ///< the runs of the schema, the oldest first
  std::optional<std::int64_t> taken_back_by; ///< the cleanup that came after it

  bool is_cleanup() const { return run ? run->mode == "cleanup" : latest.mode == "cleanup"; }
  bool is_running() const { return latest.running && is_latest; }
  /** The latest of its story in which something is recorded: `of(&RunRecord::rejects)`. */
  template <typename Member> const Member *of(Member RunRecord::*member) const {
    for (auto each = story.rbegin(); each != story.rend(); ++each)
      if (!empty((*each).*member))
        return &((*each).*member);
    return nullptr;
  }
  /** The working time of its story; what is not over counts nothing. */
  std::int64_t elapsed_us() const;

private:
  template <typename Item> static bool empty(const std::vector<Item> &list) { return list.empty(); }
  template <typename Item> static bool empty(const std::optional<Item> &value) { return !value; }
};

/** Finds the run with this number, or the latest one. */
Subject find_subject(Records &records, const Target &target, std::optional<std::int64_t> run);

/** How it has ended, so far as the records tell. */
struct Verdict {
  Mark mark = Mark::none;
  std::string words;
};
Verdict verdict_of(const Subject &subject);

} // namespace cowrie::report
