// Session filler: gives the row of a session the values of its new columns.
#include "pg/rewrite/session_filler.hpp"

#include "pg/catalog/typed_columns.hpp"

namespace cowrie::pg {
namespace {

/** A column as this module handles it. */
struct Wanted {
  const char *name;
  Oid type, other_type;
};

} // namespace

// A timestamp without time zone means UTC: its bits are those of the timestamptz.
void SessionFiller::find_columns_unsafe(Relation sessions) {
  static constexpr Wanted wanted[place_count] = {
      {"session_id", VARCHAROID, TEXTOID},
      {"enrichment", JSONOID, JSONBOID},
      {"source_ip", VARCHAROID, VARCHAROID},
      {"enrichment_at", TIMESTAMPTZOID, TIMESTAMPTZOID},
      {"snapshot_asn", INT4OID, INT4OID},
      {"snapshot_country", VARCHAROID, VARCHAROID},
      {"snapshot_ip_type", TEXTOID, TEXTOID},
      {"first_event_at", TIMESTAMPTZOID, TIMESTAMPOID},
      {"last_event_at", TIMESTAMPTZOID, TIMESTAMPOID},
      {"created_at", TIMESTAMPTZOID, TIMESTAMPOID},
  };
  TupleDesc shape = RelationGetDescr(sessions);
  for (int place = 0; place < place_count; ++place) {
    const Wanted &each = wanted[place];
    const TypedColumn found = typed_column(shape, each.name, {each.type, each.other_type});
    if (!found)
      ereport(ERROR,
              (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
               errmsg("column \"%s\" of \"%s\" cannot be filled", each.name,
                      RelationGetRelationName(sessions)),
               errdetail("It must be %s.", format_type_be(each.type)),
               errhint("Run SET cowrie_migrate.rewrite = 'alter_table'; and repeat the call.")));
    places_[place] = found.number - 1;
    if (place == enrichment)
      document_type_ = found.type;
  }
}

void SessionFiller::fill(FillRun &run, Datum *values, bool *nulls) const {
  const auto is_null = [&](Place place) { return nulls[places_[place]]; };
  const auto value = [&](Place place) -> Datum & { return values[places_[place]]; };
  const auto text_of = [&](Place place) -> std::string_view {
    if (is_null(place))
      return {};
    const varlena *text = call([&] { return PG_DETOAST_DATUM_PACKED(value(place)); });
    return {VARDATA_ANY(text), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(text))};
  };
  const auto time_of = [&](Place place) {
    return is_null(place) ? std::nullopt
                          : std::optional<std::int64_t>(DatumGetTimestampTz(value(place)));
  };

  SessionArguments row;
  row.document_type = document_type_;
  row.has_document = !is_null(enrichment);
  row.document = row.has_document ? value(enrichment) : 0;
  row.has_session_id = !is_null(session_id);
  row.session_id = row.has_session_id ? value(session_id) : 0;
  row.session_id_text = text_of(session_id);
  row.source_ip = text_of(source_ip);
  const SessionFacts found = session_facts(row);
  const Facts &facts = *found.facts;

  FilledSession session = filled_session(
      row, found,
      is_null(asn) ? std::nullopt : std::optional<std::int32_t>(DatumGetInt32(value(asn))));
  session.first = time_of(first);
  session.last = time_of(last);
  session.created = time_of(created);
  const std::optional<std::int64_t> moment =
      facts.has_document ? enrichment_moment(facts, session.created, session.last) : std::nullopt;

  call([&] {
    run.take_unsafe(session);
    const auto set = [&](Place place, bool known, auto make) {
      if (!is_null(place) || !known)
        return;
      value(place) = make();
      nulls[places_[place]] = false;
    };
    set(source_ip, !facts.source_ip.empty(), [&] { return text_datum_unsafe(facts.source_ip); });
    set(enrichment_at, moment.has_value(), [&] { return TimestampTzGetDatum(*moment); });
    set(asn, facts.asn != 0, [&] { return Int32GetDatum(facts.asn); });
    set(country, !facts.country.empty(), [&] { return text_datum_unsafe(facts.country); });
    set(ip_type, !facts.ip_type.empty(), [&] { return text_datum_unsafe(facts.ip_type); });
  });
}

} // namespace cowrie::pg
