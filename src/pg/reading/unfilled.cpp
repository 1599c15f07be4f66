// Unfilled sessions: those that lack something which their document tells.
#include "pg/reading/unfilled.hpp"

#include "pg/catalog/typed_columns.hpp"
#include "pg/reading/session_memo.hpp"

namespace cowrie::pg {
namespace {

/** A scan of one leaf that stops at sessions in which something is NULL. */
class IncompleteSessions : Live {
public:
  IncompleteSessions(Oid leaf, Snapshot snapshot, bool snapshots_are_final)
      : final_(snapshots_are_final) {
    call([&] {
      table_ = table_open(leaf, AccessShareLock);
      find_columns_unsafe();
      slot_ = table_slot_create(table_, nullptr);
      scan_ = table_beginscan_strat(table_, snapshot, 0, nullptr, true, false);
      row_memory_ = AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate session",
                                          ALLOCSET_DEFAULT_SIZES);
    });
  }
  // What is open goes with the resource owner after an error.
  ~IncompleteSessions() = default;
  IncompleteSessions(const IncompleteSessions &) = delete;
  IncompleteSessions &operator=(const IncompleteSessions &) = delete;

  FillCount count() {
    while (call([this] { return next_unsafe(); }))
      if (call([this] { return has_document_unsafe(); }) && lacks_something())
        ++found_.sessions;
    call([this] {
      MemoryContextDelete(row_memory_);
      table_endscan(scan_);
      ExecDropSingleTupleTableSlot(slot_);
      table_close(table_, NoLock);
    });
    return found_;
  }

private:
  void find_columns_unsafe() {
    TupleDesc shape = RelationGetDescr(table_);
    document_ = typed_column(shape, "enrichment", types::document);
    address_ = typed_column(shape, "source_ip", types::text);
    moment_ = any_column(shape, "enrichment_at");
    asn_ = any_column(shape, "snapshot_asn");
    country_ = any_column(shape, "snapshot_country");
    ip_type_ = any_column(shape, "snapshot_ip_type");
    struct {
      const TypedColumn &found;
      const char *name;
    } const all[] = {{document_, "enrichment"},      {address_, "source_ip"},
                     {moment_, "enrichment_at"},     {asn_, "snapshot_asn"},
                     {country_, "snapshot_country"}, {ip_type_, "snapshot_ip_type"}};
    for (const auto &each : all)
      if (!each.found)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("column \"%s\" of \"%s\" cannot be filled", each.name,
                               RelationGetRelationName(table_)),
                        errdetail("It is missing, or it has another type than before."),
                        errhint("Repeat the call.")));
  }

  /** Goes to the next session in which something that is not final is NULL; false: none. */
  bool next_unsafe() {
    while (table_scan_getnextslot(scan_, ForwardScanDirection, slot_)) {
      CHECK_FOR_INTERRUPTS();
      ++found_.of;
      bool made = false;
      HeapTuple row = ExecFetchSlotHeapTuple(slot_, false, &made);
      const auto is_null = [&](const TypedColumn &column) {
        return heap_attisnull(row, column.number, RelationGetDescr(table_));
      };
      no_address_ = is_null(address_);
      taken_ = !is_null(moment_);
      const bool open = !(taken_ && final_);
      no_asn_ = open && is_null(asn_);
      no_country_ = open && is_null(country_);
      no_type_ = open && is_null(ip_type_);
      if (made)
        heap_freetuple(row);
      if (no_address_ || !taken_ || no_asn_ || no_country_ || no_type_)
        return true;
    }
    return false;
  }

  bool has_document_unsafe() {
    bool is_null = true;
    document_value_ = slot_getattr(slot_, document_.number, &is_null);
    if (is_null)
      return false;
    MemoryContextReset(row_memory_);
    known_address_ = {};
    const Datum address = slot_getattr(slot_, address_.number, &is_null);
    if (is_null)
      return true;
    MemoryContext previous = MemoryContextSwitchTo(row_memory_);
    const varlena *text = PG_DETOAST_DATUM_PACKED(address);
    MemoryContextSwitchTo(previous);
    known_address_ = {VARDATA_ANY(text), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(text))};
    return true;
  }

  bool lacks_something() {
    const Facts &facts = read_document(document_value_, document_.type).resolve(known_address_);
    return (no_address_ && !facts.source_ip.empty()) || (!taken_ && facts.has_document) ||
           (no_asn_ && facts.asn != 0) || (no_country_ && !facts.country.empty()) ||
           (no_type_ && !facts.ip_type.empty());
  }

  const bool final_; ///< what a snapshot that was taken has no value for was not known then
  Relation table_ = nullptr;
  TableScanDesc scan_ = nullptr;
  TupleTableSlot *slot_ = nullptr;
  MemoryContext row_memory_ = nullptr;
  TypedColumn document_, address_, moment_, asn_, country_, ip_type_;
  bool no_address_ = false, taken_ = false, no_asn_ = false, no_country_ = false, no_type_ = false;
  Datum document_value_ = 0;
  std::string_view known_address_;
  FillCount found_;
};

} // namespace

FillCount count_unfilled(Oid leaf, Snapshot snapshot, bool snapshots_are_final) {
  return IncompleteSessions(leaf, snapshot, snapshots_are_final).count();
}

} // namespace cowrie::pg
