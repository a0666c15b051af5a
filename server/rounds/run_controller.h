// One active run's thread: drives it (round_driver.h) when something happens or is due, and tells watchers.
// Threads: every method is safe from any thread, but Start and Join, which the owner calls once each, in that order.
// Ownership: what Environment points to is borrowed and outlives the controller. Join before destruction.
#ifndef TRIBUTARY_SERVER_ROUNDS_RUN_CONTROLLER_H_
#define TRIBUTARY_SERVER_ROUNDS_RUN_CONTROLLER_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "common/base/mutex.h"
#include "server/rounds/round_driver.h"
#include "server/rounds/run_board.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/watchers.h"

namespace tributary::rounds {

class RunController {
 public:
  // After a failed step (a full disk, a store that says no) the state is read back and tried again.
  static constexpr absl::Duration kRetryAfter = absl::Seconds(1);
  // Progress alone makes at most one event per this.
  static constexpr absl::Duration kProgressEvery = absl::Milliseconds(250);

  RunController(const RoundDriver::Environment& environment, std::shared_ptr<const RunSpec> spec);
  ~RunController();
  RunController(const RunController&) = delete;
  RunController& operator=(const RunController&) = delete;

  void Start();
  // Breaks off long work, saves elapsed times, ends the thread. The run stays as it is.
  void RequestShutdown() TRB_EXCLUDES(mu_);
  void Join();
  // The run has ended and so has the thread, or nearly.
  bool finished() const { return finished_.load(); }

  // Something changed: look again.
  void Wake() TRB_EXCLUDES(mu_);
  // The run was ended in the store.
  void RunEnded() TRB_EXCLUDES(mu_);
  void ProgressChanged() TRB_EXCLUDES(mu_);
  // As Watchers::Add; the first event follows at once, on the controller's thread.
  bool Watch(uint64_t token, Watchers::Callback callback) TRB_EXCLUDES(mu_);

  const RunSpec& spec() const { return *spec_; }
  RunBoard& board() { return board_; }
  Watchers& watchers() { return watchers_; }

 private:
  enum class Cause { kWork, kProgress, kShutdown };

  void Loop();
  // True when the run has ended.
  bool StepOnce(absl::Duration* wait);
  // Until there is work; false: shut down.
  bool Wait(absl::Duration deadline) TRB_EXCLUDES(mu_);
  Cause WaitForCause(absl::Duration deadline) TRB_EXCLUDES(mu_);
  void Publish() TRB_EXCLUDES(mu_);

  const Clock& clock_;  // set once
  const std::shared_ptr<const RunSpec> spec_;
  RunBoard board_;  // locks itself
  Watchers watchers_;
  std::atomic<bool> finished_{false};
  RoundDriver driver_;      // the thread's
  std::string last_event_;  // the thread's: serialised
  std::thread thread_;

  Mutex mu_;
  CondVar changed_;
  bool woken_ TRB_GUARDED_BY(mu_) = false;
  bool shutdown_ TRB_GUARDED_BY(mu_) = false;
  bool progress_ TRB_GUARDED_BY(mu_) = false;
  bool new_watcher_ TRB_GUARDED_BY(mu_) = false;
  absl::Duration published_at_ TRB_GUARDED_BY(mu_) = -absl::InfiniteDuration();
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_RUN_CONTROLLER_H_
