// Settings: on whose behalf and under which settings the extension works, for a while.
#include "pg/settings.hpp"

namespace cowrie::pg {

namespace {

void pin_unsafe(const char *name, const char *value) {
  (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

} // namespace

PinnedSettings::PinnedSettings() : level_(NewGUCNestLevel()) {
  call([] {
    pin_unsafe("search_path", "pg_catalog, pg_temp");
    pin_unsafe("row_security", "off");
    pin_unsafe("standard_conforming_strings", "on");
    // Recursive questions to the catalog look expensive to the planner: they would be compiled for
    // a second to run for a millisecond, some of them while nobody else may read.
    pin_unsafe("jit", "off");
    pin_unsafe("quote_all_identifiers", "off");
    pin_unsafe("lock_timeout", psprintf("%d", setting_lock_timeout));
  });
}

LockTimeout::LockTimeout(int milliseconds) : level_(NewGUCNestLevel()) {
  call([=] { pin_unsafe("lock_timeout", psprintf("%d", milliseconds)); });
}

} // namespace cowrie::pg
