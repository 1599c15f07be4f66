// Target: calls of this extension's functions for a target, as an operator pastes them.
#include "core/ports/target.hpp"

#include "core/schema/versions.hpp"

namespace cowrie {

std::string Target::command(const std::string &function, const std::string &arguments) const {
  return "SELECT * FROM " + call(function, arguments) + ";";
}

std::string Target::online_call(const std::string &arguments) const {
  return "CALL " + call(function("migrate") + "_online", arguments) + ";";
}

std::string Target::migration(const std::string &with) const {
  return entry == Entry::online ? online_call(with) : command(function("migrate"), with);
}

const Schema &Target::declared() const { return declared_schema(version); }

std::string Target::function(const std::string &verb) const {
  return "cowrie_" + verb + "_v" + std::to_string(version);
}

std::string Target::validation() const {
  return call("cowrie_validate_schema",
              version == Target().version ? "" : "version => " + std::to_string(version));
}

Target Target::for_version(int other) const {
  Target result = *this;
  result.version = other;
  return result;
}

Target Target::with_schema(const std::string &name) const {
  Target result = *this;
  result.named_schema = name;
  return result;
}

std::string hint_with_call(std::string hint, const std::string &call) {
  for (const std::string words : {"repeat the call", "repeat this call"})
    if (const std::size_t at = hint.find(words); at != std::string::npos) {
      hint.replace(at, words.size(), "run " + call);
      if (const std::size_t end = at + 4 + call.size(); hint.compare(end, 1, ".") == 0)
        hint.erase(end, 1); // the semicolon ends it
    }
  if (hint.find("CALL ") != std::string::npos)
    return hint;
  return hint + (hint.empty() ? "Run " : " Then run ") + call;
}

std::string Target::call(const std::string &function, const std::string &arguments) const {
  std::string result = function + "(";
  if (!named_schema.empty())
    result += "target_schema => " + quote_literal(named_schema) + (arguments.empty() ? "" : ", ");
  return result + arguments + ")";
}

} // namespace cowrie
