// Follows a run: events from the coordinator through a WatchView to a stream.
#ifndef TRIBUTARY_SERVER_OPERATOR_WATCHING_H_
#define TRIBUTARY_SERVER_OPERATOR_WATCHING_H_

#include <ostream>
#include <string>

#include "common/base/status.h"
#include "server/operator/api.h"

namespace tributary::op {

class Interrupt;

struct WatchTarget {
  std::ostream& stream;
  bool terminal = false;
};

// Shows every round once, those before the call included, until the run ends; returns the run as it ended. A lost
// connection is taken up again. CANCELLED after Ctrl-C: the run goes on.
absl::StatusOr<v1::RunDocument> WatchToEnd(const std::string& run, OperatorApi* api, Interrupt* interrupt,
                                           WatchTarget* target);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_WATCHING_H_
