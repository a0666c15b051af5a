#include "tests/support/crowd/light_client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/random.h"
#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"
#include "common/crypto/key.h"
#include "common/rpc/limits.h"
#include "common/update/signed_record.h"

namespace tributary::crowd {

// The update of one client for one task, never held whole: a block of 256 KiB, again and again.
class Delta {
 public:
  Delta(const std::string& name, const v1::TrainTask& task, uint64_t parameters) : bytes_(parameters * 4) {
    const std::string seed = crypto::Sha256Hex(absl::StrCat(name, "/", task.run_id(), "/", task.round()));
    std::vector<float> values(std::min<uint64_t>(parameters, rpc::kChunkBytes / 4));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(static_cast<signed char>(seed[i % 64])) * 1e-5f;
    block_.assign(reinterpret_cast<const char*>(values.data()), values.size() * 4);
    crypto::Sha256Hasher digest;
    for (uint64_t offset = 0; offset < bytes_; offset += block_.size()) digest.Update(Piece(offset));
    sha256_ = digest.FinishHex();
  }
  uint64_t bytes() const { return bytes_; }
  const std::string& sha256() const { return sha256_; }
  // From `offset` to the end of its block.
  std::string_view Piece(uint64_t offset) const {
    const uint64_t inside = offset % block_.size();
    return std::string_view(block_).substr(inside, std::min<uint64_t>(block_.size() - inside, bytes_ - offset));
  }

 private:
  const uint64_t bytes_;
  std::string block_, sha256_;
};

// Owns itself from Start to OnDone. Outgoing messages wait in line: gRPC takes one at a time.
class LightClient::Session final : public grpc::ClientBidiReactor<v1::ClientMessage, v1::CoordinatorMessage> {
 public:
  Session(LightClient* client, std::shared_ptr<v1::FederationService::Stub> stub)
      : client_(client), stub_(std::move(stub)) {}

  void Start(const v1::ClientMessage& hello) {
    stub_->async()->OpenSession(&context_, this);
    Send(hello);
    StartRead(&incoming_);
    AddHold();  // for the writes that come from outside
    StartCall();
  }
  void Send(const v1::ClientMessage& message) {
    const MutexLock lock(&mu_);
    if (closed_) return;
    waiting_.push_back(message);
    if (waiting_.size() == 1) StartWrite(&waiting_.front());
  }
  void Cancel() { context_.TryCancel(); }
  bool Resumed() const {
    const auto reused = context_.auth_context()->FindPropertyValues(GRPC_SSL_SESSION_REUSED_PROPERTY);
    return reused.size() == 1 && reused[0] == "true";
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close();
    if (incoming_.has_welcome()) client_->listener_->OnWelcome(client_, incoming_.welcome(), Resumed());
    if (incoming_.has_task()) client_->listener_->OnTask(client_, incoming_.task());
    if (incoming_.has_cancel()) client_->listener_->OnCancel(client_, incoming_.cancel());
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Close();
    const MutexLock lock(&mu_);
    waiting_.pop_front();
    if (!waiting_.empty() && !closed_) StartWrite(&waiting_.front());
  }
  void OnDone(const grpc::Status& status) override {
    {
      const MutexLock lock(&client_->mu_);
      if (client_->session_ == this) client_->session_ = nullptr;
    }
    client_->listener_->OnEnded(client_, status);
    delete this;
  }

 private:
  void Close() {
    {
      const MutexLock lock(&mu_);
      if (closed_) return;
      closed_ = true;
    }
    RemoveHold();
  }

  LightClient* const client_;
  const std::shared_ptr<v1::FederationService::Stub> stub_;
  grpc::ClientContext context_;
  v1::CoordinatorMessage incoming_;
  Mutex mu_;
  std::deque<v1::ClientMessage> waiting_ TRB_GUARDED_BY(mu_);  // the first is being sent
  bool closed_ TRB_GUARDED_BY(mu_) = false;
};

LightClient::LightClient(const Members& all, const Member& member, std::string endpoint, Data data, Listener* listener)
    : member_(member), federation_(all.federation), endpoint_(std::move(endpoint)), data_(data), listener_(listener) {
  sessions_.reset(grpc_ssl_session_cache_create_lru(1));
  credentials_ = grpc::SslCredentials({all.ca_pem, member.key_pem, member.certificate_pem});
  certificate_sha256_ = crypto::Certificate::FromPem(member.certificate_pem)->sha256();
}

LightClient::~LightClient() = default;

std::shared_ptr<v1::FederationService::Stub> LightClient::stub() const {
  const MutexLock lock(&mu_);
  return stub_;
}

bool LightClient::Connect(bool fresh) {
  v1::ClientMessage message;
  v1::Hello* hello = message.mutable_hello();
  hello->set_protocol_version(rpc::kProtocolVersion);
  hello->set_version("0.1.0");
  hello->set_engine("0.1.0/crowd/float32");
  hello->mutable_dataset()->set_examples(data_.examples);
  hello->mutable_dataset()->mutable_shape()->Add(data_.shape.begin(), data_.shape.end());
  hello->mutable_dataset()->set_num_classes(data_.classes);
  const MutexLock lock(&mu_);
  if (session_ != nullptr) return false;
  if (fresh || stub_ == nullptr) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt("grpc.http2.bdp_probe", 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, rpc::kChunkBytes);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    const grpc_arg cache = grpc_ssl_session_cache_create_channel_arg(sessions_.get());
    arguments.SetPointerWithVtable(cache.key, cache.value.pointer.p, cache.value.pointer.vtable);
    stub_ = v1::FederationService::NewStub(grpc::CreateCustomChannel("dns:///" + endpoint_, credentials_, arguments));
  }
  session_ = new Session(this, stub_);
  // Under the lock: another thread that finds a session finds one that can take its message.
  session_->Start(message);
  return true;
}

