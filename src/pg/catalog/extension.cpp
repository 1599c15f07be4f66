// Extension: where its objects are, and whose they are.
#include "pg/catalog/extension.hpp"

#include "core/base/failure.hpp"
#include "core/schema/ddl.hpp"

namespace cowrie::pg {
namespace {

constexpr const char *internal_schema = "cowrie_migrate_internal";
constexpr const char *ledger_table = "cowrie_migration_log";

/** The schema in which CREATE EXTENSION has made the extension. */
Oid schema_of_unsafe(Oid extension) {
  Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(extension));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionOidIndexId, true, nullptr, 1, &key);
  HeapTuple row = systable_getnext(scan);
  const Oid schema = HeapTupleIsValid(row)
                         ? reinterpret_cast<Form_pg_extension>(GETSTRUCT(row))->extnamespace
                         : InvalidOid;
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return schema;
}

} // namespace

Extension find_extension(Oid function) {
  struct Found {
    Oid id, schema, internal, ledger_owner;
    const char *schema_name;
  };
  const Found found = call([&]() -> Found {
    Found result{};
    result.id = getExtensionOfObject(ProcedureRelationId, function);
    if (!OidIsValid(result.id))
      return result;
    result.schema = result.internal = schema_of_unsafe(result.id);
    const Oid internal = get_namespace_oid(internal_schema, true);
    // A schema of that name that is no part of the extension is somebody else's.
    if (OidIsValid(internal) && getExtensionOfObject(NamespaceRelationId, internal) == result.id)
      result.internal = internal;
    const Oid ledger = get_relname_relid(ledger_table, result.schema);
    HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(ledger));
    if (HeapTupleIsValid(row)) {
      result.ledger_owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relowner;
      ReleaseSysCache(row);
    }
    result.schema_name = get_namespace_name(result.schema);
    return result;
  });
  if (!OidIsValid(found.id) || !OidIsValid(found.ledger_owner))
    throw Failure(
        sqlstate::undefined_object, "extension \"cowrie_migrate\" is incomplete",
        "This function is not part of it, or its table cowrie_migration_log does not exist.",
        "Run DROP EXTENSION cowrie_migrate; CREATE EXTENSION cowrie_migrate;");
  Extension extension;
  extension.id = found.id;
  extension.schema = found.schema;
  extension.internal = found.internal;
  extension.owner = found.ledger_owner;
  extension.ledger = qualified(found.schema_name, ledger_table);
  return extension;
}

} // namespace cowrie::pg
