// Accepting under want: no descriptors, no room, peers that are gone.
#include "server/service/socket_listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/rpc/limits.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using testing::StatusIs;

// Lowers this process' own limit to what is open plus `room`, until it goes.
class FewDescriptors {
 public:
  explicit FewDescriptors(int room) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(next);
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(next + room);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

int TcpOption(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  getsockopt(fd, IPPROTO_TCP, option, &value, &length);
  return value;
}

class SocketListenerTest : public ::testing::Test {
 protected:
  SocketListenerTest() {
    connections_ = *Connections::Create(limits_, &Clock::System());
    listener_ = *SocketListener::Bind({"127.0.0.1", 0});
  }
  ~SocketListenerTest() override {
    listener_->Stop();
    for (const int fd : strangers_) close(fd);
    MutexLock lock(&mu_);
    for (const int fd : handed_) close(fd);
  }
  void Start() {
    listener_->Start(connections_.get(), [this](int, int fd) {
      MutexLock lock(&mu_);
      handed_.push_back(fd);
      changed_.NotifyAll();
    });
  }
  int Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(listener_->endpoint().port));
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    strangers_.push_back(fd);
    return fd;
  }
  void AwaitHanded(size_t count) {
    MutexLock lock(&mu_);
    while (handed_.size() < count) changed_.Wait(&mu_);
  }
  size_t handed() {
    MutexLock lock(&mu_);
    return handed_.size();
  }
  // The other side has ended it.
  static bool AwaitEnd(int fd) {
    pollfd p = {fd, POLLIN, 0};
    char byte = 0;
    return poll(&p, 1, 20'000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
  }

  Connections::Limits limits_;
  std::unique_ptr<Connections> connections_;
  std::unique_ptr<SocketListener> listener_;
  std::vector<int> strangers_;
  Mutex mu_;
  CondVar changed_;
  std::vector<int> handed_ TRB_GUARDED_BY(mu_);
};

TEST_F(SocketListenerTest, WithoutDescriptorsItTurnsAwayAndThenGoesOn) {
  Start();
  Connect();
  AwaitHanded(1);
  const int turned_away = Connect();  // in this process the stranger's end needs a descriptor too
  AwaitHanded(2);
  const int waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  strangers_.push_back(waiting);
  {
    const FewDescriptors few(0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(listener_->endpoint().port));
    ASSERT_EQ(connect(waiting, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_TRUE(AwaitEnd(waiting));
  }
  EXPECT_EQ(handed(), 2u);
  Connect();
  AwaitHanded(3);
  (void)turned_away;
}

// Keepalive cannot notice a peer that takes nothing: its ping waits behind the bytes that do not go out.
TEST_F(SocketListenerTest, APeerThatTakesNothingIsGivenUpInTimeAndSmallMessagesGoOutAtOnce) {
  Start();
  Connect();
  AwaitHanded(1);
  int fd = -1;
  {
    MutexLock lock(&mu_);
    fd = handed_[0];
  }
  EXPECT_EQ(TcpOption(fd, TCP_USER_TIMEOUT), rpc::kDeadPeerMs);
  EXPECT_LT(rpc::kDeadPeerMs, 30'000);
  EXPECT_EQ(TcpOption(fd, TCP_NODELAY), 1);
}

TEST_F(SocketListenerTest, MoreThanTheShareOfAnAddressAreClosedAtOnce) {
  limits_.pending_per_address = 2;
  connections_->SetLimits(limits_);
  Start();
  Connect();
  Connect();
  AwaitHanded(2);
  EXPECT_TRUE(AwaitEnd(Connect()));
  EXPECT_EQ(handed(), 2u);
}

TEST_F(SocketListenerTest, AStrangerThatSaysNothingIsCut) {
  limits_.handshake = absl::Milliseconds(100);
  connections_->SetLimits(limits_);
  Start();
  EXPECT_TRUE(AwaitEnd(Connect()));
}

TEST_F(SocketListenerTest, WhenItAcceptsNoMoreThePortIsFreeAndTheOpenOnesAreStillWatched) {
  limits_.handshake = absl::Milliseconds(300);
  connections_->SetLimits(limits_);
  Start();
  const int open = Connect();
  AwaitHanded(1);
  const identity::HostPort endpoint = listener_->endpoint();
  listener_->StopAccepting();
  EXPECT_OK(SocketListener::Bind(endpoint));
  EXPECT_TRUE(AwaitEnd(open));
}

TEST_F(SocketListenerTest, APortInUseIsNamed) {
  EXPECT_THAT(SocketListener::Bind(listener_->endpoint()), StatusIs(absl::StatusCode::kAlreadyExists));
}

}  // namespace
}  // namespace tributary::service
