// Sends tasks and cancels of one run out to its clients.
// Threads: safe from any thread (a LinkCache belongs to one). Reads the store; never call it with a lock held.
#ifndef TRIBUTARY_SERVER_ROUNDS_TASK_PUSH_H_
#define TRIBUTARY_SERVER_ROUNDS_TASK_PUSH_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/rounds/dispatcher.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/store.h"
#include "server/rounds/task_builder.h"

namespace tributary::rounds {

class TaskPush {
 public:
  // Most clients remember the same round: its links are read once.
  using LinkCache = std::map<uint64_t, std::vector<RunStore::Link>>;  // by first round

  // Borrowed; they outlive it.
  TaskPush(RunStore* store, Dispatcher* dispatcher, const Clock* clock)
      : store_(*store), dispatcher_(*dispatcher), clock_(*clock) {}

  // With the links from what the client remembers. False: the client has no session; its next hello brings it.
  absl::StatusOr<bool> Push(const RunSpec& spec, const OpenTraining& training, const Invitee& invitee,
                            LinkCache* cache) const;
  void Cancel(const std::string& client_id, const std::string& task_id, std::string_view code,
              std::string_view reason) const;

 private:
  RunStore& store_;
  Dispatcher& dispatcher_;
  const Clock& clock_;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_TASK_PUSH_H_
