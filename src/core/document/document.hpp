// Documents: the one pass over a JSON text that notes where the known values stand.
//
// It notes tokens, it does not judge them: which value is used is enrichment.cpp's. What it may
// know: JSON text and the paths that providers use. Error regime: a document that is no JSON
// becomes `unparsable` as a whole; only std::bad_alloc is thrown.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/document/ip_address.hpp"

namespace cowrie {

/** The values that are noted, each under its path; an object stands right before what is in it. */
enum class Slot : std::uint8_t {
  session_metadata,
  session_metadata_source_ip,
  dshield,
  dshield_ip,
  dshield_ip_number,
  dshield_ip_asn,
  dshield_ip_asname,
  dshield_ip_ascountry,
  maxmind,
  maxmind_asn,
  maxmind_asn_org,
  maxmind_country,
  cymru,
  cymru_asn,
  cymru_asn_org,
  cymru_country,
  cymru_registry,
  greynoise,
  greynoise_noise,
  validation,
  validation_is_bogon,
  enriched_at,
  src_ip,  ///< of a raw event
  peer_ip, ///< of a raw event
  none,    ///< no slot; also the count of slots
};
inline constexpr std::size_t slot_count = static_cast<std::size_t>(Slot::none);

/** Returns the path of a slot, such as `dshield.ip.asn`. */
std::string_view slot_path(Slot slot) noexcept;

/** Follows the keys of one level, to tell whether any keeps a value that is not null: of equal keys
 *  only the last counts. */
class NonNullKeys {
public:
  void note(std::string_view key_body, bool is_null);
  bool certain() const noexcept { return candidate_.data() != nullptr || !lost_; }
  bool any() const noexcept { return candidate_.data() != nullptr; }

private:
  std::string_view candidate_; ///< a key whose value was not null when it was last seen
  bool lost_ = false;          ///< a candidate became null: others may have been forgotten
};

/** What stands at one level: the top of a document, or an entry of its `session`. All views point
 *  into the document. */
struct Values {
  std::array<std::string_view, slot_count> tokens; ///< whole values; of slots with children a part
  std::vector<std::string_view> types;             ///< usable IP types, as string bodies
  bool types_in_list = false;                      ///< they come from a list-shaped `spur`
  NonNullKeys provider_keys;

  std::string_view operator[](Slot slot) const noexcept {
    return tokens[static_cast<std::size_t>(slot)];
  }
  void clear() noexcept;
};

/** A key and its raw value. */
struct Member {
  std::string_view key; ///< its text, escapes resolved
  std::string_view value;
  bool in_entry; ///< it stands in the entry of `session`, not at the top
};

/** Tells whether a document is a string that holds an object: JSON that has been encoded twice. */
bool is_encoded_twice(std::string_view json) noexcept;

class Document {
public:
  enum class State : std::uint8_t {
    no_object, ///< another JSON value, or nothing at all
    parsed,
    unparsable,
    too_deep,
  };
  enum class Shape : std::uint8_t { enrichment, raw_event };
  /** Which level of the document: its top, or the entry that entry_of() found last. */
  enum class Level : std::uint8_t { top, entry };

  Document();
  ~Document();
  Document(const Document &) = delete;
  Document &operator=(const Document &) = delete;

  void read(std::string_view json, Shape shape);

  State state() const noexcept { return state_; }
  /** Tells whether it is an object with at least one key; of broken text, whether it begins so. */
  bool has_keys() const noexcept { return has_keys_; }
  std::string_view text() const noexcept { return {buffer_.get(), size_}; }
  const Values &top() const noexcept { return top_; }

  /** Tells whether `session` has any key, and whether any of them is an IP address. */
  bool has_session_keys() const noexcept { return first_session_key_.data() != nullptr; }
  bool has_session_ip() const noexcept { return !entries_.empty(); }
  bool has_several_session_ips() const noexcept { return several_ips_; }
  std::string_view first_session_key() const noexcept { return first_session_key_; } ///< its body
  const IpAddress &first_session_ip() const noexcept { return first_ip_; }

  /** Looks up the entry of `session` whose key is this address, in any spelling; the last wins.
   *  Null: there is none, or it is no object. */
  const Values *entry_of(const IpAddress &address);
  bool has_session_entry(const IpAddress &address);
  /** Forgets the entry that was found last. */
  void leave_entry() noexcept { selected_ = no_entry; }

  /** Lists the keys of a level that are provider data, repeated ones too, in document order.
   * Escaped keys are written to `key_texts`, which must live as long as the members. False:
   * unparsable. */
  bool provider_members(Level level, std::vector<Member> &members, std::string &key_texts);

  /** Gives back the memory that a large document left behind, and the document with it; tells
   *  whether there was one. */
  bool release() noexcept;

private:
  struct Parser;
  friend struct Walk;

  /** An entry of `session` under a key that is an IP address, as offsets into the text: there may
   *  be millions of them. */
  struct Entry {
    std::uint32_t key_at = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_at = 0;
    std::uint32_t value_size = 0;
  };
  static constexpr std::size_t no_entry = static_cast<std::size_t>(-1);

  void take(std::string_view json);
  void become_unparsable() noexcept;
  void forget_session() noexcept;
  void note_entry(std::string_view key, const IpAddress &ip, std::string_view value, bool kept);
  std::size_t find_entry(const IpAddress &address);
  std::string_view value_of(const Entry &entry) const noexcept {
    return {buffer_.get() + entry.value_at, entry.value_size};
  }

  std::unique_ptr<char[]> buffer_; ///< the text and the padding that simdjson reads beyond it
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::unique_ptr<Parser> parser_;
  State state_ = State::no_object;
  bool has_keys_ = false;
  Values top_;
  Values entry_;  ///< of entries_[kept_entry_]
  Values unkept_; ///< of the other entries, one at a time
  std::size_t kept_entry_ = no_entry;
  std::size_t selected_ = no_entry; ///< what entry_of() found last
  std::string_view first_session_key_;
  std::vector<Entry> entries_;
  IpAddress first_ip_;
  IpAddress last_ip_;
  bool several_ips_ = false;
  std::string scratch_;
};

} // namespace cowrie
