#include "client/session/session_loop.h"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/client/session/client_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

class SessionLoopTest : public ClientFixture {
 protected:
  // Moves time until the client opens its n-th session, and not on while it waits for the welcome; returns its hello.
  v1::Hello AwaitHelloMovingTime(int n) {
    while (link_.sessions() < n) clock_.Advance(absl::Milliseconds(100));
    return link_.AwaitHello(n);
  }
  v1::CoordinatorMessage Cancel(const v1::TrainTask& task) {
    v1::CoordinatorMessage message;
    message.mutable_cancel()->set_task_id(task.task_id());
    message.mutable_cancel()->set_code("stopped");
    return message;
  }
};

TEST_F(SessionLoopTest, HelloSaysWhatTheDataAreAndTheLedgerHasIt) {
  StartSession();
  const v1::Hello hello = link_.AwaitHello(1);
  EXPECT_EQ(1u, hello.protocol_version());
  EXPECT_EQ(20u, hello.dataset().examples());
  EXPECT_EQ(2u, hello.dataset().num_classes());
  std::vector<SentRow> rows;
  ASSERT_OK(ledger_->ListSent([&rows](const SentRow& row) {
    rows.push_back(row);
    return absl::OkStatus();
  }));
  ASSERT_EQ(1u, rows.size());
  EXPECT_EQ("dataset_facts", rows[0].kind);
  EXPECT_EQ("20 examples, 3, 2 classes", rows[0].detail);
}

TEST_F(SessionLoopTest, ACoordinatorThatDoesNotWelcomeIsGivenUpAndTriedAgain) {
  link_.welcomes = false;
  StartSession();
  link_.AwaitHello(1);
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(1, link_.sessions());
  AwaitHelloMovingTime(2);
}

TEST_F(SessionLoopTest, AWelcomeForAnotherIsRefused) {
  for (const char* field : {"client_id", "name", "federation"}) {
    const v1::Welcome good = link_.welcome;
    *(field == std::string("client_id") ? link_.welcome.mutable_client_id()
      : field == std::string("name")    ? link_.welcome.mutable_name()
                                        : link_.welcome.mutable_federation()) = "another";
    StartSession();
    EXPECT_THAT(LoopEnd(),
                StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("takes this client for")))
        << field;
    link_.welcome = good;
  }
}

TEST_F(SessionLoopTest, ATaskIsTrainedUploadedAndReceipted) {
  const v1::TrainTask task = federation_.Task(1);
  AcceptUploads(task);
  StartAll();
  link_.AwaitHello(1);
  link_.PushTask(task);
  EXPECT_TRUE(link_.AwaitAnswer(task.task_id()).accepted());
  EXPECT_EQ(federation_.BaseModel().size(), AwaitUpload(1).size());
  AwaitState(task, TaskState::kDone);
}

TEST_F(SessionLoopTest, RoundsFollowEachOtherOverTheirLinks) {
  StartAll();
  link_.AwaitHello(1);
  for (uint64_t round = 1; round <= 4; ++round) {
    const v1::TrainTask task = federation_.Task(round, round - 1);
    AcceptUploads(task);
    link_.PushTask(task);
    AwaitState(task, TaskState::kDone);
  }
}

TEST_F(SessionLoopTest, ATaskSentTwiceIsTrainedOnce) {
  std::atomic<int> trainings{0};
  train_ = [&](const learning::LocalTask& task) {
    ++trainings;
    return learning::TrainLocally(task);
  };
  const v1::TrainTask task = federation_.Task(1);
  AcceptUploads(task);
  StartAll();
  link_.AwaitHello(1);
  link_.PushTask(task);
  link_.PushTask(task);
  AwaitState(task, TaskState::kDone);
  link_.PushTask(federation_.Task(2, 1));  // behind both copies
  link_.AwaitAnswer(federation_.Task(2).task_id());
  StopAll();
  EXPECT_LE(trainings, 2) << "round 1 once, round 2 perhaps";
}

TEST_F(SessionLoopTest, AForkedTaskIsDeclined) {
  StartSession();
  link_.AwaitHello(1);
  link_.PushTask(federation_.Task(3));
  link_.PushTask(federation_.Task(4));
  const v1::TaskAnswer answer = link_.AwaitAnswer(federation_.Task(4).task_id());
  EXPECT_FALSE(answer.accepted());
  EXPECT_EQ("history_fork", answer.code());
}

