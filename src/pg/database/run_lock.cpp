// Run lock: keeps two runs in one database apart.
#include "pg/database/run_lock.hpp"

#include "core/sql/run_objects.hpp"

namespace cowrie::pg {
namespace {

constexpr uint16_t sub_object = run_objects::lock_number;

LOCKTAG tag_of(Oid extension) noexcept {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, sub_object);
  return tag;
}

bool try_lock(Oid extension, bool of_session) {
  return call([=] {
    const LOCKTAG tag = tag_of(extension);
    return LockAcquire(&tag, ExclusiveLock, of_session, /* dontWait: */ true) !=
           LOCKACQUIRE_NOT_AVAIL;
  });
}

} // namespace

bool RunningHere::running_ = false;

bool RunLock::try_for_transaction() const { return try_lock(extension_, false); }

bool RunLock::try_for_session() const { return try_lock(extension_, true); }

void RunLock::release_of_session() const {
  call([this] {
    const LOCKTAG tag = tag_of(extension_);
    LockRelease(&tag, ExclusiveLock, /* sessionLock: */ true);
  });
}

} // namespace cowrie::pg
