// Page writer: rows become the pages of a new file of a heap, and of its visibility map.
#include "pg/rewrite/page_writer.hpp"

namespace cowrie::pg {
namespace {

constexpr int batch_pages = 32;  // as many as one WAL record takes
constexpr Size alignment = 4096; // what direct I/O asks for, from PostgreSQL 16
constexpr BlockNumber blocks_per_byte = BITS_PER_BYTE / BITS_PER_HEAPBLOCK;

// The map has two bits for each page of the heap; they follow the header of its pages directly.
const Size map_offset = MAXALIGN(SizeOfPageHeaderData);
const BlockNumber blocks_per_map_page =
    static_cast<BlockNumber>(BLCKSZ - map_offset) * blocks_per_byte;

char *aligned_pages_unsafe(MemoryContext context, int count) {
  const Size size = static_cast<Size>(count) * BLCKSZ;
  char *begin = static_cast<char *>(MemoryContextAlloc(context, size + alignment));
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  return begin + (TYPEALIGN(alignment, address) - address);
}

} // namespace

void PageWriter::begin_unsafe(Relation table, const compat::FileLocator &file,
                              MemoryContext context) {
  file_ = file;
  logged_ = XLogIsNeeded(); // with wal_level minimal the commit writes or logs the whole file
  reserved_ = RelationGetTargetPageFreeSpace(table, HEAP_DEFAULT_FILLFACTOR);
  pages_ = aligned_pages_unsafe(context, batch_pages);
  map_ = aligned_pages_unsafe(context, 1);
}

void PageWriter::add_unsafe(HeapTuple row, bool frozen) {
  const Size size = MAXALIGN(row->t_len);
  if (open_ && size + reserved_ > PageGetHeapFreeSpace(page_unsafe(closed_)))
    close_page_unsafe();
  const Page page = page_unsafe(closed_);
  if (!open_) {
    PageInit(page, BLCKSZ, 0);
    open_ = open_page_frozen_ = true;
  }
  const OffsetNumber place = compat::add_row_unsafe(page, row);
  if (place == InvalidOffsetNumber)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("row is too big for a page"),
                    errdetail("Its size is %zu bytes, the maximum is %zu bytes.", size,
                              static_cast<Size>(MaxHeapTupleSize)),
                    errhint("Find the longest rows with SELECT session_id, pg_column_size(s.*) FROM"
                            " session_summaries AS s ORDER BY 2 DESC LIMIT 10;")));
  // A row that no newer version follows points to itself.
  auto *stored = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, PageGetItemId(page, place)));
  ItemPointerSet(&stored->t_ctid, written_.pages, place);
  open_page_frozen_ = open_page_frozen_ && frozen;
  written_.rows += 1;
}

PageWriter::Written PageWriter::finish_unsafe() {
  if (open_)
    close_page_unsafe();
  if (closed_ > 0)
    flush_unsafe();
  if (map_begun_)
    flush_map_unsafe();
  return written_;
}

void PageWriter::sync_unsafe() {
  // A checkpoint that has come meanwhile does not know of these pages: replaying the WAL from there
  // would not bring them back.
  if (logged_) {
    SMgrRelation storage = compat::open_storage_unsafe(file_);
    smgrimmedsync(storage, MAIN_FORKNUM);
    if (map_begun_)
      smgrimmedsync(storage, VISIBILITYMAP_FORKNUM);
  }
}

void PageWriter::close_page_unsafe() {
  if (open_page_frozen_) {
    PageSetAllVisible(page_unsafe(closed_));
    note_frozen_unsafe(written_.pages);
    ++written_.frozen_pages;
  }
  open_ = false;
  ++written_.pages;
  if (++closed_ == batch_pages)
    flush_unsafe();
}

void PageWriter::flush_unsafe() {
  const BlockNumber first = written_.pages - static_cast<BlockNumber>(closed_);
  if (logged_) {
    BlockNumber blocks[batch_pages];
    Page pages[batch_pages];
    for (int i = 0; i < closed_; ++i) {
      blocks[i] = first + static_cast<BlockNumber>(i);
      pages[i] = page_unsafe(i);
    }
    log_newpages(&file_, MAIN_FORKNUM, closed_, blocks, pages, true);
  }
  for (int i = 0; i < closed_; ++i)
    extend_unsafe(MAIN_FORKNUM, first + static_cast<BlockNumber>(i), page_unsafe(i));
  // The disk shall be at work while the next pages are made: sync_unsafe() waits for it.
  if (logged_)
    smgrwriteback(compat::open_storage_unsafe(file_), MAIN_FORKNUM, first,
                  static_cast<BlockNumber>(closed_));
  closed_ = 0;
}

// Pages of the map without any bit come before the first one that has some, too: the map is a file
// without holes.
void PageWriter::note_frozen_unsafe(BlockNumber block) {
  if (!map_begun_) {
    SMgrRelation storage = compat::open_storage_unsafe(file_);
    smgrcreate(storage, VISIBILITYMAP_FORKNUM, false);
    log_smgrcreate(&file_, VISIBILITYMAP_FORKNUM);
    PageInit(map_, BLCKSZ, 0);
    map_begun_ = true;
  }
  while (map_block_ < block / blocks_per_map_page) {
    flush_map_unsafe();
    PageInit(map_, BLCKSZ, 0);
    ++map_block_;
  }
  const BlockNumber in_page = block % blocks_per_map_page;
  const unsigned bits = (VISIBILITYMAP_ALL_VISIBLE | VISIBILITYMAP_ALL_FROZEN)
                        << (in_page % blocks_per_byte * BITS_PER_HEAPBLOCK);
  auto *bytes = reinterpret_cast<std::uint8_t *>(map_ + map_offset);
  bytes[in_page / blocks_per_byte] |= static_cast<std::uint8_t>(bits);
}

// Its bits stand where an ordinary page has its hole: it must be logged as a whole.
void PageWriter::flush_map_unsafe() {
  if (logged_)
    (void)log_newpage(&file_, VISIBILITYMAP_FORKNUM, map_block_, map_, false);
  extend_unsafe(VISIBILITYMAP_FORKNUM, map_block_, map_);
}

void PageWriter::extend_unsafe(ForkNumber fork, BlockNumber block, Page page) {
  compat::set_checksum_unsafe(page, block);
  // Opened each time: an invalidation message may have closed it.
  smgrextend(compat::open_storage_unsafe(file_), fork, block, page, true);
}

} // namespace cowrie::pg
