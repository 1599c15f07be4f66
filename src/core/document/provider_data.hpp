// Provider data: what one document says of an IP and of its ASN, written as JSON that jsonb
// accepts.
//
// What it may know: documents. Error regime: a document that is no JSON gives `{}`; only
// std::bad_alloc is thrown.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "core/document/document.hpp"

namespace cowrie {

/** The most text that provider data may have, in bytes. jsonb takes up to six bytes for one of text
 *  (`1,1,1,…`) and no more than 256 MB in all; its input needs 32 bytes of memory for a number. */
inline constexpr std::size_t largest_provider_data = std::size_t{16} * 1024 * 1024;

/** Writes the provider data in flat shape: the top level's, and what only the entry has. The entry
 *  is the one that document.entry_of() found last. */
std::string provider_data_of(Document &document);

/** Returns the first of the members that provider_data_of() leaves out because they would make it
 *  too large. An escaped key is written to `key_texts`, which must live as long as the member. */
std::optional<Member> too_large_provider_data(Document &document, std::string &key_texts);

/** Tells whether provider_data_of() has a key whose value is not null, without writing it. */
bool has_provider_data(Document &document, const Values *entry);

/** Writes the ASN fields of maxmind, cymru and dshield that are not too large. A provider is taken
 * from one level. */
std::string asn_data_of(const Values &top, const Values *entry);

} // namespace cowrie