TEST_F(SessionLoopTest, AForkOfTheTaskInTrainingEndsTheTraining) {
  std::atomic<bool> began{false}, ended{false};
  train_ = [&](const learning::LocalTask& t) -> absl::StatusOr<learning::LocalResult> {
    began = true;
    while (!t.stop()) std::this_thread::yield();
    ended = true;
    return absl::CancelledError("stopped");
  };
  StartAll();
  link_.AwaitHello(1);
  link_.PushTask(federation_.Task(1));
  while (!began) std::this_thread::yield();
  v1::TrainTask fork = federation_.Task(1);
  fork.set_base_model_sha256(std::string(64, 'e'));
  link_.PushTask(fork);
  link_.Await([](const v1::ClientMessage& m) { return m.has_answer() && m.answer().code() == "history_fork"; });
  AwaitIdle();
  while (!ended) std::this_thread::yield();
  StopAll();
  EXPECT_EQ(TaskState::kDeclined, Row(fork).state);
}

TEST_F(SessionLoopTest, AfterARestartHelloNamesHeldTasksAndHeads) {
  const v1::TrainTask task = federation_.Task(3);
  ASSERT_TRUE(intake_->Decide(task).value().accepted);
  ASSERT_OK(outbox_->Put(federation_.Entry(task, "the update"), "the update"));
  OpenStores();
  StartSession();
  const v1::Hello hello = link_.AwaitHello(1);
  ASSERT_EQ(1, hello.held_size());
  EXPECT_EQ(task.task_id(), hello.held(0).task_id());
  EXPECT_EQ(v1::HeldTask::FINISHED, hello.held(0).state());
  EXPECT_EQ(federation_.Entry(task, "the update").record.update_sha256(), hello.held(0).update_sha256());
  ASSERT_EQ(1, hello.heads_size());
  EXPECT_EQ(3u, hello.heads(0).round());
  EXPECT_EQ(federation_.Record(2), hello.heads(0).previous_record_sha256());
}

TEST_F(SessionLoopTest, ARestartAtAnyMomentStillGivesTheUpdate) {
  const v1::TrainTask task = federation_.Task(1);
  AcceptUploads(task);
  v1::TaskVerdict& verdict = *link_.welcome.add_verdicts();
  verdict.set_task_id(task.task_id());
  verdict.set_action(v1::TaskVerdict::CONTINUE);
  StartSession();  // nobody trains yet
  link_.AwaitHello(1);
  link_.PushTask(task);
  link_.AwaitAnswer(task.task_id());
  Restart();
  const std::string update = AwaitUpload(1);
  AwaitState(task, TaskState::kDone);
  EXPECT_EQ(federation_.BaseModel().size(), update.size());
}

TEST_F(SessionLoopTest, TrainingGoesOnWhileTheSessionIsLost) {
  const v1::TrainTask task = federation_.Task(1);
  AcceptUploads(task);
  std::atomic<bool> go_on{false};
  std::atomic<bool> began{false};
  train_ = [&](const learning::LocalTask& t) {
    began = true;
    while (!go_on && !t.stop()) std::this_thread::yield();
    return learning::TrainLocally(t);
  };
  StartAll();
  link_.AwaitHello(1);
  link_.PushTask(task);
  while (!began) std::this_thread::yield();
  link_.End(absl::UnavailableError("connection reset"));
  const v1::Hello hello = AwaitHelloMovingTime(2);
  ASSERT_EQ(1, hello.held_size());
  EXPECT_EQ(v1::HeldTask::TRAINING, hello.held(0).state());
  go_on = true;
  AwaitState(task, TaskState::kDone);
}

// The trainer's thread sends while the session's thread ends sessions; a sender used after its end is for the
// sanitizers to see.
TEST_F(SessionLoopTest, ProgressMayComeWhileASessionEnds) {
  StartSession();
  link_.AwaitHello(1);
  const std::string task_id = federation_.Task(1).task_id();
  std::atomic<bool> over{false};
  std::thread trainer([&] {
    while (!over) {
      board_->Progress(task_id, 1, 2);
      std::this_thread::yield();
    }
  });
  for (int n = 1; n <= 30; ++n) {
    link_.Await([](const v1::ClientMessage& m) { return m.has_progress(); });
    link_.End(absl::UnavailableError("connection reset"));
    AwaitHelloMovingTime(n + 1);
  }
  over = true;
  trainer.join();
  StopAll();
  EXPECT_OK(loop_status_);
}

TEST_F(SessionLoopTest, ACancelBeforeTrainingDropsTheTask) {
  StartSession();
  link_.AwaitHello(1);
  link_.PushTask(federation_.Task(1));
  link_.AwaitAnswer(federation_.Task(1).task_id());
  link_.Push(Cancel(federation_.Task(1)));
  AwaitState(federation_.Task(1), TaskState::kDropped);
}

