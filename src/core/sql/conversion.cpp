// Conversion: how the values of a column of another type become values of the declared one.
#include "core/sql/conversion.hpp"

#include "core/base/text.hpp"

namespace cowrie {
namespace {

/** `timestamp(3) without time zone` is one as well. */
bool is_local_time(const std::string &type) {
  return starts_with(type, "timestamp") && contains(type, "without time zone");
}
bool is_moment(const std::string &type) {
  return starts_with(type, "timestamp") && contains(type, "with time zone");
}

} // namespace

bool is_list_of_texts(const Column &observed) noexcept {
  const std::string &type = observed.type;
  return type == "text[]" || (starts_with(type, "character varying") && contains(type, "[]"));
}

Conversion conversion(const Target &target, const Column &declared, const Column &observed,
                      const std::string &alias) {
  const std::string name = alias + quote_identifier(observed.name);
  const auto own = [&](const char *function, const std::string &argument) {
    return qualified(target.extension_schema, function) + "(" + argument + ")";
  };
  const std::string &from = observed.type;
  if (declared.type == "jsonb") {
    // Text that is no JSON raises when it is read as json.
    const std::string document = from == "json" ? name : name + "::text::json";
    return {own("cowrie_as_jsonb", document), from == "json" ? "" : document + " IS NOT NULL",
            own("cowrie_unfit_for_jsonb", document)};
  }
  if (from == "inet")
    return {"host(" + name + ")::" + declared.type, "", ""};
  if (is_moment(declared.type) && is_local_time(from))
    return {"(" + name + " AT TIME ZONE 'UTC')::" + declared.type, "", ""};
  if (is_moment(declared.type) && is_moment(from))
    return {name + "::" + declared.type, "", ""};
  const std::string values = name + "::text::" + declared.type;
  return {values, "(" + values + ")::text = " + name + "::text", ""};
}

} // namespace cowrie
