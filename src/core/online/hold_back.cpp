// HoldBack: what an online run does between two batches and between two steps.
#include "core/online/hold_back.hpp"

#include <algorithm>

namespace cowrie {
namespace {

/** Between two looks: an operator does not wait longer than that for the answer to an order. */
constexpr std::int64_t look_every_us = 1'000'000;

bool differ(const Hold &one, const Hold &other) noexcept {
  return one.reason != other.reason || one.value != other.value || one.limit != other.limit ||
         one.process != other.process;
}

} // namespace

Orders HoldBack::look() {
  Orders orders;
  ports_.transactions.in_transaction(TransactionKind::look, [&] { orders = ports_.seat.orders(); });
  if (orders.stop)
    throw Stopped();
  pace_ = orders.pace;
  return orders;
}

Hold HoldBack::reason() {
  if (look().pause)
    return Hold::because_of(HoldReason::pause);
  const Hold others = hurries_ ? Hold() : reason_of_others();
  return others.reason == HoldReason::none ? Hold::because_of(otherwise_) : others;
}

Hold HoldBack::reason_of_others() {
  const std::int64_t now = ports_.database.clock_us();
  if (looked_ && now - *looked_ < look_every_us)
    return others_;
  looked_ = now;
  ports_.transactions.in_transaction(TransactionKind::look, [&] {
    Limits limits{pace_.max_lag_us, pace_.max_wal, pace_.max_active};
    if (limits.wal == half_of_free_space)
      limits.wal = half_of_free_wal(ports_.database.disks());
    others_ =
        limits.none() ? Hold() : reason_to_hold(ports_.surroundings.load(), limits, lag_, now);
  });
  return others_;
}

void HoldBack::show(const Hold &hold) {
  if (!differ(hold, shown_))
    return;
  ports_.transactions.in_transaction(TransactionKind::look, [&] {
    ports_.online_monitor.holds(hold);
    if (hold.reason == shown_.reason)
      return;
    if (const std::string words = in_words(hold); !words.empty())
      ports_.monitor.notice("the migration is holding back: " + words);
    else if (!in_words(shown_).empty())
      ports_.monitor.notice("the migration continues");
  });
  shown_ = hold;
}

void HoldBack::wait(std::int64_t duration_us) {
  const std::int64_t begun = ports_.database.clock_us();
  ports_.transactions.wait_us(duration_us);
  held_us_ += ports_.database.clock_us() - begun;
}

void HoldBack::wait_while_held() {
  for (;;) {
    const Hold hold = reason();
    show(hold);
    if (hold.reason == otherwise_)
      return;
    wait(look_every_us);
  }
}

void HoldBack::rest() {
  // In parts: the pause may be shortened while it lasts.
  for (std::int64_t rested = 0; rested < pace_.pause_us;) {
    const std::int64_t part = std::min(look_every_us, pace_.pause_us - rested);
    ports_.transactions.wait_us(part);
    rested += part;
    if (rested < pace_.pause_us)
      look();
  }
  wait_while_held();
}

bool HoldBack::allowed_within(std::int64_t duration_us) {
  otherwise_ = HoldReason::cut_over;
  for (std::int64_t waited = 0; waited < duration_us; waited += look_every_us) {
    wait_while_held();
    if (look().cut_over)
      return true;
    ports_.transactions.wait_us(look_every_us);
  }
  return false;
}

void HoldBack::hurry() {
  hurries_ = true;
  otherwise_ = HoldReason::none;
  show({});
}

std::string HoldBack::words_of_waits() {
  const std::int64_t tenths = held_us_ / 100'000;
  held_us_ = 0;
  return tenths == 0 ? std::string()
                     : "held back for " + std::to_string(tenths / 10) + "." +
                           std::to_string(tenths % 10) + " s";
}

} // namespace cowrie
