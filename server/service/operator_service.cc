#include "server/service/operator_service.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/logging.h"
#include "server/ledger/verify.h"
#include "server/service/chunk_stream.h"
#include "server/service/put_model_stream.h"
#include "server/service/run_documents.h"
#include "server/service/watch_stream.h"

namespace tributary::service {
namespace {

constexpr uint64_t kDefaultAuditLimit = 100, kMaxAuditLimit = 10'000;
constexpr uint64_t kClientContributions = 20;
constexpr size_t kMaxRemembered = 1024;

// The method's full name, as the permissions spell it.
#define TRB_METHOD(name) "/tributary.v1.OperatorService/" name

template <class Message, class Value>
absl::Status Fill(Message* out, absl::StatusOr<Value> value) {
  if (!value.ok()) return value.status();
  *out = *std::move(value);
  return absl::OkStatus();
}

using identity::Principal;

}  // namespace

// ---- status, audit, history

grpc::ServerUnaryReactor* OperatorService::GetStatus(Context* context, const v1::GetStatusRequest* request,
                                                     v1::Status* response) {
  return options_.gate->Serve(context, TRB_METHOD("GetStatus"), *request,
                              [this, response](const Principal&) { return Fill(response, Status()); });
}

absl::StatusOr<v1::Status> OperatorService::Status() {
  v1::Status status = options_.facts();
  status.set_schema_version(kSchemaVersion);
  TRB_ASSIGN_OR_RETURN(const auto clients, options_.identities->ActiveClients());
  TRB_ASSIGN_OR_RETURN(const auto runs, options_.store->ListRuns(true));
  status.set_clients(clients.size());
  status.set_clients_online(options_.sessions->Count());
  status.set_runs_active(runs.size());
  return status;
}

grpc::ServerUnaryReactor* OperatorService::ListAudit(Context* context, const v1::ListAuditRequest* request,
                                                     v1::AuditList* response) {
  return options_.gate->Serve(context, TRB_METHOD("ListAudit"), *request, [this, request, response](const Principal&) {
    const uint64_t limit = request->limit() == 0 ? kDefaultAuditLimit : std::min(request->limit(), kMaxAuditLimit);
    TRB_ASSIGN_OR_RETURN(auto entries, options_.store->ListAudit(limit));
    response->set_schema_version(kSchemaVersion);
    if (!entries.empty()) response->set_head_sha256(entries.front().entry_sha256());
    for (v1::AuditEntry& entry : entries) *response->add_entries() = std::move(entry);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OperatorService::VerifyHistory(Context* context, const v1::VerifyHistoryRequest* request,
                                                         v1::HistoryVerification* response) {
  return options_.gate->Serve(context, TRB_METHOD("VerifyHistory"), *request,
                              [this, request, response](const Principal&) { return Fill(response, Verify(*request)); });
}

// It may take half an hour, and each has one of the workers that all calls need.
absl::StatusOr<v1::HistoryVerification> OperatorService::Verify(const v1::VerifyHistoryRequest& request) {
  const absl::Cleanup one_less = [this] { --verifying_; };
  if (++verifying_ > kMostVerifying)
    return absl::AbortedError("other verifications are under way: try again when one is done");
  ledger::VerifyOptions what;
  TRB_ASSIGN_OR_RETURN(what.run, options_.store->ResolveRun(request.run()));
  what.blobs = request.blobs();
  TRB_ASSIGN_OR_RETURN(v1::HistoryVerification answer,
                       ledger::VerifyHistory(options_.store->database(), *options_.blobs, what));
  answer.set_schema_version(kSchemaVersion);
  return answer;
}

grpc::ServerWriteReactor<v1::HistoryPart>* OperatorService::ExportHistory(Context* context,
                                                                          const v1::ExportHistoryRequest* request) {
  return PullStream<v1::HistoryPart>::Start(options_.gate, context, TRB_METHOD("ExportHistory"), *request,
                                            [this, request](const Principal& caller) {
                                              auto proof = StreamProof(options_.store, *request);
                                              Audit(caller, "history.export", request->run(), proof.status());
                                              return proof;
                                            });
}

grpc::ServerWriteReactor<v1::ReplayPart>* OperatorService::ReplayHistory(Context* context,
                                                                         const v1::ReplayHistoryRequest* request) {
  return PullStream<v1::ReplayPart>::Start(options_.gate, context, TRB_METHOD("ReplayHistory"), *request,
                                           [this, request](const Principal& caller) {
                                             auto replay = replays_.Begin(*request);
                                             Audit(caller, "history.replay", request->run(), replay.status());
                                             return replay;
                                           });
}

void OperatorService::Audit(const Principal& caller, const std::string& action, const std::string& subject,
                            const absl::Status& outcome) {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(options_.clock->NowUnixMillis());
  entry.set_actor(caller.Actor());
  entry.set_certificate_sha256(caller.certificate_sha256);
  entry.set_action(action);
  entry.set_subject(EscapeForLog(subject));
  entry.set_outcome(outcome.ok() ? "ok"
                                 : absl::StrCat("refused: ", EscapeForLog(std::string(outcome.message()), 1000)));
  const absl::Status added = options_.store->AddAudit(entry);
  if (!added.ok()) Log(LogLevel::kError, "audit_failed", {{"action", action}, {"reason", added.ToString()}});
}

// ---- runs

grpc::ServerUnaryReactor* OperatorService::StartRun(Context* context, const v1::StartRunRequest* request,
                                                    v1::RunDocument* response) {
  return options_.gate->Serve(context, TRB_METHOD("StartRun"), *request,
                              [this, request, response](const Principal& caller) {
                                auto started = Start(caller, *request);
                                // The ledger audits a run that was made in the transaction that makes it.
                                if (!started.ok() && !request->dry_run())
                                  Audit(caller, "run.start", request->plan().name(), started.status());
                                return Fill(response, std::move(started));
                              });
}

absl::StatusOr<v1::RunDocument> OperatorService::Start(const Principal& caller, const v1::StartRunRequest& request) {
  TRB_ASSIGN_OR_RETURN(const std::string id,
                       options_.runs->StartRun(request, {caller.Actor(), caller.certificate_sha256}));
  if (request.dry_run()) {
    v1::RunDocument checked;
    checked.set_schema_version(kSchemaVersion);
    *checked.mutable_plan() = request.plan();
    return checked;
  }
  v1::GetRunRequest get;
  get.set_run(id);
  return DescribeRun(*options_.store, get);
}

grpc::ServerUnaryReactor* OperatorService::ListRuns(Context* context, const v1::ListRunsRequest* request,
                                                    v1::RunList* response) {
  return options_.gate->Serve(context, TRB_METHOD("ListRuns"), *request, [this, response](const Principal&) {
    return Fill(response, DescribeRuns(*options_.store));
  });
}

grpc::ServerUnaryReactor* OperatorService::GetRun(Context* context, const v1::GetRunRequest* request,
                                                  v1::RunDocument* response) {
  return options_.gate->Serve(context, TRB_METHOD("GetRun"), *request, [this, request, response](const Principal&) {
    return Fill(response, DescribeRun(*options_.store, *request));
  });
}

grpc::ServerUnaryReactor* OperatorService::StopRun(Context* context, const v1::StopRunRequest* request,
                                                   v1::RunDocument* response) {
  return options_.gate->Serve(context, TRB_METHOD("StopRun"), *request,
                              [this, request, response](const Principal& caller) {
                                auto stopped = Stop(caller, *request);
                                // The run manager audits one that was stopped.
                                if (!stopped.ok()) Audit(caller, "run.stop", request->run(), stopped.status());
                                return Fill(response, std::move(stopped));
                              });
}

absl::StatusOr<v1::RunDocument> OperatorService::Stop(const Principal& caller, const v1::StopRunRequest& request) {
  v1::GetRunRequest get;
  TRB_ASSIGN_OR_RETURN(*get.mutable_run(), options_.store->ResolveRun(request.run()));
  if (!StoppedBefore(request.request_id(), get.run())) {
    TRB_RETURN_IF_ERROR(options_.runs->StopRun(get.run(), {caller.Actor(), caller.certificate_sha256}));
    MutexLock lock(&mu_);
    if (stops_.size() >= kMaxRemembered) stops_.clear();
    if (!request.request_id().empty()) stops_[request.request_id()] = get.run();
  }
  return DescribeRun(*options_.store, get);
}

bool OperatorService::StoppedBefore(const std::string& request_id, const std::string& run) {
  MutexLock lock(&mu_);
  const auto it = stops_.find(request_id);
  return it != stops_.end() && it->second == run;
}

grpc::ServerWriteReactor<v1::RunEvent>* OperatorService::WatchRun(Context* context,
                                                                  const v1::WatchRunRequest* request) {
  return WatchStream::Start({options_.gate, options_.runs, options_.store}, context, TRB_METHOD("WatchRun"), *request);
}

// ---- clients

std::function<bool(const std::string&)> OperatorService::Online() {
  return [this](const std::string& id) { return options_.sessions->IsOnline(id); };
}

grpc::ServerUnaryReactor* OperatorService::Invite(Context* context, const v1::InviteRequest* request,
                                                  v1::Invitation* response) {
  return options_.gate->Serve(context, TRB_METHOD("Invite"), *request,
                              [this, request, response](const Principal& caller) {
                                TRB_RETURN_IF_ERROR(Fill(response, options_.identities->Invite(*request, caller)));
                                response->set_schema_version(kSchemaVersion);
                                options_.on_invited();
                                return absl::OkStatus();
                              });
}

grpc::ServerUnaryReactor* OperatorService::ListClients(Context* context, const v1::ListClientsRequest* request,
                                                       v1::ClientList* response) {
  return options_.gate->Serve(context, TRB_METHOD("ListClients"), *request, [this, response](const Principal&) {
    TRB_ASSIGN_OR_RETURN(auto clients, options_.identities->ListClients(Online()));
    response->set_schema_version(kSchemaVersion);
    for (v1::Client& client : clients) *response->add_clients() = std::move(client);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OperatorService::GetClient(Context* context, const v1::GetClientRequest* request,
                                                     v1::ClientDocument* response) {
  return options_.gate->Serve(context, TRB_METHOD("GetClient"), *request, [this, request, response](const Principal&) {
    TRB_ASSIGN_OR_RETURN(v1::Client client, options_.identities->GetClient(request->name(), Online()));
    return Fill(response, Describe(std::move(client)));
  });
}

grpc::ServerUnaryReactor* OperatorService::RevokeClient(Context* context, const v1::RevokeClientRequest* request,
                                                        v1::ClientDocument* response) {
  return options_.gate->Serve(
      context, TRB_METHOD("RevokeClient"), *request, [this, request, response](const Principal& caller) {
        TRB_ASSIGN_OR_RETURN(v1::Client client, options_.identities->RevokeClient(request->name(), caller));
        return Fill(response, Describe(std::move(client)));
      });
}

absl::StatusOr<v1::ClientDocument> OperatorService::Describe(v1::Client client) {
  v1::ClientDocument document;
  document.set_schema_version(kSchemaVersion);
  TRB_ASSIGN_OR_RETURN(auto rows, options_.store->ListClientContributions(client.id(), kClientContributions));
  for (v1::Contribution& row : rows) *document.add_contributions() = std::move(row);
  *document.mutable_client() = std::move(client);
  return document;
}

// ---- models

grpc::ServerWriteReactor<v1::ModelPart>* OperatorService::ExportModel(Context* context,
                                                                      const v1::ExportModelRequest* request) {
  using Stream = ChunkStream<v1::ModelPart>;
  return Stream::Start(options_.gate, context, TRB_METHOD("ExportModel"), *request,
                       [this, request](const Principal& caller) -> absl::StatusOr<Stream::Source> {
                         absl::StatusOr<v1::ModelHeader> found = FindModel(*options_.store, *request);
                         Audit(caller, "model.export", absl::StrCat(request->run(), "@", request->round()),
                               found.status());
                         TRB_ASSIGN_OR_RETURN(v1::ModelHeader header, std::move(found));
                         Stream::Source source;
                         TRB_ASSIGN_OR_RETURN(source.bytes, options_.models->Get(header.model_sha256()));
                         header.set_total_bytes(source.bytes->size());
                         header.set_federation(options_.federation);
                         source.fill = [header](uint64_t offset, std::string_view data, v1::ModelPart* part) {
                           if (offset == 0) *part->mutable_header() = header;
                           part->set_data(data.data(), data.size());
                         };
                         return source;
                       });
}

grpc::ServerReadReactor<v1::ModelPart>* OperatorService::PutModel(Context* context, v1::PutModelResponse* response) {
  return PutModelStream::Start(options_.gate, options_.blobs, context, response,
                               [this](const Principal& caller, const std::string& sha256, const absl::Status& outcome) {
                                 Audit(caller, "model.put", sha256, outcome);
                               });
}

#undef TRB_METHOD

}  // namespace tributary::service
