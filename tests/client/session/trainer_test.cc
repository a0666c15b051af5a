#include "client/session/trainer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "common/update/signed_record.h"
#include "tests/client/session/client_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

class TaskBoardTest : public ClientFixture {};

TEST_F(TaskBoardTest, WhatTheLedgerHoldsIsTakenUpWhenItComesAgain) {
  const v1::TrainTask task = federation_.Task(1);
  ASSERT_TRUE(intake_->Decide(task).value().accepted);  // and the session ends before the board has heard of it
  ASSERT_TRUE(intake_->Decide(task).value().accepted);
  ASSERT_OK(board_->Accepted(task));
  const std::optional<TrainJob> job = board_->NextTraining();
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(job->task.task_id(), task.task_id());
}

TEST_F(TaskBoardTest, ATaskThatComesTwiceIsTrainedOnce) {
  ASSERT_TRUE(intake_->Decide(federation_.Task(1)).value().accepted);
  ASSERT_OK(board_->Accepted(federation_.Task(1)));
  ASSERT_OK(board_->Accepted(federation_.Task(1)));
  EXPECT_EQ(1u, board_->Held().size());
}

class TrainerTest : public ClientFixture {
 protected:
  TrainerTest() {
    TRB_CHECK(board_
                  ->Online(link_.welcome,
                           [this](v1::ClientMessage message) {
                             const MutexLock lock(&mu_);
                             sent_.push_back(std::move(message));
                           })
                  .ok());
  }
  ~TrainerTest() override { StopAll(); }  // before what the threads write to is gone
  void Accept(const v1::TrainTask& task) {
    const TaskIntake::Decision decision = intake_->Decide(task).value();
    ASSERT_TRUE(decision.accepted) << decision.refusal.reason;
    ASSERT_OK(board_->Accepted(task));
  }
  std::optional<v1::TaskAnswer> Declined() {
    const MutexLock lock(&mu_);
    for (const v1::ClientMessage& message : sent_)
      if (message.has_answer()) return message.answer();
    return std::nullopt;
  }
  // A training that lasts until it is told to stop.
  void TrainForEver() {
    train_ = [this](const learning::LocalTask& task) -> absl::StatusOr<learning::LocalResult> {
      training_.set_value();
      while (!task.stop()) std::this_thread::yield();
      return absl::CancelledError("stopped");
    };
  }

  void CutFirstDownload() {
    link_.on_download = [this, good = link_.on_download](const v1::DownloadModelRequest& request,
                                                         const CoordinatorLink::Sink& sink,
                                                         std::stop_token stop) -> absl::Status {
      if (downloads_++ == 0) return absl::UnavailableError("cut");
      return good(request, sink, stop);
    };
  }

  std::promise<void> training_;
  std::atomic<int> downloads_{0};
  std::vector<v1::ClientMessage> sent_ TRB_GUARDED_BY(mu_);
};

TEST_F(TrainerTest, AnAcceptedTaskBecomesASignedUpdate) {
  const v1::TrainTask task = federation_.Task(1);
  Accept(task);
  StartTraining();
  AwaitState(task, TaskState::kFinished);
  const OutboxEntry entry = *ledger_->FindOutbox(task.task_id()).value();
  EXPECT_OK(update::CheckWellFormed(entry.record));
  EXPECT_TRUE(federation_.ClientSigner().certificate.public_key().Verify(update::CanonicalBytes(entry.record),
                                                                         entry.signature));
  EXPECT_EQ(federation_.ClientSigner().certificate.sha256(), entry.record.certificate_sha256());
  EXPECT_EQ(20u, entry.record.examples());
  EXPECT_EQ("fed", entry.record.federation());
  EXPECT_EQ("client-1", entry.record.client_id());
  ASSERT_OK_AND_ASSIGN(const v1::UpdateMetrics metrics, update::ParseMetrics(entry.metrics));
  EXPECT_EQ(5u, metrics.steps());
  EXPECT_OK(outbox_->ReadBytes(entry));
}

TEST_F(TrainerTest, TheSameTaskGivesTheSameUpdateAfterAKill) {
  const v1::TrainTask task = federation_.Task(1);
  Accept(task);
  StartTraining();
  AwaitState(task, TaskState::kFinished);
  const std::string first = ledger_->FindOutbox(task.task_id()).value()->record.update_sha256();
  StopAll();
  // As if killed before the update was durable.
  ASSERT_OK(ledger_->RequeueFinished(task.task_id()));
  ASSERT_OK(ledger_->SetTaskState(task.task_id(), TaskState::kTraining));
  OpenStores();
  v1::TaskVerdict& verdict = *link_.welcome.add_verdicts();
  verdict.set_task_id(task.task_id());
  verdict.set_action(v1::TaskVerdict::CONTINUE);
  ASSERT_OK(board_->Online(link_.welcome, [](v1::ClientMessage) {}));
  StartTraining();
  AwaitState(task, TaskState::kFinished);
  EXPECT_EQ(first, ledger_->FindOutbox(task.task_id()).value()->record.update_sha256());
}

