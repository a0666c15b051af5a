#include "tests/server/service/federation_fixture.h"

#include <gmock/gmock.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/crypto/digest.h"
#include "common/rpc/credentials.h"
#include "common/rpc/enrolment_client.h"
#include "common/rpc/limits.h"
#include "common/update/signed_record.h"
#include "common/update/update_codec.h"
#include "server/identity/ca.h"
#include "server/identity/federation_init.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/ledger_store.h"
#include "server/service/settings.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

constexpr uint64_t kExamples = 100;

}  // namespace

std::unique_ptr<grpc::ClientContext> MakeContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  return context;
}

// ---- ScriptedClient

ScriptedClient::ScriptedClient(std::string root, std::string endpoint, ModelSize size)
    : root_(std::move(root)), endpoint_(std::move(endpoint)), size_(size) {
  const auto identity = rpc::LoadLocalIdentity(root_);
  TRB_CHECK(identity.ok());
  id_ = identity->id;
  federation_ = identity->federation;
  Reconnect();
}

void ScriptedClient::Reconnect() {
  const crypto::CredentialDirectory credentials(root_);
  certificate_sha256_ = credentials.Load()->certificate.sha256();
  auto channel = rpc::OpenChannel(endpoint_, credentials);
  TRB_CHECK(channel.ok());
  channel_ = *channel;
  stub_ = v1::FederationService::NewStub(channel_);
}

v1::Hello ScriptedClient::MakeHello() const {
  v1::Hello hello;
  hello.set_protocol_version(rpc::kProtocolVersion);
  hello.set_version("0.1.0");
  hello.set_engine("0.1.0/test/float32");
  hello.mutable_dataset()->set_examples(kExamples);
  hello.mutable_dataset()->add_shape(size_.features);
  hello.mutable_dataset()->set_num_classes(size_.units);
  return hello;
}

grpc::Status ScriptedClient::Open(const v1::Hello& hello, v1::Welcome* welcome) {
  context_ = std::make_unique<grpc::ClientContext>();
  context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  stream_ = stub_->OpenSession(context_.get());
  v1::ClientMessage first;
  *first.mutable_hello() = hello;
  stream_->Write(first);
  v1::CoordinatorMessage answer;
  if (!stream_->Read(&answer)) return Finish();
  EXPECT_TRUE(answer.has_welcome());
  if (welcome != nullptr) *welcome = answer.welcome();
  return grpc::Status::OK;
}

void ScriptedClient::MustOpen() {
  const grpc::Status opened = Open(MakeHello());
  ASSERT_TRUE(opened.ok()) << opened.error_message();
}

grpc::Status ScriptedClient::Finish() { return std::exchange(stream_, nullptr)->Finish(); }

void ScriptedClient::Close() {
  if (stream_ == nullptr) return;
  context_->TryCancel();
  stream_->Finish();
  stream_ = nullptr;
}

v1::TrainTask ScriptedClient::NextTask() {
  v1::CoordinatorMessage message;
  while (Read(&message)) {
    if (!message.has_task()) continue;
    v1::ClientMessage answer;
    answer.mutable_answer()->set_task_id(message.task().task_id());
    answer.mutable_answer()->set_accepted(true);
    Write(answer);
    return message.task();
  }
  ADD_FAILURE() << "the session ended before a task came: " << Finish().error_message();
  return {};
}

std::string ScriptedClient::MakeUpdate(float value) const {
  return update::EncodeParameters(std::vector<float>(size_.parameters(), value));
}

