// Documents: a json or jsonb Datum as UTF-8 JSON text, and text on its way back into the server.
//
// Error regime: functions named _unsafe may longjmp; the others throw.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** A document as the core reads it. Valid until the memory context it was made in is reset. */
struct DocumentText {
  const char *data = nullptr; ///< UTF-8 JSON text
  std::size_t size = 0;
  const char *stored = nullptr; ///< the detoasted bytes: text of a json, the binary form of a jsonb
  std::size_t stored_size = 0;
  const char *compressed = nullptr; ///< the same compressed, where the table has it so
  std::size_t compressed_size = 0;

  std::string_view json() const noexcept { return {data, size}; }
  std::string_view bytes() const noexcept { return {stored, stored_size}; }
  /** The bytes that a rewrite of the table leaves as they are: of a document too long to stand in
   *  its row uncompressed they are the compressed ones. */
  std::string_view kept_bytes() const noexcept {
    return compressed ? std::string_view{compressed, compressed_size} : bytes();
  }
};

/** Detoasts a json or jsonb datum (42804 for any other type) and writes it as UTF-8 JSON text. */
DocumentText document_text_unsafe(Datum datum, Oid type, bool with_json = true);

/** The same of a copy, where the datum belongs to a row that goes before the text does. */
DocumentText document_copy_unsafe(Datum datum, Oid type);

/** Fetches what kept_bytes() tells, and decompresses nothing that is long. */
DocumentText kept_document_unsafe(Datum datum, Oid type);

/** Writes a jsonb as JSON text of a size within a small multiple of the stored one: numbers with
 *  long runs of zeros are written with an exponent. What does not fit a gigabyte is cut off, so
 *  that the text is no JSON. */
void append_jsonb_unsafe(StringInfo out, JsonbContainer *container);

/** Makes a text datum of text that is in the database's encoding already. */
inline Datum server_text_datum_unsafe(std::string_view text) {
  return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

/** Makes a text (or varchar) datum of UTF-8 text; characters that the database's encoding lacks
 *  become question marks. */
Datum text_datum_unsafe(std::string_view utf8);

/** Makes a jsonb datum of JSON text that the core has sanitised. */
Datum jsonb_datum_unsafe(std::string_view utf8_json);

} // namespace cowrie::pg
