// Settings: on whose behalf and under which settings the extension works, for a while.
//
// Error regime: constructors throw; destructors restore and never fail.
#pragma once

#include "core/ports/online_ports.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** A level of settings. Whatever is set in it, by us or by somebody's function that a statement
 * calls, is as before at its end: a function that runs as another role must leave nothing behind in
 * the caller's session, a search_path for instance. */
class SettingsLevel : Live {
public:
  SettingsLevel() noexcept : level_(NewGUCNestLevel()) {}
  ~SettingsLevel() { AtEOXact_GUC(false, level_); }
  SettingsLevel(const SettingsLevel &) = delete;
  SettingsLevel &operator=(const SettingsLevel &) = delete;

private:
  int level_;
};

/**
 * Pins what a caller's settings could otherwise change: names are looked up in pg_catalog only,
 * temporary objects last; row security may raise but not hide rows; locks are waited for as long
 * as cowrie_migrate.lock_timeout says.
 */
class PinnedSettings : SettingsLevel {
public:
  PinnedSettings();
};

/** How long a lock is waited for in this scope, in milliseconds; 0 waits for ever. */
class LockTimeout : SettingsLevel {
public:
  explicit LockTimeout(int milliseconds);
};

/** What a transaction of an online run is planned and waits under, whatever the settings say. */
class OnlineSettings : SettingsLevel {
public:
  explicit OnlineSettings(TransactionKind kind);
};

/** Counts what is written to tables, whatever track_counts says. */
class CountedWrites : SettingsLevel {
public:
  CountedWrites();
};

/** How much memory one process may use to build an index in this scope. */
class MaintenanceMemory : SettingsLevel {
public:
  explicit MaintenanceMemory(int kilobytes);
};

/** Has the privileges of a role until the end of the scope, in a security-restricted context:
 * enough for a server function that executes no SQL. */
class PrivilegesOf : Live {
public:
  explicit PrivilegesOf(Oid role) noexcept {
    GetUserIdAndSecContext(&user_, &security_);
    SetUserIdAndSecContext(role, security_ | SECURITY_LOCAL_USERID_CHANGE |
                                     SECURITY_RESTRICTED_OPERATION);
  }
  ~PrivilegesOf() { SetUserIdAndSecContext(user_, security_); }
  PrivilegesOf(const PrivilegesOf &) = delete;
  PrivilegesOf &operator=(const PrivilegesOf &) = delete;

private:
  Oid user_ = InvalidOid;
  int security_ = 0;
};

/** Acts as a role: for statements, which run that role's code. Only under pinned settings, whose
 * end undoes what that code has set. */
class AsUser : PrivilegesOf {
public:
  AsUser(Oid role, const PinnedSettings &) noexcept : PrivilegesOf(role) {}
};

/** The settings of the extension; defined in cowrie_migrate.cpp. */
extern int setting_lock_timeout;
extern int setting_lock_attempts; ///< only SHOW reads it: see core/sql/lock_holders.hpp
extern bool setting_use_raw_events;
extern char *setting_fail_at;
extern char *setting_harmless_triggers; ///< only SHOW reads it: see core/online/refusals.cpp
extern int setting_rewrite;             ///< only SHOW reads it: see core/inspect/rewrite_way.cpp
extern int setting_free_space;          ///< megabytes; -1: ask the operating system
extern int setting_preflight_sample;    ///< sessions; 0: all, -1: all unless there are very many

} // namespace cowrie::pg
