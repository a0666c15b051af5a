#include "server/service/put_model_stream.h"

#include <utility>

#include "common/crypto/digest.h"
#include "common/rpc/limits.h"
#include "common/rpc/status_codes.h"

namespace tributary::service {
namespace {

constexpr std::string_view kMethod = "/tributary.v1.OperatorService/PutModel";

}  // namespace

PutModelStream* PutModelStream::Start(Gate* gate, storage::BlobStore* blobs, grpc::CallbackServerContext* context,
                                      v1::PutModelResponse* response, Audit audit) {
  auto* stream = new PutModelStream(gate, blobs, context, response, std::move(audit));
  const absl::Status begun = gate->Begin(*context, kMethod, [stream] { stream->Begin(); });
  if (!begun.ok()) stream->Finish(rpc::ToGrpc(begun));
  return stream;
}

void PutModelStream::Post(void (PutModelStream::*step)()) {
  const bool posted = gate_.workers().Post([this, step] { (this->*step)(); });
  if (!posted) Finish(rpc::ToGrpc(absl::UnavailableError("the coordinator is shutting down")));
}

void PutModelStream::Begin() {
  auto pass = gate_.AdmitStream(peer_, kMethod, [this](const absl::Status&, bool) { context_.TryCancel(); });
  if (!pass.ok()) return End(pass.status());
  pass_ = *std::move(pass);
  StartRead(&part_);
}

void PutModelStream::OnReadDone(bool ok) {
  if (ok) gate_.Heard(peer_.address);
  Post(ok ? &PutModelStream::TakePart : &PutModelStream::Store);
}

void PutModelStream::TakePart() {
  const absl::Status appended = Append();
  if (!appended.ok()) return End(appended);
  StartRead(&part_);
}

absl::Status PutModelStream::Append() {
  TRB_RETURN_IF_ERROR(gate_.Check(pass_.caller, kMethod, part_));
  if (!std::exchange(started_, true)) {
    if (!part_.has_header()) return absl::InvalidArgumentError("the first part carries the header");
    header_ = part_.header();
  } else if (part_.has_header()) {
    return absl::InvalidArgumentError("only the first part carries a header");
  }
  if (part_.data().size() > header_.total_bytes() - bytes_.size()) {
    return absl::InvalidArgumentError("there are more bytes than total_bytes");
  }
  bytes_ += part_.data();
  return absl::OkStatus();
}

void PutModelStream::Store() {
  if (!started_ || bytes_.size() != header_.total_bytes()) {
    return End(absl::InvalidArgumentError("the stream ended before total_bytes were there"));
  }
  if (crypto::Sha256Hex(bytes_) != header_.model_sha256()) {
    return End(absl::InvalidArgumentError("the bytes do not have the digest model_sha256"));
  }
  auto stored = blobs_.Put(bytes_);
  // No row names it until its run is started: it is kept over a restart in between.
  if (stored.ok()) {
    if (const absl::Status offered = blobs_.Offer(*stored); !offered.ok()) stored = offered;
  }
  if (stored.ok()) response_.set_model_sha256(*std::move(stored));
  End(stored.status());
}

void PutModelStream::End(const absl::Status& status) {
  if (!status.ok()) LogFailure(kMethod, status);
  if (pass_.token != 0) audit_(pass_.caller, header_.model_sha256().substr(0, 64), status);
  Finish(rpc::ToGrpc(status));
}

void PutModelStream::OnDone() {
  if (pass_.token != 0) gate_.Leave(pass_);
  delete this;
}

}  // namespace tributary::service
