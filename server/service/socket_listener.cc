#include "server/service/socket_listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/logging.h"
#include "common/rpc/limits.h"

namespace tributary::service {
namespace {

constexpr int kBacklog = 4096;   // the system cuts it at net.core.somaxconn
constexpr int kBackOffMs = 100;  // after an accept that failed for want of descriptors or memory
constexpr int kAtOnce = 256;     // accepted before the others are looked at again
// Between two looks at who waits, while some are refused: waking up for each costs more than refusing it.
constexpr absl::Duration kBreather = absl::Milliseconds(5);

absl::Status BindFault(int error_number, const identity::HostPort& address) {
  const std::string what = absl::StrCat("listen on ", identity::JoinHostPort(address.host, address.port));
  if (error_number == EADDRINUSE) {
    return WithFix(
        absl::AlreadyExistsError(what + ": the port is in use"),
        "stop the program that uses it, or set another port in coordinator.toml (and remove endpoints.json)");
  }
  return ErrnoToStatus(error_number, what);
}

absl::StatusOr<int> BindSocket(const addrinfo& info, const identity::HostPort& address) {
  const int fd = socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoToStatus(errno, "socket");
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Inherited by what is accepted. Keepalive cannot notice a peer that takes nothing any more: its ping waits behind
  // the bytes that do not go out.
  const int dead_ms = rpc::kDeadPeerMs;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
  if (info.ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(fd, info.ai_addr, info.ai_addrlen) != 0 || listen(fd, kBacklog) != 0) {
    const int error_number = errno;
    close(fd);
    return BindFault(error_number, address);
  }
  return fd;
}

// "ADDRESS:PORT" as gRPC spells peers: IPv6 in brackets, an IPv4 address that came in over IPv6 as IPv4.
identity::HostPort HostPortOf(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {text, ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
  } else {
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  }
  return {text, ntohs(v6.sin6_port)};
}

identity::HostPort BoundTo(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return HostPortOf(storage);
}

// Nothing of it stays here: a closed one would be remembered for a minute.
void Reset(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

absl::StatusOr<int> WakeFd() {
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) return ErrnoToStatus(errno, "eventfd");
  return wake;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketListener>> SocketListener::Bind(const identity::HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  if (failed != 0) {
    return absl::InvalidArgumentError(absl::StrCat("listen on ", identity::JoinHostPort(address.host, address.port),
                                                   ": ", gai_strerror(failed), " (an address of this machine?)"));
  }
  auto fd = BindSocket(*found, address);
  freeaddrinfo(found);
  TRB_RETURN_IF_ERROR(fd.status());
  auto wake = WakeFd();
  if (!wake.ok()) close(*fd);
  TRB_RETURN_IF_ERROR(wake.status());
  return std::unique_ptr<SocketListener>(
      new SocketListener(*fd, *wake, identity::HostPort{address.host, BoundTo(*fd).port}));
}

absl::StatusOr<std::unique_ptr<SocketListener>> SocketListener::Adopt(int fd) {
  auto wake = WakeFd();
  if (!wake.ok()) close(fd);
  TRB_RETURN_IF_ERROR(wake.status());
  return std::unique_ptr<SocketListener>(new SocketListener(fd, *wake, BoundTo(fd)));
}

SocketListener::SocketListener(int fd, int wake_fd, identity::HostPort endpoint)
    : fd_(fd), wake_fd_(wake_fd), reserve_fd_(OpenReserve()), endpoint_(std::move(endpoint)) {}

SocketListener::~SocketListener() { Stop(); }

void SocketListener::Start(Connections* connections, OnConnection on_connection) {
  connections_ = connections;
  on_connection_ = std::move(on_connection);
  thread_ = std::thread([this] { Loop(); });
}

void SocketListener::StopAccepting() {
  if (fd_ < 0) return;
  accepting_ = false;
  if (thread_.joinable()) {
    const uint64_t one = 1;
    if (write(wake_fd_, &one, sizeof one) < 0) Log(LogLevel::kError, "listener_wake_failed", {{"errno", errno}});
    stopped_accepting_.acquire();
  }
  close(fd_);
  fd_ = -1;
}

void SocketListener::Stop() {
  StopAccepting();
  if (wake_fd_ < 0) return;
  watching_ = false;
  const uint64_t one = 1;
  if (write(wake_fd_, &one, sizeof one) < 0) Log(LogLevel::kError, "listener_wake_failed", {{"errno", errno}});
  if (thread_.joinable()) thread_.join();
  close(wake_fd_);
  if (reserve_fd_ >= 0) close(reserve_fd_);
  wake_fd_ = reserve_fd_ = -1;
}

// False: it was woken.
bool SocketListener::Wait(int timeout_ms, bool accepting) {
  pollfd fds[3] = {{wake_fd_, POLLIN, 0}, {connections_->hangups(), POLLIN, 0}, {accepting ? fd_ : -1, POLLIN, 0}};
  while (poll(fds, 3, timeout_ms) < 0 && errno == EINTR) {
  }
  uint64_t woken = 0;
  return read(wake_fd_, &woken, sizeof woken) < 0;
}

void SocketListener::Loop() {
  while (watching_) {
    if (!accepting_ && !std::exchange(told_, true)) stopped_accepting_.release();
    const absl::Duration most = refusing_ ? kBreather : absl::InfiniteDuration();
    const absl::Duration wait = std::min(connections_->SweepAgainIn(), most);
    Wait(static_cast<int>(absl::ToInt64Milliseconds(wait)), accepting_ && !refusing_);
    connections_->Sweep();
    AcceptWaiting();
  }
}

void SocketListener::AcceptWaiting() {
  refusing_ = false;
  for (int n = 0; accepting_ && n < kAtOnce; ++n) {
    if (!AcceptOne()) return;
  }
  refusing_ = false;  // more are waiting, so no breather
}

// False: nobody is waiting.
bool SocketListener::AcceptOne() {
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  const int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&from), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    const identity::HostPort peer = HostPortOf(from);
    Admit(fd, identity::JoinHostPort(peer.host, peer.port));
    return true;
  }
  switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      log_.Log(LogLevel::kWarning, "accept_backs_off", {{"reason", std::strerror(errno)}, {"port", endpoint_.port}});
      TurnAway();
      Wait(kBackOffMs, /*accepting=*/false);
      return false;
    case EAGAIN:
      return false;
    case ECONNABORTED:
    case EPROTO:
    case EINTR:
      return true;  // this one is gone; the next may be there
    default:
      log_.Log(LogLevel::kWarning, "accept_fails", {{"reason", std::strerror(errno)}, {"port", endpoint_.port}});
      Wait(kBackOffMs, /*accepting=*/false);
      return false;
  }
}

// Somebody is told at once, instead of waiting for what will not come.
void SocketListener::TurnAway() {
  if (reserve_fd_ >= 0) close(reserve_fd_);
  const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  reserve_fd_ = OpenReserve();
}

void SocketListener::Admit(int fd, const std::string& peer) {
  const absl::Status added = connections_->Add(fd, peer);
  if (!added.ok()) {
    log_.Log(LogLevel::kWarning, "connection_refused", {{"peer", peer}, {"reason", added.message()}});
    refusing_ = true;
    Reset(fd);
    return;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  on_connection_(fd_, fd);
}

}  // namespace tributary::service
