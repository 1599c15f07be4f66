// Derivation parts: the pieces of SQL that the derivation's statements share, in whatever order a
// migration runs them: in one transaction (derivation.cpp), or in batches while an application goes
// on writing (online.cpp).
//
// Error regime: never fails.
#pragma once

#include <functional>
#include <string>

#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"
#include "core/sql/derivation.hpp"

namespace cowrie::derivation {

std::string sessions_of(const Target &target);
std::string staging_of(const Target &target);

/** An event time as timestamptz: a column without time zone means UTC and is never altered. */
std::string utc(const Table &observed, const std::string &column, const std::string &alias = "");

/** `character varying(45)` without its length: a type as functions are declared with. */
std::string without_length(const std::string &type);

/** The document with its exact type. Every argument of our functions is cast to exactly what they
 *  are declared with: else a function of the same name that somebody planted beside them, with
 *  argument types that fit better, would be preferred, and run as the owner of the tables. */
std::string document(const Target &target, const std::string &alias = "");

/** The arguments that the fill functions share: the document, the key, what is there, the times.
 *  `value_of` writes what is there of a column; by default the column itself. */
std::string fill_arguments(const Target &target, const Table &declared, const Table &observed,
                           const std::function<std::string(const Column &)> &value_of = {});

/** `"ext"."cowrie_fill_source_ip"(…)`: one function per session column, by its name. */
std::string fill_call(const Target &target, const Column &column, const std::string &arguments);

/** The sessions that an UPDATE looks at, without reading their documents. */
std::string condition(const Table &declared, FillScope scope);

/** ` SYSTEM (12.5) REPEATABLE (16)`: the same pages in every call. */
std::string system_sample(double share);

} // namespace cowrie::derivation
