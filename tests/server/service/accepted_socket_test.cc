// What every accepted connection is born with.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "common/rpc/limits.h"
#include "server/service/socket_listener.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

int Option(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  getsockopt(fd, IPPROTO_TCP, option, &value, &length);
  return value;
}

TEST(AcceptedSocketTest, APeerThatTakesNothingIsGivenUpInTimeAndSmallMessagesGoOutAtOnce) {
  ASSERT_OK_AND_ASSIGN(const auto listener, SocketListener::Bind({"127.0.0.1", 0}));
  std::promise<int> accepted;
  listener->Start([&accepted](int, int fd) { accepted.set_value(fd); });
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(listener->endpoint().port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(0, connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address));
  const int fd = accepted.get_future().get();
  EXPECT_EQ(rpc::kDeadPeerMs, Option(fd, TCP_USER_TIMEOUT));
  EXPECT_LT(rpc::kDeadPeerMs, 30'000);
  EXPECT_EQ(1, Option(fd, TCP_NODELAY));
  close(fd);
  close(peer);
}

}  // namespace
}  // namespace tributary::service
