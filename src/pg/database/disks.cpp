// Disks: the directories that a migration writes into, and the free space of their file systems.
//
// A part of ServerDatabase. The server's own processes may ask this of any file system that they
// write to: it needs no role. Error regime: throws PgError; a directory that cannot be asked is
// left out.
#include "pg/database/database.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "pg/boundary/settings.hpp"

namespace cowrie::pg {
namespace {

constexpr std::int64_t megabyte = 1 << 20;

/** The file system of a directory under the data directory; symbolic links are followed. */
void add_disk(std::vector<Disk> &disks, Disk::Use use, const std::string &place,
              const std::string &directory) {
  struct stat file {};
  struct statvfs system {};
  if (stat(directory.c_str(), &file) != 0 || statvfs(directory.c_str(), &system) != 0)
    return;
  const auto free =
      static_cast<std::int64_t>(system.f_bavail) * static_cast<std::int64_t>(system.f_frsize);
  disks.push_back({use, place, static_cast<std::uint64_t>(file.st_dev),
                   setting_free_space < 0 ? free : setting_free_space * megabyte});
}

void add_tablespace(std::vector<Disk> &disks, Disk::Use use, Oid tablespace) {
  const Oid real = OidIsValid(tablespace) ? tablespace : MyDatabaseTableSpace;
  const char *name = call([&]() -> const char * { return get_tablespace_name(real); });
  if (name)
    add_disk(disks, use, "tablespace " + quote_identifier(name),
             real == DEFAULTTABLESPACE_OID ? "base" : "pg_tblspc/" + std::to_string(real));
}

} // namespace

std::vector<Disk> ServerDatabase::disks() {
  struct Places {
    Oid sessions, new_tables, temporary;
  };
  const Places places = call([&]() -> Places {
    Places found{get_rel_tablespace(target_.sessions), GetDefaultTablespace('p', false),
                 InvalidOid};
    PrepareTempTablespaces();
    if (GetTempTablespaces(&found.temporary, 1) < 1)
      found.temporary = InvalidOid;
    return found;
  });
  std::vector<Disk> disks;
  add_tablespace(disks, Disk::Use::sessions, places.sessions);
  add_tablespace(disks, Disk::Use::new_tables, places.new_tables);
  add_tablespace(disks, Disk::Use::temporary, places.temporary);
  add_disk(disks, Disk::Use::wal, "pg_wal", "pg_wal");
  return disks;
}

} // namespace cowrie::pg
