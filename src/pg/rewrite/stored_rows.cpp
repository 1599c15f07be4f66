// Stored rows: a sum over rows byte by byte as a heap stores them.
#include "pg/rewrite/stored_rows.hpp"

namespace cowrie::pg {

// How many columns there are and where the first one begins tells how the bytes are read.
void StoredRows::add(HeapTuple row) noexcept {
  const HeapTupleHeader header = row->t_data;
  const std::uint16_t form[] = {static_cast<std::uint16_t>(HeapTupleHeaderGetNatts(header)),
                                header->t_hoff};
  const std::size_t begin = offsetof(HeapTupleHeaderData, t_bits);
  const std::string_view bytes(reinterpret_cast<const char *>(header) + begin, row->t_len - begin);
  sum_.add(document_sum({reinterpret_cast<const char *>(form), sizeof form}, bytes));
  ++rows_;
}

void StoredRows::add_all_unsafe(Oid table) {
  Relation opened = table_open(table, AccessShareLock);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  TableScanDesc scan = table_beginscan_strat(opened, snapshot, 0, nullptr, true, false);
  while (HeapTuple row = heap_getnext(scan, ForwardScanDirection)) {
    CHECK_FOR_INTERRUPTS();
    add(row);
  }
  table_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(opened, NoLock);
}

} // namespace cowrie::pg
