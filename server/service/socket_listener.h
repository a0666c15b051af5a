// A TCP listening socket of our own, which hands accepted sockets on and keeps watch over them (connections.h). gRPC's
// own acceptor (1.51) stops for good after one EMFILE (CVE-2023-4785); this one closes what it cannot serve, with the
// help of a descriptor kept in reserve, pauses and goes on. It also tells a port in use from other faults. Order:
// Bind or Adopt -> Start -> StopAccepting -> Stop. Threads: one thread inside; methods from one thread at a time.
#ifndef TRIBUTARY_SERVER_SERVICE_SOCKET_LISTENER_H_
#define TRIBUTARY_SERVER_SERVICE_SOCKET_LISTENER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>

#include "common/base/limited_log.h"
#include "common/base/status.h"
#include "server/identity/federation.h"
#include "server/service/connections.h"

namespace tributary::service {

class SocketListener {
 public:
  // Called on the thread inside; takes over `fd` (non-blocking, close-on-exec). Must not block.
  using OnConnection = std::function<void(int listener_fd, int fd)>;

  // Port 0: the system chooses one. ALREADY_EXISTS: the port is in use (the message says the way out).
  static absl::StatusOr<std::unique_ptr<SocketListener>> Bind(const identity::HostPort& address);
  // A socket that listens already; takes over `fd`.
  static absl::StatusOr<std::unique_ptr<SocketListener>> Adopt(int fd);
  ~SocketListener();
  SocketListener(const SocketListener&) = delete;
  SocketListener& operator=(const SocketListener&) = delete;

  const identity::HostPort& endpoint() const { return endpoint_; }  // with the port that it really has
  int fd() const { return fd_; }                                    // for a process that inherits it; -1 once stopped
  // `connections` is borrowed and outlives this.
  void Start(Connections* connections, OnConnection on_connection);
  // After it returns no connection is handed on any more and the port is free; those that are open are still watched.
  void StopAccepting();
  void Stop();

 private:
  SocketListener(int fd, int wake_fd, identity::HostPort endpoint);
  void Loop();
  bool Wait(int timeout_ms, bool accepting);
  void AcceptWaiting();
  bool AcceptOne();
  void TurnAway();
  void Admit(int fd, const std::string& peer);

  int fd_;
  int wake_fd_;     // an eventfd that ends the wait
  int reserve_fd_;  // given up to be able to accept, and close, what there is no descriptor for
  const identity::HostPort endpoint_;
  Connections* connections_ = nullptr;
  OnConnection on_connection_;
  LimitedLog log_;
  std::atomic<bool> accepting_{true}, watching_{true};
  bool told_ = false;      // that it accepts no more; the thread's
  bool refusing_ = false;  // somebody was refused when it last accepted; the thread's
  std::binary_semaphore stopped_accepting_{0};
  std::thread thread_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_SOCKET_LISTENER_H_
