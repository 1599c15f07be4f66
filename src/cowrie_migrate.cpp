// Module magic, settings and _PG_init: nothing else.
#include "pg/imports.h"

#include "pg/error.hpp"
#include "pg/session_memo.hpp"
#include "pg/settings.hpp"

namespace cowrie::pg {

int setting_lock_timeout = 5000;
bool setting_use_raw_events = true;
char *setting_fail_at = nullptr;

} // namespace cowrie::pg

extern "C" {

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "cowrie_migrate", .version = "1.0");
#else
PG_MODULE_MAGIC;
#endif

void _PG_init(void) {
  using namespace cowrie::pg;
  DefineCustomIntVariable("cowrie_migrate.lock_timeout",
                          "How long a migration waits for each table lock.", "Zero waits for ever.",
                          &setting_lock_timeout, 5000, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("cowrie_migrate.use_raw_events",
                           "Whether a session without a source IP is looked up in raw_events.",
                           nullptr, &setting_use_raw_events, true, PGC_USERSET, 0, nullptr, nullptr,
                           nullptr);
  DefineCustomStringVariable("cowrie_migrate.fail_at", "Where a migration shall fail, for tests.",
                             "'<phase>.<step>', or '#<n>' for the n-th statement.",
                             &setting_fail_at, "", PGC_SUSET, 0, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("cowrie_migrate");
  register_memo_callbacks();
  error_context_unsafe(); // made now: in the middle of an error there may be no memory for it
}

} // extern "C"