TEST_F(TrainerTest, ACancelEndsTheTraining) {
  const v1::TrainTask task = federation_.Task(1);
  TrainForEver();
  Accept(task);
  StartTraining();
  training_.get_future().wait();
  v1::CancelTask cancel;
  cancel.set_task_id(task.task_id());
  cancel.set_code("not_needed");
  ASSERT_OK(board_->Cancelled(cancel));
  EXPECT_TRUE(board_->Idle());
  EXPECT_EQ(TaskState::kDropped, Row(task).state);
  EXPECT_EQ("not_needed", Row(task).code);
}

TEST_F(TrainerTest, AStopLeavesTheTaskHeld) {
  const v1::TrainTask task = federation_.Task(1);
  TrainForEver();
  Accept(task);
  StartTraining();
  training_.get_future().wait();
  StopAll();
  OpenStores();
  ASSERT_EQ(1u, board_->Held().size());
  EXPECT_EQ(v1::HeldTask::QUEUED, board_->Held()[0].state());
}

// Every training of a task ends with the process, as when the kernel kills it for its memory.
class LethalTaskTest : public TrainerTest {
 protected:
  // What a kill in mid-training leaves: the row says so, nobody took the start back.
  void KillWhileTraining(const v1::TrainTask& task) {
    ASSERT_OK(ledger_->CountStart(task.task_id()));
    OpenStores();
  }
};

TEST_F(LethalTaskTest, IsGivenUpAfterTheSecondKillAndTheCoordinatorHearsWhy) {
  const v1::TrainTask task = federation_.Task(1);
  Accept(task);
  KillWhileTraining(task);
  EXPECT_EQ(1u, board_->Held().size()) << "one kill may have had another reason";
  KillWhileTraining(task);
  EXPECT_TRUE(board_->Held().empty());
  EXPECT_EQ(TaskState::kFailed, Row(task).state);
  const TaskIntake::Decision again = intake_->Decide(task).value();
  EXPECT_FALSE(again.accepted);
  EXPECT_EQ("training_failed", again.refusal.code);
  EXPECT_NE(std::string::npos, again.refusal.reason.find("killed 2 times")) << again.refusal.reason;
}

TEST_F(LethalTaskTest, ItsRunIsLeftAloneForADay) {
  Accept(federation_.Task(1));
  KillWhileTraining(federation_.Task(1));
  KillWhileTraining(federation_.Task(1));
  EXPECT_EQ("training_failed", intake_->Decide(federation_.Task(2, 1)).value().refusal.code);
  clock_.Advance(absl::Hours(24) + absl::Seconds(1));
  EXPECT_TRUE(intake_->Decide(federation_.Task(3, 2)).value().accepted);
}

TEST_F(LethalTaskTest, TheStartIsDurableBeforeTheTrainingBegins) {
  std::atomic<uint64_t> starts{0};
  const v1::TrainTask task = federation_.Task(1);
  train_ = [&](const learning::LocalTask& t) {
    starts = Row(task).starts;
    return learning::TrainLocally(t);
  };
  Accept(task);
  StartTraining();
  AwaitState(task, TaskState::kFinished);
  EXPECT_EQ(1u, starts);
}

TEST_F(LethalTaskTest, AnOrderlyStopIsNoKill) {
  const v1::TrainTask task = federation_.Task(1);
  TrainForEver();
  Accept(task);
  for (int i = 0; i < 3; ++i) {
    StartTraining();
    training_.get_future().wait();
    StopAll();
    EXPECT_EQ(0u, Row(task).starts);
    training_ = std::promise<void>();
    OpenStores();
    ASSERT_EQ(1u, board_->Held().size());
    v1::Welcome welcome = link_.welcome;
    v1::TaskVerdict& verdict = *welcome.add_verdicts();
    verdict.set_task_id(task.task_id());
    verdict.set_action(v1::TaskVerdict::CONTINUE);
    ASSERT_OK(board_->Online(welcome, [](v1::ClientMessage) {}));
  }
}

// Reading a large folder of images cannot be interrupted, and the process may not wait for it.
TEST_F(LethalTaskTest, AnOrderlyStopIsNoKillThoughTheTrainingDoesNotEnd) {
  const v1::TrainTask task = federation_.Task(1);
  std::promise<void> let_go;
  train_ = [&, end = let_go.get_future().share()](const learning::LocalTask& t) {
    training_.set_value();
    end.wait();
    return learning::TrainLocally(t);
  };
  Accept(task);
  StartTraining();
  training_.get_future().wait();
  EXPECT_EQ(1u, Row(task).starts);
  board_->Stop();
  EXPECT_EQ(0u, Row(task).starts);
  let_go.set_value();
  StopAll();
  EXPECT_EQ(0u, Row(task).starts);
}

TEST_F(TrainerTest, ANewerRoundOvertakesTheOneInTraining) {
  TrainForEver();
  Accept(federation_.Task(1));
  StartTraining();
  training_.get_future().wait();
  training_ = std::promise<void>();
  Accept(federation_.Task(2, 1));
  training_.get_future().wait();
  EXPECT_EQ(TaskState::kDropped, Row(federation_.Task(1)).state);
  EXPECT_EQ(TaskState::kTraining, Row(federation_.Task(2)).state);
}

