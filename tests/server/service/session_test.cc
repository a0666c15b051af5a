// The long session, roles and revocation, over real mutual TLS.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "common/rpc/limits.h"
#include "tests/server/service/federation_fixture.h"

namespace tributary::service {
namespace {

using ::testing::HasSubstr;

class SessionTest : public FederationTest {
 protected:
  void Revoke(const std::string& name) {
    v1::RevokeClientRequest request;
    request.set_name(name);
    v1::ClientDocument document;
    const grpc::Status revoked = op().RevokeClient(MakeContext().get(), request, &document);
    ASSERT_TRUE(revoked.ok()) << revoked.error_message();
    EXPECT_EQ(document.client().state(), "revoked");
  }
  std::string StateOf(const std::string& name) {
    v1::GetClientRequest request;
    request.set_name(name);
    v1::ClientDocument document;
    EXPECT_TRUE(op().GetClient(MakeContext().get(), request, &document).ok());
    return document.client().state();
  }
};

TEST_F(SessionTest, HelloIsAnsweredWithWhoTheCallerIs) {
  const auto client = Enrol("berlin");
  v1::Welcome welcome;
  const grpc::Status opened = client->Open(client->MakeHello(), &welcome);
  ASSERT_TRUE(opened.ok()) << opened.error_message();
  EXPECT_EQ(welcome.client_id(), client->id());
  EXPECT_EQ(welcome.name(), "berlin");
  EXPECT_EQ(welcome.protocol_version(), rpc::kProtocolVersion);
  EXPECT_EQ(welcome.heartbeat_interval_ms(), 5000u);
  EXPECT_EQ(StateOf("berlin"), "online");
}

TEST_F(SessionTest, ANewerProtocolByOneIsSpokenDown) {
  const auto client = Enrol("berlin");
  v1::Hello hello = client->MakeHello();
  hello.set_protocol_version(rpc::kProtocolVersion + 1);
  v1::Welcome welcome;
  ASSERT_TRUE(client->Open(hello, &welcome).ok());
  EXPECT_EQ(welcome.protocol_version(), rpc::kProtocolVersion);
}

TEST_F(SessionTest, VersionsTooFarApartAreRefused) {
  const auto client = Enrol("berlin");
  for (const uint32_t version : {0u, rpc::kProtocolVersion + 2}) {
    v1::Hello hello = client->MakeHello();
    hello.set_protocol_version(version);
    const grpc::Status refused = client->Open(hello);
    EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << version;
    EXPECT_THAT(refused.error_message(), HasSubstr("upgrade"));
  }
}

TEST_F(SessionTest, TheFirstMessageMustBeHelloAndOnlyTheFirst) {
  const auto client = Enrol("berlin");
  const auto context = MakeContext();
  const auto stream = client->stub().OpenSession(context.get());
  v1::ClientMessage message;
  message.mutable_answer()->set_task_id("x");
  stream->Write(message);
  v1::CoordinatorMessage none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);

