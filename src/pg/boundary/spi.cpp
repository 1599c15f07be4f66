// SPI: SQL from C++, rows as values.
#include "pg/boundary/spi.hpp"

#include "pg/boundary/fault.hpp"

namespace cowrie::pg {

SpiSession::SpiSession(bool nonatomic) {
  call([=] { SPI_connect_ext(nonatomic ? SPI_OPT_NONATOMIC : 0); });
}

SpiSession::~SpiSession() {
  // After an error the transaction's end disconnects; a failure to do so here tells nothing new.
  try {
    call([] { SPI_finish(); });
  } catch (...) {
  }
}

FreshSnapshot::FreshSnapshot() : level_(GetCurrentTransactionNestLevel()) {
  call([] { PushActiveSnapshot(GetLatestSnapshot()); });
}

FreshSnapshot::~FreshSnapshot() {
  if (ActiveSnapshotSet() && GetCurrentTransactionNestLevel() == level_)
    PopActiveSnapshot();
}

std::int64_t spi_execute(const std::string &sql, const std::vector<Parameter> &parameters,
                         bool read_only, std::vector<Row> *rows) {
  fault::statement();

  struct Result {
    std::uint64_t processed;
    std::uint64_t row_count;
    int columns;
    char **values; // row_count x columns
    SPITupleTable *table;
  };
  const bool want_rows = rows != nullptr;
  const Result result = call([&]() -> Result {
    CHECK_FOR_INTERRUPTS();
    const int count = static_cast<int>(parameters.size());
    Oid *types = static_cast<Oid *>(palloc0(sizeof(Oid) * (count + 1)));
    Datum *values = static_cast<Datum *>(palloc0(sizeof(Datum) * (count + 1)));
    char *nulls = static_cast<char *>(palloc0(count + 1));
    for (int i = 0; i < count; ++i) {
      nulls[i] = ' ';
      types[i] = TEXTOID;
      if (const auto *number = std::get_if<std::int64_t>(&parameters[i])) {
        types[i] = INT8OID;
        values[i] = Int64GetDatum(*number);
      } else if (const auto *text = std::get_if<std::string>(&parameters[i])) {
        values[i] =
            PointerGetDatum(cstring_to_text_with_len(text->data(), static_cast<int>(text->size())));
      } else {
        nulls[i] = 'n';
      }
    }
    const int code = SPI_execute_with_args(sql.c_str(), count, types, values, nulls, read_only, 0);
    if (code < 0)
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                      errmsg("SPI could not execute a statement: %s", SPI_result_code_string(code)),
                      errdetail("The statement was: %s", sql.c_str())));
    Result found{SPI_processed, 0, 0, nullptr, SPI_tuptable};
    if (want_rows && SPI_tuptable) {
      TupleDesc shape = SPI_tuptable->tupdesc;
      found.row_count = SPI_tuptable->numvals;
      found.columns = shape->natts;
      found.values = static_cast<char **>(MemoryContextAllocHuge(
          CurrentMemoryContext, sizeof(char *) * (found.row_count * found.columns + 1)));
      for (std::uint64_t row = 0; row < found.row_count; ++row)
        for (int column = 0; column < found.columns; ++column)
          found.values[row * found.columns + column] =
              SPI_getvalue(SPI_tuptable->vals[row], shape, column + 1);
    }
    return found;
  });

  if (want_rows) {
    rows->clear();
    rows->reserve(result.row_count);
    for (std::uint64_t row = 0; row < result.row_count; ++row) {
      Row values;
      for (int column = 0; column < result.columns; ++column) {
        const char *value = result.values[row * result.columns + column];
        values.push_back(value ? std::optional<std::string>(value) : std::nullopt);
      }
      rows->push_back(std::move(values));
    }
  }
  if (result.table)
    call([&] { SPI_freetuptable(result.table); });
  return static_cast<std::int64_t>(result.processed);
}

std::vector<Row> spi_query(const std::string &sql, const std::vector<Parameter> &parameters,
                           bool read_only) {
  std::vector<Row> rows;
  spi_execute(sql, parameters, read_only, &rows);
  return rows;
}

} // namespace cowrie::pg
