// SQL online trigger: what happens to a session that the application inserts, changes or deletes
// while an online migration is on its way: it is filled as a batch would fill it, and its key is
// noted, because the inventories have to follow.
//
// It runs in the sessions of the application, as any role that may write. So it must be cheap, need
// no privilege, and never make a write fail: what it cannot do it leaves to the migration, which
// looks at every noted session. Error regime: runs in pg::entry; what raises is only what would
// have raised without it, a damaged document for instance.
#include "pg/boundary/imports.h"

#include "core/sql/online.hpp"
#include "pg/catalog/trust.hpp"
#include "pg/database/notes.hpp"
#include "pg/catalog/typed_columns.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/reading/session_memo.hpp"
#include "pg/boundary/settings.hpp"
#include "pg/boundary/spi.hpp"
#include "pg/boundary/subtransaction.hpp"
#include "api/values.hpp"

namespace cowrie::pg {
namespace {

/** One row of the table that the trigger belongs to. */
class Session {
public:
  Session(HeapTuple row, TupleDesc shape) : row_(row), shape_(shape) {}

  /** Finds a column by name, if it has one of these types. */
  int column(const char *name, std::initializer_list<Oid> types) const {
    return typed_column(shape_, name, types).number;
  }

  std::optional<Datum> value(int column) const {
    if (column == 0)
      return std::nullopt;
    bool is_null = false;
    const Datum result = heap_getattr(row_, column, shape_, &is_null);
    return is_null ? std::nullopt : std::optional<Datum>(result);
  }

  /** Compares a column with that of another version of the row, as they are stored. */
  bool same(const Session &other, const char *name) const {
    const TypedColumn found = any_column(shape_, name);
    if (!found)
      return true;
    const Form_pg_attribute each = TupleDescAttr(shape_, found.number - 1);
    const std::optional<Datum> mine = value(found.number), theirs = other.value(found.number);
    return mine.has_value() == theirs.has_value() &&
           (!mine || datumIsEqual(*mine, *theirs, each->attbyval, each->attlen));
  }

  Oid type(int column) const { return TupleDescAttr(shape_, column - 1)->atttypid; }

  std::string_view text_of(const std::optional<Datum> &value) const {
    if (!value)
      return {};
    const struct varlena *detoasted = call([&] { return DatumGetTextPP(*value); });
    return {VARDATA_ANY(detoasted), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(detoasted))};
  }

private:
  HeapTuple row_;
  TupleDesc shape_;
};

/** The table that a migration knows: a partition has a copy of its trigger. */
struct Whole {
  Oid schema, owner;
};

Whole whole_of(Relation sessions) {
  if (!sessions->rd_rel->relispartition)
    return {RelationGetNamespace(sessions), sessions->rd_rel->relowner};
  return call([=]() -> Whole {
    List *above = get_partition_ancestors(RelationGetRelid(sessions));
    const Oid root = llast_oid(above);
    list_free(above);
    HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(root));
    Whole found = {InvalidOid, InvalidOid}; // nobody's: then nothing is noted
    if (HeapTupleIsValid(row)) {
      const Form_pg_class facts = reinterpret_cast<Form_pg_class>(GETSTRUCT(row));
      found = {facts->relnamespace, facts->relowner};
      ReleaseSysCache(row);
    }
    return found;
  });
}

/** The look-up of raw events that this backend has prepared, for one table under one name: its
 *  statement names the schema, which may get another name, and another schema this one. */
struct PreparedLookup {
  Oid events = InvalidOid;
  std::string schema;
  std::unique_ptr<EventLookup> lookup;
};
PreparedLookup prepared;

/** Finds raw_events beside the sessions, where the owner of the sessions may safely read it. */
Oid readable_events(const Whole &sessions) {
  return call([&]() -> Oid {
    const Oid events = get_relname_relid("raw_events", sessions.schema);
    if (!OidIsValid(events))
      return InvalidOid;
    const Oid owner = sessions.owner;
    return events_are_trusted_unsafe(owner, events) &&
                   pg_class_aclcheck(events, owner, ACL_SELECT) == ACLCHECK_OK
               ? events
               : InvalidOid;
  });
}

/** Asks the earliest raw event, as the owner of the sessions; false: that was not possible. */
bool ask_events(const Whole &sessions, EnrichmentReader &reader, Datum session_id,
                std::optional<EventAddress> &address) {
  const Oid events = readable_events(sessions);
  if (!OidIsValid(events))
    return true; // there are none
  try {
    Subtransaction lookup;
    { // the settings end before the subtransaction that they were made in
      const PinnedSettings settings;
      const AsUser owner(sessions.owner, settings);
      Target target;
      target.schema = call([&]() -> const char * { return get_namespace_name(sessions.schema); });
      if (prepared.events != events || prepared.schema != target.schema || !prepared.lookup) {
        const SpiSession spi;
        prepared.lookup.reset();
        prepared.lookup = std::make_unique<EventLookup>(target, /* by_table: */ false);
        prepared.events = events;
        prepared.schema = target.schema;
      }
      address = ask_event(*prepared.lookup, reader, session_id);
    }
    lookup.commit();
    return true;
  } catch (const Failure &failure) {
    prepared.lookup.reset();
    if (failure.must_propagate)
      throw;
    const std::string &message = failure.message;
    call([&] {
      ereport(LOG, (errmsg("cowrie_migrate could not look up a raw event: %s", message.c_str()),
                    errhint("The migration will process this session again.")));
    });
    return false;
  }
}