TEST_F(SessionLoopTest, HeartbeatsGoOutAtTheIntervalOfTheWelcome) {
  StartSession();
  AwaitOpen(1);
  for (uint64_t n = 1; n <= 3; ++n) {
    clock_.AwaitWaiters(1);
    clock_.Advance(absl::Seconds(10));
    link_.Await([n](const v1::ClientMessage& m) { return m.has_heartbeat() && m.heartbeat().sequence() == n; });
  }
}

// Trusts what it is told, by name.
class FakeAuthorities final : public Authorities {
 public:
  std::vector<std::string> Trusted() override {
    const MutexLock lock(&mu_);
    return trusted_;
  }
  bool Take(const v1::AuthorityList& list) override {
    const MutexLock lock(&mu_);
    const std::vector<std::string> before = std::move(trusted_);
    trusted_.clear();
    for (const v1::Authority& one : list.authorities()) trusted_.push_back(one.certificate_pem());
    return trusted_ != before;
  }
  std::string Fault() override { return ""; }

 private:
  Mutex mu_;
  std::vector<std::string> trusted_ TRB_GUARDED_BY(mu_) = {"first"};
};

v1::AuthorityList AuthoritiesNamed(const std::vector<std::string>& names) {
  v1::AuthorityList out;
  for (const std::string& name : names) {
    out.add_authorities()->set_certificate_pem(name);
    out.mutable_authorities(out.authorities_size() - 1)->set_state(v1::Authority::ACTIVE);
  }
  return out;
}

TEST_F(SessionLoopTest, AuthoritiesThatAWelcomeBringsAreTakenOverAndReported) {
  FakeAuthorities authorities;
  authorities_ = &authorities;
  *link_.welcome.mutable_authorities() = AuthoritiesNamed({"first", "second"});
  StartSession();
  EXPECT_THAT(link_.AwaitHello(1).trusted_authorities(), ::testing::ElementsAre("first"));
  const v1::ClientMessage report = link_.Await([](const v1::ClientMessage& m) { return m.has_trust(); });
  EXPECT_THAT(report.trust().authorities(), ::testing::ElementsAre("first", "second"));
  EXPECT_EQ(link_.reconnects(), 1) << "calls from here on go by the new list";
  StopAll();
}

TEST_F(SessionLoopTest, AuthoritiesThatChangeDuringASessionDoNotEndIt) {
  FakeAuthorities authorities;
  authorities_ = &authorities;
  StartSession();
  link_.AwaitHello(1);
  for (const char* next : {"second", "third"}) {
    v1::CoordinatorMessage message;
    *message.mutable_authorities() = AuthoritiesNamed({next});
    link_.Push(message);
    link_.Await([next](const v1::ClientMessage& m) {
      return m.has_trust() && m.trust().authorities_size() == 1 && m.trust().authorities(0) == next;
    });
  }
  EXPECT_EQ(link_.sessions(), 1);
  StopAll();
}

TEST_F(SessionLoopTest, ALostSessionComesBackAfterAPause) {
  StartSession();
  link_.AwaitHello(1);
  link_.End(absl::UnavailableError("connection reset"));
  clock_.AwaitWaiters(1);
  EXPECT_EQ(1, link_.sessions());
  AwaitHelloMovingTime(2);
}

