// The walk: the pass over simdjson's On-Demand tokens.
//
// On-Demand and not DOM: DOM refuses a whole document for one lone surrogate or one huge number,
// which PostgreSQL's json accepts. On-Demand checks UTF-8, the strings' ends and what is looked at;
// what is skipped is only balanced. In the server documents come from a json column and are valid
// but for their encoding (SQL_ASCII databases); elsewhere broken text gives facts or `unparsable`.
// Error regime: simdjson's error codes; only std::bad_alloc is thrown. Included by document.cpp
// only.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <simdjson.h>

#include "core/base/ascii.hpp"
#include "core/document/document.hpp"
#include "core/document/document_paths.hpp"
#include "core/document/json_text.hpp"

namespace cowrie {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

/** A key as it stands in the text. */
struct Key {
  std::string_view body;
  bool escaped;
};

/** Finds the end of a key. The pass has checked that every string ends inside the document. */
inline Key key_of(ondemand::field &field) noexcept {
  const char *start = field.key().raw();
  const char *end = start;
  bool escaped = false;
  for (; *end != '"'; ++end) {
    if (*end == '\\') {
      escaped = true;
      ++end;
    }
  }
  return {{start, static_cast<std::size_t>(end - start)}, escaped};
}

inline bool starts_value(std::string_view token) noexcept {
  return !token.empty() && std::strchr("{[\"-0123456789tfn", token.front()) != nullptr &&
         token.front() != '\0';
}

/** Tells whether a string may become an element of a text array: what would need quoting in an
 *  array literal is left out, as it is in the generated column. */
inline bool usable_type(std::string_view body, std::string &scratch) {
  const std::string_view text = json::text_of(body, scratch);
  for (const char c : text)
    if (ascii::is_control(c) || c == '"' || c == '\\')
      return false;
  return !text.empty();
}

#define RETURN_IF_ERROR(expression)                                                                \
  do {                                                                                             \
    if (const error_code error = (expression))                                                     \
      return error;                                                                                \
  } while (false)

/** Reads a whole value, raw. */
inline error_code raw_value(ondemand::value &value, std::string_view &raw) {
  raw = value.raw_json_token();
  if (raw.front() == '{') {
    ondemand::object object;
    RETURN_IF_ERROR(value.get_object().get(object));
    RETURN_IF_ERROR(object.raw_json().get(raw));
  } else if (raw.front() == '[') {
    ondemand::array array;
    RETURN_IF_ERROR(value.get_array().get(array));
    RETURN_IF_ERROR(array.raw_json().get(raw));
  }
  raw = json::trim_end(raw);
  return json::kind_of(raw) == json::Kind::broken ? simdjson::TAPE_ERROR : simdjson::SUCCESS;
}

/** Walks a document and notes what it meets. */
struct Walk {
  Document &document;
  ondemand::document &json;

  /** Calls `visit` with every key (its body, and its text if it differs) and value of an object. */
  template <typename Visit> error_code each(ondemand::object &object, Visit visit) {
    for (auto result : object) {
      ondemand::field field;
      RETURN_IF_ERROR(std::move(result).get(field));
      const Key key = key_of(field);
      if (key.escaped && !json::well_escaped(key.body))
        return simdjson::STRING_ERROR;
      ondemand::value value = field.value();
      if (!starts_value(value.raw_json_token()))
        return simdjson::TAPE_ERROR;
      RETURN_IF_ERROR(visit(key, value));
    }
    return simdjson::SUCCESS;
  }

  std::string_view text_of(const Key &key) {
    return key.escaped ? json::text_of(key.body, document.scratch_) : key.body;
  }

  /** Notes the values of a whole document. */
  error_code root(const paths::Level &level) {
    ondemand::object object;
    RETURN_IF_ERROR(json.get_object().get(object));
    RETURN_IF_ERROR(keys(object, level, document.top_, true));
    return at_end();
  }

  /** Notes the values of an entry of `session` that is read for itself. */
  error_code entry(Values &into) {
    ondemand::object object;
    RETURN_IF_ERROR(json.get_object().get(object));
    RETURN_IF_ERROR(keys(object, paths::Level(paths::entry), into, true));
    return at_end();
  }

  /** Lists the provider data of a document or an entry. */
  error_code members(std::vector<Member> &members, std::string &key_texts, bool in_entry) {
    ondemand::object object;
    RETURN_IF_ERROR(json.get_object().get(object));
    return each(object, [&](const Key &key, ondemand::value &value) -> error_code {
      std::string_view text = key.body;
      if (key.escaped) {
        // A text is never longer than its escaped form: with room for the whole document the texts
        // never move.
        if (key_texts.capacity() < document.size_)
          key_texts.reserve(document.size_);
        const std::size_t at = key_texts.size();
        json::append_text(key_texts, key.body);
        text = std::string_view(key_texts).substr(at);
      }
      const paths::Node *node = paths::Level(paths::top).find(text);
      if (node != nullptr && node->session_scoped)
        return simdjson::SUCCESS;
      std::string_view raw;
      RETURN_IF_ERROR(raw_value(value, raw));
      members.push_back({text, raw, in_entry});
      return simdjson::SUCCESS;
    });
  }

