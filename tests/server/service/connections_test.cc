// Real sockets on loopback, a clock moved by hand.
#include "server/service/connections.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using testing::StatusIs;

class ConnectionsTest : public ::testing::Test {
 protected:
  ConnectionsTest() {
    limits_.in_all = 20;
    limits_.pending = 10;
    limits_.pending_per_address = 4;
    limits_.per_identity = 2;
    limits_.pending_bytes = 10'000;
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    socklen_t length = sizeof address_;
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &length), 0);
    connections_ = *Connections::Create(limits_, &clock_);
  }
  ~ConnectionsTest() override {
    for (const auto& pair : pairs_) {
      close(pair->mine);
      close(pair->theirs);
    }
    close(listener_);
  }

  struct Pair {
    int mine, theirs;  // the accepted end, the stranger's
  };
  Pair& Connect() {
    auto pair = std::make_unique<Pair>();
    pair->theirs = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(pair->theirs, reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    pair->mine = accept(listener_, nullptr, nullptr);
    EXPECT_GE(pair->mine, 0);
    pairs_.push_back(std::move(pair));
    return *pairs_.back();
  }
  Pair& MustAdd(const std::string& peer) {
    Pair& pair = Connect();
    EXPECT_OK(connections_->Add(pair.mine, peer));
    return pair;
  }
  // The stranger sees the end.
  static bool IsCut(const Pair& pair) {
    char byte = 0;
    return recv(pair.theirs, &byte, 1, MSG_DONTWAIT) == 0;
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    connections_->Sweep();
    connections_->Sweep();  // forgets what the first one cut
  }
  size_t pending() { return connections_->counts().pending; }
  size_t known() { return connections_->counts().known; }

  testing::ManualClock clock_;
  Connections::Limits limits_;
  int listener_ = -1;
  sockaddr_in address_{};
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::unique_ptr<Connections> connections_;
};

TEST_F(ConnectionsTest, ASocketWithoutACallIsCutAfterThreeSeconds) {
  const Pair& idle = MustAdd("10.0.0.1:1");
  Pass(absl::Milliseconds(2900));
  EXPECT_FALSE(IsCut(idle));
  Pass(absl::Milliseconds(100));
  EXPECT_TRUE(IsCut(idle));
  EXPECT_EQ(pending(), 0u);
}

TEST_F(ConnectionsTest, ASocketWhoseCallWasLetInLives) {
  const Pair& client = MustAdd("10.0.0.1:1");
  connections_->Asked("10.0.0.1:1");
  connections_->Known("10.0.0.1:1", "c1");
  Pass(absl::Hours(24));
  EXPECT_FALSE(IsCut(client));
  EXPECT_EQ(pending(), 0u);
  EXPECT_EQ(known(), 1u);
}

TEST_F(ConnectionsTest, ACallThatWaitsForAWorkerHasMoreTimeAndNotForEver) {
  const Pair& client = MustAdd("10.0.0.1:1");
  connections_->Asked("10.0.0.1:1");
  Pass(absl::Seconds(20));
  EXPECT_FALSE(IsCut(client));
  connections_->Asked("10.0.0.1:1");  // a second call wins no time
  Pass(absl::Seconds(10));
  EXPECT_TRUE(IsCut(client));
}