TEST_F(SessionLoopTest, ThePaceOfTheCoordinatorIsKept) {
  StartSession();
  link_.AwaitHello(1);
  v1::CoordinatorMessage pace;
  pace.mutable_pace()->set_retry_after_ms(60'000);
  link_.Push(pace);
  link_.End(absl::UnavailableError("shutting down"));
  const absl::Duration begin = clock_.Monotonic();
  AwaitHelloMovingTime(2);
  EXPECT_GE(clock_.Monotonic() - begin, absl::Seconds(60));
}

TEST_F(SessionLoopTest, ALostSessionIsOpenedAgainOnANewConnection) {
  link_.RefuseSessions(absl::UnavailableError("nobody there"));
  StartSession();
  while (link_.reconnects() < 3) clock_.Advance(absl::Milliseconds(100));
  link_.RefuseSessions(absl::OkStatus());
  AwaitHelloMovingTime(1);
}

TEST_F(SessionLoopTest, TwoCopiesOfThisClientDoNotGoOnTakingTheSessionFromEachOther) {
  StartSession();
  link_.AwaitHello(1);
  link_.End(absl::AbortedError("a newer session"));
  while (link_.sessions() < 2) {
    clock_.Advance(absl::Milliseconds(1));  // minutes must not pass meanwhile
    std::this_thread::yield();
  }
  link_.AwaitHello(2);
  link_.End(absl::AbortedError("a newer session"));
  EXPECT_THAT(LoopEnd(), StatusIs(absl::StatusCode::kAborted, ::testing::HasSubstr("another process")));
  EXPECT_EQ(2, link_.sessions());
}

// A hello that froze on the way and arrives when the next one has long been answered.
TEST_F(SessionLoopTest, AnOldSessionOfOurOwnMayTakeOverNowAndThen) {
  StartSession();
  link_.AwaitHello(1);
  for (int n = 2; n <= 4; ++n) {
    clock_.Advance(absl::Minutes(10));
    link_.End(absl::AbortedError("a newer session"));
    AwaitHelloMovingTime(n);
  }
}

TEST_F(SessionLoopTest, FactsThatChangedAreToldAtOnce) {
  StartSession();
  EXPECT_EQ(20u, link_.AwaitHello(1).dataset().examples());
  data_ = DataHolder::Of(TestFederation::Data(25));
  loop_->Reannounce();
  EXPECT_EQ(25u, link_.AwaitHello(2).dataset().examples()) << "without any time passing";
  EXPECT_EQ(0, link_.reconnects());
}

TEST_F(SessionLoopTest, AClockThatDisagreesWithTheCoordinatorsIsWaitedFor) {
  link_.RefuseSessions(absl::UnauthenticatedError("the certificate of this call has expired: it ended on 2026-..."));
  StartSession();
  while (link_.reconnects() < 3) clock_.Advance(absl::Milliseconds(100));
  link_.RefuseSessions(absl::OkStatus());
  AwaitHelloMovingTime(1);
}

TEST_F(SessionLoopTest, ACertificateThatBothClocksCallExpiredEndsTheClient) {
  clock_fault_ = "this machine's clock says 2036, this client's certificate is valid from 2026 to 2026";
  link_.RefuseSessions(absl::UnauthenticatedError("this certificate has expired"));
  StartSession();
  EXPECT_THAT(LoopEnd(), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(SessionLoopTest, ARevokedClientStops) {
  for (const absl::Status& status : {absl::PermissionDeniedError("revoked"), absl::UnauthenticatedError("unknown")}) {
    link_.RefuseSessions(status);
    StartSession();
    EXPECT_THAT(LoopEnd(), StatusIs(status.code()));
  }
}

TEST_F(SessionLoopTest, AnotherVersionOfTheProtocolStops) {
  link_.RefuseSessions(absl::FailedPreconditionError("versions too far apart"));
  StartSession();
  EXPECT_THAT(LoopEnd(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(SessionLoopTest, AStopIsAnOrderlyEnd) {
  StartAll();
  link_.AwaitHello(1);
  StopAll();
  EXPECT_OK(loop_status_);
}

TEST_F(SessionLoopTest, AStopEndsAPause) {
  link_.RefuseSessions(absl::UnavailableError("nobody there"));
  StartSession();
  clock_.AwaitWaiters(1);
  StopAll();
  EXPECT_OK(loop_status_);
}

class FakeRenewal final : public Renewal {
 public:
  bool Wanted(bool idle) override { return idle && !renewed_; }
  absl::StatusOr<bool> Renew() override {
    if (!due || renewed_) return false;
    renewed_ = true;
    return true;
  }
  bool renewed() const { return renewed_; }
  std::atomic<bool> due{false};

 private:
  std::atomic<bool> renewed_{false};
};

class RefusedRenewal final : public Renewal {
 public:
  explicit RefusedRenewal(absl::Status why) : why_(std::move(why)) {}
  bool Wanted(bool) override { return false; }
  absl::StatusOr<bool> Renew() override {
    ++asked;
    return why_;
  }
  std::atomic<int> asked{0};

 private:
  const absl::Status why_;
};

TEST_F(SessionLoopTest, ARenewalThatACoordinatorWithAWrongClockRefusesIsTriedAgain) {
  RefusedRenewal renewal(absl::UnauthenticatedError("the certificate of this call has expired: it ended on 2026-..."));
  renewal_ = &renewal;
  StartSession();
  AwaitOpen(1);
  EXPECT_GE(renewal.asked, 1);
  StopAll();
  EXPECT_OK(loop_status_);
}

TEST_F(SessionLoopTest, ARenewalThatIsRefusedForGoodEndsTheClient) {
  RefusedRenewal renewal(absl::UnauthenticatedError("this identity was revoked"));
  renewal_ = &renewal;
  StartSession();
  EXPECT_THAT(LoopEnd(), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(SessionLoopTest, ARenewalOpensANewSessionOnANewConnection) {
  FakeRenewal renewal;
  renewal_ = &renewal;
  StartSession();
  AwaitOpen(1);
  renewal.due = true;
  while (!renewal.renewed()) {
    clock_.AwaitWaiters(1);  // so that no more time passes than to the next heartbeat
    clock_.Advance(absl::Seconds(1));
  }
  link_.AwaitHello(2);
  EXPECT_EQ(1, link_.reconnects());
  StopAll();
}

}  // namespace
}  // namespace tributary::session