TEST_F(TrainerTest, AFailedTrainingIsDeclinedWithItsReason) {
  train_ = [](const learning::LocalTask&) -> absl::StatusOr<learning::LocalResult> {
    return absl::OutOfRangeError("the loss is not finite at step 3");
  };
  const v1::TrainTask task = federation_.Task(1);
  Accept(task);
  StartTraining();
  AwaitIdle();
  StopAll();
  const std::optional<v1::TaskAnswer> answer = Declined();
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->accepted());
  EXPECT_EQ("training_failed", answer->code());
  EXPECT_EQ("the loss is not finite at step 3", answer->reason());
  EXPECT_EQ(TaskState::kFailed, Row(task).state);
  EXPECT_EQ("training_failed", intake_->Decide(task).value().refusal.code);
}

TEST_F(TrainerTest, ACutDownloadIsTriedAgainAfterAPause) {
  CutFirstDownload();
  Accept(federation_.Task(1));
  StartTraining();
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Minutes(1));
  AwaitState(federation_.Task(1), TaskState::kFinished);
  EXPECT_EQ(2, downloads_);
}

TEST_F(TrainerTest, ACutDownloadIsTriedAgainAtOnceWhenASessionOpens) {
  CutFirstDownload();
  Accept(federation_.Task(1));
  StartTraining();
  clock_.AwaitWaiters(1);
  ASSERT_OK(board_->Online(link_.welcome, [](v1::ClientMessage) {}));
  AwaitState(federation_.Task(1), TaskState::kFinished);
  EXPECT_EQ(2, downloads_);
}

TEST_F(TrainerTest, DataThatTheCoordinatorWasNotToldOfAreAnnouncedAndNotTrained) {
  data_->SetTold(v1::DatasetFacts());
  std::promise<void> announced;
  Trainer::Parts parts = TrainerParts();
  parts.announce = [&] { announced.set_value(); };
  Accept(federation_.Task(1));
  trainer_ = std::make_unique<Trainer>(std::move(parts));
  threads_.emplace_back([this] { trainer_->Run(); });
  announced.get_future().wait();
  EXPECT_EQ("data_mismatch", Row(federation_.Task(1)).code) << "declined first";
  EXPECT_EQ("data_mismatch", Declined()->code());
}

TEST_F(TrainerTest, ABaseModelThatNeverFitsItsDigestIsGivenUp) {
  std::atomic<int> downloads{0};
  link_.on_download = [&](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink, std::stop_token) {
    ++downloads;
    return SendModel(std::string(federation_.BaseModel().size(), 'x'), request, sink);
  };
  Accept(federation_.Task(1));
  StartTraining();
  while (!board_->Idle()) clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(3, downloads);
  EXPECT_EQ(TaskState::kFailed, Row(federation_.Task(1)).state);
}

TEST_F(TrainerTest, ALongReasonOfACancelIsCut) {
  Accept(federation_.Task(1));
  v1::CancelTask cancel;
  cancel.set_task_id(federation_.Task(1).task_id());
  cancel.set_code(std::string(1 << 20, 'c'));
  cancel.set_reason(std::string(1 << 20, 'r'));
  ASSERT_OK(board_->Cancelled(cancel));
  EXPECT_EQ(64u, Row(federation_.Task(1)).code.size());
  EXPECT_EQ(500u, Row(federation_.Task(1)).reason.size());
}

TEST_F(TrainerTest, ATaskThatIsGoneAtDownloadIsGivenUp) {
  link_.on_download = [](const v1::DownloadModelRequest&, const CoordinatorLink::Sink&, std::stop_token) {
    return absl::NotFoundError("gone");
  };
  Accept(federation_.Task(1));
  StartTraining();
  AwaitIdle();
  EXPECT_EQ(TaskState::kFailed, Row(federation_.Task(1)).state);
}

TEST_F(TrainerTest, DataThatCannotBeReadAnyMoreDeclineWithTheirOwnCode) {
  train_ = [](const learning::LocalTask&) -> absl::StatusOr<learning::LocalResult> {
    return ToStatus({"data_error", "/srv/cats: gone"});
  };
  Accept(federation_.Task(1));
  StartTraining();
  AwaitIdle();
  EXPECT_EQ("data_error", Row(federation_.Task(1)).code);
  EXPECT_EQ("/srv/cats: gone", Declined()->reason());
}

TEST_F(TrainerTest, AfterARestartNothingIsTrainedThatTheCoordinatorDoesNotWant) {
  Accept(federation_.Task(1));
  OpenStores();
  v1::TaskVerdict& verdict = *link_.welcome.add_verdicts();
  verdict.set_task_id(federation_.Task(1).task_id());
  verdict.set_action(v1::TaskVerdict::CANCEL);
  ASSERT_OK(board_->Online(link_.welcome, [](v1::ClientMessage) {}));
  EXPECT_TRUE(board_->Idle());
  EXPECT_EQ(TaskState::kDropped, Row(federation_.Task(1)).state);
}

}  // namespace
}  // namespace tributary::session