TEST_F(ConnectionsTest, OneAddressHasItsShareOfPendingOnesOnly) {
  for (int port = 1; port <= 4; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:5"), StatusIs(absl::StatusCode::kResourceExhausted));
  MustAdd("10.0.0.2:1");
  connections_->Known("10.0.0.1:1", "c1");
  MustAdd("10.0.0.1:6");
  EXPECT_EQ(pending(), 5u);
  EXPECT_EQ(connections_->counts().refused, 1u);
}

TEST_F(ConnectionsTest, AnAddressWhoseConnectionsComeToNothingHasFewerUntilTheyAreForgiven) {
  for (int port = 1; port <= 3; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
  Pass(limits_.handshake);  // of four it has used three
  MustAdd("10.0.0.1:4");
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:5"), StatusIs(absl::StatusCode::kResourceExhausted));
  MustAdd("10.0.0.2:1");
  Pass(limits_.forgiven_each);
  MustAdd("10.0.0.1:6");
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:7"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ConnectionsTest, AnAddressOfManyClientsOwesNothingForThem) {
  for (int port = 1; port <= 12; ++port) {
    const std::string peer = absl::StrCat("10.0.0.1:", port);
    const Pair& client = MustAdd(peer);
    connections_->Known(peer, absl::StrCat("client-", port));
    shutdown(client.mine, SHUT_RDWR);
    Pass(absl::ZeroDuration());
  }
  for (int port = 21; port <= 24; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
}

TEST_F(ConnectionsTest, WhoseCallWeHadNoTimeForOwesNothing) {
  for (int port = 1; port <= 12; ++port) {
    const std::string peer = absl::StrCat("10.0.0.1:", port);
    const Pair& newcomer = MustAdd(peer);
    connections_->Asked(peer);
    shutdown(newcomer.mine, SHUT_RDWR);
    Pass(absl::ZeroDuration());
  }
  EXPECT_EQ(connections_->counts().refused, 0u);
}

TEST_F(ConnectionsTest, WhoseCallsAreRefusedForTheirFaultOwesForThem) {
  for (int port = 1; port <= 4; ++port) {
    const std::string peer = absl::StrCat("10.0.0.1:", port);
    const Pair& newcomer = MustAdd(peer);
    connections_->Asked(peer);
    connections_->Blamed(peer);
    shutdown(newcomer.mine, SHUT_RDWR);
    Pass(absl::ZeroDuration());
  }
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:5"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ConnectionsTest, AKnownOneThatIsBlamedGoesOn) {
  const Pair& client = MustAdd("10.0.0.1:1");
  const Pair& stranger = MustAdd("10.0.0.2:1");
  connections_->Known("10.0.0.1:1", "c1");
  connections_->Blamed("10.0.0.1:1");
  connections_->Blamed("10.0.0.2:1");
  Pass(absl::Seconds(2));
  EXPECT_FALSE(IsCut(client));
  EXPECT_TRUE(IsCut(stranger));
}

TEST_F(ConnectionsTest, WhoIsCutForANewcomerOwesNothing) {
  for (int port = 1; port <= 4; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
  for (int i = 2; i <= 7; ++i) MustAdd(absl::StrCat("10.0.0.", i, ":1"));
  MustAdd("10.0.1.1:1");
  MustAdd("10.0.1.2:1");
  EXPECT_EQ(connections_->counts().cut, 2u);
  for (int port = 3; port <= 4; ++port) connections_->Known(absl::StrCat("10.0.0.1:", port), absl::StrCat("c", port));
  for (int i = 2; i <= 7; ++i) connections_->Known(absl::StrCat("10.0.0.", i, ":1"), absl::StrCat("d", i));
  for (int port = 11; port <= 14; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
}

TEST_F(ConnectionsTest, WhereManyAreKnownBadEndingsAreForgivenFaster) {
  limits_.in_all = 150;
  connections_->SetLimits(limits_);
  for (int port = 1; port <= 100; ++port) {
    const std::string peer = absl::StrCat("10.0.0.1:", port);
    MustAdd(peer);
    connections_->Known(peer, absl::StrCat("c", port));
  }
  for (int port = 101; port <= 104; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
  Pass(limits_.handshake);
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:105"), StatusIs(absl::StatusCode::kResourceExhausted));
  Pass(limits_.forgiven_each);
  MustAdd("10.0.0.1:106");
  MustAdd("10.0.0.1:107");
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:108"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ConnectionsTest, AnIpv6NetworkIsOneAddress) {
  for (int host = 1; host <= 4; ++host) MustAdd(absl::StrCat("[2001:db8:0:1::", host, "]:1"));
  EXPECT_THAT(connections_->Add(Connect().mine, "[2001:db8:0:1:ffff::1]:1"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  MustAdd("[2001:db8:0:2::1]:1");
}

TEST(ConnectionsSiteTest, AHostIsOneSiteWhateverItsPortOrItsIpv6Address) {
  EXPECT_EQ(Connections::SiteOf("10.0.0.1:1"), Connections::SiteOf("10.0.0.1:2"));
  EXPECT_NE(Connections::SiteOf("10.0.0.1:1"), Connections::SiteOf("10.0.0.2:1"));
  EXPECT_EQ(Connections::SiteOf("[2001:db8:0:1::1]:1"), Connections::SiteOf("[2001:db8:0:1:ffff::2]:9"));
  EXPECT_NE(Connections::SiteOf("[2001:db8:0:1::1]:1"), Connections::SiteOf("[2001:db8:0:2::1]:1"));
}

TEST_F(ConnectionsTest, WhenTheListIsFullANewcomerTakesAPlaceOfTheAddressThatHasMost) {
  const Pair& oldest = MustAdd("10.0.0.1:1");
  const Pair& next = MustAdd("10.0.0.1:2");
  MustAdd("10.0.0.1:3");
  for (int i = 2; i <= 8; ++i) MustAdd(absl::StrCat("10.0.0.", i, ":1"));
  EXPECT_EQ(pending(), 10u);
  MustAdd("10.0.1.1:1");
  EXPECT_TRUE(IsCut(oldest));
  EXPECT_FALSE(IsCut(next));
  MustAdd("10.0.1.2:1");
  EXPECT_TRUE(IsCut(next));
  EXPECT_EQ(pending(), 10u);
}

TEST_F(ConnectionsTest, WhenAllHaveOneANewcomerIsRefused) {
  for (int i = 1; i <= 10; ++i) MustAdd(absl::StrCat("10.0.0.", i, ":1"));
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.1.1:1"), StatusIs(absl::StatusCode::kResourceExhausted));
  connections_->Known("10.0.0.3:1", "c1");
  MustAdd("10.0.1.1:2");
}

TEST_F(ConnectionsTest, MoreThanTheProcessCanHoldAreRefused) {
  for (int i = 1; i <= 20; ++i) {
    const std::string peer = absl::StrCat("10.0.0.", i, ":1");
    MustAdd(peer);
    connections_->Known(peer, absl::StrCat("c", i));
  }
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.1.1:1"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ConnectionsTest, TheOldestOfAnIdentityIsCutForItsNewest) {
  const Pair& first = MustAdd("10.0.0.1:1");
  const Pair& second = MustAdd("10.0.0.1:2");
  const Pair& third = MustAdd("10.0.0.1:3");
  for (const char* peer : {"10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"}) connections_->Known(peer, "c1");
  Pass(absl::ZeroDuration());
  EXPECT_TRUE(IsCut(first));
  EXPECT_FALSE(IsCut(second));
  EXPECT_FALSE(IsCut(third));
  EXPECT_EQ(known(), 2u);
}

TEST_F(ConnectionsTest, ARefusedCallEndsItsSocketOnceTheAnswerIsOut) {
  const Pair& stranger = MustAdd("10.0.0.1:1");
  const Pair& revoked = MustAdd("10.0.0.2:1");
  connections_->Known("10.0.0.2:1", "c1");
  connections_->Refused("10.0.0.1:1");
  connections_->Refused("10.0.0.2:1");
  connections_->Known("10.0.0.1:1", "c2");  // too late
  EXPECT_FALSE(IsCut(stranger));
  Pass(absl::Seconds(1));
  EXPECT_TRUE(IsCut(stranger));
  EXPECT_TRUE(IsCut(revoked));
  EXPECT_EQ(pending() + known(), 0u);
}

TEST_F(ConnectionsTest, AnEndedIdentityLosesAllItsSocketsAndNobodyElses) {
  const Pair& mine = MustAdd("10.0.0.1:1");
  const Pair& other = MustAdd("10.0.0.1:2");
  connections_->Known("10.0.0.1:1", "c1");
  connections_->Known("10.0.0.1:2", "c2");
  connections_->EndIdentity("c1");
  connections_->EndIdentity("nobody");
  Pass(absl::Seconds(1));
  EXPECT_TRUE(IsCut(mine));
  EXPECT_FALSE(IsCut(other));
}

TEST_F(ConnectionsTest, AStrangerThatSendsTooMuchIsCutAndAKnownPeerIsNot) {
  const Pair& flood = MustAdd("10.0.0.1:1");
  const Pair& upload = MustAdd("10.0.0.2:1");
  connections_->Known("10.0.0.2:1", "c1");
  const std::string bytes(20'000, 'x');
  for (const Pair* pair : {&flood, &upload})
    ASSERT_EQ(send(pair->theirs, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  Pass(absl::ZeroDuration());
  char byte = 0;
  EXPECT_LE(recv(flood.theirs, &byte, 1, MSG_DONTWAIT), 0);
  EXPECT_FALSE(IsCut(upload));
  EXPECT_EQ(pending(), 0u);
  EXPECT_EQ(known(), 1u);
}

class KnownSenderTest : public ConnectionsTest {
 protected:
  KnownSenderTest() {
    limits_.unheard_bytes = 50'000;
    connections_->SetLimits(limits_);
    connections_->Known("10.0.0.1:1", "client-1");
    Pass(absl::Seconds(1));
  }
  // Of the peer, in a second of which some messages come or none do.
  void Say(size_t bytes, bool heard) {
    const std::string text(bytes, 'x');
    ASSERT_EQ(send(pair_.theirs, text.data(), text.size(), 0), static_cast<ssize_t>(bytes));
    // gRPC takes it away.
    for (std::string taken(bytes, 0); bytes > 0;)
      bytes -= static_cast<size_t>(recv(pair_.mine, taken.data(), bytes, 0));
    if (heard) connections_->Heard("10.0.0.1:1");
    Pass(absl::Seconds(1));
  }
  const Pair pair_ = MustAdd("10.0.0.1:1");
};

TEST_F(KnownSenderTest, WhoseBytesBecomeMessagesLives) {
  for (int i = 0; i < 10; ++i) Say(40'000, true);
  EXPECT_FALSE(IsCut(pair_));
}

TEST_F(KnownSenderTest, WhoseBytesBecomeNothingIsCut) {
  Say(40'000, true);
  Say(40'000, false);
  EXPECT_FALSE(IsCut(pair_));
  Say(20'000, false);
  EXPECT_TRUE(IsCut(pair_));
  EXPECT_EQ(connections_->counts().cut, 1u);
}

TEST_F(KnownSenderTest, WhatAllOfAnIdentitySendCountsTogether) {
  const Pair& second = MustAdd("10.0.0.1:2");
  const Pair& other = MustAdd("10.0.0.3:1");
  connections_->Known("10.0.0.1:2", "client-1");
  connections_->Known("10.0.0.3:1", "client-2");
  Pass(absl::Seconds(1));
  const auto send_unheard = [&](const Pair& pair) {
    const std::string text(40'000, 'x');
    ASSERT_EQ(send(pair.theirs, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    Pass(absl::Seconds(1));
  };
  send_unheard(other);
  send_unheard(second);
  EXPECT_FALSE(IsCut(pair_));
  Say(40'000, false);
  EXPECT_TRUE(IsCut(pair_));
  EXPECT_EQ(connections_->counts().cut, 2u);
  EXPECT_EQ(connections_->counts().known, 1u);
}

TEST_F(KnownSenderTest, WhoWasCutIsBannedForAWhile) {
  Say(60'000, false);
  EXPECT_TRUE(IsCut(pair_));
  const Pair& again = MustAdd("10.0.0.1:2");
  const Pair& other = MustAdd("10.0.0.3:1");
  connections_->Known("10.0.0.1:2", "client-1");
  connections_->Known("10.0.0.3:1", "client-2");
  EXPECT_TRUE(IsCut(again));
  EXPECT_FALSE(IsCut(other));
  Pass(limits_.ban);
  const Pair& later = MustAdd("10.0.0.1:3");
  connections_->Known("10.0.0.1:3", "client-1");
  EXPECT_FALSE(IsCut(later));
}

TEST_F(KnownSenderTest, WhoIsBannedAndComesBackIsSoonTurnedAwayBeforeItsHandshake) {
  Say(60'000, false);
  MustAdd("10.0.0.1:2");
  connections_->Known("10.0.0.1:2", "client-1");
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:6"), StatusIs(absl::StatusCode::kResourceExhausted));
  MustAdd("10.0.0.3:1");
}

TEST_F(KnownSenderTest, WhoIsRefusedMayNotFloodWhileItsAnswerGetsOut) {
  connections_->Refused("10.0.0.1:1");
  Pass(absl::ZeroDuration());
  EXPECT_FALSE(IsCut(pair_));
  const std::string text(60'000, 'x');
  ASSERT_EQ(send(pair_.theirs, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  Pass(absl::ZeroDuration());
  EXPECT_TRUE(IsCut(pair_));
}

TEST_F(KnownSenderTest, AFloodIsLookedAtMoreOften) {
  Say(400, false);
  const absl::Duration calm = connections_->SweepAgainIn();
  Say(20'000, false);
  EXPECT_LT(connections_->SweepAgainIn(), calm / 10);
  Pass(absl::Seconds(1));
  EXPECT_EQ(connections_->SweepAgainIn(), calm);
}

TEST_F(KnownSenderTest, AFloodKeepsNobodyElseFromBeingCutInTime) {
  const Pair& stranger = MustAdd("10.0.0.9:1");
  const std::string text(20'000, 'x');
  for (absl::Duration waited; waited < limits_.handshake; waited += absl::Milliseconds(2)) {
    if (waited == absl::Seconds(2)) {
      ASSERT_EQ(send(pair_.theirs, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    }
    EXPECT_FALSE(IsCut(stranger));
    Pass(absl::Milliseconds(2));
  }
  EXPECT_LT(connections_->SweepAgainIn(), absl::Milliseconds(50));  // it is a flood that is watched
  Pass(absl::Milliseconds(50));
  EXPECT_TRUE(IsCut(stranger));
}

TEST_F(KnownSenderTest, WhoKeepsAliveForADayWithLittleLives) {
  for (int i = 0; i < 100; ++i) Say(400, false);
  EXPECT_FALSE(IsCut(pair_));
  connections_->Asked("10.0.0.1:1");
  Pass(absl::Seconds(1));
  for (int i = 0; i < 100; ++i) Say(400, false);
  EXPECT_FALSE(IsCut(pair_));
}

TEST_F(ConnectionsTest, AClosedSocketIsForgotten) {
  Pair& pair = MustAdd("10.0.0.1:1");
  shutdown(pair.mine, SHUT_RDWR);  // as gRPC does before it closes its descriptor
  close(std::exchange(pair.mine, -1));
  Pass(absl::ZeroDuration());
  EXPECT_EQ(pending(), 0u);
  connections_->Known("10.0.0.1:1", "c1");
  EXPECT_EQ(known(), 0u);
}

// gRPC closes its descriptors when it comes to it.
TEST_F(ConnectionsTest, ManyThatHungUpAreForgottenAtOnceThoughTheirDescriptorsAreStillOpen) {
  constexpr size_t kMany = 600;
  limits_.in_all = limits_.pending = limits_.pending_per_address = kMany;
  connections_->SetLimits(limits_);
  for (size_t port = 1; port <= kMany; ++port) MustAdd(absl::StrCat("10.0.0.1:", port));
  EXPECT_EQ(pending(), kMany);
  for (const auto& pair : pairs_) shutdown(pair->mine, SHUT_RDWR);
  pollfd told{connections_->hangups(), POLLIN, 0};
  for (size_t sweeps = 0; poll(&told, 1, 0) == 1; ++sweeps) {
    ASSERT_LT(sweeps, kMany);
    connections_->Sweep();
  }
  EXPECT_EQ(pending(), 0u);
}

TEST_F(ConnectionsTest, NewLimitsHoldFromThenOn) {
  MustAdd("10.0.0.1:1");
  limits_.pending_per_address = 1;
  connections_->SetLimits(limits_);
  EXPECT_THAT(connections_->Add(Connect().mine, "10.0.0.1:2"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ConnectionLimitsTest, LeaveFilesForTheProcessAndRoomForThoseWhoAreKnown) {
  const Connections::Limits small = Connections::Fit({}, 256);
  EXPECT_EQ(small.in_all, 80u);
  EXPECT_EQ(small.pending, 20u);
  EXPECT_EQ(small.pending_per_address, 10u);
  const Connections::Limits large = Connections::Fit({}, 1 << 20);
  EXPECT_EQ(large.in_all, Connections::Limits().in_all);
  EXPECT_EQ(large.pending, Connections::Limits().pending);
}

}  // namespace
}  // namespace tributary::service
