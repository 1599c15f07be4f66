// Module magic, settings and _PG_init: nothing else.
#include "pg/boundary/imports.h"

#include "core/base/live.hpp"
#include "pg/boundary/error.hpp"
#include "pg/boundary/fault.hpp"
#include "pg/reading/session_memo.hpp"
#include "pg/boundary/settings.hpp"

namespace cowrie::pg {

int setting_lock_timeout = 5000;
int setting_lock_attempts = 100;
bool setting_use_raw_events = true;
char *setting_harmless_triggers = nullptr;
char *setting_fail_at = nullptr;
int setting_free_space = -1;
int setting_preflight_sample = -1;
int setting_rewrite = 0;

namespace {

const config_enum_entry rewrites[] = {
    {"auto", 0, false}, {"alter_table", 1, false}, {nullptr, 0, false}};

int shown_only = 0; // the values are made when they are asked for

const char *show_statements() { return psprintf("%lld", static_cast<long long>(fault::count())); }
const char *show_live_objects() { return psprintf("%d", Live::count()); }

} // namespace
} // namespace cowrie::pg

extern "C" {

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "cowrie_migrate", .version = "1.2");
#else
PG_MODULE_MAGIC;
#endif

void _PG_init(void) {
  using namespace cowrie::pg;
  DefineCustomIntVariable("cowrie_migrate.lock_timeout",
                          "How long a migration waits for each table lock.",
                          "0 waits without a limit.", &setting_lock_timeout, 5000, 0, INT_MAX,
                          PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "cowrie_migrate.lock_attempts",
      "How often an online migration tries to obtain a strong lock before it fails.",
      "Each attempt waits for at most 100 ms; the pauses between attempts grow to two seconds.",
      &setting_lock_attempts, 100, 1, 100'000, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("cowrie_migrate.use_raw_events",
                           "Whether a session without a source IP is looked up in raw_events.",
                           nullptr, &setting_use_raw_events, true, PGC_USERSET, 0, nullptr, nullptr,
                           nullptr);
  DefineCustomIntVariable("cowrie_migrate.free_space",
                          "Free disk space to assume on every file system.",
                          "-1 asks the operating system.", &setting_free_space, -1, -1, INT_MAX,
                          PGC_USERSET, GUC_UNIT_MB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "cowrie_migrate.preflight_sample", "How many sessions a preflight evaluates.",
      "0 evaluates all; -1 evaluates all unless there are very many.", &setting_preflight_sample,
      -1, -1, INT_MAX, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("cowrie_migrate.rewrite", "How a migration rewrites session_summaries.",
                           "auto copies the heap alone where that is possible.", &setting_rewrite,
                           0, rewrites, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable(
      "cowrie_migrate.harmless_triggers", "Triggers that may fire for what a migration writes.",
      "Names, separated by commas, of triggers of session_summaries and schema_state. A BEFORE"
      " trigger of session_summaries is refused nevertheless.",
      &setting_harmless_triggers, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("cowrie_migrate.fail_at", "Where a migration fails, for tests.",
                             "'<phase>.<step>', or '#<n>' for the n-th statement.",
                             &setting_fail_at, "", PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "cowrie_migrate.statements", "Statements that the latest call in this session has executed.",
      "The largest n of '#<n>' in cowrie_migrate.fail_at.", &shown_only, 0, 0, INT_MAX,
      PGC_INTERNAL, GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, nullptr, nullptr, show_statements);
  DefineCustomIntVariable("cowrie_migrate.live_objects",
                          "C++ objects of this extension that are alive in this session.",
                          "0 outside a transaction.", &shown_only, 0, 0, INT_MAX, PGC_INTERNAL,
                          GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, nullptr, nullptr,
                          show_live_objects);
  MarkGUCPrefixReserved("cowrie_migrate");
  register_memo_callbacks();
  error_context_unsafe(); // made now: in the middle of an error there may be no memory for it
}

} // extern "C"
