// The client's parts put together around a directory and a FakeLink, as Daemon does it.
#ifndef TRIBUTARY_TESTS_CLIENT_SESSION_CLIENT_FIXTURE_H_
#define TRIBUTARY_TESTS_CLIENT_SESSION_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>

#include "client/session/data_holder.h"
#include "client/session/session_loop.h"
#include "client/session/task_intake.h"
#include "client/session/uploader.h"
#include "tests/client/session/test_federation.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_dir.h"

namespace tributary::session {

class ClientFixture : public ::testing::Test {
 protected:
  ClientFixture() : data_(DataHolder::Of(TestFederation::Data(20))) {
    link_.welcome.set_federation("fed");
    link_.welcome.set_client_id("client-1");
    link_.welcome.set_name("anna");
    link_.welcome.set_heartbeat_interval_ms(10'000);
    link_.welcome.set_reconnect_min_ms(100);
    link_.welcome.set_reconnect_max_ms(1'000);
    link_.on_download = [this](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink,
                               std::stop_token) { return SendModel(federation_.BaseModel(), request, sink); };
    link_.on_begin = [](const v1::BeginUploadRequest&) {
      v1::BeginUploadResponse response;
      response.mutable_ticket()->set_upload_id("u");
      return response;
    };
    OpenStores();
  }
  ~ClientFixture() override { StopAll(); }

  // What a restart of the process leaves: the directory alone.
  void OpenStores() {
    board_.reset();
    outbox_.reset();
    ledger_.reset();
    ledger_ = ClientLedger::Open(dir_.path()).value();
    outbox_ = Outbox::Open(dir_.path(), ledger_.get()).value();
    cache_ = ModelCache::Open(dir_.path()).value();
    board_ = TaskBoard::Create(ledger_.get(), &clock_).value();
    intake_ = std::make_unique<TaskIntake>(
        TaskIntake::Parts{ledger_.get(), data_.get(), &policy_, &federation_.trust(), &clock_});
  }

  Trainer::Parts TrainerParts() {
    Trainer::Parts parts;
    parts.board = board_.get();
    parts.link = &link_;
    parts.cache = cache_.get();
    parts.data = data_.get();
    parts.outbox = outbox_.get();
    parts.trust = &federation_.trust();
    parts.clock = &clock_;
    parts.signer = [this] { return federation_.ClientSigner(); };
    parts.train = train_;
    return parts;
  }

  SessionLoop::Parts LoopParts() {
    SessionLoop::Parts parts;
    parts.link = &link_;
    parts.board = board_.get();
    parts.intake = intake_.get();
    parts.ledger = ledger_.get();
    parts.clock = &clock_;
    parts.facts = [this]() -> absl::StatusOr<v1::DatasetFacts> {
      data_->SetTold(data_->facts());
      return data_->facts();
    };
    parts.on_open = [this](const v1::Welcome&) {
      const MutexLock lock(&mu_);
      ++opened_;
      changed_.NotifyAll();
    };
    parts.clock_fault = [this] { return clock_fault_; };
    parts.renewal = renewal_;
    parts.authorities = authorities_;
    parts.identity = {"client-1", "anna", "client", "fed", "", ""};
    return parts;
  }

  void StartTraining() {
    trainer_ = std::make_unique<Trainer>(TrainerParts());
    threads_.emplace_back([this] { trainer_->Run(); });
  }
  void StartUploading() {
    uploader_ = std::make_unique<Uploader>(Uploader::Parts{board_.get(), &link_, ledger_.get(), outbox_.get(), &clock_,
                                                           [this] { return federation_.ClientSigner(); }});
    threads_.emplace_back([this] { uploader_->Run(); });
  }
  void StartSession() {
    loop_ = std::make_unique<SessionLoop>(LoopParts());
    threads_.emplace_back([this] { loop_status_ = loop_->Run(stop_.get_token()); });
  }
  // Until the n-th session is open: from then on its heartbeats are all that waits for the clock.
  void AwaitOpen(int n) {
    const MutexLock lock(&mu_);
    while (opened_ < n) changed_.Wait(&mu_);
  }
  void StartAll() {
    StartTraining();
    StartUploading();
    StartSession();
  }
  // As SIGTERM does; safe to repeat.
  void StopAll() {
    stop_.request_stop();
    if (board_ != nullptr) board_->Stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  void Restart() {
    StopAll();
    stop_ = std::stop_source();
    OpenStores();
    StartAll();
  }
  // Waits for the session's own end.
  absl::Status LoopEnd() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return loop_status_;
  }

  // The coordinator accepts the update of `task` whatever it holds.
  void AcceptUploads(const v1::TrainTask& task) {
    link_.on_begin = [this](const v1::BeginUploadRequest& request) {
      const MutexLock lock(&mu_);
      begun_.push_back(request);
      v1::BeginUploadResponse response;
      response.mutable_ticket()->set_upload_id("u");
      return response;
    };
    link_.on_upload = [this, task](const v1::UploadTicket&,
                                   std::string_view bytes) -> absl::StatusOr<v1::UploadUpdateResponse> {
      const MutexLock lock(&mu_);
      uploaded_.emplace_back(bytes);
      changed_.NotifyAll();
      v1::UploadUpdateResponse response;
      *response.mutable_receipt() = federation_.ReceiptFor(begun_.back().record(), task);
      return response;
    };
  }
  std::string AwaitUpload(size_t n) {
    const MutexLock lock(&mu_);
    while (uploaded_.size() < n) changed_.Wait(&mu_);
    return uploaded_[n - 1];
  }
  // Blocks until nothing is held any more.
  void AwaitIdle() {
    while (!board_->Idle()) std::this_thread::yield();
  }
  TaskRow Row(const v1::TrainTask& task) { return ledger_->FindTask(task.task_id()).value().value(); }
  void AwaitState(const v1::TrainTask& task, TaskState state) {
    for (;;) {
      const auto row = ledger_->FindTask(task.task_id()).value();
      if (row.has_value() && row->state == state) return;
      std::this_thread::yield();
    }
  }

  const testing::TempDir dir_;
  TestFederation federation_;
  testing::ManualClock clock_;
  policy::Policy policy_;
  FakeLink link_;
  Trainer::TrainFunction train_ = learning::TrainLocally;
  Authorities* authorities_ = nullptr;
  Renewal* renewal_ = nullptr;
  std::string clock_fault_;
  std::unique_ptr<DataHolder> data_;
  std::unique_ptr<ClientLedger> ledger_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<ModelCache> cache_;
  std::unique_ptr<TaskBoard> board_;
  std::unique_ptr<TaskIntake> intake_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Uploader> uploader_;
  std::unique_ptr<SessionLoop> loop_;
  std::stop_source stop_;
  absl::Status loop_status_;
  std::vector<std::thread> threads_;
  Mutex mu_;
  CondVar changed_;
  std::vector<v1::BeginUploadRequest> begun_ TRB_GUARDED_BY(mu_);
  std::vector<std::string> uploaded_ TRB_GUARDED_BY(mu_);
  int opened_ TRB_GUARDED_BY(mu_) = 0;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_TESTS_CLIENT_SESSION_CLIENT_FIXTURE_H_
