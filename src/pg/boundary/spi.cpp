// SPI: SQL from C++, rows as values.
#include "pg/boundary/spi.hpp"

#include <unordered_map>

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

namespace {

/** Parameters as the server takes them. */
struct SpiArguments {
  int count;
  Oid *types;
  Datum *values;
  char *nulls;
};

SpiArguments arguments_unsafe(const std::vector<Parameter> &parameters) {
  const int count = static_cast<int>(parameters.size());
  SpiArguments result{count, static_cast<Oid *>(palloc0(sizeof(Oid) * (count + 1))),
                      static_cast<Datum *>(palloc0(sizeof(Datum) * (count + 1))),
                      static_cast<char *>(palloc0(count + 1))};
  for (int i = 0; i < count; ++i) {
    result.nulls[i] = ' ';
    result.types[i] = TEXTOID;
    if (const auto *number = std::get_if<std::int64_t>(&parameters[i])) {
      result.types[i] = INT8OID;
      result.values[i] = Int64GetDatum(*number);
    } else if (const auto *text = std::get_if<std::string>(&parameters[i])) {
      result.values[i] =
          PointerGetDatum(cstring_to_text_with_len(text->data(), static_cast<int>(text->size())));
    } else {
      result.nulls[i] = 'n';
    }
  }
  return result;
}

/** What a statement gave: row_count x columns texts, null for SQL NULL. */
struct SpiResult {
  std::uint64_t processed, row_count;
  int columns;
  char **values;
  SPITupleTable *table;
};

[[noreturn]] void refuse_statement_unsafe(int code, const char *sql) {
  ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                  errmsg("SPI could not execute a statement: %s", SPI_result_code_string(code)),
                  errdetail("The statement was: %s", sql)));
  pg_unreachable();
}

/** A plan for the life of the process. The server makes it again when what it uses has changed. */
SPIPlanPtr kept_plan_unsafe(const char *sql, const std::vector<Parameter> &parameters) {
  const SpiArguments given = arguments_unsafe(parameters);
  SPIPlanPtr plan = SPI_prepare_cursor(sql, given.count, given.types, CURSOR_OPT_GENERIC_PLAN);
  if (!plan)
    refuse_statement_unsafe(SPI_result, sql);
  SPI_keepplan(plan);
  return plan;
}

/** Executes the plan of a statement or, without one, the statement. */
SpiResult execute_unsafe(SPIPlanPtr plan, const char *sql, const std::vector<Parameter> &parameters,
                         bool read_only, bool want_rows) {
  CHECK_FOR_INTERRUPTS();
  const SpiArguments given = arguments_unsafe(parameters);
  const int code = plan ? SPI_execute_plan(plan, given.values, given.nulls, read_only, 0)
                        : SPI_execute_with_args(sql, given.count, given.types, given.values,
                                                given.nulls, read_only, 0);
  if (code < 0)
    refuse_statement_unsafe(code, sql);
  SpiResult found{SPI_processed, 0, 0, nullptr, SPI_tuptable};
  if (!want_rows || !SPI_tuptable)
    return found;
  TupleDesc shape = SPI_tuptable->tupdesc;
  found.row_count = SPI_tuptable->numvals;
  found.columns = shape->natts;
  found.values = static_cast<char **>(MemoryContextAllocHuge(
      CurrentMemoryContext, sizeof(char *) * (found.row_count * found.columns + 1)));
  for (std::uint64_t row = 0; row < found.row_count; ++row)
    for (int column = 0; column < found.columns; ++column)
      found.values[row * found.columns + column] =
          SPI_getvalue(SPI_tuptable->vals[row], shape, column + 1);
  return found;
}

std::int64_t execute(SPIPlanPtr plan, const std::string &sql,
                     const std::vector<Parameter> &parameters, bool read_only,
                     std::vector<Row> *rows) {
  fault::statement();
  const SpiResult result = call(
      [&] { return execute_unsafe(plan, sql.c_str(), parameters, read_only, rows != nullptr); });
  if (rows) {
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

} // namespace

std::int64_t spi_execute(const std::string &sql, const std::vector<Parameter> &parameters,
                         bool read_only, std::vector<Row> *rows) {
  return execute(nullptr, sql, parameters, read_only, rows);
}

std::vector<Row> spi_query(const std::string &sql, const std::vector<Parameter> &parameters,
                           bool read_only) {
  std::vector<Row> rows;
  spi_execute(sql, parameters, read_only, &rows);
  return rows;
}

std::vector<Row> spi_query_often(const std::string &sql, const std::vector<Parameter> &parameters,
                                 bool read_only) {
  static std::unordered_map<std::string, SPIPlanPtr> plans;
  SPIPlanPtr &plan = plans[sql];
  if (!plan)
    plan = call([&] { return kept_plan_unsafe(sql.c_str(), parameters); });
  std::vector<Row> rows;
  execute(plan, sql, parameters, read_only, &rows);
  return rows;
}

} // namespace cowrie::pg