  /** Tells whether nothing follows the object that was read. */
  error_code at_end() {
    const char *rest = nullptr;
    return json.current_location().get(rest) == simdjson::OUT_OF_BOUNDS ? simdjson::SUCCESS
                                                                        : simdjson::TAPE_ERROR;
  }

  error_code level(ondemand::value &value, const paths::Level &level, Values &into) {
    ondemand::object object;
    RETURN_IF_ERROR(value.get_object().get(object));
    return keys(object, level, into, false);
  }

  /** Notes the values of one level. `providers`: its keys are provider data. */
  error_code keys(ondemand::object &object, const paths::Level &level, Values &into,
                  bool providers) {
    return each(object, [&](const Key &key, ondemand::value &value) -> error_code {
      if (providers)
        document.has_keys_ = true;
      const paths::Node *node = level.find(text_of(key));
      if (providers && (node == nullptr || !node->session_scoped))
        into.provider_keys.note(key.body, value.raw_json_token().front() == 'n');
      return node == nullptr ? simdjson::SUCCESS : take(*node, value, into);
    });
  }

  error_code take(const paths::Node &node, ondemand::value &value, Values &into) {
    const std::string_view token = value.raw_json_token();
    const bool is_object = token.front() == '{';
    switch (node.take) {
    case paths::Take::leaf:
      return raw_value(value, into.tokens[static_cast<std::size_t>(node.first)]);
    case paths::Take::object: {
      const auto first = static_cast<std::size_t>(node.first);
      const auto last = static_cast<std::size_t>(node.last);
      if (!into.tokens[first].empty())
        for (std::size_t slot = first; slot <= last; ++slot)
          into.tokens[slot] = {};
      into.tokens[first] = json::trim_end(token);
      return is_object ? level(value, paths::Level(node), into) : simdjson::SUCCESS;
    }
    case paths::Take::spur:
    case paths::Take::client:
    case paths::Take::types:
      return types(node, value, into);
    case paths::Take::session:
      return session(value);
    case paths::Take::nothing:
      break;
    }
    return simdjson::SUCCESS;
  }

  error_code types(const paths::Node &node, ondemand::value &value, Values &into) {
    constexpr std::size_t infrastructure = 3; // of a list-shaped spur
    into.types.clear();
    into.types_in_list = false;
    const char first = value.raw_json_token().front();
    if (node.take != paths::Take::types && first == '{')
      return level(value, paths::Level(node), into);
    if (node.take == paths::Take::types && first == '"')
      return type(value.raw_json_token(), into);
    if (first != '[' || node.take == paths::Take::client)
      return simdjson::SUCCESS;
    const bool list = node.take == paths::Take::spur;
    into.types_in_list = list;
    ondemand::array array;
    RETURN_IF_ERROR(value.get_array().get(array));
    std::size_t index = 0;
    for (auto result : array) {
      ondemand::value element;
      RETURN_IF_ERROR(result.get(element));
      const std::string_view token = element.raw_json_token();
      if (!starts_value(token))
        return simdjson::TAPE_ERROR;
      if (token.front() == '"' && (!list || index == infrastructure))
        RETURN_IF_ERROR(type(token, into));
      ++index;
    }
    return simdjson::SUCCESS;
  }

  error_code type(std::string_view token, Values &into) {
    token = json::trim_end(token);
    if (json::kind_of(token) != json::Kind::string)
      return simdjson::STRING_ERROR;
    if (usable_type(json::body_of(token), document.scratch_))
      into.types.push_back(json::body_of(token));
    return simdjson::SUCCESS;
  }

  error_code session(ondemand::value &value) {
    document.forget_session();
    if (value.raw_json_token().front() != '{')
      return simdjson::SUCCESS;
    ondemand::object object;
    RETURN_IF_ERROR(value.get_object().get(object));
    return each(object, [&](const Key &key, ondemand::value &entry) -> error_code {
      if (document.first_session_key_.data() == nullptr)
        document.first_session_key_ = key.body;
      IpAddress ip;
      if (parse_ip_address(text_of(key), ip) != ValueState::used)
        return simdjson::SUCCESS;
      return session_entry(key, ip, entry);
    });
  }

  /** Notes an entry. The values of the first one are kept, which spares the usual document, with
   *  its one entry, a second pass. The others are walked all the same, so that a broken one makes
   *  the document unparsable whichever is asked for later; of them only the place is kept. */
  error_code session_entry(const Key &key, const IpAddress &ip, ondemand::value &value) {
    std::string_view raw = value.raw_json_token();
    const bool kept = document.entries_.empty() && raw.front() == '{';
    if (raw.front() == '{') {
      Values &into = kept ? document.entry_ : document.unkept_;
      into.clear();
      ondemand::object object;
      RETURN_IF_ERROR(value.get_object().get(object));
      RETURN_IF_ERROR(keys(object, paths::Level(paths::entry), into, true));
      const char *end = nullptr;
      RETURN_IF_ERROR(json.current_location().get(end));
      raw = json::trim_end({raw.data(), static_cast<std::size_t>(end - raw.data())});
    } else {
      RETURN_IF_ERROR(raw_value(value, raw));
    }
    document.note_entry(key.body, ip, raw, kept);
    return simdjson::SUCCESS;
  }
};

} // namespace cowrie
