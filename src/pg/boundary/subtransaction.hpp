// Subtransaction: commits when told, rolls back by default.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/**
 * An internal subtransaction, begun by the constructor as plpgsql's exec_stmt_block does it:
 * memory context and resource owner are those of the caller again, inside and afterwards.
 */
class Subtransaction : Live {
public:
  Subtransaction();
  ~Subtransaction();
  Subtransaction(const Subtransaction &) = delete;
  Subtransaction &operator=(const Subtransaction &) = delete;

  void commit();

private:
  MemoryContext context_;
  ResourceOwner owner_;
  bool open_ = false;
};

} // namespace cowrie::pg
