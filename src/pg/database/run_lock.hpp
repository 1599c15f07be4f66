// Run lock: keeps two runs in one database apart.
//
// A heavyweight lock on the extension, with a sub-object number that no command uses: nothing that
// SQL can say takes it, and pg_locks shows it (locktype object, classid pg_extension, objid the
// extension, objsubid 16; core/sql/run_objects.hpp asks for it). Error regime: throws PgError.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

class RunLock {
public:
  explicit RunLock(Oid extension) noexcept : extension_(extension) {}

  /** Takes it without waiting, to the end of the transaction; false: somebody else holds it. */
  bool try_for_transaction() const;
  /** The same to release_of_session(), however many transactions end until then. */
  bool try_for_session() const;
  void release_of_session() const;

private:
  Oid extension_;
};

/** Set while this session is in a run: its own locks would let it in again, from the function of an
 *  event trigger or of an index, for instance. */
class RunningHere {
public:
  static bool now() noexcept { return running_; }
  RunningHere() noexcept { running_ = true; }
  ~RunningHere() { running_ = false; }
  RunningHere(const RunningHere &) = delete;
  RunningHere &operator=(const RunningHere &) = delete;

private:
  static bool running_;
};

} // namespace cowrie::pg
