#include "server/service/enrolment_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

#include "common/base/logging.h"
#include "server/service/enrolment_front.h"

namespace tributary::service {
namespace {

constexpr int kFirstFreeFd = 16;                         // above what the child's own numbers are copied to
constexpr absl::Duration kLongLife = absl::Seconds(30);  // after which a death starts the pauses anew

// Releases what posix_spawn needs.
struct SpawnPlan {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  SpawnPlan() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
  }
};

// Standard input is nothing, output goes where errors go; beside them only the two that it needs.
absl::StatusOr<pid_t> SpawnWith(const std::string& program, const std::string& credentials, int relay, int listening) {
  SpawnPlan plan;
  posix_spawn_file_actions_addopen(&plan.files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&plan.files, 2, 1);
  posix_spawn_file_actions_adddup2(&plan.files, relay, kRelayFd);
  posix_spawn_file_actions_adddup2(&plan.files, listening, kListeningFd);
  posix_spawn_file_actions_addclosefrom_np(&plan.files, kListeningFd + 1);
  // Signals as at the start of a program, and a group of its own: a Ctrl-C on the terminal is the coordinator's.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&plan.how, &none);
  posix_spawnattr_setsigdefault(&plan.how, &all);
  posix_spawnattr_setpgroup(&plan.how, 0);
  posix_spawnattr_setflags(&plan.how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string name = "tributary-coordinator", verb = kEnrolmentFrontVerb, directory = credentials;
  char* argv[] = {name.data(), verb.data(), directory.data(), nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &plan.files, &plan.how, argv, environ);
  if (failed != 0) return ErrnoToStatus(failed, "start " + program);
  return pid;
}

// We hear nothing of it any more, whether it obeys or not.
void TellToEnd(int relay) {
  SendRelayed(relay, EncodeRelayed(RelayedAnswer{})).IgnoreError();
  shutdown(relay, SHUT_RD);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnrolmentProcess>> EnrolmentProcess::Start(Options options) {
  std::unique_ptr<EnrolmentProcess> process(new EnrolmentProcess(std::move(options)));
  TRB_RETURN_IF_ERROR(process->Spawn());
  process->thread_ = std::thread([p = process.get()] { p->Run(); });
  return process;
}

EnrolmentProcess::~EnrolmentProcess() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    if (relay_ != nullptr) TellToEnd(relay_->get());
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

absl::Status EnrolmentProcess::Spawn() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return ErrnoToStatus(errno, "socketpair");
  const auto ours = std::make_shared<Fd>(ends[0]);
  const Fd theirs(ends[1]);
  const Fd relay(fcntl(theirs.get(), F_DUPFD_CLOEXEC, kFirstFreeFd));
  const Fd listening(fcntl(options_.listening_fd, F_DUPFD_CLOEXEC, kFirstFreeFd));
  if (relay.get() < 0 || listening.get() < 0) return ErrnoToStatus(errno, "duplicate a socket");
  TRB_ASSIGN_OR_RETURN(const pid_t pid,
                       SpawnWith(options_.program, options_.credentials, relay.get(), listening.get()));
  MutexLock lock(&mu_);
  relay_ = ours;
  pid_ = pid;
  return absl::OkStatus();
}

void EnrolmentProcess::Run() {
  absl::Duration pause = options_.first_pause;
  for (absl::Duration began = options_.clock->Monotonic(); RunOnce(); began = options_.clock->Monotonic()) {
    if (options_.clock->Monotonic() - began > kLongLife) pause = options_.first_pause;
    Log(LogLevel::kWarning, "enrolment_front_died", {{"restart_in_ms", absl::ToInt64Milliseconds(pause)}});
    absl::Status spawned;
    do {
      if (!Pause(pause)) return;
      pause = std::min(2 * pause, options_.longest_pause);
      spawned = Spawn();
      if (!spawned.ok()) Log(LogLevel::kError, "enrolment_front_failed", {{"reason", spawned.ToString()}});
    } while (!spawned.ok());
  }
}

// False: stop.
bool EnrolmentProcess::RunOnce() {
  std::shared_ptr<Fd> relay;
  {
    MutexLock lock(&mu_);
    relay = relay_;
    if (stopping_) TellToEnd(relay->get());  // again, when it was started just then
  }
  Relay(relay);
  bool stopping = false;
  {
    MutexLock lock(&mu_);
    stopping = stopping_;
  }
  Reap(/*patient=*/stopping);
  return !stopping;
}

// Until the process is gone or says what it may not.
void EnrolmentProcess::Relay(const std::shared_ptr<Fd>& relay) {
  const auto under_way = std::make_shared<std::atomic<size_t>>(0);
  for (std::string bytes = ReceiveRelayed(relay->get()); !bytes.empty(); bytes = ReceiveRelayed(relay->get())) {
    auto request = DecodeRelayedRequest(bytes);
    if (!request.ok() || ++*under_way > kRelayedAtOnce) {
      return Log(LogLevel::kError, "enrolment_front_misbehaves",
                 {{"reason", request.ok() ? "more calls than it may have" : request.status().ToString()}});
    }
    // The socket lives as long as an answer may come: its number cannot be another file's by then.
    options_.handler(*std::move(request), [relay, under_way](const RelayedAnswer& answer) {
      --*under_way;
      SendRelayed(relay->get(), EncodeRelayed(answer)).IgnoreError();
    });
  }
}

void EnrolmentProcess::Reap(bool patient) {
  pid_t pid = -1;
  {
    MutexLock lock(&mu_);
    pid = std::exchange(pid_, -1);
    relay_ = nullptr;
  }
  if (pid < 0) return;
  const Fd watched(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd end = {watched.get(), POLLIN, 0};
  const int64_t wait_ms = patient ? absl::ToInt64Milliseconds(options_.patience) : 0;
  const bool ended = watched.get() >= 0 && poll(&end, 1, static_cast<int>(wait_ms)) > 0;
  if (!ended) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

// False: stop.
bool EnrolmentProcess::Pause(absl::Duration pause) {
  const absl::Duration until = options_.clock->Monotonic() + pause;
  MutexLock lock(&mu_);
  while (!stopping_ && options_.clock->Monotonic() < until) options_.clock->WaitUntil(&mu_, &changed_, until);
  return !stopping_;
}

}  // namespace tributary::service
