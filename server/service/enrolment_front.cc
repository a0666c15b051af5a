#include "server/service/enrolment_front.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "common/base/logging.h"
#include "common/rpc/grpc_log.h"
#include "server/service/door.h"
#include "server/service/enrolment_relay.h"
#include "server/service/relayed_calls.h"

namespace tributary::service {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);  // for calls under way when the window closes
constexpr rlim_t kDescriptors = 1024;
// Of address space; the libraries alone take a third. gRPC reads unfinished headers without limit: at this it dies.
constexpr rlim_t kAddressSpaceBytes = rlim_t{1} << 30;
constexpr size_t kStackBytes = 512 << 10;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow memory needs terabytes of addresses
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

// A stranger holds a socket for 3 s without a call and for 10 s after it, sends 64 KiB over it, and has 64 of 256, or
// less where the process may not have as many files.
Connections::Limits StrangersLimits() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  Connections::Limits limits = Connections::Fit({.in_all = 256}, files.rlim_cur);
  limits.pending = limits.in_all;
  limits.pending_per_address = limits.in_all / 4;
  limits.admission = absl::Seconds(10);
  limits.pending_bytes = 64 << 10;
  return limits;
}

void Limit(__rlimit_resource resource, rlim_t value) {
  rlimit limit{};
  getrlimit(resource, &limit);
  limit.rlim_cur = limit.rlim_max = std::min(limit.rlim_max, value);
  if (setrlimit(resource, &limit) != 0) Log(LogLevel::kWarning, "enrolment_front_unlimited", {{"resource", resource}});
}

// Before there is another thread. Failures are told and borne: the coordinator is as safe without.
void BoundThisProcess() {
  std::signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_NOFILE, kDescriptors);
  if (!kSanitized) Limit(RLIMIT_AS, kAddressSpaceBytes);
  setpriority(PRIO_PROCESS, 0, 10);
  mallopt(M_ARENA_MAX, 2);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  if (!kSanitized) pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

absl::Status Serve(const std::string& credentials) {
  TRB_ASSIGN_OR_RETURN(const auto connections, Connections::Create(StrangersLimits(), &Clock::System()));
  TRB_ASSIGN_OR_RETURN(auto listener, SocketListener::Adopt(kListeningFd));
  RelayedCalls calls({.relay_fd = kRelayFd, .connections = connections.get()});
  Door::Parts parts{
      rpc::Listener::kEnrolment, crypto::CredentialDirectory(credentials), {&calls}, connections.get(), nullptr};
  TRB_ASSIGN_OR_RETURN(const auto door, Door::Open(std::move(listener), std::move(parts)));
  door->Serve();
  absl::Status end;
  for (std::string bytes = ReceiveRelayed(kRelayFd); !bytes.empty(); bytes = ReceiveRelayed(kRelayFd)) {
    const auto answer = DecodeRelayedAnswer(bytes);
    end = answer.status();
    if (!answer.ok() || answer->id == 0) break;
    calls.Answer(*answer);
  }
  calls.EndAll();
  door->Close(kPatience);
  return end;
}

}  // namespace

int RunEnrolmentFront(int argc, const char* const* argv) {
  if (argc != 3) return 2;
  BoundThisProcess();
  rpc::TakeOverGrpcLog();
  const absl::Status served = Serve(argv[2]);
  if (served.ok()) return 0;
  Log(LogLevel::kError, "enrolment_front_failed", {{"reason", served.ToString()}});
  return 1;
}

}  // namespace tributary::service
