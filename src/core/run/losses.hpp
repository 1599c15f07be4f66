// Losses: what cleanup would drop and no migration can derive from the sessions again.
//
// It asks the derivation the other way round: not what it would write now, but whether some session
// gives what is there. So a row that is merely older than its sessions is no loss, and one that the
// application has written is, whether or not it left a mark.
//
// What it may know: the ports, the declaration, the facts of a document. Error regime: throws what
// the ports throw; changes nothing.
#pragma once

#include <string>
#include <vector>

#include "core/ports/ports.hpp"
#include "core/sql/unexplained_rows.hpp"

namespace cowrie {

/** Rows of one table that would be lost for one reason. */
struct Loss {
  std::string table;
  std::int64_t rows = 0;
  std::string reason; ///< `enriched by the application`

  /** `ip_inventory: 3 rows enriched by the application`. */
  std::string words() const;
  /** `3 rows enriched by the application`. */
  std::string words_without_table() const;
};

/** Counts what is in the way of a cleanup. Without a migration on record everything counts, because
 *  nobody can tell any more who wrote it. */
std::vector<Loss> count_losses(Database &database, const CleanupScope &scope, bool on_record);

/** A statement that copies what would be lost of a table: `CREATE TABLE … AS SELECT …;`. */
std::string saving_statement(const Target &target, const CleanupScope &scope,
                             const std::string &table);

} // namespace cowrie
