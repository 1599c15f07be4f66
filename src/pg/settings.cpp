// Settings: on whose behalf and under which settings the extension works, for a while.
#include "pg/settings.hpp"

namespace cowrie::pg {

PinnedSettings::PinnedSettings() : level_(NewGUCNestLevel()) {
  call([] {
    const auto pin_unsafe = [](const char *name, const char *value) {
      (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                              false);
    };
    pin_unsafe("search_path", "pg_catalog, pg_temp");
    pin_unsafe("row_security", "off");
    pin_unsafe("standard_conforming_strings", "on");
    pin_unsafe("lock_timeout", psprintf("%d", setting_lock_timeout));
  });
}

} // namespace cowrie::pg
