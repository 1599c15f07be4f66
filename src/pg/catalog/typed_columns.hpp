// Typed columns: the one way to a column by its name. A value is a number or a pointer, depending
// on its type, and anybody may make a table with a column of any name and type: so a column is
// found only together with the types that its reader knows how to read.
//
// Error regime: functions named _unsafe may longjmp; the others never raise.
#pragma once

#include <initializer_list>

#include "pg/boundary/imports.h"

namespace cowrie::pg {

/** A column whose type is one of those asked for; number 0: there is none. */
struct TypedColumn {
  AttrNumber number = 0;
  Oid type = InvalidOid;
  explicit operator bool() const noexcept { return number != 0; }
};

namespace types {
inline constexpr std::initializer_list<Oid> text = {VARCHAROID, TEXTOID};
inline constexpr std::initializer_list<Oid> document = {JSONOID, JSONBOID};
inline constexpr std::initializer_list<Oid> time = {TIMESTAMPTZOID, TIMESTAMPOID};
inline constexpr std::initializer_list<Oid> integer = {INT4OID, INT8OID};
inline constexpr std::initializer_list<Oid> int4 = {INT4OID};
inline constexpr std::initializer_list<Oid> boolean = {BOOLOID};
inline constexpr std::initializer_list<Oid> timestamptz = {TIMESTAMPTZOID};
} // namespace types

/** Finds a column that has one of the types. */
TypedColumn typed_column(TupleDesc shape, std::string_view name, std::initializer_list<Oid> types);

/** Finds a column of any type: to compare it with itself, not to be read. */
TypedColumn any_column(TupleDesc shape, std::string_view name);

/** Opens a work table of a migration, to write rows into it without a statement: an ordinary table
 * that belongs to the owner of the sessions and whose columns have these types, in this order.
 * Null: there is no such table, whatever has its name. */
Relation open_work_table_unsafe(const char *name, Oid schema, Oid owner,
                                std::initializer_list<std::initializer_list<Oid>> columns);

} // namespace cowrie::pg
