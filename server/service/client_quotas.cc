#include "server/service/client_quotas.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"

namespace tributary::service {
namespace {

constexpr size_t kMostTransfers = 64;  // tasks of one client that are counted: more than it can hold
constexpr absl::Duration kDay = absl::Hours(24);

absl::Status TooMuch(std::string_view what) {
  return absl::ResourceExhaustedError(absl::StrCat("this client ", absl::string_view(what.data(), what.size()),
                                                   ": try again in ",
                                                   absl::ToInt64Milliseconds(ClientQuotas::kComeBack), " ms"));
}

}  // namespace

struct ClientQuotas::Buckets {
  // None: no limit.
  std::optional<TokenBuckets> sessions, calls, messages;

  static void Make(int rate, int burst, absl::Duration per, const Clock* clock, std::optional<TokenBuckets>* out) {
    if (rate > 0) out->emplace(TokenBuckets::Rate{burst, per / rate}, clock);
  }
  Buckets(const Limits& l, const Clock* clock) {
    Make(l.sessions_a_minute, l.sessions_a_minute, absl::Minutes(1), clock, &sessions);
    Make(l.calls_a_second, 4 * l.calls_a_second, absl::Seconds(1), clock, &calls);
    Make(l.messages_a_second, 10 * l.messages_a_second, absl::Seconds(1), clock, &messages);
  }
  static bool Take(std::optional<TokenBuckets>* bucket, const std::string& client) {
    return !bucket->has_value() || (*bucket)->Take(client);
  }
};

// Shared with every Hold.
struct ClientQuotas::Downloads {
  Mutex mu;
  std::map<std::string, int> running TRB_GUARDED_BY(mu);  // by client; none is 0
};

ClientQuotas::ClientQuotas(const Limits& limits, const Clock* clock)
    : clock_(*clock),
      told_({.burst = 1, .one_each = absl::Minutes(1)}, clock),
      downloads_(std::make_shared<Downloads>()),
      limits_(limits),
      buckets_(std::make_shared<Buckets>(limits, clock)) {}

ClientQuotas::~ClientQuotas() = default;

void ClientQuotas::SetLimits(const Limits& limits) {
  auto buckets = std::make_shared<Buckets>(limits, &clock_);
  MutexLock lock(&mu_);
  limits_ = limits;
  buckets_ = std::move(buckets);
}

ClientQuotas::Limits ClientQuotas::limits() {
  MutexLock lock(&mu_);
  return limits_;
}

std::shared_ptr<ClientQuotas::Buckets> ClientQuotas::buckets() {
  MutexLock lock(&mu_);
  return buckets_;
}

absl::Status ClientQuotas::TakeSession(const std::string& client) {
  return Buckets::Take(&buckets()->sessions, client) ? absl::OkStatus() : TooMuch("opens sessions too often");
}

absl::Status ClientQuotas::TakeCall(const std::string& client) {
  return Buckets::Take(&buckets()->calls, client) ? absl::OkStatus() : TooMuch("calls too often");
}

absl::Status ClientQuotas::TakeMessage(const std::string& client) {
  return Buckets::Take(&buckets()->messages, client) ? absl::OkStatus() : TooMuch("sends too many messages");
}

absl::StatusOr<ClientQuotas::Hold> ClientQuotas::StartDownload(const std::string& client) {
  const int most = limits().downloads;
  MutexLock lock(&downloads_->mu);
  int& mine = downloads_->running[client];
  if (most > 0 && mine >= most) return TooMuch("downloads already");
  ++mine;
  return Hold(nullptr, [all = downloads_, client](void*) {
    MutexLock inner(&all->mu);
    const auto it = all->running.find(client);
    if (--it->second == 0) all->running.erase(it);
  });
}

absl::Status ClientQuotas::TakeDayLocked(Client* client, uint64_t bytes) {
  const absl::Duration now = clock_.Monotonic();
  const double faded = absl::FDivDuration(now - client->day_at, kDay) * static_cast<double>(limits_.bytes_a_day);
  client->day_bytes = std::max(0.0, client->day_bytes - faded);
  client->day_at = now;
  const bool full = limits_.bytes_a_day > 0 && client->day_bytes >= static_cast<double>(limits_.bytes_a_day);
  client->day_bytes += static_cast<double>(bytes);
  return full ? TooMuch("has moved its bytes of a day") : absl::OkStatus();
}

absl::Status ClientQuotas::TakeBytes(const std::string& client, const std::string& task, Way way, uint64_t bytes,
                                     uint64_t whole) {
  MutexLock lock(&mu_);
  Client& mine = clients_[client];
  auto it =
      std::find_if(mine.transfers.begin(), mine.transfers.end(), [&](const Transfer& t) { return t.task == task; });
  if (it == mine.transfers.end()) {
    if (mine.transfers.size() >= kMostTransfers) mine.transfers.pop_front();
    it = mine.transfers.insert(mine.transfers.end(), Transfer{task});
  }
  TRB_RETURN_IF_ERROR(TakeDayLocked(&mine, bytes));
  uint64_t& used = way == Way::kUp ? it->up : it->down;
  const uint64_t limit = std::max(kFreeBytes, whole * static_cast<uint64_t>(limits_.transfer_factor));
  const bool full = limits_.transfer_factor > 0 && used >= limit;
  used += bytes;
  return full ? TooMuch("has moved this task's bytes too many times") : absl::OkStatus();
}

void ClientQuotas::Forget() {
  const auto all = buckets();
  for (auto* bucket : {&all->sessions, &all->calls, &all->messages}) {
    if (bucket->has_value()) (*bucket)->TakeRefused();
  }
  told_.TakeRefused();
}

}  // namespace tributary::service