void LightClient::Beat() {
  v1::ClientMessage message;
  const MutexLock lock(&mu_);
  message.mutable_heartbeat()->set_sequence(++beats_);
  if (session_ != nullptr) session_->Send(message);
}

void LightClient::Answer(const v1::TrainTask& task, bool accepted, const std::string& code) {
  v1::ClientMessage message;
  message.mutable_answer()->set_task_id(task.task_id());
  message.mutable_answer()->set_accepted(accepted);
  message.mutable_answer()->set_code(code);
  const MutexLock lock(&mu_);
  if (session_ != nullptr) session_->Send(message);
}

void LightClient::Stop() {
  const MutexLock lock(&mu_);
  if (session_ != nullptr) session_->Cancel();
}

v1::BeginUploadRequest LightClient::Announce(const v1::TrainTask& task, const Delta& delta) const {
  v1::UpdateMetrics metrics;
  metrics.set_train_loss(0.5);
  metrics.set_steps(1);
  metrics.set_engine("0.1.0/crowd/float32");
  v1::BeginUploadRequest request;
  request.set_metrics(metrics.SerializeAsString());
  v1::UpdateRecord* r = request.mutable_record();
  r->set_federation(federation_);
  r->set_run_id(task.run_id());
  r->set_round(task.round());
  r->set_task_id(task.task_id());
  r->set_client_id(member_.id);
  r->set_certificate_sha256(certificate_sha256_);
  r->set_base_model_sha256(task.base_model_sha256());
  r->set_plan_sha256(task.plan_sha256());
  r->set_update_sha256(delta.sha256());
  r->set_encoding(task.encoding());
  r->set_length(delta.bytes());
  r->set_examples(data_.examples);
  r->set_metrics_sha256(crypto::Sha256Hex(request.metrics()));
  const auto key = crypto::PrivateKey::FromPem(member_.key_pem);
  request.set_signature(*key->Sign(update::CanonicalBytes(*r)));
  return request;
}

namespace {

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
  return context;
}

// False: the stream broke, its Finish says why.
bool SendPieces(grpc::ClientWriter<v1::UploadChunk>* writer, const v1::UploadTicket& ticket, const Delta& delta,
                uint64_t end) {
  v1::UploadChunk chunk;
  chunk.set_upload_id(ticket.upload_id());
  for (uint64_t offset = ticket.offset(); offset < end || chunk.data().empty();) {
    const std::string_view piece = delta.Piece(offset).substr(0, end - std::min(end, offset));
    chunk.set_offset(offset);
    chunk.set_data(piece.data(), piece.size());
    if (!writer->Write(chunk)) return false;
    offset += piece.size();
    if (piece.empty()) break;
  }
  return true;
}

}  // namespace

LightClient::Uploaded LightClient::Upload(const v1::TrainTask& task, uint64_t parameters, uint64_t cut_after) {
  using Kind = Uploaded::Kind;
  const Delta delta(member_.name, task, parameters);
  Uploaded end;
  end.update_sha256 = delta.sha256();
  const auto stub = this->stub();
  v1::BeginUploadResponse begun;
  const grpc::Status announced = stub->BeginUpload(Context().get(), Announce(task, delta), &begun);
  if (!announced.ok()) return end.detail = announced.error_message(), end;
  if (begun.has_receipt()) return end.kind = Kind::kReceipt, end.receipt = begun.receipt().SerializeAsString(), end;
  if (begun.has_not_needed()) return end.kind = Kind::kNotNeeded, end.detail = begun.not_needed().code(), end;
  if (begun.has_rejected()) return end.kind = Kind::kRejected, end.detail = begun.rejected().code(), end;
  if (begun.ticket().retry_after_ms() > 0) return end.retry_after_ms = begun.ticket().retry_after_ms(), end;
  v1::UploadUpdateResponse done;
  const auto context = Context();
  const auto writer = stub->UploadUpdate(context.get(), &done);
  SendPieces(writer.get(), begun.ticket(), delta, std::min(delta.bytes(), cut_after));
  if (cut_after < delta.bytes()) {
    context->TryCancel();
    writer->Finish();
    return end.detail = "cut", end;
  }
  writer->WritesDone();
  const grpc::Status sent = writer->Finish();
  if (!sent.ok()) return end.detail = sent.error_message(), end;
  if (done.has_receipt()) return end.kind = Kind::kReceipt, end.receipt = done.receipt().SerializeAsString(), end;
  if (done.has_not_needed()) return end.kind = Kind::kNotNeeded, end.detail = done.not_needed().code(), end;
  return end.kind = Kind::kRejected, end.detail = done.rejected().code(), end;
}

absl::Status LightClient::Download(const v1::TrainTask& task, uint64_t* bytes) {
  v1::DownloadModelRequest request;
  request.set_task_id(task.task_id());
  const auto context = Context();
  const auto reader = stub()->DownloadModel(context.get(), request);
  crypto::Sha256Hasher digest;
  v1::ModelChunk chunk;
  for (*bytes = 0; reader->Read(&chunk); *bytes += chunk.data().size()) digest.Update(chunk.data());
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return absl::UnavailableError(status.error_message());
  return digest.FinishHex() == task.base_model_sha256() ? absl::OkStatus() : absl::DataLossError("another model came");
}

}  // namespace tributary::crowd
