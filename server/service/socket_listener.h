// A TCP listening socket of our own, which hands accepted sockets on. gRPC's own acceptor (1.51) stops for good after
// one EMFILE (CVE-2023-4785); this one backs off and goes on. It also tells a port in use from other faults. Order:
// Bind -> Start -> Stop. Threads: one accepting thread inside; methods from one thread at a time.
#ifndef TRIBUTARY_SERVER_SERVICE_SOCKET_LISTENER_H_
#define TRIBUTARY_SERVER_SERVICE_SOCKET_LISTENER_H_

#include <functional>
#include <memory>
#include <thread>

#include "common/base/status.h"
#include "server/identity/federation.h"

namespace tributary::service {

class SocketListener {
 public:
  // Called on the accepting thread; takes over `fd` (non-blocking, close-on-exec). Must not block.
  using OnConnection = std::function<void(int listener_fd, int fd)>;

  // Port 0: the system chooses one. ALREADY_EXISTS: the port is in use (the message says the way out).
  static absl::StatusOr<std::unique_ptr<SocketListener>> Bind(const identity::HostPort& address);
  ~SocketListener();
  SocketListener(const SocketListener&) = delete;
  SocketListener& operator=(const SocketListener&) = delete;

  const identity::HostPort& endpoint() const { return endpoint_; }  // with the port that it really has
  void Start(OnConnection on_connection);
  // After it returns no connection is handed on any more and the port is free.
  void Stop();

 private:
  SocketListener(int fd, int wake_fd, identity::HostPort endpoint)
      : fd_(fd), wake_fd_(wake_fd), endpoint_(std::move(endpoint)) {}
  void AcceptLoop();
  bool WaitReadable(int timeout_ms);

  int fd_;
  int wake_fd_;  // an eventfd that ends the wait
  const identity::HostPort endpoint_;
  OnConnection on_connection_;
  std::thread thread_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_SOCKET_LISTENER_H_