  client->MustOpen();
  v1::ClientMessage again;
  *again.mutable_hello() = client->MakeHello();
  client->Write(again);
  EXPECT_FALSE(client->Read(&none));
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SessionTest, TheNewestSessionOfAClientWins) {
  const auto older = Enrol("berlin");
  ScriptedClient newer(directory_.File("clients/berlin"), coordinator_->MainEndpoint(), {});
  older->MustOpen();
  newer.MustOpen();
  v1::CoordinatorMessage none;
  EXPECT_FALSE(older->Read(&none));
  EXPECT_EQ(older->Finish().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(StateOf("berlin"), "online") << "the end of the older session must not take the newer one offline";
  newer.Close();
}

TEST_F(SessionTest, ASilentSessionEnds) {
  const auto client = Enrol("berlin");
  coordinator_.reset();
  options_.heartbeat = absl::Milliseconds(100);
  StartCoordinator();
  client->Reconnect();
  client->MustOpen();
  v1::CoordinatorMessage none;
  EXPECT_FALSE(client->Read(&none));
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SessionTest, ASessionThatNeverSaysHelloEndsToo) {
  const auto client = Enrol("berlin");
  coordinator_.reset();
  options_.heartbeat = absl::Milliseconds(100);
  StartCoordinator();
  client->Reconnect();
  const auto context = MakeContext();
  const auto stream = client->stub().OpenSession(context.get());
  v1::CoordinatorMessage none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SessionTest, AClientCannotKeepManyStreamsThatSayNothing) {
  const auto client = Enrol("berlin");
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::CoordinatorMessage>>> streams;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(MakeContext());
    streams.push_back(client->stub().OpenSession(contexts.back().get()));
  }
  // Which of them came first is not ours to say: one of the three ends, and the others can still begin.
  std::atomic<int> ended{0};
  std::vector<std::thread> readers;
  for (auto& stream : streams) {
    readers.emplace_back([&ended, &stream] {
      v1::CoordinatorMessage none;
      while (stream->Read(&none)) {
      }
      if (stream->Finish().error_code() == grpc::StatusCode::ABORTED) ++ended;
    });
  }
  while (ended == 0) std::this_thread::yield();
  for (const auto& context : contexts) context->TryCancel();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(ended, 1);
}

TEST_F(SessionTest, RevocationEndsALiveSessionWithinASecond) {
  const auto client = Enrol("berlin");
  client->MustOpen();
  const auto began = std::chrono::steady_clock::now();
  Revoke("berlin");
  v1::CoordinatorMessage none;
  while (client->Read(&none)) {
  }
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  const grpc::Status next = client->Open(client->MakeHello());
  EXPECT_EQ(next.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  RestartCoordinator();
  client->Reconnect();
  EXPECT_EQ(client->Open(client->MakeHello()).error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(SessionTest, AStopTellsEveryClientWhenToComeBack) {
  const auto client = Enrol("berlin");
  client->MustOpen();
  coordinator_->Stop();
  v1::CoordinatorMessage message;
  ASSERT_TRUE(client->Read(&message));
  ASSERT_TRUE(message.has_pace()) << message.ShortDebugString();
  EXPECT_EQ(message.pace().reason(), "shutting_down");
  EXPECT_GT(message.pace().retry_after_ms(), 0u);
  EXPECT_FALSE(client->Read(&message));
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SessionTest, AClientMayNotCallWhatOperatorsMay) {
  const auto client = Enrol("berlin");
  const auto stub = v1::OperatorService::NewStub(client->channel());
  v1::Status status;
  EXPECT_EQ(stub->GetStatus(MakeContext().get(), {}, &status).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  v1::RunDocument document;
  EXPECT_EQ(stub->StartRun(MakeContext().get(), {}, &document).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const auto context = MakeContext();
  const auto watch = stub->WatchRun(context.get(), {});
  v1::RunEvent event;
  EXPECT_FALSE(watch->Read(&event));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const auto export_context = MakeContext();
  const auto model = stub->ExportModel(export_context.get(), {});
  v1::ModelPart part;
  EXPECT_FALSE(model->Read(&part));
  EXPECT_EQ(model->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(SessionTest, AnOperatorMayNotCallWhatClientsMay) {
  const auto stub = v1::FederationService::NewStub(operator_channel_);
  v1::BeginUploadResponse begun;
  EXPECT_EQ(stub->BeginUpload(MakeContext().get(), {}, &begun).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const auto context = MakeContext();
  const auto stream = stub->OpenSession(context.get());
  v1::CoordinatorMessage none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const auto upload_context = MakeContext();
  v1::UploadUpdateResponse uploaded;
  const auto upload = stub->UploadUpdate(upload_context.get(), &uploaded);
  upload->WritesDone();
  EXPECT_EQ(upload->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

}  // namespace
}  // namespace tributary::service
