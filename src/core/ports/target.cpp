// Target: calls of this extension's functions for a target, as an operator pastes them.
#include "core/ports/target.hpp"

#include "core/schema/schema.hpp"

namespace cowrie {

std::string Target::command(const std::string &function, const std::string &arguments) const {
  return "SELECT * FROM " + call(function, arguments) + ";";
}

std::string Target::online_call(const std::string &arguments) const {
  return "CALL " + call("cowrie_migrate_v16_online", arguments) + ";";
}

std::string Target::call(const std::string &function, const std::string &arguments) const {
  std::string result = function + "(";
  if (!named_schema.empty())
    result += "target_schema => " + quote_literal(named_schema) + (arguments.empty() ? "" : ", ");
  return result + arguments + ")";
}

} // namespace cowrie
