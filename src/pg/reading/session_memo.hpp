// Session memo: one document is detoasted and read once, however many columns ask for it.
//
// The functions that fill the session columns all call session_facts() with the same row; the first
// reads the document, the others find it here. Nothing in a result depends on the memo. It is
// emptied at the end of every transaction. Error regime: throws.
#pragma once

#include "core/document/facts_message.hpp"
#include "pg/reading/event_lookup.hpp"

namespace cowrie::pg {

/** The row whose columns are being filled; the arguments of the fill functions. */
struct SessionArguments {
  Oid document_type = InvalidOid;
  bool has_document = false; ///< not SQL NULL
  Datum document = 0;
  bool has_session_id = false;
  Datum session_id = 0;
  std::string_view session_id_text;
  std::string_view source_ip;    ///< the value that is there already; empty: none
  EventLookup *events = nullptr; ///< where to look its address up; null: where the fill run does
};

/** What is known of a document, and its stored bytes as long as it is the current one. */
struct SessionFacts {
  const Facts *facts = nullptr;
  std::optional<std::string_view> document; ///< its stored bytes; nothing for SQL NULL
  std::optional<std::string_view> kept;     ///< DocumentText::kept_bytes()
  const SessionReading *reading = nullptr;  ///< where another process has read it, and no bytes
};

/** What the proof and the counts take from a document. */
struct DocumentSums {
  Sum128 document, kept; ///< as in SessionReading
  bool null_escape = false;
};
DocumentSums document_sums(const SessionArguments &row, const SessionFacts &found) noexcept;

/** enrichment_at of a session with a document, as timestamptz: what it says itself, else when the
 *  session was created, else when it ended. */
inline std::optional<std::int64_t> enrichment_moment(const Facts &facts,
                                                     std::optional<std::int64_t> created,
                                                     std::optional<std::int64_t> last) {
  constexpr std::int64_t unix_to_postgres =
      (std::int64_t(POSTGRES_EPOCH_JDATE) - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
  if (facts.enriched_at)
    return *facts.enriched_at - unix_to_postgres;
  return created ? created : last;
}

/** A hash of the document as it is stored: of where it is, or of all its bytes. */
std::uint64_t stored_hash(const SessionArguments &row) noexcept;

/** Returns the facts of a session, reading its document unless it was the last one asked for. */
SessionFacts session_facts(const SessionArguments &row);

/** Tells whether this is the document that session_facts() has read last, by its stored bytes. */
bool is_last_document(std::string_view session_id, Datum document) noexcept;

/** Reads a document for a function that is no part of a fill, unless it was the last one read. The
 *  reader is the backend's. */
EnrichmentReader &read_document(Datum document, Oid type);

/** The same for SQL NULL: the facts of nothing. */
EnrichmentReader &read_no_document();

/** Asks the session's earliest raw event for its address, where the document leaves it open. */
std::optional<EventAddress> ask_event(EventLookup &events, EnrichmentReader &reader,
                                      Datum session_id);

/** Empties the memo. */
void forget_memo() noexcept;

/** Has the memo emptied at the end of transactions and subtransactions; once per backend. */
void register_memo_callbacks();

} // namespace cowrie::pg