/** Fills what is missing of a session; the row as it is when nothing is. */
HeapTuple filled(const TriggerData *data, HeapTuple row) {
  Relation sessions = data->tg_relation;
  TupleDesc shape = RelationGetDescr(sessions);
  const Session session(row, shape);
  const int source_ip = session.column("source_ip", types::text);
  const int enrichment_at = session.column("enrichment_at", types::timestamptz);
  const int enrichment = session.column("enrichment", types::document);
  const int session_id = session.column("session_id", types::text);
  if (!source_ip || !enrichment_at || !enrichment || !session_id)
    return row;
  const std::optional<Datum> known_ip = session.value(source_ip);
  // A snapshot that has been taken stays as it is.
  const bool taken = session.value(enrichment_at).has_value();
  if (known_ip && taken)
    return row;

  const std::optional<Datum> document = session.value(enrichment);
  const std::optional<Datum> key = session.value(session_id);
  EnrichmentReader &reader =
      document ? read_document(*document, session.type(enrichment)) : read_no_document();
  std::optional<EventAddress> event;
  const bool wants_events = data->tg_trigger->tgnargs == 1 && *data->tg_trigger->tgargs[0] != '\0';
  if (!known_ip && key && wants_events && reader.needs_event() &&
      !ask_events(whole_of(sessions), reader, *key, event))
    return row;
  const Facts &facts = reader.resolve(session.text_of(known_ip), event ? &*event : nullptr);

  int columns[5];
  Datum values[5];
  bool nulls[5] = {};
  int count = 0;
  const auto put = [&](int column, Datum value) {
    if (column == 0 || session.value(column))
      return;
    columns[count] = column;
    values[count++] = value;
  };
  const auto put_text = [&](int column, const std::string &value) {
    if (column != 0 && !value.empty())
      put(column, call([&] { return text_datum_unsafe(value); }));
  };
  put_text(source_ip, facts.source_ip);
  if (!taken && facts.has_document) {
    const auto time = [&](const char *name) -> std::optional<std::int64_t> {
      const auto found = session.value(session.column(name, types::time));
      return found ? std::optional<std::int64_t>(DatumGetTimestampTz(*found)) : std::nullopt;
    };
    if (const auto moment = enrichment_moment(facts, time("created_at"), time("last_event_at")))
      put(enrichment_at, TimestampTzGetDatum(*moment));
    if (facts.asn != 0)
      put(session.column("snapshot_asn", types::int4), Int32GetDatum(facts.asn));
    put_text(session.column("snapshot_country", types::text), facts.country);
    put_text(session.column("snapshot_ip_type", types::text), facts.ip_type);
  }
  if (count == 0)
    return row;
  return call([&] { return heap_modify_tuple_by_cols(row, shape, count, columns, values, nulls); });
}

/** Notes the key of a session, where the migration has its table for that. */
void note(Relation sessions, const std::optional<Datum> &key) {
  if (!key)
    return;
  const Whole whole = whole_of(sessions);
  call([&] {
    // A table of that name that is somebody else's gets nothing.
    Relation table = open_notes_unsafe(whole.schema, whole.owner);
    if (!table)
      return;
    insert_note_unsafe(table, *key);
    table_close(table, NoLock);
  });
}

/** Tells whether the row is being written by the migration itself: it fills what is missing of a
 *  session that it has read, and the inventories know of that. */
bool is_filled_by_run(const Session &before) {
  const FillRun *run = FillRun::current();
  return run && run->latest(before.text_of(before.value(before.column("session_id", types::text))));
}

/** Tells whether an UPDATE leaves everything as it is that the inventories are derived from. */
bool same_for_derivation(const Session &before, const Session &after) {
  for (const char *name : {"session_id", "enrichment", "first_event_at", "last_event_at",
                           "created_at", "source_ip", "snapshot_asn"})
    if (!before.same(after, name))
      return false;
  return true;
}

[[noreturn]] void refuse_truncate(Relation notes) {
  Target target;
  target.named_schema =
      call([&]() -> const char * { return get_namespace_name(RelationGetNamespace(notes)); });
  throw Failure(sqlstate::prerequisite_state, "cannot truncate a work table of an online migration",
                "It lists sessions that the migration still has to process.",
                "Finish it with " + target.online_call() + " or give it up with " +
                    target.command("cowrie_cleanup_v16"));
}

Datum online_change(FunctionCallInfo fcinfo) {
  const TriggerData *data = reinterpret_cast<const TriggerData *>(fcinfo->context);
  if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
    refuse_truncate(data->tg_relation);
  if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
      !TRIGGER_FIRED_FOR_ROW(data->tg_event))
    throw Failure(sqlstate::prerequisite_state,
                  "cowrie_online_change can be called only by the trigger of an online migration",
                  "It must be called by a BEFORE ROW trigger.",
                  "Start a migration with CALL cowrie_migrate_v16_online();");
  const bool update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
  HeapTuple row = update ? data->tg_newtuple : data->tg_trigtuple;
  TupleDesc shape = RelationGetDescr(data->tg_relation);
  const Session before(data->tg_trigtuple, shape), after(row, shape);
  if (update && is_filled_by_run(before))
    return PointerGetDatum(row);
  const int key = before.column("session_id", types::text);
  if (!update || !same_for_derivation(before, after))
    note(data->tg_relation, before.value(key));
  if (update && before.text_of(before.value(key)) != after.text_of(after.value(key)))
    note(data->tg_relation, after.value(key));
  if (!TRIGGER_FIRED_BY_DELETE(data->tg_event))
    row = filled(data, row);
  return PointerGetDatum(row);
}

} // namespace
} // namespace cowrie::pg

extern "C" {

PG_FUNCTION_INFO_V1(cowrie_online_change);
PGDLLEXPORT Datum cowrie_online_change(PG_FUNCTION_ARGS) {
  return cowrie::pg::entry([&] { return cowrie::pg::online_change(fcinfo); });
}

} // extern "C"
