// A federation in memory for tests of the client: a CA, a receipt key, a client's certificate, one run with a chain of
// records, and a coordinator behind CoordinatorLink that does what a test tells it.
// Threads: TestFederation belongs to one thread; FakeLink is safe from any.
#ifndef TRIBUTARY_TESTS_CLIENT_SESSION_TEST_FEDERATION_H_
#define TRIBUTARY_TESTS_CLIENT_SESSION_TEST_FEDERATION_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/session/client_ledger.h"
#include "client/session/coordinator_link.h"
#include "client/session/trainer.h"
#include "common/base/mutex.h"
#include "common/crypto/certificate_issuer.h"
#include "common/data/dataset.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::session {

class TestFederation {
 public:
  TestFederation();

  // Round `round` of the run, linked from round `known` on (0: no links).
  v1::TrainTask Task(uint64_t round, uint64_t known = 0) const;
  // The record of a round; 0 is genesis.
  std::string Record(uint64_t round) const;
  std::string BaseModel() const;  // bytes
  v1::Receipt ReceiptFor(const v1::UpdateRecord& record, const v1::TrainTask& task) const;
  Signer ClientSigner() const { return {client_key_, client_certificate_}; }
  const crypto::Certificate& ca() const { return ca_.certificate; }
  const crypto::CurrentTrust& trust() const { return trust_; }
  crypto::Certificate Certify(const crypto::PublicKey& key, crypto::CertificateUse use) const;
  // Rows of three features in two classes.
  static data::Dataset Data(size_t count);
  // An entry for the task with an update of zeros, signed.
  OutboxEntry Entry(const v1::TrainTask& task, const std::string& bytes) const;

  v1::RunPlan plan;  // of the tasks; change it before Task
  std::string run_id = "run-1";

 private:
  crypto::Issuer ca_;
  crypto::CurrentTrust trust_;
  crypto::PrivateKey receipt_key_, client_key_;
  crypto::Certificate receipt_certificate_, client_certificate_;
};

class FakeLink final : public CoordinatorLink {
 public:
  // ---- what the coordinator does; set before use
  std::function<absl::StatusOr<v1::BeginUploadResponse>(const v1::BeginUploadRequest&)> on_begin;
  std::function<absl::StatusOr<v1::UploadUpdateResponse>(const v1::UploadTicket&, std::string_view bytes)> on_upload;
  std::function<absl::Status(const v1::DownloadModelRequest&, const Sink&, std::stop_token)> on_download;
  v1::Welcome welcome;
  bool welcomes = true;  // false: hello gets no answer

  // ---- CoordinatorLink
  absl::StatusOr<std::unique_ptr<Session>> OpenSession() override;
  absl::Status DownloadModel(const v1::DownloadModelRequest& request, const Sink& sink, std::stop_token stop) override;
  absl::StatusOr<v1::BeginUploadResponse> BeginUpload(const v1::BeginUploadRequest& request, std::stop_token) override;
  absl::StatusOr<v1::UploadUpdateResponse> UploadUpdate(const v1::UploadTicket& ticket, std::string_view bytes,
                                                        std::stop_token) override;
  absl::Status Reconnect() override;

  // ---- the coordinator's side of the newest session
  // Blocks until the client has opened its n-th session (from 1) and returns its hello, answered with `welcome`.
  v1::Hello AwaitHello(int n);
  void Push(v1::CoordinatorMessage message);
  void PushTask(const v1::TrainTask& task);
  // Ends the newest session.
  void End(absl::Status status);
  // Blocks until the client has sent a message that fits and returns it. Looks at all messages of all sessions.
  v1::ClientMessage Await(const std::function<bool(const v1::ClientMessage&)>& fits);
  v1::TaskAnswer AwaitAnswer(const std::string& task_id);
  int sessions() const;  // opened; the hello may be on its way
  int reconnects() const;
  void RefuseSessions(absl::Status status);  // OpenSession fails with it; OK: no longer

 private:
  struct State;
  class FakeSession;
  mutable Mutex mu_;
  mutable CondVar changed_;
  std::shared_ptr<State> newest_ TRB_GUARDED_BY(mu_);
  std::vector<v1::Hello> hellos_ TRB_GUARDED_BY(mu_);
  std::vector<v1::ClientMessage> received_ TRB_GUARDED_BY(mu_);
  absl::Status refusal_ TRB_GUARDED_BY(mu_);
  int opened_ TRB_GUARDED_BY(mu_) = 0;
  int reconnects_ TRB_GUARDED_BY(mu_) = 0;
};

// Sends all of `bytes` from the request's offset in chunks of `chunk` bytes.
absl::Status SendModel(const std::string& bytes, const v1::DownloadModelRequest& request,
                       const CoordinatorLink::Sink& sink, size_t chunk = 7);

}  // namespace tributary::session

#endif  // TRIBUTARY_TESTS_CLIENT_SESSION_TEST_FEDERATION_H_
