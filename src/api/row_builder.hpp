// Row builder: C++ values -> rows of a set-returning function.
//
// Error regime: throws.
#pragma once

#include <array>
#include <optional>

#include "pg/reading/document.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Prepares the caller's result set; the rows follow by put_row(). */
inline ReturnSetInfo *begin_rows(FunctionCallInfo fcinfo) {
  call([&] { InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC); });
  return reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
}

/** Builds the values of one row; each add_ appends a column. */
class RowBuilder : Live {
public:
  explicit RowBuilder(ReturnSetInfo *result) : result_(result) {}

  /** Text that is in the database's encoding: names, details, session ids. */
  RowBuilder &text(std::string_view value) {
    return add([&] { return server_text_datum_unsafe(value); }, false);
  }
  RowBuilder &text_or_null(std::string_view value) {
    return add([&] { return value.empty() ? Datum(0) : server_text_datum_unsafe(value); },
               value.empty());
  }
  /** Text out of a document: UTF-8. */
  RowBuilder &document_text(std::string_view value) {
    return add([&] { return text_datum_unsafe(value); }, false);
  }
  RowBuilder &integer(int value) { return plain(Int32GetDatum(value)); }
  RowBuilder &flag(bool value) { return plain(BoolGetDatum(value)); }
  RowBuilder &bigint_or_null(const std::optional<std::int64_t> &value) {
    return add([&] { return value ? Int64GetDatum(*value) : Datum(0); }, !value);
  }
  RowBuilder &interval_or_null(const std::optional<std::int64_t> &microseconds) {
    return add(
        [&] {
          Interval *interval = static_cast<Interval *>(palloc0(sizeof(Interval)));
          interval->time = microseconds.value_or(0);
          return IntervalPGetDatum(interval);
        },
        !microseconds);
  }

  void put() {
    call([&] {
      tuplestore_putvalues(result_->setResult, result_->setDesc, values_.data(), nulls_.data());
    });
    count_ = 0;
  }

private:
  template <typename Make> RowBuilder &add(Make make, bool is_null) {
    values_[count_] = call([&]() -> Datum { return make(); });
    nulls_[count_++] = is_null;
    return *this;
  }
  RowBuilder &plain(Datum value) {
    values_[count_] = value;
    nulls_[count_++] = false;
    return *this;
  }

  ReturnSetInfo *result_;
  std::array<Datum, 16> values_{};
  std::array<bool, 16> nulls_{};
  int count_ = 0;
};

} // namespace cowrie::pg
