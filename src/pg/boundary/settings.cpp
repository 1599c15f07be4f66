// Settings: on whose behalf and under which settings the extension works, for a while.
#include "pg/boundary/settings.hpp"

namespace cowrie::pg {

namespace {

void pin_unsafe(const char *name, const char *value, GucContext context = PGC_USERSET) {
  (void)set_config_option(name, value, context, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

} // namespace

PinnedSettings::PinnedSettings() {
  call([] {
    pin_unsafe("search_path", "pg_catalog, pg_temp");
    pin_unsafe("row_security", "off");
    pin_unsafe("standard_conforming_strings", "on");
    pin_unsafe("synchronize_seqscans", "off"); // the reader ahead of a rewrite goes with it
    // Recursive questions to the catalog look expensive to the planner: they would be compiled for
    // a second to run for a millisecond, some of them while nobody else may read. And what takes
    // time elsewhere is C++ already.
    pin_unsafe("jit", "off");
    pin_unsafe("quote_all_identifiers", "off");
    pin_unsafe("lock_timeout", psprintf("%d", setting_lock_timeout));
  });
}

LockTimeout::LockTimeout(int milliseconds) {
  call([=] { pin_unsafe("lock_timeout", psprintf("%d", milliseconds)); });
}

CountedWrites::CountedWrites() {
  call([] { pin_unsafe("track_counts", "on", PGC_SUSET); });
}

// (What the server allows at least is a megabyte.)
MaintenanceMemory::MaintenanceMemory(int kilobytes) {
  call([=] { pin_unsafe("maintenance_work_mem", psprintf("%dkB", Max(kilobytes, 1024))); });
}

// Whoever waits for a strong lock stalls all writers that come after it, so it waits for a tenth of
// a second at most. The deadlock check comes earlier than that: it is what makes an autovacuum give
// way, and it makes this run the one that gives way to a writer.
OnlineSettings::OnlineSettings(TransactionKind kind) {
  call([=] {
    if (kind == TransactionKind::work)
      return;
    pin_unsafe("lock_timeout", "100ms");
    pin_unsafe("deadlock_timeout", "50ms", PGC_SUSET);
    if (kind == TransactionKind::batch) {
      pin_unsafe("enable_seqscan", "off");
      pin_unsafe("enable_bitmapscan", "off");
      pin_unsafe("enable_hashjoin", "off");
      pin_unsafe("enable_mergejoin", "off");
      pin_unsafe("enable_memoize", "off");
    }
  });
}

} // namespace cowrie::pg
