// Live: counts the objects that must be destroyed, so that a test can tell that all of them were.
//
// A longjmp that passed over a C++ frame would leave its objects behind: the count would never come
// back to zero. Costs an addition per object. Shown by cowrie_migrate.live_objects.
#pragma once

namespace cowrie {

/** Base of what must not be left behind: runs, failures, SPI sessions, subtransactions, roles. */
class Live {
public:
  /** How many there are in this process. */
  static int count() noexcept { return count_; }

protected:
  Live() noexcept { ++count_; }
  Live(const Live &) noexcept { ++count_; }
  Live &operator=(const Live &) noexcept = default;
  ~Live() { --count_; }

private:
  static inline int count_ = 0;
};

} // namespace cowrie
