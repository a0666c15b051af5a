// Tasks as they go out to clients. Pure but for the store's links, which the caller reads.
// Threads: pure functions; an OpenTraining is immutable once shared.
#ifndef TRIBUTARY_SERVER_ROUNDS_TASK_BUILDER_H_
#define TRIBUTARY_SERVER_ROUNDS_TASK_BUILDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/store.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::rounds {

// SHA-256 hex of "tributary/task/v1\0" and (federation, run, round, client id), each length-prefixed, the round as 8
// bytes little-endian: the same after any restart.
std::string TaskId(const std::string& federation, const std::string& run, uint64_t round, const std::string& client_id);

// A round in TRAINING, as tasks need it.
struct OpenTraining {
  uint64_t round = 0;
  uint64_t rounds_done = 0;  // committed before it: sets the learning rate
  std::string base_model_sha256, previous_record_sha256;
  std::map<std::string, Invitee> invited;  // by client id
  absl::Duration closes_at;                // monotonic reading of this process's clock
};

// Which links a client that remembers `head` needs: records [from, to]. Empty when from > to.
struct LinkRange {
  uint64_t from = 1, to = 0;
};
LinkRange LinksFor(const v1::RunHead& head, const std::string& run, uint64_t round);

// `now` is the same clock's reading as closes_at. `links` are those of LinksFor.
v1::TrainTask BuildTask(const RunSpec& spec, const OpenTraining& training, const Invitee& invitee,
                        const std::vector<RunStore::Link>& links, absl::Duration now);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_TASK_BUILDER_H_
