#include "client/session/grpc_link.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <utility>

#include "common/base/mutex.h"
#include "common/crypto/credential_directory.h"
#include "common/rpc/credentials.h"
#include "common/rpc/deadline.h"
#include "common/rpc/limits.h"
#include "common/rpc/status_codes.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::session {
namespace {

using Stub = v1::FederationService::Stub;

constexpr absl::Duration kUnaryTimeout = absl::Seconds(30);

// Ends a call when its owner asks for it.
class Cancellable {
 public:
  Cancellable(grpc::ClientContext* context, std::stop_token stop) : callback_(std::move(stop), Cancel{context}) {}

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  std::stop_callback<Cancel> callback_;
};

// Cancelled by the other side (it stops, say) is no wish of ours: to be tried again.
absl::Status OfCall(absl::Status status, const std::stop_token& stop) {
  if (!absl::IsCancelled(status) || stop.stop_requested()) return status;
  return absl::UnavailableError(status.message());
}

class GrpcSession final : public CoordinatorLink::Session {
 public:
  explicit GrpcSession(std::shared_ptr<Stub> stub) : stub_(std::move(stub)) {
    // Its headers go with hello. Otherwise this would wait for a connection, and nobody could cancel it.
    context_.set_initial_metadata_corked(true);
    stream_ = stub_->OpenSession(&context_);
  }

  ~GrpcSession() override {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }

  absl::StatusOr<v1::CoordinatorMessage> Read() override {
    v1::CoordinatorMessage message;
    if (!finished_ && stream_->Read(&message)) return message;
    if (!finished_) {
      finished_ = true;
      end_ = rpc::FromGrpc(stream_->Finish());
    }
    return end_.ok() ? absl::UnavailableError("the coordinator ended the session") : end_;
  }

  bool Write(const v1::ClientMessage& message) override { return stream_->Write(message); }

  void Cancel() override { context_.TryCancel(); }

 private:
  const std::shared_ptr<Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::CoordinatorMessage>> stream_;  // set once
  bool finished_ = false;                                                                        // the reader's
  absl::Status end_;
};

class GrpcLink final : public CoordinatorLink {
 public:
  GrpcLink(std::string endpoint, std::string pki_directory, GrpcLinkOptions options)
      : endpoint_(std::move(endpoint)), pki_(std::move(pki_directory)), options_(options) {}

  absl::Status Reconnect() override {
    TRB_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, rpc::OpenChannel(endpoint_, pki_));
    std::shared_ptr<Stub> stub = v1::FederationService::NewStub(channel);
    const MutexLock lock(&mu_);
    channel_ = channel;
    stub_ = std::move(stub);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Session>> OpenSession() override {
    // Of this machine, whatever its code: no refusal of the coordinator's.
    if (const absl::Status ready = ReplaceFailed(); !ready.ok()) return absl::UnavailableError(ready.message());
    return std::make_unique<GrpcSession>(stub());
  }

  absl::Status DownloadModel(const v1::DownloadModelRequest& request, const Sink& sink, std::stop_token stop) override {
    const Use use(this);
    const std::shared_ptr<Stub> stub = this->stub();
    grpc::ClientContext context;
    const Cancellable cancellable(&context, stop);
    rpc::SetTimeout(options_.transfer_timeout, &context);
    const auto stream = stub->DownloadModel(&context, request);
    v1::ModelChunk chunk;
    absl::Status taken;
    while (taken.ok() && stream->Read(&chunk)) taken = sink(chunk);
    if (!taken.ok()) context.TryCancel();
    const absl::Status ended = OfCall(rpc::FromGrpc(stream->Finish()), stop);
    return taken.ok() ? ended : taken;
  }

  absl::StatusOr<v1::BeginUploadResponse> BeginUpload(const v1::BeginUploadRequest& request,
                                                      std::stop_token stop) override {
    const Use use(this);
    grpc::ClientContext context;
    const Cancellable cancellable(&context, stop);
    rpc::SetTimeout(kUnaryTimeout, &context);
    v1::BeginUploadResponse response;
    TRB_RETURN_IF_ERROR(OfCall(rpc::FromGrpc(stub()->BeginUpload(&context, request, &response)), stop));
    return response;
  }

