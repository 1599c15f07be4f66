// Fault: where a run is made to fail, for tests.
#include "pg/boundary/fault.hpp"

#include "pg/boundary/guard.hpp"
#include "pg/boundary/settings.hpp"

namespace cowrie::pg::fault {
namespace {

std::int64_t counted = 0;

// Raised as the server raises: the way out of a real error is what is tested.
void raise(const std::string &place) {
  call([&] {
    ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
                    errmsg("injected failure at %s", place.c_str()),
                    errdetail("cowrie_migrate.fail_at is \"%s\".", setting_fail_at),
                    errhint("Reset it with SET cowrie_migrate.fail_at = '';")));
  });
}

std::string_view wanted() noexcept { return setting_fail_at ? setting_fail_at : ""; }

} // namespace

void begin_call() noexcept { counted = 0; }

std::int64_t count() noexcept { return counted; }

void at(int phase, std::string_view step) {
  if (wanted().empty())
    return;
  const std::string place = std::to_string(phase) + "." + std::string(step);
  if (wanted() == place)
    raise(place);
}

// A parallel worker's are not among those of the call: nobody could say which one is the n-th.
void statement() {
  if (IsParallelWorker())
    return;
  ++counted;
  if (wanted().empty() || wanted().front() != '#')
    return;
  if (wanted().substr(1) == std::to_string(counted))
    raise("statement " + std::to_string(counted));
}

} // namespace cowrie::pg::fault
