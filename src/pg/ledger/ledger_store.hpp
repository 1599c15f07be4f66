// Ledger store: rows of cowrie_migration_log, written as its owner.
//
// Error regime: throws PgError.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/catalog/target.hpp"
#include "pg/ledger/evidence.hpp"

namespace cowrie::pg {

/** Rows of a statement over the ledger, executed as its owner. */
std::vector<Row> ledger_rows(Oid owner, const std::string &sql,
                             const std::vector<Parameter> &parameters, bool read_only);

/** What a run remembers of where it was: the database, the schema and session_summaries, by their
 *  OIDs. Names change, and another table may get the name. An object of jsonb, as text. */
std::string ledger_place(const ResolvedTarget &target);

/** The condition that a row `l` of a run is about the schema $1 in the place $2: by OID where it
 * was written in this database and that schema is still there; by name where it was restored from a
 *  dump, or comes from an older version. */
inline constexpr const char *about_place =
    "(l.resume @> ($2::jsonb - 'sessions') OR (l.target_schema = $1::text AND NOT ("
    "l.resume ->> 'database' IS NOT DISTINCT FROM $2::jsonb ->> 'database' AND EXISTS ("
    "SELECT FROM pg_namespace AS n WHERE n.oid::text = l.resume ->> 'schema'))))";

/** The condition that a run `l` was about another session_summaries than there is in the place $2:
 *  somebody has restored or replaced the table since. */
inline constexpr const char *about_other_table =
    "COALESCE(l.resume ->> 'database' = $2::jsonb ->> 'database'"
    " AND l.resume ->> 'sessions' <> $2::jsonb ->> 'sessions', false)";

class LedgerStore : public Ledger, Live {
public:
  explicit LedgerStore(const ResolvedTarget &target);

  std::vector<RecordedRun> runs() override;
  bool knows_of_migration() override;
  std::int64_t begin_run(std::string_view mode, std::string_view detail, bool fills) override;
  void record(std::int64_t run, const StepResult &step, std::string_view sqlstate,
              std::string_view message) override;
  void record_proof(std::int64_t run, const FillResult &proof) override;
  void finish_run(std::int64_t run, const StepResult &outcome, std::string_view sqlstate,
                  std::string_view message) override;

private:
  std::vector<Row> rows(const std::string &sql, const std::vector<Parameter> &parameters,
                        bool read_only);
  std::int64_t write(const std::string &sql, const std::vector<Parameter> &parameters);

  std::string table_;
  std::string schema_;
  std::string place_;
  std::string caller_;
  std::string mode_;
  Evidence evidence_;
  Oid owner_;
};

} // namespace cowrie::pg
