#include "server/service/connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <utility>

#include "common/base/logging.h"

namespace tributary::service {
namespace {

constexpr absl::Duration kLastWords = absl::Seconds(1);  // for the answer of a refused call to get out
constexpr absl::Duration kHurry = absl::Seconds(1);      // how long a flood is watched closely after its last bytes
constexpr absl::Duration kCalm = absl::Milliseconds(50);
// What a connection of somebody banned counts for: it goes through the whole handshake and a call before it is known.
constexpr size_t kOfTheBanned = 10;
constexpr double kKnownToForgiveTwiceAsFast = 100;
constexpr uint64_t kFilesOfTheProcess = 96;  // database, blobs, epolls, pipes
constexpr int kEventsAtOnce = 256;

uint64_t BytesReceived(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  const bool known = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
                     length >= offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received;
  return known ? info.tcpi_bytes_received : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connections>> Connections::Create(const Limits& limits, const Clock* clock) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC), arrivals = epoll < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
  if (arrivals < 0) {
    const absl::Status failed = ErrnoToStatus(errno, "epoll_create1");
    if (epoll >= 0) close(epoll);
    return failed;
  }
  return std::unique_ptr<Connections>(new Connections(limits, clock, epoll, arrivals));
}

Connections::~Connections() {
  MutexLock lock(&mu_);
  while (!sockets_.empty()) ForgetLocked(sockets_.begin()->first);
}

std::string Connections::SiteOf(const std::string& peer) {
  const std::string address = peer.substr(0, peer.rfind(':'));
  if (address.empty() || address[0] != '[') return address;
  in6_addr bytes{};
  if (inet_pton(AF_INET6, address.substr(1, address.size() - 2).c_str(), &bytes) != 1) return address;
  return std::string(reinterpret_cast<const char*>(bytes.s6_addr), 8);
}

Connections::Limits Connections::Fit(Limits limits, uint64_t descriptors) {
  const uint64_t sockets =
      descriptors <= kFilesOfTheProcess ? 8 : std::max<uint64_t>(8, (descriptors - kFilesOfTheProcess) / 2);
  limits.in_all = std::min<uint64_t>(limits.in_all, sockets);
  // Strangers leave room for those who are known.
  limits.pending = std::max<size_t>(4, std::min(limits.pending, limits.in_all / 4));
  limits.pending_per_address = std::min(limits.pending_per_address, limits.pending / 2);
  return limits;
}

void Connections::SetLimits(const Limits& limits) {
  MutexLock lock(&mu_);
  limits_ = limits;
}

absl::Status Connections::Add(int fd, const std::string& peer) {
  MutexLock lock(&mu_);
  const std::string address = SiteOf(peer);
  TRB_RETURN_IF_ERROR(MakeRoomLocked(address));
  const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) return RefuseLocked("too many open files");
  const uint64_t token = next_++;
  // No events but the hang-up, which is always told: data is gRPC's.
  epoll_event event{};
  event.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, duplicate, &event) != 0) {
    close(duplicate);
    return RefuseLocked("the system watches no more sockets");
  }
  ++counts_.pending;
  of_address_[address].insert(token);
  by_peer_.emplace(peer, token);
  timed_.insert(token);
  Socket socket{};
  socket.fd = duplicate;
  socket.peer = peer;
  socket.address = address;
  socket.until = clock_.Monotonic() + limits_.handshake;
  sockets_.emplace(token, std::move(socket));
  return absl::OkStatus();
}