v1::BeginUploadRequest ScriptedClient::Announce(const v1::TrainTask& task, const std::string& update) const {
  v1::UpdateMetrics metrics;
  metrics.set_train_loss(0.7);
  metrics.set_steps(4);
  metrics.set_engine("0.1.0/test/float32");
  v1::BeginUploadRequest request;
  request.set_metrics(metrics.SerializeAsString());
  v1::UpdateRecord* r = request.mutable_record();
  r->set_federation(federation_);
  r->set_run_id(task.run_id());
  r->set_round(task.round());
  r->set_task_id(task.task_id());
  r->set_client_id(id_);
  r->set_certificate_sha256(certificate_sha256_);
  r->set_base_model_sha256(task.base_model_sha256());
  r->set_plan_sha256(task.plan_sha256());
  r->set_update_sha256(crypto::Sha256Hex(update));
  r->set_encoding(task.encoding());
  r->set_length(update.size());
  r->set_examples(kExamples);
  r->set_metrics_sha256(crypto::Sha256Hex(request.metrics()));
  Sign(&request);
  return request;
}

void ScriptedClient::Sign(v1::BeginUploadRequest* request) const {
  const auto credential = crypto::CredentialDirectory(root_).Load();
  request->set_signature(*credential->key.Sign(update::CanonicalBytes(request->record())));
}

grpc::Status ScriptedClient::BeginUpload(const v1::BeginUploadRequest& request, v1::BeginUploadResponse* response) {
  return stub_->BeginUpload(MakeContext().get(), request, response);
}

grpc::Status ScriptedClient::Upload(const std::string& upload_id, const std::string& update, uint64_t offset,
                                    v1::UploadUpdateResponse* response) {
  const auto context = MakeContext();
  const auto writer = stub_->UploadUpdate(context.get(), response);
  for (bool open = true; open && offset < update.size();) {
    v1::UploadChunk chunk;
    chunk.set_upload_id(upload_id);
    chunk.set_offset(offset);
    chunk.set_data(update.substr(offset, rpc::kChunkBytes));
    offset += chunk.data().size();
    open = writer->Write(chunk);
  }
  writer->WritesDone();
  return writer->Finish();
}

v1::Receipt ScriptedClient::MustUpload(const v1::TrainTask& task, const std::string& update) {
  v1::BeginUploadResponse begun;
  const grpc::Status announced = BeginUpload(Announce(task, update), &begun);
  EXPECT_TRUE(announced.ok()) << announced.error_message();
  EXPECT_TRUE(begun.has_ticket()) << begun.ShortDebugString();
  v1::UploadUpdateResponse done;
  const grpc::Status uploaded = Upload(begun.ticket().upload_id(), update, begun.ticket().offset(), &done);
  EXPECT_TRUE(uploaded.ok()) << uploaded.error_message();
  EXPECT_TRUE(done.has_receipt()) << done.ShortDebugString();
  return done.receipt();
}

grpc::Status ScriptedClient::Download(const std::string& task_id, uint64_t offset, std::string* bytes) {
  v1::DownloadModelRequest request;
  request.set_task_id(task_id);
  request.set_offset(offset);
  const auto context = MakeContext();
  const auto reader = stub_->DownloadModel(context.get(), request);
  v1::ModelChunk chunk;
  while (reader->Read(&chunk)) {
    EXPECT_EQ(chunk.offset(), offset + bytes->size());
    EXPECT_LE(chunk.data().size(), static_cast<size_t>(rpc::kChunkBytes));
    *bytes += chunk.data();
  }
  return reader->Finish();
}

// ---- FederationTest

void FederationTest::SetUp() {
  SetLogLevel(LogLevel::kWarning);
  identity::Federation wanted;
  wanted.host = "localhost";
  wanted.listen = wanted.enrol_listen = "127.0.0.1:0";
  {
    ASSERT_OK_AND_ASSIGN(const auto database, ledger::OpenLedger(dir()));
    const auto store = ledger::MakeIdentityLedger(*database);
    ASSERT_OK_AND_ASSIGN(
        const identity::Federation made,
        identity::InitFederation(dir(), wanted, *store, Clock::System(), crypto::SecureRandom::System()));
    ASSERT_THAT(WriteSettings(dir(), made), testing::IsOk());
  }
  ASSERT_OK_AND_ASSIGN(settings_, ReadFile(directory_.File("coordinator.toml")));
  SetLimits("sessions_a_minute = 0\ncalls_a_second = 0\nmessages_a_second = 0\n");
  options_.directory = dir();
  options_.program = TRIBUTARY_COORDINATOR;
  options_.tick = absl::Milliseconds(50);
  StartCoordinator();
}

