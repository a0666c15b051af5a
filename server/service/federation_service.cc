#include "server/service/federation_service.h"

#include <utility>

#include "common/base/logging.h"
#include "common/rpc/limits.h"
#include "server/service/hello_checks.h"
#include "server/service/upload_stream.h"

namespace tributary::service {
namespace {

constexpr std::string_view kOpenSession = "/tributary.v1.FederationService/OpenSession";
constexpr std::string_view kDownloadModel = "/tributary.v1.FederationService/DownloadModel";
constexpr std::string_view kBeginUpload = "/tributary.v1.FederationService/BeginUpload";
constexpr std::string_view kUploadUpdate = "/tributary.v1.FederationService/UploadUpdate";
constexpr std::string_view kRenew = "/tributary.v1.FederationService/Renew";
constexpr std::string_view kReportTrust = "/tributary.v1.FederationService/ReportTrust";

constexpr uint64_t kReconnectMinMs = 500, kReconnectMaxMs = 15'000;
constexpr uint64_t kUploadRetryMs = 250;
constexpr int kMissingBeats = 3;  // end a session

template <class Message, class Value>
absl::Status Fill(Message* out, absl::StatusOr<Value> value) {
  if (!value.ok()) return value.status();
  *out = *std::move(value);
  return absl::OkStatus();
}

}  // namespace

FederationService::FederationService(Options options) : options_(std::move(options)), slots_(options_.uploads) {
  slots_.SetEachClient(options_.quotas->limits().uploads);
}

void FederationService::SetLimits(const ClientQuotas::Limits& limits) {
  options_.quotas->SetLimits(limits);
  slots_.SetEachClient(limits.uploads);
}

// ---- the session

grpc::ServerBidiReactor<v1::ClientMessage, v1::CoordinatorMessage>* FederationService::OpenSession(
    grpc::CallbackServerContext* context) {
  const std::shared_ptr<Session> session = Session::Create(this, options_.session_workers, context);
  Session* raw = session.get();
  // Read now: when the worker comes to it, the stream may be over and its context gone.
  const absl::Status begun = options_.gate->Begin(
      *context, kOpenSession, [this, session, peer = options_.gate->Greet(*context)] { AdmitSession(session, peer); });
  if (!begun.ok()) session->End(begun, false);
  return raw;
}

void FederationService::AdmitSession(const std::shared_ptr<Session>& session, const rpc::Peer& peer) {
  const std::weak_ptr<Session> weak = session;
  auto pass = options_.gate->AdmitStream(peer, kOpenSession, [weak](const absl::Status& why, bool again) {
    const auto live = weak.lock();
    if (live == nullptr) return;
    if (again) {
      live->Cancel();
    } else {
      live->End(why, false);
    }
  });
  if (!pass.ok()) {
    LogFailure(kOpenSession, pass.status());
    return session->End(pass.status(), false);
  }
  const absl::Status may = options_.quotas->TakeSession(pass->caller.id);
  if (!may.ok()) {
    options_.gate->TellOverQuota(pass->caller.id, kOpenSession, may);
    options_.gate->Leave(*pass);
    return session->End(may, false);
  }
  options_.sessions->Expect(pass->caller.id, session);
  if (session->Admit(*pass)) return;
  options_.sessions->Forget(session.get());
  options_.gate->Leave(*pass);
}

absl::Status FederationService::OnArrival(Session* session) {
  options_.gate->Heard(session->pass().address);
  const absl::Status may = options_.quotas->TakeMessage(session->client_id());
  if (!may.ok()) options_.gate->TellOverQuota(session->client_id(), kOpenSession, may);
  return may;
}

absl::Status FederationService::OnMessage(const std::shared_ptr<Session>& session, const v1::ClientMessage& message) {
  const std::string& client = session->client_id();
  if (message.has_hello()) TRB_RETURN_IF_ERROR(CheckProtocolVersion(message.hello().protocol_version()));
  TRB_RETURN_IF_ERROR(options_.gate->Check(session->pass().caller, kOpenSession, message));
  if ((session->number() == 0) != message.has_hello()) {
    return absl::InvalidArgumentError("the first message, and only the first, is hello");
  }
  if (message.has_hello()) return SayHello(session, message.hello());
  if (message.has_answer()) {
    options_.sessions->TaskAnswered(client, message.answer().task_id(), message.answer().accepted());
    options_.runs->TaskAnswered(client, message.answer());
  } else if (message.has_progress()) {
    options_.runs->TaskProgressed(client, message.progress());
  } else if (message.has_trust()) {
    return options_.identities->RecordTrust(session->pass().caller, message.trust());
  }
  return absl::OkStatus();  // a kind that a later version added is passed over
}

absl::Status FederationService::SayHello(const std::shared_ptr<Session>& session, const v1::Hello& hello) {
  const std::string& client = session->client_id();
  TRB_RETURN_IF_ERROR(options_.identities->RecordHello(client, hello));
  const absl::Duration heartbeat = options_.sessions->Heartbeat(options_.heartbeat);
  session->set_number(options_.sessions->Open(client, hello, kMissingBeats * heartbeat, session));
  v1::Welcome welcome;
  welcome.set_federation(options_.federation);
  welcome.set_client_id(client);
  welcome.set_name(session->pass().caller.name);
  welcome.set_protocol_version(rpc::kProtocolVersion);
  welcome.set_heartbeat_interval_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(heartbeat)));
  welcome.set_reconnect_min_ms(kReconnectMinMs);
  welcome.set_reconnect_max_ms(kReconnectMaxMs);
  v1::AuthorityList authorities = options_.identities->TellAuthorities(options_.sessions->Count());
  if (authorities.authorities_size() > 0) *welcome.mutable_authorities() = std::move(authorities);
  for (v1::TaskVerdict& verdict : options_.runs->ClientOnline(client, hello)) {
    *welcome.add_verdicts() = std::move(verdict);
  }
  session->Welcome(std::move(welcome));
  Log(LogLevel::kInfo, "client_online",
      {{"client", session->pass().caller.name},
       {"examples", hello.dataset().examples()},
       {"version", hello.version()}});
  return absl::OkStatus();
}

