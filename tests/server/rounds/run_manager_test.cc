// Runs as sessions, transfers and operators meet them: with the controllers' threads, on a manual clock.
#include "server/rounds/run_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "tests/server/rounds/tiny_federation.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kTinyParameters;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::StatusIs;
using testing::TinyFederation;
using testing::TinyPlan;

// What a watcher heard, and a way to wait for it. A listener may outlive its log: what it writes to is shared.
class EventLog {
 public:
  std::function<bool(const v1::RunEvent&)> Listener() {
    return [heard = heard_](const v1::RunEvent& event) {
      MutexLock lock(&heard->mu);
      heard->events.push_back(event);
      heard->changed.NotifyAll();
      return true;
    };
  }
  v1::RunEvent Await(const std::function<bool(const v1::RunEvent&)>& wanted) {
    MutexLock lock(&heard_->mu);
    while (true) {
      for (const v1::RunEvent& event : heard_->events) {
        if (wanted(event)) return event;
      }
      heard_->changed.Wait(&heard_->mu);
    }
  }
  v1::RunEvent AwaitRunState(const std::string& state) {
    return Await([&](const v1::RunEvent& e) { return e.run().state() == state; });
  }
  v1::RunEvent AwaitRound(uint64_t round, const std::string& state) {
    return Await([&](const v1::RunEvent& e) { return e.round().round() == round && e.round().state() == state; });
  }
  size_t size() {
    MutexLock lock(&heard_->mu);
    return heard_->events.size();
  }

 private:
  struct Heard {
    Mutex mu;
    CondVar changed;
    std::vector<v1::RunEvent> events TRB_GUARDED_BY(mu);
  };
  const std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
};

v1::StartRunRequest Request(const v1::RunPlan& plan, const std::string& id = "request-1") {
  v1::StartRunRequest request;
  request.set_request_id(id);
  *request.mutable_plan() = plan;
  return request;
}

class RunManagerTest : public ::testing::Test {
 protected:
  RunManagerTest() { Restart(); }
  ~RunManagerTest() override { manager_->Shutdown(); }

  void Restart() {
    manager_.reset();
    RunManager::Options options;
    options.store = &fed_.store();
    options.dispatcher = &fed_.dispatcher;
    options.blobs = &fed_.ledger.blobs();
    options.clock = &fed_.clock;
    options.federation = testing::kFederation;
    manager_ = *RunManager::Create(options);
    ASSERT_OK(manager_->Resume());
  }
  std::string Start(const v1::RunPlan& plan, const std::string& request = "request-1") {
    const auto run = manager_->StartRun(Request(plan, request), "operator/test");
    EXPECT_OK(run);
    return run.value_or("");
  }
  void Watch(const std::string& run, EventLog* log) { ASSERT_OK(manager_->Watch(run, log->Listener())); }

  // Waits for the task, answers it, sends the update.
  AcceptResult Deliver(const std::string& run, uint64_t round, const std::string& client_id) {
    const v1::TrainTask task = fed_.dispatcher.AwaitTask(client_id, run, round);
    v1::TaskAnswer answer;
    answer.set_task_id(task.task_id());
    answer.set_accepted(true);
    manager_->TaskAnswered(client_id, answer);
    auto result = manager_->Accept(fed_.Update(run, round, client_id));
    // Another run that ends deletes its updates; where the same bytes are also ours and not accepted yet, they are
    // asked for again, as a client's uploader does.
    while (absl::IsUnavailable(result.status())) result = manager_->Accept(fed_.Update(run, round, client_id));
    EXPECT_OK(result);
    return result.value_or(AcceptResult());
  }
  void DeliverAll(const std::string& run, uint64_t round) {
    for (const char* id : {"c00", "c01", "c02"}) Deliver(run, round, id);
  }
  static std::string Task(const std::string& run, uint64_t round, const std::string& client_id) {
    return TaskId(testing::kFederation, run, round, client_id);
  }

  TinyFederation fed_;
  std::unique_ptr<RunManager> manager_;
};

