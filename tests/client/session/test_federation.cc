#include "tests/client/session/test_federation.h"

#include <utility>

#include "client/session/history_check.h"
#include "common/base/random.h"
#include "common/crypto/digest.h"
#include "common/nn/model_description.h"
#include "common/update/signed_record.h"
#include "common/update/update_codec.h"
#include "tests/common/learning/tiny_plan.h"

namespace tributary::session {
namespace {

crypto::PrivateKey NewKey() { return crypto::PrivateKey::Generate().value(); }

crypto::CertificateTerms Terms(crypto::CertificateUse use, const std::string& name) {
  crypto::CertificateTerms terms;
  terms.use = use;
  terms.common_name = name;
  terms.serial = crypto::Sha256(name).substr(0, 16);
  terms.not_before = absl::FromUnixSeconds(1'600'000'000);
  terms.not_after = absl::FromUnixSeconds(4'000'000'000);
  return terms;
}

crypto::Issuer NewCa() {
  const crypto::PrivateKey key = NewKey();
  return {crypto::SelfSign(key, Terms(crypto::CertificateUse::kAuthority, "ca")).value(), key};
}

std::string Body(uint64_t round) { return crypto::Sha256Hex("body " + std::to_string(round)); }

}  // namespace

TestFederation::TestFederation()
    : plan(testing::TinyPlan()),
      ca_(NewCa()),
      trust_(ca_.certificate),
      receipt_key_(NewKey()),
      client_key_(NewKey()),
      receipt_certificate_(Certify(receipt_key_.public_key(), crypto::CertificateUse::kReceipt)),
      client_certificate_(Certify(client_key_.public_key(), crypto::CertificateUse::kPeer)) {}

crypto::Certificate TestFederation::Certify(const crypto::PublicKey& key, crypto::CertificateUse use) const {
  return crypto::Issue(ca_, key, Terms(use, use == crypto::CertificateUse::kReceipt ? "receipt" : "peer")).value();
}

std::string TestFederation::Record(uint64_t round) const {
  std::string record = crypto::Sha256Hex("genesis of " + run_id);
  for (uint64_t r = 1; r <= round; ++r) record = RecordDigest(record, Body(r));
  return record;
}

std::string TestFederation::BaseModel() const {
  const size_t parameters = nn::ModelDescription::FromProto(plan.model()).value().parameter_count();
  return update::EncodeParameters(std::vector<float>(parameters, 0.25f));
}

v1::TrainTask TestFederation::Task(uint64_t round, uint64_t known) const {
  v1::TrainTask task;
  task.set_task_id(crypto::Sha256Hex(run_id + " round " + std::to_string(round)));
  task.set_run_id(run_id);
  task.set_run_name(plan.name());
  task.set_round(round);
  task.set_base_model_sha256(crypto::Sha256Hex(BaseModel()));
  task.set_base_model_bytes(BaseModel().size());
  task.set_plan(plan.SerializeAsString());
  task.set_plan_sha256(crypto::Sha256Hex(task.plan()));
  task.set_seed(plan.seed());
  task.set_learning_rate(plan.train().learning_rate());
  task.set_encoding("float32");
  task.set_remaining_ms(600'000);
  task.set_min_clients(plan.round().min_clients());
  task.set_retention(plan.keep_updates());
  task.set_previous_record_sha256(Record(round - 1));
  task.set_genesis_sha256(Record(0));
  task.set_receipt_certificate_pem(receipt_certificate_.pem());
  for (uint64_t r = known; known > 0 && r < round; ++r) {
    v1::RecordLink& link = *task.add_links();
    link.set_round(r);
    link.set_body_sha256(Body(r));
  }
  return task;
}

v1::Receipt TestFederation::ReceiptFor(const v1::UpdateRecord& record, const v1::TrainTask& task) const {
  v1::Receipt receipt;
  *receipt.mutable_record() = record;
  receipt.set_previous_record_sha256(task.previous_record_sha256());
  receipt.set_accepted_unix_ms(1'700'000'000'000);
  receipt.set_signature(receipt_key_.Sign(update::CanonicalBytes(receipt)).value());
  return receipt;
}

data::Dataset TestFederation::Data(size_t count) {
  data::Dataset d;
  d.count = count;
  d.channels = testing::kTinyFeatures;
  d.num_classes = testing::kTinyClasses;
  Rng rng(5);
  for (size_t i = 0; i < count; ++i) {
    const float a = rng.UniformFloat(), b = rng.UniformFloat();
    d.features.insert(d.features.end(), {a, b, 1.0f});
    d.labels.push_back(a > b ? 1 : 0);
  }
  return d;
}

OutboxEntry TestFederation::Entry(const v1::TrainTask& task, const std::string& bytes) const {
  OutboxEntry entry;
  v1::UpdateMetrics metrics;
  metrics.set_train_loss(0.5);
  metrics.set_engine("test");
  entry.metrics = metrics.SerializeAsString();
  v1::UpdateRecord& r = entry.record;
  r.set_federation("fed");
  r.set_run_id(task.run_id());
  r.set_round(task.round());
  r.set_task_id(task.task_id());
  r.set_client_id("client-1");
  r.set_base_model_sha256(task.base_model_sha256());
  r.set_plan_sha256(task.plan_sha256());
  r.set_update_sha256(crypto::Sha256Hex(bytes));
  r.set_encoding(task.encoding());
  r.set_length(bytes.size());
  r.set_examples(10);
  r.set_metrics_sha256(crypto::Sha256Hex(entry.metrics));
  TRB_CHECK(Sign([this] { return ClientSigner(); }, &entry).ok());
  return entry;
}

absl::Status SendModel(const std::string& bytes, const v1::DownloadModelRequest& request,
                       const CoordinatorLink::Sink& sink, size_t chunk) {
  v1::ModelChunk message;
  message.set_total_bytes(bytes.size());
  for (size_t offset = request.offset(); offset < bytes.size(); offset += chunk) {
    message.set_offset(offset);
    message.set_data(bytes.substr(offset, chunk));
    TRB_RETURN_IF_ERROR(sink(message));
  }
  return absl::OkStatus();
}

// ---- FakeLink

struct FakeLink::State {
  std::deque<v1::CoordinatorMessage> down;
  std::optional<absl::Status> end;
};

class FakeLink::FakeSession final : public CoordinatorLink::Session {
 public:
  FakeSession(FakeLink* link, std::shared_ptr<State> state) : link_(*link), state_(std::move(state)) {}

  absl::StatusOr<v1::CoordinatorMessage> Read() override {
    const MutexLock lock(&link_.mu_);
    while (state_->down.empty() && !state_->end.has_value()) link_.changed_.Wait(&link_.mu_);
    if (state_->down.empty()) return *state_->end;
    v1::CoordinatorMessage message = std::move(state_->down.front());
    state_->down.pop_front();
    return message;
  }

  bool Write(const v1::ClientMessage& message) override {
    const MutexLock lock(&link_.mu_);
    if (state_->end.has_value()) return false;
    if (message.has_hello()) {
      link_.hellos_.push_back(message.hello());
      if (link_.welcomes) *state_->down.emplace_back().mutable_welcome() = link_.welcome;
    } else {
      link_.received_.push_back(message);
    }
    link_.changed_.NotifyAll();
    return true;
  }

  void Cancel() override {
    const MutexLock lock(&link_.mu_);
    if (!state_->end.has_value()) state_->end = absl::CancelledError("cancelled");
    link_.changed_.NotifyAll();
  }

 private:
  FakeLink& link_;
  const std::shared_ptr<State> state_;
};

absl::StatusOr<std::unique_ptr<CoordinatorLink::Session>> FakeLink::OpenSession() {
  const MutexLock lock(&mu_);
  if (!refusal_.ok()) return refusal_;
  newest_ = std::make_shared<State>();
  ++opened_;
  changed_.NotifyAll();
  return std::make_unique<FakeSession>(this, newest_);
}

absl::Status FakeLink::DownloadModel(const v1::DownloadModelRequest& request, const Sink& sink, std::stop_token stop) {
  return on_download(request, sink, std::move(stop));
}

absl::StatusOr<v1::BeginUploadResponse> FakeLink::BeginUpload(const v1::BeginUploadRequest& request, std::stop_token) {
  return on_begin(request);
}

absl::StatusOr<v1::UploadUpdateResponse> FakeLink::UploadUpdate(const v1::UploadTicket& ticket, std::string_view bytes,
                                                                std::stop_token) {
  return on_upload(ticket, bytes);
}

absl::Status FakeLink::Reconnect() {
  const MutexLock lock(&mu_);
  ++reconnects_;
  return absl::OkStatus();
}

v1::Hello FakeLink::AwaitHello(int n) {
  const MutexLock lock(&mu_);
  while (hellos_.size() < static_cast<size_t>(n)) changed_.Wait(&mu_);
  return hellos_[static_cast<size_t>(n) - 1];
}

void FakeLink::Push(v1::CoordinatorMessage message) {
  const MutexLock lock(&mu_);
  newest_->down.push_back(std::move(message));
  changed_.NotifyAll();
}

void FakeLink::PushTask(const v1::TrainTask& task) {
  v1::CoordinatorMessage message;
  *message.mutable_task() = task;
  Push(std::move(message));
}

void FakeLink::End(absl::Status status) {
  const MutexLock lock(&mu_);
  newest_->end = std::move(status);
  changed_.NotifyAll();
}

v1::ClientMessage FakeLink::Await(const std::function<bool(const v1::ClientMessage&)>& fits) {
  const MutexLock lock(&mu_);
  for (size_t seen = 0;; changed_.Wait(&mu_))
    for (; seen < received_.size(); ++seen)
      if (fits(received_[seen])) return received_[seen];
}

v1::TaskAnswer FakeLink::AwaitAnswer(const std::string& task_id) {
  return Await([&](const v1::ClientMessage& m) { return m.has_answer() && m.answer().task_id() == task_id; }).answer();
}

int FakeLink::sessions() const {
  const MutexLock lock(&mu_);
  return opened_;
}

int FakeLink::reconnects() const {
  const MutexLock lock(&mu_);
  return reconnects_;
}

void FakeLink::RefuseSessions(absl::Status status) {
  const MutexLock lock(&mu_);
  refusal_ = std::move(status);
}

}  // namespace tributary::session
