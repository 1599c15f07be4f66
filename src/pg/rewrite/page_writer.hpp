// Page writer: rows become the pages of a new file of a heap, and of its visibility map.
//
// It knows the form of a page and how a page reaches the WAL and the disk, nothing of the rows. The
// pages do not go through shared buffers: nobody else knows the file before the transaction has
// committed. Error regime: every function may longjmp; what it holds goes with the memory context
// and the file with the (sub)transaction.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

class PageWriter {
public:
  /** What has been written. */
  struct Written {
    BlockNumber pages = 0;
    BlockNumber frozen_pages = 0; ///< their rows are visible to everybody, and the map tells that
    double rows = 0;
  };

  /** Writes into the file, which must be empty; memory is taken from the context. */
  void begin_unsafe(Relation table, const compat::FileLocator &file, MemoryContext context);

  /** Adds a row, with its header. `frozen`: the header says that it is visible to everybody. */
  void add_unsafe(HeapTuple row, bool frozen);

  /** Writes what is left. */
  Written finish_unsafe();

  /** Waits until everything has reached the disk. */
  void sync_unsafe();

private:
  Page page_unsafe(int number) const { return pages_ + static_cast<Size>(number) * BLCKSZ; }
  void close_page_unsafe();
  void flush_unsafe();
  void note_frozen_unsafe(BlockNumber block);
  void flush_map_unsafe();
  void extend_unsafe(ForkNumber fork, BlockNumber block, Page page);

  compat::FileLocator file_ = {};
  bool logged_ = false;   ///< the pages go into the WAL
  Size reserved_ = 0;     ///< bytes that the fillfactor leaves free in a page
  char *pages_ = nullptr; ///< those that are not written yet
  int closed_ = 0;        ///< how many of them are full
  bool open_ = false;     ///< the page after them has rows
  bool open_page_frozen_ = false;
  char *map_ = nullptr; ///< the page of the visibility map that is being made
  BlockNumber map_block_ = 0;
  bool map_begun_ = false; ///< the map has a file
  Written written_;
};

} // namespace cowrie::pg