void FederationTest::SetLimits(const std::string& lines) {
  directory_.Write("coordinator.toml", settings_ + "\n[limits]\n" + lines);
}

void FederationTest::StartCoordinator() {
  ASSERT_OK_AND_ASSIGN(coordinator_, Coordinator::Start(options_));
  ASSERT_OK_AND_ASSIGN(operator_channel_,
                       rpc::OpenChannel(coordinator_->MainEndpoint(), identity::OperatorCredentialDirectory(dir())));
  operator_stub_ = v1::OperatorService::NewStub(operator_channel_);
}

void FederationTest::RestartCoordinator() {
  coordinator_.reset();
  StartCoordinator();
}

std::unique_ptr<ScriptedClient> FederationTest::Enrol(const std::string& name, ModelSize size) {
  v1::InviteRequest invite;
  invite.set_name(name);
  v1::Invitation invitation;
  const grpc::Status invited = op().Invite(MakeContext().get(), invite, &invitation);
  EXPECT_TRUE(invited.ok()) << invited.error_message();
  const std::string root = directory_.File("clients/" + name);
  EXPECT_TRUE(MakeDirectories(directory_.File("clients"), 0700).ok());
  const auto joined = rpc::JoinFederation(invitation.invitation(), root, {}, Clock::System());
  EXPECT_THAT(joined, testing::IsOk());
  return std::make_unique<ScriptedClient>(root, coordinator_->MainEndpoint(), size);
}

v1::RunPlan FederationTest::MakePlan(ModelSize size, uint32_t clients) const {
  v1::RunPlan plan;
  plan.set_name("digits");
  plan.set_rounds(2);
  plan.set_seed(1);
  plan.mutable_model()->add_input(size.features);
  v1::Dense* dense = plan.mutable_model()->add_layers()->mutable_dense();
  dense->set_units(size.units);
  dense->set_activation(v1::ACTIVATION_SOFTMAX);
  plan.mutable_model()->set_loss(v1::LOSS_SPARSE_CATEGORICAL_CROSSENTROPY);
  v1::TrainPlan* train = plan.mutable_train();
  train->set_epochs(1);
  train->set_batch_size(32);
  train->set_optimizer(v1::OPTIMIZER_SGD);
  train->set_learning_rate(0.1);
  train->set_precision("float32");
  v1::RoundPlan* round = plan.mutable_round();
  round->set_clients(clients);
  round->set_min_clients(1);
  round->set_over_select(1.0);
  round->set_deadline_ms(60'000);
  round->set_select_wait_ms(100);
  round->set_stall_timeout_ms(60'000);
  round->set_max_failed_rounds(100);
  plan.mutable_aggregate()->set_strategy("fedavg");
  plan.mutable_aggregate()->set_server_learning_rate(1.0);
  plan.mutable_aggregate()->set_max_weight(1 << 20);
  plan.mutable_evaluate();
  plan.set_keep_updates("forever");
  return plan;
}

std::string FederationTest::MustStartRun(const v1::RunPlan& plan) {
  v1::StartRunRequest request;
  request.set_request_id(absl::StrCat("request-", ++requests_));
  *request.mutable_plan() = plan;
  v1::RunDocument document;
  const grpc::Status started = op().StartRun(MakeContext().get(), request, &document);
  EXPECT_TRUE(started.ok()) << started.error_message();
  return document.run().id();
}

v1::RunDocument FederationTest::GetRun(const std::string& id, bool contributions) {
  v1::GetRunRequest request;
  request.set_run(id);
  request.set_contributions(contributions);
  v1::RunDocument document;
  const grpc::Status got = op().GetRun(MakeContext().get(), request, &document);
  EXPECT_TRUE(got.ok()) << got.error_message();
  return document;
}

}  // namespace tributary::service
