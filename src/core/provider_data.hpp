// Provider data: what one document says of an IP and of its ASN, written as JSON that jsonb
// accepts.
//
// What it may know: documents. Error regime: a document that is no JSON gives `{}`; only
// std::bad_alloc is thrown.
#pragma once

#include <string>

#include "core/document.hpp"

namespace cowrie {

/** Writes the provider data in flat shape: the top level's, and what only the entry has. The entry
 *  is the one that document.entry_of() found last. */
std::string provider_data_of(Document &document);

/** Tells whether provider_data_of() has a key whose value is not null, without writing it. */
bool has_provider_data(Document &document, const Values *entry);

/** Writes the ASN fields of maxmind, cymru and dshield. A provider is taken from one level. */
std::string asn_data_of(const Values &top, const Values *entry);

} // namespace cowrie
