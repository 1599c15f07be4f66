// Leaves: what statements must say of a table whose rows may be in partitions.
#include "core/sql/leaves.hpp"

#include "core/sql/fill.hpp"

namespace cowrie {

// A place names a row of one table only.
std::string place(const Target &target) {
  return target.partitioned ? "tableoid AS leaf, ctid AS place" : "ctid AS place";
}

std::string at_place(const Target &target, const std::string &sessions, const std::string &at) {
  const std::string same_place = sessions + ".ctid = " + at + ".place";
  return target.partitioned ? sessions + ".tableoid = " + at + ".leaf AND " + same_place
                            : same_place;
}

std::string is_in_tree(const std::string &oid, const std::string &table) {
  return sql::fill(R"(({oid} = to_regclass({table})
  OR {oid} IN (SELECT relid FROM pg_partition_tree(to_regclass({table})))))",
                   {{"oid", oid}, {"table", table}});
}

} // namespace cowrie
