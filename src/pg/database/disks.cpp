// Disks: the directories that a migration writes into, and the free space of their file systems.
//
// A part of ServerDatabase. The server's own processes may ask this of any file system that they
// write to: it needs no role. Error regime: throws PgError; a directory that cannot be asked is
// left out.
#include "pg/database/database.hpp"

#include <map>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "pg/boundary/settings.hpp"
#include "pg/catalog/leaves.hpp"

namespace cowrie::pg {
namespace {

constexpr std::int64_t megabyte = 1 << 20;

/** The file system of a directory under the data directory; symbolic links are followed. */
void add_disk(std::vector<Disk> &disks, Disk::Use use, const std::string &place,
              const std::string &directory, double share = 1) {
  struct stat file {};
  struct statvfs system {};
  if (stat(directory.c_str(), &file) != 0 || statvfs(directory.c_str(), &system) != 0)
    return;
  const auto free =
      static_cast<std::int64_t>(system.f_bavail) * static_cast<std::int64_t>(system.f_frsize);
  disks.push_back({use, place, static_cast<std::uint64_t>(file.st_dev),
                   setting_free_space < 0 ? free : setting_free_space * megabyte, share});
}

void add_tablespace(std::vector<Disk> &disks, Disk::Use use, Oid tablespace, double share = 1) {
  const Oid real = OidIsValid(tablespace) ? tablespace : MyDatabaseTableSpace;
  const char *name = call([&]() -> const char * { return get_tablespace_name(real); });
  if (name)
    add_disk(disks, use, "tablespace " + quote_identifier(name),
             real == DEFAULTTABLESPACE_OID ? "base" : "pg_tblspc/" + std::to_string(real), share);
}

/** The tablespaces of the leaves of a table, each with its share of what they hold. */
std::map<Oid, double> tablespaces_of(Oid table) {
  std::map<Oid, double> result;
  double all = 0;
  for (const Oid leaf : leaves_of(table)) {
    struct Place {
      Oid tablespace;
      double bytes;
    };
    const Place place = call([=]() -> Place {
      Relation opened = table_open(leaf, AccessShareLock);
      const Place found{opened->rd_rel->reltablespace,
                        static_cast<double>(table_relation_size(opened, MAIN_FORKNUM)) + 1};
      table_close(opened, NoLock);
      return found;
    });
    result[place.tablespace] += place.bytes;
    all += place.bytes;
  }
  for (auto &each : result)
    each.second /= all;
  return result;
}

} // namespace

std::vector<Disk> ServerDatabase::disks() {
  struct Places {
    Oid new_tables, temporary;
  };
  const Places places = call([&]() -> Places {
    Places found{GetDefaultTablespace('p', false), InvalidOid};
    PrepareTempTablespaces();
    if (GetTempTablespaces(&found.temporary, 1) < 1)
      found.temporary = InvalidOid;
    return found;
  });
  std::vector<Disk> disks;
  for (const auto &[tablespace, share] : tablespaces_of(target_.sessions))
    add_tablespace(disks, Disk::Use::sessions, tablespace, share);
  add_tablespace(disks, Disk::Use::new_tables, places.new_tables);
  add_tablespace(disks, Disk::Use::temporary, places.temporary);
  add_disk(disks, Disk::Use::wal, "pg_wal", "pg_wal");
  return disks;
}

} // namespace cowrie::pg
