// Subtransaction: commits when told, rolls back by default.
#include "pg/boundary/subtransaction.hpp"

namespace cowrie::pg {

Subtransaction::Subtransaction() : context_(CurrentMemoryContext), owner_(CurrentResourceOwner) {
  call([this] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context_);
  });
  open_ = true;
}

void Subtransaction::commit() {
  call([this] {
    ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context_);
    CurrentResourceOwner = owner_;
  });
  open_ = false;
}

Subtransaction::~Subtransaction() {
  if (!open_)
    return;
  // A rollback that fails leaves no state that could be relied on: the session must end.
  try {
    call([this] {
      RollbackAndReleaseCurrentSubTransaction();
      MemoryContextSwitchTo(context_);
      CurrentResourceOwner = owner_;
    });
  } catch (...) {
    ereport(FATAL, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("could not roll back a subtransaction of cowrie_migrate"),
                    errhint("The server rolls the transaction back; connect again and run SELECT * "
                            "FROM cowrie_migrate_v16();")));
  }
}

} // namespace cowrie::pg
