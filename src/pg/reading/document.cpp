// Documents: json and jsonb in and out.
#include "pg/reading/document.hpp"

#include <algorithm>

namespace cowrie::pg {
namespace {

bool same_as_utf8() noexcept {
  return GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
}

bool is_ascii(std::string_view text) noexcept {
  for (unsigned char c : text)
    if (c >= 0x80)
      return false;
  return true;
}

/** Converts from UTF-8 to the database's encoding; what it lacks becomes '?'. */
std::string_view to_server_unsafe(std::string_view utf8) {
  if (same_as_utf8() || is_ascii(utf8))
    return utf8;
  const int encoding = GetDatabaseEncoding();
  const Oid conversion = FindDefaultConversionProc(PG_UTF8, encoding);
  StringInfoData out;
  initStringInfo(&out);
  std::size_t at = 0;
  while (at < utf8.size()) {
    const unsigned char *source = reinterpret_cast<const unsigned char *>(utf8.data()) + at;
    const int length = std::min(pg_utf_mblen(source), static_cast<int>(utf8.size() - at));
    unsigned char buffer[MAX_CONVERSION_GROWTH * 4 + 1];
    int converted = 0;
    if (OidIsValid(conversion) && *source >= 0x80)
      converted = pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding,
                                                const_cast<unsigned char *>(source), length, buffer,
                                                sizeof(buffer), true);
    if (*source < 0x80)
      appendStringInfoChar(&out, static_cast<char>(*source));
    else if (converted == length)
      appendStringInfoString(&out, reinterpret_cast<char *>(buffer));
    else
      appendStringInfoChar(&out, '?');
    at += length;
  }
  return {out.data, static_cast<std::size_t>(out.len)};
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** The code unit of a \uXXXX escape at `at`; -1: there is none. */
int unicode_escape(std::string_view text, std::size_t at) noexcept {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u')
    return -1;
  int unit = 0;
  for (std::size_t i = at + 2; i < at + 6; ++i)
    unit = unit * 16 + hex_value(text[i]);
  return unit;
}

/** Writes \u escapes above ASCII as characters: outside UTF-8 databases jsonb input refuses
 *  escapes that it cannot translate, while a converted character can be replaced. */
std::string_view without_escapes_unsafe(std::string_view json) {
  StringInfoData out;
  initStringInfo(&out);
  for (std::size_t at = 0; at < json.size();) {
    const int unit = unicode_escape(json, at);
    if (json[at] == '\\' && unit < 0x80) {
      appendBinaryStringInfo(&out, json.data() + at, 2); // an escaped backslash is passed whole
      at += 2;
      continue;
    }
    if (unit < 0x80) {
      appendStringInfoChar(&out, json[at++]);
      continue;
    }
    char32_t character = static_cast<char32_t>(unit);
    at += 6;
    const int low = unicode_escape(json, at);
    if (unit >= 0xD800 && unit < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
      character = 0x10000 + ((character - 0xD800) << 10) + (static_cast<char32_t>(low) - 0xDC00);
      at += 6;
    }
    unsigned char buffer[8];
    unicode_to_utf8(character, buffer);
    appendBinaryStringInfo(&out, reinterpret_cast<char *>(buffer), pg_utf_mblen(buffer));
  }
  return {out.data, static_cast<std::size_t>(out.len)};
}

/** Numbers of this size and beyond, or that small, are written with an exponent. */
struct NumberBounds {
  Numeric zero, large, small;
};

const NumberBounds &number_bounds_unsafe() {
  static NumberBounds bounds{};
  if (!bounds.large) {
    MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
    const auto number_unsafe = [](const char *text) {
      return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
                                                 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
    };
    bounds.zero = number_unsafe("0");
    bounds.small = number_unsafe("1e-40");
    bounds.large = number_unsafe("1e40");
    MemoryContextSwitchTo(previous);
  }
  return bounds;
}

// More than the digits that a numeric can have.
constexpr std::size_t longest_number = 150'000;

int compare_unsafe(Numeric a, Numeric b) {
  return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

void append_number_unsafe(StringInfo out, Numeric number) {
  const NumberBounds &bounds = number_bounds_unsafe();
  Numeric size = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(number)));
  if (compare_unsafe(size, bounds.zero) == 0) {
    appendStringInfoChar(out, '0');
    return;
  }
  if (compare_unsafe(size, bounds.large) < 0 && compare_unsafe(size, bounds.small) > 0) {
    appendStringInfoString(
        out, DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))));
    return;
  }
  // Every four decimal digits take two bytes: this scale holds all of them.
  const int digits = static_cast<int>(VARSIZE_ANY_EXHDR(number)) * 2;
  const char *written = numeric_out_sci(number, digits);
  const char *exponent = std::strchr(written, 'e');
  if (!exponent) { // NaN and infinity do not occur in jsonb
    appendStringInfoString(out, written);
    return;
  }
  // Zeros at the end of the mantissa would count as decimal places.
  int mantissa = static_cast<int>(exponent - written);
  while (mantissa > 1 && written[mantissa - 1] == '0')
    --mantissa;
  if (written[mantissa - 1] == '.')
    --mantissa;
  appendBinaryStringInfo(out, written, mantissa);
  appendStringInfoString(out, exponent);
}

/** Tells whether a text of this size, all of it escaped, has room in the buffer of at most 1 GB. */
bool has_room(StringInfo out, std::size_t size) noexcept {
  constexpr std::size_t longest_escape = 6, punctuation = 8;
  return static_cast<std::size_t>(out->len) + size * longest_escape + punctuation < MaxAllocSize;
}

void append_string_unsafe(StringInfo out, const char *text, int length) {
  char *terminated = pnstrdup(text, length);
  escape_json(out, terminated);
  pfree(terminated);
}