// ---- operators

TEST_F(RunManagerTest, ARunEndsByItselfAndTheLastEventSaysSo) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  DeliverAll(run, 1);
  EXPECT_EQ(log.AwaitRound(1, "committed").contributions_done(), 3u);
  DeliverAll(run, 2);
  const v1::RunEvent last = log.AwaitRunState("completed");
  EXPECT_EQ(last.round().round(), 2u);
  EXPECT_EQ(last.run().rounds_done(), 2u);
}

TEST_F(RunManagerTest, EveryFaultOfAPlanIsToldAndNoRunIsCreated) {
  v1::RunPlan plan = TinyPlan();
  plan.set_rounds(0);
  plan.mutable_round()->set_min_clients(4);
  EXPECT_THAT(manager_->StartRun(Request(plan), "operator/test"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::AllOf(HasSubstr("rounds is 0"), HasSubstr("round.min_clients"))));
  EXPECT_THAT(*fed_.store().ListRuns(false), IsEmpty());
}

TEST_F(RunManagerTest, ADryRunCreatesNothing) {
  v1::StartRunRequest request = Request(TinyPlan());
  request.set_dry_run(true);
  EXPECT_OK(manager_->StartRun(request, "operator/test"));
  EXPECT_THAT(*fed_.store().ListRuns(false), IsEmpty());
  EXPECT_THAT(*fed_.ledger.blobs().List(), IsEmpty());
}

TEST_F(RunManagerTest, ARetriedRequestMakesNoSecondRun) {
  const std::string run = Start(TinyPlan());
  EXPECT_EQ(Start(TinyPlan()), run);
  EXPECT_THAT(*fed_.store().ListRuns(false), SizeIs(1));
  EXPECT_THAT(run, ::testing::MatchesRegex("r-[0-9a-f]{12}"));
}

