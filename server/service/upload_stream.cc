#include "server/service/upload_stream.h"

#include <utility>

#include "common/base/fail_point.h"
#include "common/rpc/limits.h"
#include "common/rpc/status_codes.h"
#include "common/update/rejection.h"

namespace tributary::service {

UploadStream* UploadStream::Start(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
                                  v1::UploadUpdateResponse* response) {
  auto stream = std::shared_ptr<UploadStream>(new UploadStream(parts, context, method, response));
  stream->self_ = stream;
  UploadStream* raw = stream.get();
  const absl::Status begun = parts.gate->Begin(*context, method, [stream] { stream->Enter(); });
  if (!begun.ok()) raw->End(begun);
  return raw;
}

void UploadStream::Enter() {
  auto pass = parts_.gate->AdmitStream(peer_, method_, [this](const absl::Status&, bool) { context_.TryCancel(); });
  if (!pass.ok()) return End(pass.status());
  pass_ = *std::move(pass);
  const absl::Status entered = EnterSlots();
  if (!entered.ok()) return End(entered);
  bool over = false;
  {
    MutexLock lock(&mu_);
    if (turn_ != Turn::kStarting) return;  // it has a slot and reads
    over = cancelled_;
    turn_ = over ? Turn::kEnded : Turn::kWaiting;
  }
  if (over) End(absl::CancelledError("the stream was cancelled"));
}

absl::Status UploadStream::EnterSlots() {
  UploadSlots::Upload upload;
  upload.ticket = pass_.token;
  upload.client = pass_.caller.id;
  upload.go = [self = shared_from_this()] {
    self->Read(Turn::kStarting);
    self->Read(Turn::kWaiting);
  };
  upload.check = [weak = weak_from_this()](bool others_wait) {
    if (const auto live = weak.lock()) live->EndIfTooLong(others_wait);
  };
  return parts_.slots->Enter(std::move(upload));
}

void UploadStream::Read(Turn from) {
  MutexLock lock(&mu_);
  if (turn_ != from) return;
  if (from != Turn::kWorking) pace_.StartTurn();
  turn_ = Turn::kReading;
  pace_.StartWaiting();
  StartRead(&chunk_);
}

void UploadStream::OnReadDone(bool ok) {
  if (ok) parts_.gate->Heard(peer_.address);
  {
    MutexLock lock(&mu_);
    if (turn_ != Turn::kReading) return;  // ended while it read
    turn_ = Turn::kWorking;
    if (ok) pace_.Heard(chunk_.data().size());
  }
  if (!parts_.gate->workers().Post([self = shared_from_this(), ok] { self->TakeChunk(ok); })) {
    End(absl::UnavailableError("the coordinator is shutting down"));
  }
}

void UploadStream::EndIfTooLong(bool others_wait) {
  bool silent = false;
  {
    MutexLock lock(&mu_);
    if (turn_ != Turn::kReading) return;
    silent = pace_.IsSilent();
    if (!silent && !(others_wait && pace_.TurnIsOver())) return;
    turn_ = Turn::kEnded;
  }
  PostEnd(absl::ResourceExhaustedError(silent ? "nothing came for too long: announce it again"
                                              : "others wait for its place: announce it again"));
}

void UploadStream::OnCancel() {
  {
    MutexLock lock(&mu_);
    cancelled_ = true;
    if (turn_ != Turn::kWaiting) return;  // a read under way fails by itself
    turn_ = Turn::kEnded;
  }
  PostEnd(absl::CancelledError("the stream was cancelled"));
}

void UploadStream::PostEnd(const absl::Status& status) {
  if (!parts_.gate->workers().Post([self = shared_from_this(), status] { self->End(status); })) End(status);
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
  Read(Turn::kWorking);
}

absl::Status UploadStream::Receive() {
  TRB_RETURN_IF_ERROR(parts_.gate->Check(pass_.caller, method_, chunk_));
  if (upload_ == nullptr) TRB_RETURN_IF_ERROR(BeginUpload());
  if (chunk_.upload_id() != upload_id_) return absl::InvalidArgumentError("one stream brings one upload");
  TRB_RETURN_IF_ERROR(TakeBytes());
  TRB_RETURN_IF_ERROR(upload_->Append(stream_, chunk_.offset(), chunk_.data()));
  if (!upload_->Complete(stream_)) return absl::OkStatus();
  const absl::Duration took = parts_.clock->Monotonic() - began_;
  TRB_ASSIGN_OR_RETURN(response_, parts_.intake->Complete(pass_.caller, upload_.get(), stream_,
                                                          static_cast<uint64_t>(absl::ToInt64Milliseconds(took))));
  TRB_FAIL_POINT("update.answer");
  answered_ = true;
  return absl::OkStatus();
}

absl::Status UploadStream::TakeBytes() {
  const v1::UpdateRecord& record = upload_->announced().record;
  const absl::Status may = parts_.quotas->TakeBytes(pass_.caller.id, record.task_id(), ClientQuotas::Way::kUp,
                                                    chunk_.data().size(), record.length());
  if (!may.ok()) parts_.gate->TellOverQuota(pass_.caller.id, method_, may);
  return may;
}

absl::Status UploadStream::BeginUpload() {
  began_ = parts_.clock->Monotonic();
  TRB_ASSIGN_OR_RETURN(upload_, parts_.intake->Find(pass_.caller, chunk_.upload_id()));
  upload_id_ = chunk_.upload_id();
  TRB_ASSIGN_OR_RETURN(stream_, upload_->Begin());
  return absl::OkStatus();
}

void UploadStream::End(const absl::Status& status) {
  {
    MutexLock lock(&mu_);
    turn_ = Turn::kEnded;
  }
  if (!status.ok()) LogFailure(method_, status);
  if (upload_ != nullptr) upload_->Release(stream_);
  if (pass_.token != 0) parts_.slots->Leave(pass_.token);
  Finish(rpc::ToGrpc(status));
}

void UploadStream::OnDone() {
  PassFailPoint("update.answered").IgnoreError();
  if (pass_.token != 0) parts_.gate->Leave(pass_);
  self_.reset();
}

}  // namespace tributary::service