void append_scalar_unsafe(StringInfo out, const JsonbValue &value) {
  switch (value.type) {
  case jbvNull:
    appendStringInfoString(out, "null");
    break;
  case jbvBool:
    appendStringInfoString(out, value.val.boolean ? "true" : "false");
    break;
  case jbvNumeric:
    append_number_unsafe(out, value.val.numeric);
    break;
  case jbvString:
    append_string_unsafe(out, value.val.string.val, value.val.string.len);
    break;
  default:
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("unknown type of jsonb value")));
  }
}

} // namespace

void append_jsonb_unsafe(StringInfo out, JsonbContainer *container) {
  JsonbIterator *iterator = JsonbIteratorInit(container);
  const bool scalar = JsonContainerIsScalar(container);
  JsonbValue value;
  bool first = true; // no comma before the next element or key
  JsonbIteratorToken token;
  while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE) {
    const bool item = token == WJB_ELEM || token == WJB_KEY;
    const bool scalar_follows = item || token == WJB_VALUE;
    if (!has_room(out, scalar_follows && value.type == jbvString ? value.val.string.len
                                                                 : longest_number))
      return;
    const bool opens = token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT;
    // Inside an array a container follows its predecessor; inside an object it follows its key.
    if ((item || opens) && !first)
      appendStringInfoChar(out, ',');
    switch (token) {
    case WJB_BEGIN_ARRAY:
      if (!scalar)
        appendStringInfoChar(out, '[');
      first = true;
      break;
    case WJB_BEGIN_OBJECT:
      appendStringInfoChar(out, '{');
      first = true;
      break;
    case WJB_KEY:
      append_scalar_unsafe(out, value);
      appendStringInfoChar(out, ':');
      first = true; // its value follows without a comma
      break;
    case WJB_ELEM:
    case WJB_VALUE:
      append_scalar_unsafe(out, value);
      first = false;
      break;
    case WJB_END_ARRAY:
      if (!scalar)
        appendStringInfoChar(out, ']');
      first = false;
      break;
    case WJB_END_OBJECT:
      appendStringInfoChar(out, '}');
      first = false;
      break;
    default:
      break;
    }
  }
}

namespace {

void require_document_type_unsafe(Oid type) {
  if (type != JSONOID && type != JSONBOID)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("an enrichment document must be of type json or jsonb"),
                    errdetail("It is %s.", format_type_be(type)),
                    errhint("Cast it, as in enrichment::json.")));
}

/** Returns the value as it stands in the table, fetched from TOAST, with its compressed bytes. A
 *  shorter one may stand in its row in either form, and a wider row may change that. */
varlena *fetch_unsafe(Datum datum, DocumentText &document) {
  varlena *value = reinterpret_cast<varlena *>(DatumGetPointer(datum));
  if (VARATT_IS_EXTERNAL(value))
    value = detoast_external_attr(value);
  if (VARATT_IS_COMPRESSED(value) && VARDATA_COMPRESSED_GET_EXTSIZE(value) > TOAST_TUPLE_TARGET) {
    document.compressed = VARDATA(value);
    document.compressed_size = VARSIZE(value) - VARHDRSZ;
  }
  return value;
}

varlena *decompress_unsafe(varlena *fetched, DocumentText &document) {
  varlena *plain = PG_DETOAST_DATUM_PACKED(PointerGetDatum(fetched));
  document.stored = VARDATA_ANY(plain);
  document.stored_size = VARSIZE_ANY_EXHDR(plain);
  return plain;
}

} // namespace

DocumentText kept_document_unsafe(Datum datum, Oid type) {
  require_document_type_unsafe(type);
  DocumentText document;
  varlena *fetched = fetch_unsafe(datum, document);
  if (!document.compressed)
    decompress_unsafe(fetched, document);
  return document;
}

DocumentText document_text_unsafe(Datum datum, Oid type, bool with_json) {
  require_document_type_unsafe(type);
  DocumentText document;
  varlena *plain = decompress_unsafe(fetch_unsafe(datum, document), document);
  if (!with_json)
    return document;
  if (type == JSONBOID) {
    Jsonb *jsonb = DatumGetJsonbP(PointerGetDatum(plain));
    StringInfoData out;
    initStringInfo(&out);
    append_jsonb_unsafe(&out, &jsonb->root);
    document.data = out.data;
    document.size = static_cast<std::size_t>(out.len);
  } else {
    document.data = document.stored;
    document.size = document.stored_size;
  }
  if (!same_as_utf8()) {
    // What would not fit a gigabyte when converted is cut off, too.
    constexpr std::size_t longest = MaxAllocSize / MAX_CONVERSION_GROWTH;
    if (document.size > longest)
      document.size = pg_mbcliplen(document.data, static_cast<int>(document.size), longest);
    char *converted = pg_server_to_any(document.data, static_cast<int>(document.size), PG_UTF8);
    if (converted != document.data) {
      document.data = converted;
      document.size = std::strlen(converted);
    }
  }
  return document;
}

DocumentText document_copy_unsafe(Datum datum, Oid type) {
  require_document_type_unsafe(type);
  return document_text_unsafe(PointerGetDatum(PG_DETOAST_DATUM_COPY(datum)), type);
}

Datum text_datum_unsafe(std::string_view utf8) {
  return server_text_datum_unsafe(to_server_unsafe(utf8));
}

Datum jsonb_datum_unsafe(std::string_view utf8_json) {
  if (GetDatabaseEncoding() != PG_UTF8)
    utf8_json = to_server_unsafe(without_escapes_unsafe(utf8_json));
  char *terminated = pnstrdup(utf8_json.data(), utf8_json.size());
  return DirectFunctionCall1(jsonb_in, CStringGetDatum(terminated));
}

} // namespace cowrie::pg
