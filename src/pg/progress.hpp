// Progress: what other sessions see of a migration before it commits, and after it failed.
//
// Sequences are not transactional: setval is seen at once and survives a rollback and a crash.
// Error regime: throws PgError, except note_rows_unsafe.
#pragma once

#include "core/ports.hpp"
#include "pg/guard.hpp"

namespace cowrie::pg {

class Progress : public Monitor, Live {
public:
  Progress(Oid extension_schema, Oid extension_owner);

  void started(std::string_view mode, std::int64_t rows_total) override;
  void at(int phase, std::string_view step) override;
  void finished() override;
  void failed(std::string_view sqlstate) override;
  void notice(const std::string &message, const std::string &detail) override;
  void warning(const std::string &message, const std::string &detail,
               const std::string &hint) override;

  /** Says how many rows the current pass has done, and what it rejected; callable while a
   *  statement runs. */
  void note_rows_unsafe(std::int64_t done, std::int64_t total, const RejectCounts &rejects);

private:
  void set(const char *name, std::int64_t value);
  void set_unsafe(const char *name, std::int64_t value);
  void flush();

  Oid schema_;
  Oid owner_;
};

} // namespace cowrie::pg
