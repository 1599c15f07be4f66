// Session reading: what one session's document has told, as one process writes it for another.
//
// A rewrite has the documents read by other processes than the one that writes the table. What
// lives here is the form in which their facts cross. Error regime: only std::bad_alloc is thrown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/text.hpp"
#include "core/document/enrichment.hpp"
#include "core/document/fingerprint.hpp"

namespace cowrie {

/** One session as it was read: what filling its columns, staging it and the proof need. */
struct SessionReading {
  std::string session_id;
  std::uint64_t stored = 0; ///< hash64() of its document as it is stored: this one and no other
  bool read = false;        ///< false: the reader has left it to the writer
  bool null_escape = false; ///< the document holds the escape of U+0000
  Sum128 document;          ///< document_sum() of the document
  Sum128 kept;              ///< the same of the bytes that a rewrite leaves as they are
  /** Without ip_types, is_scanner, is_bogon, and of the rejects the reasons alone. */
  Facts facts;
};

/** Appends a reading to a message between two processes of one server. */
void append(std::string &message, const SessionReading &reading);

/** Takes the first reading off a message; false: it is empty, or cut off in the middle. */
bool take(std::string_view &message, SessionReading &reading);

} // namespace cowrie
