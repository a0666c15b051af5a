#include "server/service/upload_stream.h"

#include <utility>

#include "common/rpc/limits.h"
#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "common/update/rejection.h"

namespace tributary::service {

UploadStream* UploadStream::Start(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
                                  v1::UploadUpdateResponse* response) {
  auto stream = std::shared_ptr<UploadStream>(new UploadStream(parts, context, method, response));
  stream->self_ = stream;
  UploadStream* raw = stream.get();
  if (!parts.gate->workers().Post([stream] { stream->Enter(); })) {
    raw->End(absl::UnavailableError("the coordinator is shutting down"));
  }
  return raw;
}

void UploadStream::Enter() {
  auto pass = parts_.gate->AdmitStream(rpc::PeerCertificatePem(context_), method_,
                                       [this](const absl::Status&, bool) { context_.TryCancel(); });
  if (!pass.ok()) return End(pass.status());
  pass_ = *std::move(pass);
  const bool entered = parts_.slots->Enter([self = shared_from_this()] {
    self->reading_slot_ = true;
    self->StartRead(&self->chunk_);
  });
  if (!entered) End(absl::ResourceExhaustedError("many uploads at once: announce it again a little later"));
}

void UploadStream::OnReadDone(bool ok) {
  if (!parts_.gate->workers().Post([self = shared_from_this(), ok] { self->TakeChunk(ok); })) {
    End(absl::UnavailableError("the coordinator is shutting down"));
  }
}

void UploadStream::TakeChunk(bool ok) {
  if (!ok) return End(absl::AbortedError("the stream ended before the update was complete: announce it again"));
  const absl::Status received = Receive();
  if (!update::RejectionCode(received).empty() && upload_ != nullptr) {
    const v1::UpdateRecord& record = upload_->announced().record;
    *response_.mutable_rejected() =
        parts_.intake->Refuse(pass_.caller, record, received, chunk_.offset() + chunk_.data().size());
    return End(absl::OkStatus());
  }
  if (!received.ok() || answered_) return End(received);
  StartRead(&chunk_);
}

absl::Status UploadStream::Receive() {
  if (chunk_.data().size() > static_cast<size_t>(rpc::kChunkBytes)) {
    return absl::InvalidArgumentError("a chunk has at most 262144 bytes");
  }
  if (upload_ == nullptr) TRB_RETURN_IF_ERROR(BeginUpload());
  if (chunk_.upload_id() != upload_id_) return absl::InvalidArgumentError("one stream brings one upload");
  TRB_RETURN_IF_ERROR(upload_->Append(stream_, chunk_.offset(), chunk_.data()));
  if (!upload_->Complete(stream_)) return absl::OkStatus();
  const absl::Duration took = parts_.clock->Monotonic() - began_;
  TRB_ASSIGN_OR_RETURN(response_, parts_.intake->Complete(pass_.caller, upload_.get(), stream_,
                                                          static_cast<uint64_t>(absl::ToInt64Milliseconds(took))));
  answered_ = true;
  return absl::OkStatus();
}

absl::Status UploadStream::BeginUpload() {
  began_ = parts_.clock->Monotonic();
  TRB_ASSIGN_OR_RETURN(upload_, parts_.intake->Find(pass_.caller, chunk_.upload_id()));
  upload_id_ = chunk_.upload_id();
  TRB_ASSIGN_OR_RETURN(stream_, upload_->Begin());
  return absl::OkStatus();
}

void UploadStream::End(const absl::Status& status) {
  if (!status.ok()) LogFailure(method_, status);
  if (upload_ != nullptr) upload_->Release(stream_);
  if (std::exchange(reading_slot_, false)) parts_.slots->Leave();
  Finish(rpc::ToGrpc(status));
}

void UploadStream::OnDone() {
  if (pass_.token != 0) parts_.gate->Leave(pass_);
  self_.reset();
}

}  // namespace tributary::service
