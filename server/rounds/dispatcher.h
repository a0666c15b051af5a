// What the rounds need of the connected clients. service/ implements it over live sessions; tests use a fake.
// Threads: every method is safe from any thread, never blocks on the network, and never calls back into the caller.
#ifndef TRIBUTARY_SERVER_ROUNDS_DISPATCHER_H_
#define TRIBUTARY_SERVER_ROUNDS_DISPATCHER_H_

#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::rounds {

// An enrolled, active client as selection sees it, online or not.
struct Candidate {
  std::string client_id, name;
  std::map<std::string, std::string> labels;
  v1::DatasetFacts dataset;  // of its last hello; examples 0 when it never said hello
  bool online = false;
};

class Dispatcher {
 public:
  virtual ~Dispatcher() = default;
  // All enrolled and active clients.
  virtual absl::StatusOr<std::vector<Candidate>> Candidates() = 0;
  // Queues the task on the client's session. False when it has none; the task is pushed again at its next hello.
  virtual bool PushTask(const std::string& client_id, const v1::TrainTask& task) = 0;
  virtual void PushCancel(const std::string& client_id, const v1::CancelTask& cancel) = 0;
  // The newest round of `run` that the client said it remembers in its hello (raised by tasks it accepted since);
  // empty run_id when it remembers none or is offline.
  virtual v1::RunHead KnownHead(const std::string& client_id, const std::string& run_id) = 0;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_DISPATCHER_H_
