// Server load: who receives WAL and how far, what keeps it, which sessions are busy.
//
// A plain role sees of other roles' connections only that they are there. So this is asked as the
// superuser that the cluster was made with: a fixed question over the server's own views, in a
// security-restricted context, of which nothing is shown but names of receivers, numbers and
// process ids, and only of what exceeds a limit. Error regime: throws PgError.
#pragma once

#include "core/ports/online_ports.hpp"

namespace cowrie::pg {

class ServerLoad : public Surroundings {
public:
  /** In a transaction, without a snapshot of its own. */
  Load load() override;
};

} // namespace cowrie::pg
