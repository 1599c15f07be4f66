// Sizes: the part of a report that compares the tables before a run and after it.
#include "core/report/sizes.hpp"

#include "core/base/figures.hpp"
#include "core/report/words.hpp"
#include "core/schema/versions.hpp"

namespace cowrie::report {

Section sizes(const Subject &subject, const std::vector<TableSize> &now) {
  Section section{"Sizes", {}};
  const auto find = [](const std::vector<TableSize> &sizes, const std::string &table) {
    for (const TableSize &each : sizes)
      if (each.table == table)
        return std::optional<TableSize>(each);
    return std::optional<TableSize>();
  };
  const std::vector<TableSize> none;
  const std::vector<TableSize> &before =
      subject.story.empty() ? none : subject.story.front().sizes_before;
  const bool ended = subject.run && !subject.run->sizes_after.empty();
  const std::vector<TableSize> &after = ended ? subject.run->sizes_after : now;
  Table table{"Sizes of the tables",
              {{"Table", Column::words},
               {"Before", Column::number},
               {ended ? "After" : "Now", Column::number},
               {"Change", Column::number},
               {"Heap", Column::number},
               {"TOAST", Column::number},
               {"Indexes", Column::number}},
              {}};
  std::vector<std::string> names;
  for (const cowrie::Table &each : newest_schema().tables)
    names.push_back(each.name);
  names.emplace_back("raw_events");
  for (const std::string &name : names) {
    const auto was = find(before, name), is = find(after, name);
    if (!was && !is)
      continue;
    const TableSize then = was.value_or(TableSize()), end = is.value_or(TableSize());
    table.rows.push_back({code(name),
                          was              ? size_pretty(was->total())
                          : before.empty() ? ""
                                           : "-",
                          is ? size_pretty(is->total()) : "-",
                          before.empty() ? "" : change(end.total() - then.total()),
                          is ? size_pretty(is->heap) : "", is ? size_pretty(is->toast) : "",
                          is ? size_pretty(is->indexes) : ""});
  }
  if (before.empty())
    section.blocks.emplace_back(Paragraph{"The sizes before the run have not been recorded."});
  section.blocks.emplace_back(std::move(table));
  return section;
}

} // namespace cowrie::report
