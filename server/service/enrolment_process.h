// The coordinator's side of the enrolment port: starts the process that faces strangers (enrolment_front.h), hands what
// they ask for on to a handler, starts it again with growing pauses when it dies, and leaves none behind.
// Threads: one of its own, from Start to the destructor; start and destroy it on one thread at a time.
#ifndef TRIBUTARY_SERVER_SERVICE_ENROLMENT_PROCESS_H_
#define TRIBUTARY_SERVER_SERVICE_ENROLMENT_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/service/enrolment_relay.h"

namespace tributary::service {

class EnrolmentProcess {
 public:
  // Called on the thread inside: must not block. `answer` may be called from any thread, once, also after the process
  // has died.
  using Answer = std::function<void(RelayedAnswer answer)>;
  using Handler = std::function<void(RelayedRequest request, Answer answer)>;
  struct Options {
    std::string program;      // path of tributary-coordinator
    std::string credentials;  // directory of the port's
    int listening_fd = -1;    // borrowed; each new process gets a duplicate
    Handler handler;
    const Clock* clock = &Clock::System();
    absl::Duration patience = absl::Seconds(3);  // for its clean end
    absl::Duration first_pause = absl::Milliseconds(200), longest_pause = absl::Seconds(10);
  };
  // Connections that come before it is ready wait in the listening socket's queue. Errors: it could not be started.
  static absl::StatusOr<std::unique_ptr<EnrolmentProcess>> Start(Options options);
  // Tells it to end, and kills it when it does not.
  ~EnrolmentProcess();
  EnrolmentProcess(const EnrolmentProcess&) = delete;
  EnrolmentProcess& operator=(const EnrolmentProcess&) = delete;

 private:
  explicit EnrolmentProcess(Options options) : options_(std::move(options)) {}
  absl::Status Spawn() TRB_EXCLUDES(mu_);
  void Run() TRB_EXCLUDES(mu_);
  bool RunOnce() TRB_EXCLUDES(mu_);
  void Relay(const std::shared_ptr<Fd>& relay);
  void Reap(bool patient) TRB_EXCLUDES(mu_);
  bool Pause(absl::Duration pause) TRB_EXCLUDES(mu_);

  const Options options_;
  std::thread thread_;
  Mutex mu_;
  CondVar changed_;
  std::shared_ptr<Fd> relay_ TRB_GUARDED_BY(mu_);  // our end
  pid_t pid_ TRB_GUARDED_BY(mu_) = -1;
  bool stopping_ TRB_GUARDED_BY(mu_) = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENROLMENT_PROCESS_H_
