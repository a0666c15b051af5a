// What sessions and the run's controller tell each other: which tasks are out, how far clients are, when they finished,
// and whether the run has been ended from outside.
// Threads: every method is safe from any thread and quick.
#ifndef TRIBUTARY_SERVER_ROUNDS_RUN_BOARD_H_
#define TRIBUTARY_SERVER_ROUNDS_RUN_BOARD_H_

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/rounds/task_builder.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::rounds {

class RunBoard {
 public:
  // The round in TRAINING, or null. Another round forgets progress and training times of the one before.
  void SetTraining(std::shared_ptr<const OpenTraining> training) TRB_EXCLUDES(mu_);
  std::shared_ptr<const OpenTraining> training() const TRB_EXCLUDES(mu_);
  // The client's task in the open round, when it has that id.
  bool Holds(const std::string& client_id, const std::string& task_id) const TRB_EXCLUDES(mu_);

  void SetProgress(const std::string& client_id, const v1::TaskProgress& progress) TRB_EXCLUDES(mu_);
  void ForgetProgress(const std::string& client_id) TRB_EXCLUDES(mu_);
  std::vector<v1::ClientProgress> progress() const TRB_EXCLUDES(mu_);

  // When the client's local training was over, as the coordinator saw it (monotonic). The earliest word counts.
  void NoteTrainEnd(const std::string& client_id, absl::Duration at) TRB_EXCLUDES(mu_);
  std::optional<absl::Duration> TrainEnd(const std::string& client_id) const TRB_EXCLUDES(mu_);

  // The run was ended in the store (stop), or the process is going down: long work should break off.
  void Interrupt() { interrupted_.store(true); }
  bool interrupted() const { return interrupted_.load(); }

 private:
  mutable Mutex mu_;
  std::shared_ptr<const OpenTraining> training_ TRB_GUARDED_BY(mu_);
  uint64_t observed_round_ TRB_GUARDED_BY(mu_) = 0;
  std::map<std::string, v1::ClientProgress> progress_ TRB_GUARDED_BY(mu_);  // by client id
  std::map<std::string, absl::Duration> train_ends_ TRB_GUARDED_BY(mu_);    // by client id
  std::atomic<bool> interrupted_{false};
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_RUN_BOARD_H_
