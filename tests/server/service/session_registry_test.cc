// Who is online, what is pushed where, what a client remembers: without any gRPC.
#include "server/service/session_registry.h"

#include <gmock/gmock.h>

#include "server/service/live_calls.h"
#include "tests/support/manual_clock.h"

namespace tributary::service {
namespace {

class FakeSink : public SessionSink {
 public:
  void Send(v1::CoordinatorMessage message) override { sent.push_back(std::move(message)); }
  void End(const absl::Status& status, bool) override { ended = status; }
  void Cancel() override { cancelled = true; }
  bool IsBusy() const override { return busy; }
  std::vector<v1::CoordinatorMessage> sent;
  absl::Status ended;
  bool cancelled = false, busy = false;
};

class SessionRegistryTest : public ::testing::Test {
 protected:
  uint64_t Open(const std::string& client, const std::shared_ptr<FakeSink>& sink, const v1::Hello& hello = {}) {
    return registry_.Open(client, hello, absl::Seconds(15), sink);
  }
  v1::TrainTask Task(const std::string& id, uint64_t round) const {
    v1::TrainTask task;
    task.set_task_id(id);
    task.set_run_id("run");
    task.set_round(round);
    return task;
  }

  testing::ManualClock clock_;
  std::vector<rounds::Candidate> enrolled_ = {{"c-1", "one", {}, {}, false}, {"c-2", "two", {}, {}, false}};
  SessionRegistry registry_{[this]() -> absl::StatusOr<std::vector<rounds::Candidate>> { return enrolled_; }, &clock_};
  std::shared_ptr<FakeSink> first_ = std::make_shared<FakeSink>(), second_ = std::make_shared<FakeSink>();
};

TEST_F(SessionRegistryTest, CandidatesAreOnlineWhileTheyHaveASession) {
  const uint64_t session = Open("c-1", first_);
  auto all = registry_.Candidates();
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE((*all)[0].online);
  EXPECT_FALSE((*all)[1].online);
  EXPECT_TRUE(registry_.Close("c-1", session));
  EXPECT_FALSE((*registry_.Candidates())[0].online);
}

TEST_F(SessionRegistryTest, TasksThatAreNeverAnsweredAreForgottenOldestFirst) {
  Open("c-1", first_);
  for (uint64_t round = 1; round <= 1000; ++round) {
    ASSERT_TRUE(registry_.PushTask("c-1", Task("t-" + std::to_string(round), round)));
  }
  registry_.TaskAnswered("c-1", "t-936", true);
  EXPECT_EQ(registry_.KnownHead("c-1", "run").round(), 0u) << "64 newer ones wait";
  registry_.TaskAnswered("c-1", "t-937", true);
  EXPECT_EQ(registry_.KnownHead("c-1", "run").round(), 937u);
}

TEST_F(SessionRegistryTest, AStreamWithoutAHelloIsSilent) {
  registry_.Expect("c-1", first_);
  EXPECT_FALSE(registry_.IsOnline("c-1"));
  clock_.Advance(absl::Seconds(15));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->ended.ok());
  clock_.Advance(absl::Milliseconds(1));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(absl::IsUnavailable(first_->ended));
  clock_.Advance(absl::Seconds(1));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->cancelled);
}

TEST_F(SessionRegistryTest, ASessionIsSilentAfterItsOwnTime) {
  registry_.Open("c-1", {}, absl::Seconds(15), first_);
  registry_.Open("c-2", {}, absl::Seconds(60), second_);
  clock_.Advance(absl::Seconds(59));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->cancelled);
  EXPECT_TRUE(second_->ended.ok());
  clock_.Advance(absl::Milliseconds(1001));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(absl::IsUnavailable(second_->ended));
}

TEST_F(SessionRegistryTest, WhoseWordsWaitForUsIsNotSilent) {
  Open("c-1", first_);
  registry_.Expect("c-2", second_);
  first_->busy = second_->busy = true;
  clock_.Advance(absl::Minutes(5));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->ended.ok());
  EXPECT_FALSE(first_->cancelled);
  EXPECT_TRUE(second_->ended.ok());
  EXPECT_FALSE(second_->cancelled);
}

TEST_F(SessionRegistryTest, AReplacedSessionWhosePeerTakesNothingIsCut) {
  Open("c-1", first_);
  Open("c-1", second_);
  EXPECT_TRUE(absl::IsAborted(first_->ended));
  clock_.Advance(absl::Milliseconds(1001));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->cancelled);
  EXPECT_FALSE(second_->cancelled);
}

TEST(HeartbeatIntervalTest, ManySessionsBeatLessOften) {
  EXPECT_EQ(HeartbeatInterval(absl::Seconds(5), 1), absl::Seconds(5));
  EXPECT_EQ(HeartbeatInterval(absl::Seconds(5), 1000), absl::Seconds(5));
  EXPECT_EQ(HeartbeatInterval(absl::Seconds(5), 2000), absl::Seconds(10));
  EXPECT_EQ(HeartbeatInterval(absl::Seconds(5), 1'000'000), absl::Seconds(18));
}

TEST_F(SessionRegistryTest, TheEnrolledCountAsIfTheyWereThere) {
  EXPECT_EQ(registry_.Heartbeat(absl::Seconds(5)), absl::Seconds(5));
  enrolled_.resize(2000);
  ASSERT_TRUE(registry_.CountEnrolled().ok());
  EXPECT_EQ(registry_.Heartbeat(absl::Seconds(5)), absl::Seconds(10));
}

