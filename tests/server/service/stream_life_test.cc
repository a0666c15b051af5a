// Streams that end at awkward moments: reset before a worker admits them, cut while they are open. What goes wrong here
// shows under the sanitizers: memory that gRPC has freed (asan), locks taken in two orders (tsan).
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <set>

#include "server/service/federation_service.h"
#include "server/service/watch_stream.h"
#include "tests/server/identity/identity_fixture.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"
#include "tributary/v1/federation.grpc.pb.h"
#include "tributary/v1/operator.grpc.pb.h"

namespace tributary::service {
namespace {

// Frees every context itself and knows which are gone.
class ContextLedger : public grpc::ContextAllocator {
 public:
  grpc::CallbackServerContext* NewCallbackServerContext() override { return new grpc::CallbackServerContext; }
  void Release(grpc::CallbackServerContext* context) override {
    delete context;
    MutexLock lock(&mu_);
    gone_.insert(context);
    changed_.NotifyAll();
  }
  // Of a call that a handler was given.
  void NoteCall(grpc::CallbackServerContext* context) {
    MutexLock lock(&mu_);
    call_ = context;
    gone_.erase(context);
    changed_.NotifyAll();
  }
  void AwaitCall() {
    MutexLock lock(&mu_);
    while (call_ == nullptr) changed_.Wait(&mu_);
  }
  // gRPC has let go of the noted call.
  void AwaitEndOfCall() {
    MutexLock lock(&mu_);
    while (call_ == nullptr || gone_.count(call_) == 0) changed_.Wait(&mu_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  grpc::CallbackServerContext* call_ TRB_GUARDED_BY(mu_) = nullptr;
  std::set<grpc::CallbackServerContext*> gone_ TRB_GUARDED_BY(mu_);
};

// Over a channel without TLS every peer is a stranger; the only method that a stranger may call stands for one that is
// allowed.
constexpr std::string_view kAllowed = "/tributary.v1.EnrolmentService/Enrol";

class WatchService : public v1::OperatorService::CallbackService {
 public:
  WatchService(const WatchStream::Parts& parts, ContextLedger* contexts) : parts_(parts), contexts_(*contexts) {}
  grpc::ServerWriteReactor<v1::RunEvent>* WatchRun(grpc::CallbackServerContext* context,
                                                   const v1::WatchRunRequest* request) override {
    auto* stream = WatchStream::Start(parts_, context, kAllowed, *request);
    contexts_.NoteCall(context);
    return stream;
  }

 private:
  const WatchStream::Parts parts_;
  ContextLedger& contexts_;
};

class SessionService : public v1::FederationService::CallbackService {
 public:
  SessionService(FederationService* real, ContextLedger* contexts) : real_(*real), contexts_(*contexts) {}
  grpc::ServerBidiReactor<v1::ClientMessage, v1::CoordinatorMessage>* OpenSession(
      grpc::CallbackServerContext* context) override {
    auto* stream = real_.OpenSession(context);
    contexts_.NoteCall(context);
    return stream;
  }

 private:
  FederationService& real_;
  ContextLedger& contexts_;
};

class StreamLifeTest : public ::testing::Test {
 protected:
  StreamLifeTest() {
    run_ = ledger_.CreateRun();
    rounds::RunManager::Options how;
    how.store = &ledger_.store();
    how.dispatcher = &sessions_;
    how.blobs = &ledger_.blobs();
    how.federation = "federation-1";
    runs_ = *rounds::RunManager::Create(how);
    FederationService::Options peers;
    peers.gate = &gate_;
    peers.quotas = &quotas_;
    peers.session_workers = &session_workers_;
    peers.sessions = &sessions_;
    federation_service_ = std::make_unique<FederationService>(std::move(peers));
    session_service_ = std::make_unique<SessionService>(federation_service_.get(), contexts_);
    watch_service_ =
        std::make_unique<WatchService>(WatchStream::Parts{&gate_, runs_.get(), &ledger_.store()}, contexts_);
    grpc::ServerBuilder builder;
    builder.RegisterService(watch_service_.get());
    builder.RegisterService(session_service_.get());
    builder.SetContextAllocator(std::unique_ptr<grpc::ContextAllocator>(contexts_));
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel({});
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }
  ~StreamLifeTest() override {
    server_->Shutdown(std::chrono::system_clock::now());
    Unblock();
    session_workers_.Stop();
    workers_.Stop();
  }

  // The one worker waits until Unblock.
  void Block() {
    MutexLock lock(&mu_);
    blocked_ = true;
    workers_.Post([this] {
      MutexLock inner(&mu_);
      while (blocked_) unblocked_.Wait(&mu_);
    });
  }
  void Unblock() {
    MutexLock lock(&mu_);
    blocked_ = false;
    unblocked_.NotifyAll();
  }
  std::unique_ptr<grpc::ClientReader<v1::RunEvent>> Watch() {
    v1::WatchRunRequest request;
    request.set_run(run_);
    return v1::OperatorService::NewStub(channel_)->WatchRun(&context_, request);
  }
  // The peer hangs up while the worker is busy; then the worker comes to it.
  void ResetBeforeAdmission(const std::function<void()>& finish) {
    contexts_->AwaitCall();
    context_.TryCancel();
    finish();
    contexts_->AwaitEndOfCall();
    Unblock();
    workers_.Stop();  // runs what was posted
    session_workers_.Stop();
  }

  testing::TestFederation federation_;
  testing::LedgerFixture ledger_;
  std::string run_;
  LiveCalls live_;
  WorkerPool workers_{1};
  OrderedWorkers session_workers_{1};
  ClientQuotas quotas_{{}, &Clock::System()};
  Gate gate_{{rpc::Listener::kEnrolment, &federation_.service(), &live_, &workers_, nullptr, nullptr}};
  SessionRegistry sessions_{[] { return std::vector<rounds::Candidate>(); }, &Clock::System()};
  std::unique_ptr<rounds::RunManager> runs_;
  ContextLedger* contexts_ = new ContextLedger;  // the server's
  std::unique_ptr<FederationService> federation_service_;
  std::unique_ptr<SessionService> session_service_;
  std::unique_ptr<WatchService> watch_service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;

  Mutex mu_;
  CondVar unblocked_;
  bool blocked_ TRB_GUARDED_BY(mu_) = false;
};

TEST_F(StreamLifeTest, AWatchResetBeforeItsAdmissionLeavesNothingBehind) {
  Block();
  const auto events = Watch();
  ResetBeforeAdmission([&] { EXPECT_EQ(events->Finish().error_code(), grpc::StatusCode::CANCELLED); });
  EXPECT_EQ(live_.Count(), 0) << "admitted too late, and let go again";
}

TEST_F(StreamLifeTest, ASessionResetBeforeItsAdmissionLeavesNothingBehind) {
  Block();
  const auto stream = v1::FederationService::NewStub(channel_)->OpenSession(&context_);
  ResetBeforeAdmission([&] { EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED); });
  EXPECT_EQ(live_.Count(), 0);
}

TEST_F(StreamLifeTest, ACutAndTheEndOfAWatchTakeTheirLocksInOneOrder) {
  const auto events = Watch();
  v1::RunEvent event;
  ASSERT_TRUE(events->Read(&event));
  EXPECT_EQ(live_.CutAll(absl::UnavailableError("shutting down")), 1);  // registry, then stream
  EXPECT_FALSE(events->Read(&event));
  EXPECT_EQ(events->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  contexts_->AwaitEndOfCall();  // the stream leaves the registry
  EXPECT_EQ(live_.Count(), 0);
}

TEST_F(StreamLifeTest, AWatchThatDoesNotEvenTakeTheEndIsCancelled) {
  const auto events = Watch();
  v1::RunEvent event;
  ASSERT_TRUE(events->Read(&event));
  live_.CutAll(absl::UnavailableError("shutting down"));
  live_.CutAgain();
  contexts_->AwaitEndOfCall();
  EXPECT_EQ(live_.CutAgain(), 0);
  context_.TryCancel();
  EXPECT_FALSE(events->Finish().ok());
}

}  // namespace
}  // namespace tributary::service
