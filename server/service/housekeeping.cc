#include "server/service/housekeeping.h"

#include <sys/statvfs.h>

#include "common/base/logging.h"

namespace tributary::service {
namespace {

// A chunk of 256 KiB at the pace that uploads need to have. A model would be kept in memory for whoever takes nothing.
constexpr absl::Duration kStuck = absl::Minutes(2);
constexpr absl::Duration kSeldom = absl::Minutes(1);
constexpr uint64_t kLowDiskBytes = 1ull << 30;

void LogIfFailed(std::string_view event, const absl::Status& status) {
  if (!status.ok()) Log(LogLevel::kError, event, {{"reason", status.ToString()}});
}

}  // namespace

void Housekeeping::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Housekeeping::Stop() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Housekeeping::Run() {
  absl::Duration seldom = options_.clock->Monotonic() + kSeldom;
  while (WaitForTick()) {
    TickOften();
    if (options_.clock->Monotonic() < seldom) continue;
    seldom = options_.clock->Monotonic() + kSeldom;
    TickSeldom();
  }
}

bool Housekeeping::WaitForTick() {
  const absl::Duration next = options_.clock->Monotonic() + options_.tick;
  MutexLock lock(&mu_);
  while (!stopping_ && options_.clock->Monotonic() < next) options_.clock->WaitUntil(&mu_, &stop_, next);
  return !stopping_;
}

void Housekeeping::TickOften() {
  clock_steps_.Look();
  options_.sessions->EndSilent(options_.silence);
  options_.slots->CheckAll();
  options_.live->CutAgain();
  options_.live->CutExpired(options_.clock->NowUnixMillis());
  options_.live->CutStuck(options_.clock->Monotonic(), kStuck);
  if (renew_now_.exchange(false)) LogIfFailed("renewal_failed", options_.renewal->Tick());
  LogIfFailed("enrolment_port_failed", options_.enrolment->Update());
}

void Housekeeping::TickSeldom() {
  LogIfFailed("renewal_failed", options_.renewal->Tick());
  LogIfFailed("sweep_failed", options_.uploads->Sweep([this] { return OpenTasks(); }));
  options_.quotas->Forget();
  LogIfFailed("audit_failed", options_.store->TellLeftOut());
  WarnOfLowDisk();
}

absl::StatusOr<std::set<std::string>> Housekeeping::OpenTasks() const {
  std::set<std::string> open_tasks;
  TRB_ASSIGN_OR_RETURN(const auto runs, options_.store->ListRuns(/*active_only=*/true));
  for (const rounds::RunRow& run : runs) {
    TRB_ASSIGN_OR_RETURN(const auto round, options_.store->GetOpenRound(run.run.id()));
    if (!round.has_value() || round->round.state() != "training") continue;
    TRB_ASSIGN_OR_RETURN(const auto rows, options_.store->ListContributions(run.run.id(), round->round.round()));
    for (const v1::Contribution& row : rows) open_tasks.insert(row.task_id());
  }
  return open_tasks;
}

void Housekeeping::WarnOfLowDisk() {
  struct statvfs fs {};
  if (statvfs(options_.directory.c_str(), &fs) != 0) return;
  const uint64_t free_bytes = uint64_t{fs.f_bavail} * fs.f_frsize;
  if (free_bytes >= kLowDiskBytes) return;
  Log(LogLevel::kWarning, "disk_is_low", {{"directory", options_.directory}, {"free_mib", free_bytes >> 20}});
}

}  // namespace tributary::service