TEST_F(RunManagerTest, ARequestNeedsAnId) {
  EXPECT_THAT(manager_->StartRun(Request(TinyPlan(), ""), "operator/test"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(RunManagerTest, TestDataThatAreNotThereAreToldAtTheStart) {
  v1::RunPlan plan = TinyPlan();
  plan.mutable_evaluate()->set_every(1);
  plan.mutable_evaluate()->set_data("/nowhere/at/all");
  EXPECT_THAT(manager_->StartRun(Request(plan), "operator/test"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/nowhere/at/all")));
}

TEST_F(RunManagerTest, StopEndsTheRunCancelsTasksAndIsAudited) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  Deliver(run, 1, "c00");
  for (const char* id : {"c01", "c02"}) fed_.dispatcher.AwaitTask(id, run, 1);
  ASSERT_OK(manager_->StopRun(run, "operator/test"));
  EXPECT_EQ(fed_.Run(run).state(), "stopped");
  log.AwaitRunState("stopped");
  fed_.dispatcher.AwaitCancels(2);
  EXPECT_THAT(fed_.dispatcher.cancels(), ::testing::UnorderedElementsAre("c01 stopped", "c02 stopped"));
  EXPECT_EQ(fed_.store().ListAudit(1)->at(0).action(), "run.stop");
  EXPECT_THAT(manager_->StopRun(run, "operator/test"), StatusIs(absl::StatusCode::kFailedPrecondition));
  const auto terms = manager_->GetTask("c01", Task(run, 1, "c01"));
  ASSERT_OK(terms);
  EXPECT_FALSE(terms->open);
  EXPECT_EQ(terms->closed_code, "stopped");
}

TEST_F(RunManagerTest, WatchingAnEndedRunGivesOneEvent) {
  const std::string run = Start(TinyPlan());
  ASSERT_OK(manager_->StopRun(run, "operator/test"));
  EventLog log;
  Watch(run, &log);
  EXPECT_EQ(log.AwaitRunState("stopped").run().id(), run);
  EXPECT_THAT(manager_->Watch("nothing", log.Listener()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RunManagerTest, NothingIsHeardAfterUnwatch) {
  const std::string run = Start(TinyPlan());
  EventLog gone, stays;
  const auto token = manager_->Watch(run, gone.Listener());
  ASSERT_OK(token);
  gone.AwaitRunState("running");
  manager_->Unwatch(*token);
  const size_t heard = gone.size();
  Watch(run, &stays);
  DeliverAll(run, 1);
  stays.AwaitRound(1, "committed");
  EXPECT_EQ(gone.size(), heard);
}

TEST_F(RunManagerTest, TwoRunsGoOnSideBySide) {
  v1::RunPlan other = TinyPlan();
  other.set_name("other");
  other.set_seed(8);
  const std::string a = Start(TinyPlan(), "request-a"), b = Start(other, "request-b");
  EventLog log_a, log_b;
  Watch(a, &log_a);
  Watch(b, &log_b);
  for (uint64_t round = 1; round <= 2; ++round) {
    DeliverAll(b, round);
    DeliverAll(a, round);
  }
  log_a.AwaitRunState("completed");
  log_b.AwaitRunState("completed");
  EXPECT_NE(fed_.Run(a).model_sha256(), fed_.Run(b).model_sha256());
}

TEST_F(RunManagerTest, TheSamePlanAndUpdatesGiveTheSameModelAlsoOverARestart) {
  const std::string first = Start(TinyPlan(), "request-a");
  EventLog log;
  Watch(first, &log);
  DeliverAll(first, 1);
  DeliverAll(first, 2);
  log.AwaitRunState("completed");

  const std::string second = Start(TinyPlan(), "request-b");
  Deliver(second, 1, "c02");
  Restart();
  EventLog again;
  Watch(second, &again);
  for (const char* id : {"c01", "c00"}) Deliver(second, 1, id);
  again.AwaitRound(1, "committed");
  Restart();
  EventLog last;
  Watch(second, &last);
  DeliverAll(second, 2);
  last.AwaitRunState("completed");
  EXPECT_EQ(fed_.Run(first).plan_sha256(), fed_.Run(second).plan_sha256());
  EXPECT_EQ(fed_.Run(first).model_sha256(), fed_.Run(second).model_sha256());
}

TEST_F(RunManagerTest, AStalledRunFailsWhenItsTimeIsUp) {
  for (const char* id : {"c00", "c01", "c02"}) fed_.dispatcher.SetOnline(id, false);
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  log.AwaitRound(1, "selecting");
  fed_.clock.Advance(absl::Seconds(31));
  log.AwaitRunState("stalled");
  fed_.clock.Advance(absl::Minutes(61));
  log.AwaitRunState("failed");
}

TEST_F(RunManagerTest, AClientThatComesWakesAStalledRun) {
  for (const char* id : {"c00", "c01", "c02"}) fed_.dispatcher.SetOnline(id, false);
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  log.AwaitRound(1, "selecting");
  fed_.clock.Advance(absl::Seconds(31));
  log.AwaitRunState("stalled");
  for (const char* id : {"c00", "c01"}) {
    fed_.dispatcher.SetOnline(id, true);
    manager_->ClientOnline(id, v1::Hello());
  }
  log.AwaitRound(1, "training");
  EXPECT_EQ(fed_.Run(run).state(), "running");
}

TEST_F(RunManagerTest, TheDeadlineClosesARoundByItself) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  Deliver(run, 1, "c00");
  Deliver(run, 1, "c01");
  fed_.dispatcher.AwaitTask("c02", run, 1);
  fed_.clock.Advance(absl::Minutes(10));
  log.AwaitRound(1, "committed");
  EXPECT_THAT(fed_.Rows(run, 1), ElementsAre("c00 accepted", "c01 accepted", "c02 late"));
  const auto terms = manager_->GetTask("c02", Task(run, 1, "c02"));
  ASSERT_OK(terms);
  EXPECT_EQ(terms->closed_code, "late");
  EXPECT_EQ(Deliver(run, 1, "c02").kind, AcceptResult::Kind::kNotNeeded);
}

// ---- warm starts

TEST_F(RunManagerTest, AWarmStartTakesTheModelOfACommittedRound) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  DeliverAll(run, 1);
  const std::string model = log.AwaitRound(1, "committed").round().model_sha256();
  for (const char* round : {"1", "last", "best"}) {
    v1::RunPlan plan = TinyPlan();
    plan.set_name(absl::StrCat("warm-", round));
    plan.set_warm_start(absl::StrCat(run, "@", round));
    const std::string warm = Start(plan, absl::StrCat("request-warm-", round));
    EXPECT_EQ(fed_.Run(warm).initial_model_sha256(), model) << round;
  }
  v1::RunPlan plan = TinyPlan();
  plan.set_warm_start(absl::StrCat(run, "@9"));
  EXPECT_THAT(manager_->StartRun(Request(plan, "request-9"), "operator/test"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RunManagerTest, AWarmStartFromAFileNeedsItsBlobOfTheRightSize) {
  v1::RunPlan plan = TinyPlan();
  plan.set_warm_start("file");
  plan.set_initial_model_sha256(crypto::Sha256Hex("never sent"));
  EXPECT_THAT(manager_->StartRun(Request(plan), "operator/test"), StatusIs(absl::StatusCode::kNotFound));
  plan.set_initial_model_sha256(*fed_.ledger.blobs().Put("12345678"));
  EXPECT_THAT(manager_->StartRun(Request(plan), "operator/test"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it has 8 bytes, this model needs 32")));
  plan.set_initial_model_sha256(
      *fed_.ledger.blobs().Put(update::EncodeParameters(std::vector<float>(kTinyParameters, 0.5f))));
  EXPECT_EQ(fed_.Run(Start(plan)).initial_model_sha256(), plan.initial_model_sha256());
}

// ---- sessions

v1::Hello Holding(const std::string& task, v1::HeldTask::State state) {
  v1::Hello hello;
  hello.mutable_dataset()->set_examples(1000);
  v1::HeldTask* held = hello.add_held();
  held->set_task_id(task);
  held->set_state(state);
  return hello;
}

TEST_F(RunManagerTest, AHelloGetsVerdictsAndWhatIsMissingIsPushedAgain) {
  const std::string run = Start(TinyPlan());
  fed_.dispatcher.AwaitTask("c00", run, 1);
  fed_.dispatcher.AwaitTask("c01", run, 1);
  fed_.dispatcher.AwaitTask("c02", run, 1);
  fed_.dispatcher.Forget();
  auto verdicts = manager_->ClientOnline("c00", Holding(Task(run, 1, "c00"), v1::HeldTask::TRAINING));
  ASSERT_THAT(verdicts, SizeIs(1));
  EXPECT_EQ(verdicts[0].action(), v1::TaskVerdict::CONTINUE);
  EXPECT_THAT(fed_.dispatcher.tasks(), IsEmpty()) << "it has it";

  verdicts = manager_->ClientOnline("c01", Holding(Task(run, 1, "c00"), v1::HeldTask::FINISHED));
  EXPECT_EQ(verdicts[0].action(), v1::TaskVerdict::CANCEL) << "another client's task";
  ASSERT_THAT(fed_.dispatcher.tasks(), SizeIs(1)) << "its own follows";
  EXPECT_EQ(fed_.dispatcher.tasks()[0].second.task_id(), Task(run, 1, "c01"));

  verdicts = manager_->ClientOnline("c02", Holding(Task(run, 1, "c02"), v1::HeldTask::FINISHED));
  EXPECT_EQ(verdicts[0].action(), v1::TaskVerdict::UPLOAD);
  Deliver(run, 1, "c01");
  fed_.dispatcher.Forget();
  manager_->ClientOnline("c01", v1::Hello());
  EXPECT_THAT(fed_.dispatcher.tasks(), IsEmpty()) << "its update is here already";
}

TEST_F(RunManagerTest, ATaskThatGoesOutAfterItsRoundsCancelIsCancelledToo) {
  const std::string run = Start(TinyPlan());
  for (const char* id : {"c00", "c01", "c02"}) fed_.dispatcher.AwaitTask(id, run, 1);
  fed_.dispatcher.OnPush([&](const v1::TrainTask&) {
    ASSERT_OK(manager_->StopRun(run, "operator/test"));
    fed_.dispatcher.AwaitCancels(3);
  });
  manager_->ClientOnline("c01", v1::Hello());
  ASSERT_THAT(fed_.dispatcher.cancels(), SizeIs(4)) << "three by the stop, one for the task that followed it";
  EXPECT_EQ(fed_.dispatcher.cancels().back(), "c01 not_needed");
}

TEST_F(RunManagerTest, AfterARestartTheHelloBringsTheTask) {
  const std::string run = Start(TinyPlan());
  for (const char* id : {"c00", "c01", "c02"}) {
    fed_.dispatcher.AwaitTask(id, run, 1);
    fed_.dispatcher.SetOnline(id, false);
  }
  fed_.dispatcher.Forget();
  Restart();
  EventLog log;
  Watch(run, &log);
  log.AwaitRound(1, "training");
  fed_.dispatcher.SetOnline("c01", true);
  manager_->ClientOnline("c01", v1::Hello());
  EXPECT_EQ(fed_.dispatcher.AwaitTask("c01", run, 1).task_id(), Task(run, 1, "c01"));
}

TEST_F(RunManagerTest, ADeclineClosesTheRowWithTheClientsWords) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  Deliver(run, 1, "c00");
  Deliver(run, 1, "c01");
  v1::TaskAnswer answer;
  answer.set_task_id(fed_.dispatcher.AwaitTask("c02", run, 1).task_id());
  answer.set_code("policy");
  answer.set_reason("not\non my machine");
  manager_->TaskAnswered("c01", answer);  // not its task: changes nothing
  manager_->TaskAnswered("c02", answer);
  log.AwaitRound(1, "committed");
  const auto rows = fed_.store().ListContributions(run, 1);
  EXPECT_EQ(rows->at(2).state(), "declined");
  EXPECT_EQ(rows->at(2).reason(), "policy: not\\x0aon my machine");
}

TEST_F(RunManagerTest, ARevokedClientIsOutAtOnce) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  Deliver(run, 1, "c00");
  Deliver(run, 1, "c01");
  fed_.dispatcher.AwaitTask("c02", run, 1);
  fed_.dispatcher.Remove("c02");
  fed_.ledger.Revoke("c02");
  manager_->ClientRevoked("c02", "revoked by operator/test");
  log.AwaitRound(1, "committed");
  EXPECT_THAT(fed_.Rows(run, 1), Contains("c02 dropped"));
  EXPECT_THAT(fed_.dispatcher.cancels(), ElementsAre("c02 revoked"));
}

TEST_F(RunManagerTest, ProgressReachesWatchers) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  fed_.dispatcher.AwaitTask("c02", run, 1);
  log.AwaitRound(1, "training");
  v1::TaskProgress progress;
  progress.set_task_id(Task(run, 1, "c02"));
  progress.set_state(v1::HeldTask::TRAINING);
  progress.set_steps_done(3);
  progress.set_steps_total(9);
  manager_->TaskProgressed("c00", progress);  // not its task
  manager_->TaskProgressed("c02", progress);
  fed_.clock.Advance(absl::Milliseconds(250));
  const v1::RunEvent event = log.Await([](const v1::RunEvent& e) { return e.progress_size() > 0; });
  ASSERT_EQ(event.progress_size(), 1);
  EXPECT_EQ(event.progress(0).client(), "client-c02");
  EXPECT_EQ(event.progress(0).state(), "training");
  EXPECT_EQ(event.progress(0).steps_done(), 3u);
}

// ---- transfers

TEST_F(RunManagerTest, TermsOfATaskAreItsClientsOnly) {
  const std::string run = Start(TinyPlan());
  const v1::TrainTask task = fed_.dispatcher.AwaitTask("c00", run, 1);
  const auto terms = manager_->GetTask("c00", task.task_id());
  ASSERT_OK(terms);
  EXPECT_TRUE(terms->open);
  EXPECT_EQ(terms->run_id, run);
  EXPECT_EQ(terms->round, 1u);
  EXPECT_EQ(terms->base_model_sha256, task.base_model_sha256());
  EXPECT_EQ(terms->plan_sha256, task.plan_sha256());
  EXPECT_EQ(terms->parameters, kTinyParameters);
  EXPECT_EQ(terms->max_examples, 1000u);
  EXPECT_EQ(terms->encoding, "float32");
  EXPECT_THAT(manager_->GetTask("c01", task.task_id()), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(manager_->GetTask("c00", std::string(64, '0')), StatusIs(absl::StatusCode::kNotFound));
  v1::Hello hello;
  hello.mutable_dataset()->set_examples(12);
  manager_->ClientOnline("c00", hello);
  EXPECT_EQ(manager_->GetTask("c00", task.task_id())->max_examples, 12u) << "the newest hello counts";
}

TEST_F(RunManagerTest, TheSameUpdateTwiceGivesTheSameReceiptAndAnotherIsAConflict) {
  const std::string run = Start(TinyPlan());
  const AcceptResult first = Deliver(run, 1, "c00");
  ASSERT_EQ(first.kind, AcceptResult::Kind::kAccepted);
  const auto again = manager_->Accept(fed_.Update(run, 1, "c00"));
  ASSERT_OK(again);
  EXPECT_EQ(again->kind, AcceptResult::Kind::kDuplicate);
  EXPECT_EQ(again->receipt.SerializeAsString(), first.receipt.SerializeAsString());
  const auto other = manager_->Accept(fed_.Update(run, 1, "c00", 9.0f));
  ASSERT_OK(other);
  EXPECT_EQ(other->kind, AcceptResult::Kind::kConflict);
}

TEST_F(RunManagerTest, ARefusedUpdateClosesTheRowAndNeverCounts) {
  const std::string run = Start(TinyPlan());
  EventLog log;
  Watch(run, &log);
  Deliver(run, 1, "c00");
  Deliver(run, 1, "c01");
  const std::string task = fed_.dispatcher.AwaitTask("c02", run, 1).task_id();
  v1::Rejected why;
  why.set_code("not_finite");
  why.set_reason("value 3 is NaN");
  manager_->Refuse("c02", task, why, 32);
  EXPECT_EQ(log.AwaitRound(1, "committed").round().examples(), 200u);
  const auto rows = fed_.store().ListContributions(run, 1);
  EXPECT_EQ(rows->at(2).state(), "rejected");
  EXPECT_EQ(rows->at(2).reason(), "not_finite: value 3 is NaN");
  EXPECT_EQ(rows->at(2).bytes_up(), 32u);
}

TEST_F(RunManagerTest, ModelBytesSentAreCounted) {
  const std::string run = Start(TinyPlan());
  const std::string task = fed_.dispatcher.AwaitTask("c00", run, 1).task_id();
  manager_->CountBytesDown("c00", task, 32);
  manager_->CountBytesDown("c00", task, 8);
  EXPECT_EQ(fed_.store().ListContributions(run, 1)->at(0).bytes_down(), 40u);
}

TEST_F(RunManagerTest, ShutdownLeavesRunsAsTheyAreAndSavesTheirTime) {
  const std::string run = Start(TinyPlan());
  fed_.dispatcher.AwaitTask("c02", run, 1);
  fed_.clock.Advance(absl::Seconds(3));
  manager_->Shutdown();
  EXPECT_EQ(fed_.Run(run).state(), "running");
  EXPECT_EQ(fed_.store().GetRound(run, 1)->training_elapsed_ms, 3000u);
  EXPECT_THAT(manager_->StartRun(Request(TinyPlan(), "request-late"), "operator/test"),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST(RunManagerOptionsTest, WhatIsMissingIsAnError) {
  EXPECT_THAT(RunManager::Create({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tributary::rounds
