// A real coordinator in this process over real mutual TLS on loopback, and clients that follow a script.
#ifndef TRIBUTARY_TESTS_SERVER_SERVICE_FEDERATION_FIXTURE_H_
#define TRIBUTARY_TESTS_SERVER_SERVICE_FEDERATION_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/crypto/credential_directory.h"
#include "server/service/coordinator.h"
#include "tests/support/temp_dir.h"
#include "tributary/v1/federation.grpc.pb.h"
#include "tributary/v1/operator.grpc.pb.h"

namespace tributary::service {

// Features and units of the one dense layer that runs here train: small, or several chunks large.
struct ModelSize {
  uint32_t features = 4, units = 2;
  uint64_t parameters() const { return uint64_t{features} * units + units; }
};

// An enrolled client: its credentials, a channel, and one session at a time. Calls time out after 20 s.
class ScriptedClient {
 public:
  ScriptedClient(std::string root, std::string endpoint, ModelSize size);

  const std::string& id() const { return id_; }
  v1::FederationService::Stub& stub() { return *stub_; }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }
  // A new channel, as after a restart of the client.
  void Reconnect();

  v1::Hello MakeHello() const;
  // Opens a session and says hello; the welcome, or what the session ended with.
  grpc::Status Open(const v1::Hello& hello, v1::Welcome* welcome = nullptr);
  void MustOpen();
  bool Write(const v1::ClientMessage& message) { return stream_->Write(message); }
  // False: the session has ended.
  bool Read(v1::CoordinatorMessage* message) { return stream_->Read(message); }
  grpc::Status Finish();  // after it, Open again
  void Close();           // hangs up
  // Skips other messages until a task comes, and accepts it.
  v1::TrainTask NextTask();

  // A delta of `value`s for the task, and its signed announcement.
  std::string MakeUpdate(float value = 0.5f) const;
  v1::BeginUploadRequest Announce(const v1::TrainTask& task, const std::string& update) const;
  void Sign(v1::BeginUploadRequest* request) const;
  grpc::Status BeginUpload(const v1::BeginUploadRequest& request, v1::BeginUploadResponse* response);
  grpc::Status Upload(const std::string& upload_id, const std::string& update, uint64_t offset,
                      v1::UploadUpdateResponse* response);
  // Announces and uploads; the receipt.
  v1::Receipt MustUpload(const v1::TrainTask& task, const std::string& update);
  grpc::Status Download(const std::string& task_id, uint64_t offset, std::string* bytes);

 private:
  std::unique_ptr<grpc::ClientContext> NewContext() const;

  const std::string root_, endpoint_;
  const ModelSize size_;
  std::string id_, federation_, certificate_sha256_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::FederationService::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::CoordinatorMessage>> stream_;
};

class FederationTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void StartCoordinator();
  void RestartCoordinator();

  const std::string& dir() const { return directory_.path(); }
  v1::OperatorService::Stub& op() { return *operator_stub_; }
  std::unique_ptr<ScriptedClient> Enrol(const std::string& name, ModelSize size = {});
  // One client a round, taken at once; no validation, no test set.
  v1::RunPlan MakePlan(ModelSize size = {}, uint32_t clients = 1) const;
  std::string MustStartRun(const v1::RunPlan& plan);
  v1::RunDocument GetRun(const std::string& id, bool contributions = false);

  // Takes the place of [limits] in coordinator.toml, from the next start on. The tests poll in tight loops: by default
  // nothing is counted by time.
  void SetLimits(const std::string& lines);

  Coordinator::Options options_;
  testing::TempDir directory_;
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<grpc::Channel> operator_channel_;
  std::unique_ptr<v1::OperatorService::Stub> operator_stub_;
  std::string settings_;  // coordinator.toml as init wrote it
  int requests_ = 0;
};

// A context with a deadline of 20 s.
std::unique_ptr<grpc::ClientContext> MakeContext();

}  // namespace tributary::service

#endif  // TRIBUTARY_TESTS_SERVER_SERVICE_FEDERATION_FIXTURE_H_
