// Typed columns: the one way to a column by its name.
#include "pg/catalog/typed_columns.hpp"

#include <algorithm>

namespace cowrie::pg {

namespace {

bool has_type(const FormData_pg_attribute *column, std::initializer_list<Oid> types) {
  return !column->attisdropped &&
         std::find(types.begin(), types.end(), column->atttypid) != types.end();
}

} // namespace

TypedColumn any_column(TupleDesc shape, std::string_view name) {
  for (int i = 0; i < shape->natts; ++i) {
    const Form_pg_attribute each = TupleDescAttr(shape, i);
    if (!each->attisdropped && name == NameStr(each->attname))
      return {each->attnum, each->atttypid};
  }
  return {};
}

TypedColumn typed_column(TupleDesc shape, std::string_view name, std::initializer_list<Oid> types) {
  const TypedColumn found = any_column(shape, name);
  return std::find(types.begin(), types.end(), found.type) != types.end() ? found : TypedColumn();
}

Relation open_work_table_unsafe(const char *name, Oid schema, Oid owner,
                                std::initializer_list<std::initializer_list<Oid>> columns) {
  const Oid found = get_relname_relid(name, schema);
  Relation table = OidIsValid(found) ? try_table_open(found, RowExclusiveLock) : nullptr;
  if (!table)
    return nullptr;
  TupleDesc shape = RelationGetDescr(table);
  bool ours = table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relowner == owner &&
              shape->natts == static_cast<int>(columns.size());
  int i = 0;
  for (const auto &types : columns)
    ours = ours && has_type(TupleDescAttr(shape, i++), types);
  if (ours)
    return table;
  table_close(table, RowExclusiveLock);
  return nullptr;
}

} // namespace cowrie::pg