TEST_F(SessionRegistryTest, AHelloOrAnEndTakesANewcomerOffTheList) {
  registry_.Expect("c-1", first_);
  registry_.Expect("c-2", second_);
  Open("c-1", first_);
  registry_.Forget(second_.get());
  clock_.Advance(absl::Seconds(14));
  registry_.Touch("c-1", 1);
  clock_.Advance(absl::Seconds(14));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->ended.ok());
  EXPECT_TRUE(second_->ended.ok());
}

TEST_F(SessionRegistryTest, OfOneClientTwoNewcomersMayWait) {
  const auto third = std::make_shared<FakeSink>();
  registry_.Expect("c-1", first_);
  registry_.Expect("c-2", std::make_shared<FakeSink>());
  registry_.Expect("c-1", second_);
  EXPECT_TRUE(first_->ended.ok());
  registry_.Expect("c-1", third);
  EXPECT_TRUE(absl::IsAborted(first_->ended));
  EXPECT_TRUE(second_->ended.ok());
  EXPECT_TRUE(third->ended.ok());
}

TEST_F(SessionRegistryTest, TheEndOfAReplacedSessionChangesNothing) {
  const uint64_t older = Open("c-1", first_);
  Open("c-1", second_);
  EXPECT_TRUE(absl::IsAborted(first_->ended));
  EXPECT_FALSE(registry_.Close("c-1", older));
  EXPECT_TRUE(registry_.IsOnline("c-1"));
}

TEST_F(SessionRegistryTest, TasksGoToTheNewestSessionOrNowhere) {
  EXPECT_FALSE(registry_.PushTask("c-1", Task("t", 1)));
  Open("c-1", first_);
  Open("c-1", second_);
  EXPECT_TRUE(registry_.PushTask("c-1", Task("t", 1)));
  EXPECT_TRUE(first_->sent.empty());
  ASSERT_EQ(second_->sent.size(), 1u);
  EXPECT_EQ(second_->sent[0].task().task_id(), "t");
}

TEST_F(SessionRegistryTest, AClientRemembersTheHistoryOfTasksThatItTook) {
  v1::Hello hello;
  v1::RunHead* head = hello.add_heads();
  head->set_run_id("run");
  head->set_round(3);
  Open("c-1", first_, hello);
  EXPECT_EQ(registry_.KnownHead("c-1", "run").round(), 3u);
  EXPECT_EQ(registry_.KnownHead("c-1", "other").run_id(), "");
  EXPECT_EQ(registry_.KnownHead("c-2", "run").run_id(), "");
  registry_.PushTask("c-1", Task("declined", 4));
  registry_.TaskAnswered("c-1", "declined", false);
  EXPECT_EQ(registry_.KnownHead("c-1", "run").round(), 3u);
  registry_.PushTask("c-1", Task("taken", 5));
  EXPECT_EQ(registry_.KnownHead("c-1", "run").round(), 3u) << "not before it answers";
  registry_.TaskAnswered("c-1", "taken", true);
  EXPECT_EQ(registry_.KnownHead("c-1", "run").round(), 5u);
}

TEST_F(SessionRegistryTest, SilenceEndsASessionAndThenCutsIt) {
  const uint64_t session = Open("c-1", first_);
  Open("c-2", second_);
  clock_.Advance(absl::Seconds(10));
  registry_.Touch("c-1", session);
  clock_.Advance(absl::Seconds(6));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(first_->ended.ok());
  EXPECT_TRUE(absl::IsUnavailable(second_->ended));
  EXPECT_FALSE(second_->cancelled);
  clock_.Advance(absl::Seconds(2));
  registry_.EndSilent(absl::Seconds(15));
  EXPECT_TRUE(second_->cancelled);
}

TEST(LiveCallsTest, ACutReachesAllCallsOfOneIdentityAndIsRepeatedHarder) {
  LiveCalls live;
  std::vector<std::string> log;
  const auto cut = [&log](const std::string& name) {
    return [&log, name](const absl::Status&, bool again) { log.push_back(name + (again ? "!" : "")); };
  };
  const uint64_t a = live.Add("c-1", 100, cut("a"));
  live.Add("c-1", 200, cut("b"));
  live.Add("c-2", 100, cut("c"));
  EXPECT_EQ(live.CutIdentity("c-1", absl::PermissionDeniedError("revoked")), 2);
  EXPECT_THAT(log, ::testing::ElementsAre("a", "b"));
  live.Remove(a);
  live.CutAgain();
  EXPECT_THAT(log, ::testing::ElementsAre("a", "b", "b!"));
  EXPECT_EQ(live.CutExpired(100), 1);
  EXPECT_THAT(log, ::testing::ElementsAre("a", "b", "b!", "c"));
}

TEST(LiveCallsTest, ACallWhosePeerTakesNothingIsCut) {
  LiveCalls live;
  std::vector<std::string> log;
  const auto cut = [&log](const std::string& name) {
    return [&log, name](const absl::Status& why, bool) { log.push_back(name + " " + std::string(why.message())); };
  };
  const uint64_t stuck = live.Add("c-1", 1'000, cut("stuck")), slow = live.Add("c-2", 1'000, cut("slow"));
  live.Add("c-3", 1'000, cut("idle"));
  const absl::Duration start = absl::Hours(1), limit = absl::Minutes(2);
  live.CutStuck(start, limit);
  live.Writing(stuck);
  for (int minute = 1; minute <= 2; ++minute) {
    live.Writing(slow);
    EXPECT_EQ(live.CutStuck(start + absl::Minutes(minute), limit), 0);
    live.Written(slow);
  }
  EXPECT_EQ(live.CutStuck(start + absl::Minutes(2) + absl::Milliseconds(1), limit), 1);
  EXPECT_THAT(log, ::testing::ElementsAre("stuck the peer does not take what it asked for"));
}

}  // namespace
}  // namespace tributary::service