  absl::StatusOr<v1::UploadUpdateResponse> UploadUpdate(const v1::UploadTicket& ticket, std::string_view bytes,
                                                        std::stop_token stop) override {
    const Use use(this);
    const std::shared_ptr<Stub> stub = this->stub();
    grpc::ClientContext context;
    const Cancellable cancellable(&context, stop);
    rpc::SetTimeout(options_.transfer_timeout, &context);
    v1::UploadUpdateResponse response;
    const auto stream = stub->UploadUpdate(&context, &response);
    v1::UploadChunk chunk;
    chunk.set_upload_id(ticket.upload_id());
    for (uint64_t offset = std::min<uint64_t>(ticket.offset(), bytes.size());;) {
      const std::string_view piece = bytes.substr(offset, rpc::kChunkBytes);
      chunk.set_offset(offset);
      chunk.set_data(piece.data(), piece.size());
      // One chunk is sent even when nothing is missing: it names the upload. A failed write has its reason in Finish.
      if (!stream->Write(chunk)) break;
      offset += piece.size();
      if (offset >= bytes.size()) break;
    }
    stream->WritesDone();
    TRB_RETURN_IF_ERROR(OfCall(rpc::FromGrpc(stream->Finish()), stop));
    return response;
  }

 private:
  // A channel that failed tries again by itself, but only while a call waits on it are its sockets looked at: its
  // handshakes would be begun, and not be finished before the coordinator has given them up, and holds them against all
  // who come from this address. So none is kept: a new one does nothing until it is used. A call does not wait for one
  // that failed before it, nor leave one behind; a session's end is the owner's to follow with Reconnect.
  class Use {
   public:
    explicit Use(GrpcLink* link) : link_(*link) { link_.ReplaceFailed().IgnoreError(); }  // the call says it too
    ~Use() { link_.ReplaceFailed().IgnoreError(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    GrpcLink& link_;
  };

  absl::Status ReplaceFailed() { return HasFailed() ? Reconnect() : absl::OkStatus(); }

  bool HasFailed() const {
    const MutexLock lock(&mu_);
    return channel_->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_TRANSIENT_FAILURE;
  }

  std::shared_ptr<Stub> stub() const {
    const MutexLock lock(&mu_);
    return stub_;
  }

  const std::string endpoint_;
  const crypto::CredentialDirectory pki_;
  const GrpcLinkOptions options_;
  mutable Mutex mu_;
  std::shared_ptr<grpc::Channel> channel_ TRB_GUARDED_BY(mu_);
  std::shared_ptr<Stub> stub_ TRB_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinatorLink>> MakeGrpcLink(const std::string& endpoint,
                                                              const std::string& pki_directory,
                                                              GrpcLinkOptions options) {
  auto link = std::make_unique<GrpcLink>(endpoint, pki_directory, options);
  TRB_RETURN_IF_ERROR(link->Reconnect());
  return std::unique_ptr<CoordinatorLink>(std::move(link));
}

absl::Status ProbeCoordinator(const std::string& endpoint, const std::string& pki_directory, absl::Duration timeout) {
  const crypto::CredentialDirectory pki(pki_directory);
  TRB_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, rpc::OpenChannel(endpoint, pki));
  const auto stub = v1::FederationService::NewStub(channel);
  grpc::ClientContext context;
  rpc::SetTimeout(timeout, &context);
  v1::DownloadModelRequest request;
  request.set_task_id(std::string(64, '0'));  // nobody's
  const auto stream = stub->DownloadModel(&context, request);
  v1::ModelChunk chunk;
  while (stream->Read(&chunk)) {
  }
  const absl::Status status = rpc::FromGrpc(stream->Finish());
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return status;
    default:
      return absl::OkStatus();
  }
}

}  // namespace tributary::session
