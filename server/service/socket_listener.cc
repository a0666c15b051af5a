#include "server/service/socket_listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/logging.h"
#include "common/rpc/limits.h"

namespace tributary::service {
namespace {

constexpr int kBackOffMs = 100;  // after an accept that failed for want of descriptors or memory

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
  if (bind(fd, info.ai_addr, info.ai_addrlen) != 0 || listen(fd, 512) != 0) {
    const int error_number = errno;
    close(fd);
    return BindFault(error_number, address);
  }
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
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
  const int wake = eventfd(0, EFD_CLOEXEC);
  if (wake < 0) {
    const int error_number = errno;
    close(*fd);
    return ErrnoToStatus(error_number, "eventfd");
  }
  return std::unique_ptr<SocketListener>(new SocketListener(*fd, wake, identity::HostPort{address.host, PortOf(*fd)}));
}

SocketListener::~SocketListener() { Stop(); }

void SocketListener::Start(OnConnection on_connection) {
  on_connection_ = std::move(on_connection);
  thread_ = std::thread([this] { AcceptLoop(); });
}

void SocketListener::Stop() {
  if (fd_ < 0) return;
  const uint64_t one = 1;
  if (write(wake_fd_, &one, sizeof one) < 0) Log(LogLevel::kError, "listener_wake_failed", {{"errno", errno}});
  if (thread_.joinable()) thread_.join();
  close(fd_);
  close(wake_fd_);
  fd_ = wake_fd_ = -1;
}

bool SocketListener::WaitReadable(int timeout_ms) {
  pollfd fds[2] = {{fd_, static_cast<short>(timeout_ms < 0 ? POLLIN : 0), 0}, {wake_fd_, POLLIN, 0}};
  while (poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  return (fds[1].revents & POLLIN) == 0;
}

void SocketListener::AcceptLoop() {
  while (WaitReadable(-1)) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      on_connection_(fd_, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      Log(LogLevel::kWarning, "accept_backs_off", {{"reason", std::strerror(errno)}, {"port", endpoint_.port}});
      if (!WaitReadable(kBackOffMs)) return;
    }
  }
}

}  // namespace tributary::service
