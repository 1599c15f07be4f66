// Settings: on whose behalf and under which settings the extension works, for a while.
//
// Error regime: constructors throw; destructors restore and never fail.
#pragma once

#include "core/online/online_run.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Acts as a role in a security-restricted context until the end of the scope. */
class AsUser : Live {
public:
  explicit AsUser(Oid role) noexcept {
    GetUserIdAndSecContext(&user_, &security_);
    SetUserIdAndSecContext(role, security_ | SECURITY_LOCAL_USERID_CHANGE |
                                     SECURITY_RESTRICTED_OPERATION);
  }
  ~AsUser() { SetUserIdAndSecContext(user_, security_); }
  AsUser(const AsUser &) = delete;
  AsUser &operator=(const AsUser &) = delete;

private:
  Oid user_ = InvalidOid;
  int security_ = 0;
};

/**
 * Pins what a caller's settings could otherwise change: names are looked up in pg_catalog only,
 * temporary objects last; row security may raise but not hide rows; locks are waited for as long
 * as cowrie_migrate.lock_timeout says.
 */
class PinnedSettings : Live {
public:
  PinnedSettings();
  ~PinnedSettings() { AtEOXact_GUC(true, level_); }
  PinnedSettings(const PinnedSettings &) = delete;
  PinnedSettings &operator=(const PinnedSettings &) = delete;

private:
  int level_;
};

/** How long a lock is waited for in this scope, in milliseconds; 0 waits for ever. */
class LockTimeout : Live {
public:
  explicit LockTimeout(int milliseconds);
  ~LockTimeout() { AtEOXact_GUC(true, level_); }
  LockTimeout(const LockTimeout &) = delete;
  LockTimeout &operator=(const LockTimeout &) = delete;

private:
  int level_;
};

/** What a transaction of an online run is planned and waits under, whatever the settings say. */
class OnlineSettings : Live {
public:
  explicit OnlineSettings(TransactionKind kind);
  ~OnlineSettings() { AtEOXact_GUC(true, level_); }
  OnlineSettings(const OnlineSettings &) = delete;
  OnlineSettings &operator=(const OnlineSettings &) = delete;

private:
  int level_;
};

/** The settings of the extension; defined in cowrie_migrate.cpp. */
extern int setting_lock_timeout;
extern bool setting_use_raw_events;
extern char *setting_fail_at;
extern int setting_rewrite;          ///< only SHOW reads it: see core/inspect/rewrite_way.cpp
extern int setting_free_space;       ///< megabytes; -1: ask the operating system
extern int setting_preflight_sample; ///< sessions; 0: all, -1: all unless there are very many

} // namespace cowrie::pg