void FederationService::OnHeartbeat(Session* session) {
  if (session->number() == 0) {
    session->End(absl::InvalidArgumentError("the first message is hello"), false);
  } else {
    options_.sessions->Touch(session->client_id(), session->number());
  }
}

void FederationService::OnEnd(Session* session) {
  if (session->pass().token != 0) options_.gate->Leave(session->pass());
  options_.sessions->Forget(session);
  if (session->number() == 0 || !options_.sessions->Close(session->client_id(), session->number())) return;
  options_.runs->ClientOffline(session->client_id());
  const absl::Status seen = options_.identities->RecordSeen(session->client_id());
  if (!seen.ok()) LogFailure(kOpenSession, seen);
  Log(LogLevel::kInfo, "client_offline", {{"client", session->pass().caller.name}});
}

// ---- transfers

grpc::ServerWriteReactor<v1::ModelChunk>* FederationService::DownloadModel(grpc::CallbackServerContext* context,
                                                                           const v1::DownloadModelRequest* request) {
  return ChunkStream<v1::ModelChunk>::Start(
      options_.gate, context, kDownloadModel, *request,
      [this, request](const identity::Principal& caller) { return OpenModel(caller, *request); });
}

absl::StatusOr<ChunkStream<v1::ModelChunk>::Source> FederationService::OpenModel(
    const identity::Principal& caller, const v1::DownloadModelRequest& request) {
  TRB_ASSIGN_OR_RETURN(const auto terms, options_.runs->GetTask(caller.id, request.task_id()));
  if (!terms.open) return absl::NotFoundError("the task is gone: " + terms.closed_reason);
  ChunkStream<v1::ModelChunk>::Source source;
  TRB_ASSIGN_OR_RETURN(source.hold, StartDownload(caller.id, request.task_id(), terms.base_model_bytes));
  TRB_ASSIGN_OR_RETURN(source.bytes, options_.models->Get(terms.base_model_sha256));
  source.offset = request.offset();
  source.fill = [total = source.bytes->size()](uint64_t offset, std::string_view data, v1::ModelChunk* chunk) {
    chunk->set_offset(offset);
    chunk->set_data(data.data(), data.size());
    chunk->set_total_bytes(total);
  };
  source.on_end = [this, client = caller.id, task = request.task_id()](uint64_t sent) {
    if (sent == 0) return;
    // Over the limit already or not: the next download is told.
    (void)options_.quotas->TakeBytes(client, task, ClientQuotas::Way::kDown, sent, 0);
    options_.runs->CountBytesDown(client, task, sent);
  };
  return source;
}

absl::StatusOr<ClientQuotas::Hold> FederationService::StartDownload(const std::string& client, const std::string& task,
                                                                    uint64_t model_bytes) {
  auto hold = options_.quotas->StartDownload(client);
  absl::Status may = hold.status();
  if (may.ok()) may = options_.quotas->TakeBytes(client, task, ClientQuotas::Way::kDown, 0, model_bytes);
  if (may.ok()) return hold;
  options_.gate->TellOverQuota(client, kDownloadModel, may);
  return may;
}

grpc::ServerUnaryReactor* FederationService::BeginUpload(grpc::CallbackServerContext* context,
                                                         const v1::BeginUploadRequest* request,
                                                         v1::BeginUploadResponse* response) {
  return options_.gate->Serve(context, kBeginUpload, *request,
                              [this, request, response](const identity::Principal& caller) {
                                TRB_RETURN_IF_ERROR(Fill(response, options_.intake->Announce(caller, *request)));
                                if (response->has_ticket() && slots_.FullFor(caller.id)) {
                                  response->mutable_ticket()->set_retry_after_ms(kUploadRetryMs);
                                }
                                return absl::OkStatus();
                              });
}

grpc::ServerReadReactor<v1::UploadChunk>* FederationService::UploadUpdate(grpc::CallbackServerContext* context,
                                                                          v1::UploadUpdateResponse* response) {
  return UploadStream::Start(
      {options_.gate, options_.intake, &slots_, options_.quotas, options_.clock, options_.upload_silence}, context,
      kUploadUpdate, response);
}

grpc::ServerUnaryReactor* FederationService::Renew(grpc::CallbackServerContext* context,
                                                   const v1::RenewRequest* request, v1::RenewResponse* response) {
  return options_.gate->Serve(context, kRenew, *request, [this, request, response](const identity::Principal& caller) {
    return Fill(response, options_.identities->Renew(*request, caller));
  });
}

grpc::ServerUnaryReactor* FederationService::ReportTrust(grpc::CallbackServerContext* context,
                                                         const v1::TrustReport* request, v1::AuthorityList* response) {
  return options_.gate->Serve(context, kReportTrust, *request,
                              [this, request, response](const identity::Principal& caller) {
                                TRB_RETURN_IF_ERROR(options_.identities->RecordTrust(caller, *request));
                                *response = options_.identities->TellAuthorities(options_.sessions->Count());
                                return absl::OkStatus();
                              });
}

void FederationService::AnnounceAuthorities() {
  v1::CoordinatorMessage message;
  *message.mutable_authorities() = options_.identities->TellAuthorities(options_.sessions->Count());
  options_.sessions->SendAll(message);
}

}  // namespace tributary::service