absl::Status Connections::MakeRoomLocked(const std::string& address) {
  const auto own = of_address_.find(address);
  const size_t held = own == of_address_.end() ? 0 : own->second.size();
  if (held >= limits_.pending_per_address) return RefuseLocked("too many connections without a call from this address");
  if (held + bad_endings_.Of(address, ForgivenEachLocked(address), clock_.Monotonic()) >= limits_.pending_per_address) {
    return RefuseLocked("too many connections from this address came to nothing");
  }
  if (counts_.pending >= limits_.pending) {
    const auto most = std::max_element(of_address_.begin(), of_address_.end(),
                                       [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
    if (most->second.size() <= held + 1) return RefuseLocked("too many connections without a call");
    const uint64_t oldest = *most->second.begin();
    FindLocked(oldest)->excused = true;
    CutLocked(oldest);
    ForgetLocked(oldest);
  }
  return sockets_.size() < limits_.in_all ? absl::OkStatus() : RefuseLocked("too many connections");
}

absl::Status Connections::RefuseLocked(const char* why) {
  ++counts_.refused;
  return absl::ResourceExhaustedError(why);
}

void Connections::Sweep() {
  std::vector<Ban> untold;
  {
    MutexLock lock(&mu_);
    SweepLocked();
    untold = std::exchange(untold_, {});
  }
  for (const Ban& ban : untold) {
    Log(LogLevel::kWarning, "connection_cut",
        {{"peer", ban.peer},
         {"identity", ban.identity},
         {"reason", "it sends bytes that become no message"},
         {"bytes", ban.bytes},
         {"banned_seconds", absl::ToInt64Seconds(ban.lasts)}});
  }
}

void Connections::SweepLocked() {
  epoll_event events[kEventsAtOnce];
  const int gone = epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);  // more of them wake us again
  for (int i = 0; i < gone; ++i) ForgetLocked(events[i].data.u64);
  const absl::Duration now = clock_.Monotonic();
  // Whoever comes, goes or floods must not make a thousand strangers be looked at each time.
  if (now - timed_looked_at_ >= kCalm) {
    timed_looked_at_ = now;
    LookAtTimedLocked(now);
    bad_endings_.Sweep(now);
  }
  for (auto it = banned_.begin(); it != banned_.end();) it = it->second <= now ? banned_.erase(it) : std::next(it);
  // Each is told once a pass; what arrives meanwhile is for the next sweep.
  for (size_t passes = 1 + counts_.known / kEventsAtOnce; passes > 0; --passes) {
    const int n = epoll_wait(arrivals_.get(), events, kEventsAtOnce, 0);
    for (int i = 0; i < n; ++i) LookAtKnownLocked(events[i].data.u64);
    if (n < kEventsAtOnce) break;
  }
}

void Connections::LookAtTimedLocked(absl::Duration now) {
  for (auto it = timed_.begin(); it != timed_.end();) {
    const uint64_t token = *it++;  // cutting takes it out
    const Socket& socket = *FindLocked(token);
    if (socket.until <= now || (socket.identity.empty() && BytesReceived(socket.fd) > limits_.pending_bytes)) {
      CutLocked(token);
    }
  }
}

// While a block of headers is unfinished HTTP/2 lets nothing else through, so whoever never ends one is not heard.
void Connections::LookAtKnownLocked(uint64_t token) {
  Socket* socket = FindLocked(token);
  if (socket == nullptr) return;
  const auto of_identity = of_identity_.find(socket->identity);
  if (of_identity == of_identity_.end() || !of_identity->second.contains(token)) return;  // it is cut already
  const uint64_t bytes = BytesReceived(socket->fd);
  if (std::exchange(socket->heard, false)) {
    socket->bytes = bytes;
    socket->unheard = 0;
    return;
  }
  socket->unheard = bytes - socket->bytes;
  uint64_t together = 0;
  for (const uint64_t held : of_identity->second) {
    const Socket& other = *FindLocked(held);
    if (!other.heard || held == token) together += other.unheard;
  }
  if (together > limits_.unheard_bytes) return BanLocked({socket->identity, socket->peer, together, limits_.ban});
  if (together > limits_.unheard_bytes / 8) hurry_until_ = clock_.Monotonic() + kHurry;
}

void Connections::BanLocked(Ban ban) {
  banned_[ban.identity] = clock_.Monotonic() + limits_.ban;
  const std::set<uint64_t> held = of_identity_.at(ban.identity);  // cutting takes them out, the entry with them
  for (const uint64_t token : held) CutLocked(token);
  untold_.push_back(std::move(ban));
}

absl::Duration Connections::SweepAgainIn() {
  MutexLock lock(&mu_);
  // A flood brings some hundred MB a second.
  if (clock_.Monotonic() < hurry_until_) return absl::Milliseconds(2);
  return counts_.pending + counts_.known > 0 ? kCalm : absl::Seconds(1);
}

void Connections::Heard(const std::string& peer) {
  MutexLock lock(&mu_);
  const auto range = by_peer_.equal_range(peer);
  for (auto it = range.first; it != range.second; ++it) FindLocked(it->second)->heard = true;
}

void Connections::Asked(const std::string& peer) {
  MutexLock lock(&mu_);
  for (const uint64_t token : OfPeerLocked(peer)) {
    Socket* socket = FindLocked(token);
    socket->heard = true;
    if (!socket->identity.empty() || socket->ending || std::exchange(socket->asked, true)) continue;
    socket->until = clock_.Monotonic() + limits_.admission;
  }
}

void Connections::Known(const std::string& peer, const std::string& identity) {
  MutexLock lock(&mu_);
  for (const uint64_t token : OfPeerLocked(peer)) KnownLocked(token, identity);
}

void Connections::Refused(const std::string& peer) {
  MutexLock lock(&mu_);
  for (const uint64_t token : OfPeerLocked(peer)) EndLocked(token);
}

void Connections::Blamed(const std::string& peer) {
  MutexLock lock(&mu_);
  for (const uint64_t token : OfPeerLocked(peer)) {
    if (FindLocked(token)->identity.empty()) EndLocked(token);
  }
}

void Connections::EndIdentity(const std::string& identity) {
  MutexLock lock(&mu_);
  const auto held = of_identity_.find(identity);
  if (held == of_identity_.end()) return;
  for (const uint64_t token : held->second) EndLocked(token);
}

Connections::Counts Connections::counts() {
  MutexLock lock(&mu_);
  return counts_;
}

Connections::Socket* Connections::FindLocked(uint64_t token) {
  const auto it = sockets_.find(token);
  return it == sockets_.end() ? nullptr : &it->second;
}

// One, but for a host that reached two of our addresses from the same port.
std::vector<uint64_t> Connections::OfPeerLocked(const std::string& peer) const {
  std::vector<uint64_t> tokens;
  const auto range = by_peer_.equal_range(peer);
  for (auto it = range.first; it != range.second; ++it) tokens.push_back(it->second);
  return tokens;
}

void Connections::KnownLocked(uint64_t token, const std::string& identity) {
  Socket* socket = FindLocked(token);
  if (!socket->identity.empty() || socket->ending) return;
  LeavePendingLocked(token, *socket);
  ++counts_.known;
  ++known_at_[socket->address];
  socket->identity = identity;
  socket->until = absl::InfiniteDuration();
  timed_.erase(token);
  // Edge-triggered, and "writable" too: what gRPC has read already is still told as an arrival.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u64 = token;
  if (epoll_ctl(arrivals_.get(), EPOLL_CTL_ADD, socket->fd, &event) != 0) return EndLocked(token);
  std::set<uint64_t>& held = of_identity_[identity];
  held.insert(token);
  if (banned_.contains(identity)) {
    NoteBadEndingsLocked(*socket, kOfTheBanned);
    return CutLocked(token);
  }
  if (held.size() > limits_.per_identity) CutLocked(*held.begin());
}

void Connections::EndLocked(uint64_t token) {
  Socket* socket = FindLocked(token);
  socket->blamed = true;
  if (std::exchange(socket->ending, true)) return;
  socket->until = clock_.Monotonic() + kLastWords;
  timed_.insert(token);
}

// gRPC notices, and the hang-up comes back to Sweep, which forgets it.
void Connections::CutLocked(uint64_t token) {
  Socket* socket = FindLocked(token);
  ++counts_.cut;
  shutdown(socket->fd, SHUT_RDWR);
  socket->ending = true;
  timed_.erase(token);
  const auto held = of_identity_.find(socket->identity);
  if (held != of_identity_.end() && held->second.erase(token) > 0 && held->second.empty()) of_identity_.erase(held);
}

void Connections::ForgetLocked(uint64_t token) {
  const auto it = sockets_.find(token);
  if (it == sockets_.end()) return;
  const Socket& socket = it->second;
  // Closing is not enough: gRPC may keep its descriptor of the same socket for a while, and the hang-up would be told
  // until then.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.fd, nullptr);
  if (socket.identity.empty()) {
    LeavePendingLocked(token, socket);
    if (!socket.excused && (socket.blamed || !socket.asked)) NoteBadEndingsLocked(socket, 1);
  } else {
    epoll_ctl(arrivals_.get(), EPOLL_CTL_DEL, socket.fd, nullptr);
    --counts_.known;
    const auto at = known_at_.find(socket.address);
    if (--at->second == 0) known_at_.erase(at);
    const auto held = of_identity_.find(socket.identity);
    if (held != of_identity_.end() && held->second.erase(token) > 0 && held->second.empty()) of_identity_.erase(held);
  }
  close(socket.fd);
  const auto range = by_peer_.equal_range(socket.peer);
  for (auto peer = range.first; peer != range.second; ++peer) {
    if (peer->second != token) continue;
    by_peer_.erase(peer);
    break;
  }
  timed_.erase(token);
  sockets_.erase(it);
}

absl::Duration Connections::ForgivenEachLocked(const std::string& address) const {
  const auto known = known_at_.find(address);
  if (known == known_at_.end()) return limits_.forgiven_each;
  return limits_.forgiven_each / (1 + static_cast<double>(known->second) / kKnownToForgiveTwiceAsFast);
}

void Connections::NoteBadEndingsLocked(const Socket& socket, size_t count) {
  bad_endings_.Add(socket.address, count, limits_.pending_per_address, ForgivenEachLocked(socket.address),
                   clock_.Monotonic());
}

void Connections::LeavePendingLocked(uint64_t token, const Socket& socket) {
  --counts_.pending;
  const auto held = of_address_.find(socket.address);
  held->second.erase(token);
  if (held->second.empty()) of_address_.erase(held);
}

}  // namespace tributary::service
