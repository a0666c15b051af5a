#include "server/service/update_intake.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/fail_point.h"
#include "common/base/logging.h"
#include "common/crypto/certificate.h"
#include "common/update/rejection.h"
#include "server/service/update_checks.h"

namespace tributary::service {
namespace {

using rounds::AcceptResult;

v1::NotNeeded NotNeededOf(const rounds::RunManager::TaskTerms& terms) {
  v1::NotNeeded answer;
  answer.set_code(terms.closed_code.empty() ? "not_needed" : terms.closed_code);
  answer.set_reason(terms.closed_reason);
  return answer;
}

v1::BeginUploadResponse ToBeginResponse(v1::UploadUpdateResponse done) {
  v1::BeginUploadResponse response;
  if (done.has_receipt()) *response.mutable_receipt() = std::move(*done.mutable_receipt());
  if (done.has_not_needed()) *response.mutable_not_needed() = std::move(*done.mutable_not_needed());
  if (done.has_rejected()) *response.mutable_rejected() = std::move(*done.mutable_rejected());
  return response;
}

}  // namespace

absl::StatusOr<v1::BeginUploadResponse> UpdateIntake::Announce(const identity::Principal& caller,
                                                               const v1::BeginUploadRequest& sent) {
  // The record is kept, and its signature covers the fields that this version knows: nothing else is kept with it.
  v1::BeginUploadRequest request = sent;
  request.DiscardUnknownFields();
  const v1::UpdateRecord& record = request.record();
  v1::BeginUploadResponse response;
  const auto terms = FindTask(caller, record.task_id());
  if (absl::IsNotFound(terms.status()) || absl::IsPermissionDenied(terms.status())) {
    *response.mutable_rejected() =
        Refuse(caller, record, update::Reject(update::kNotInvited, "this client holds no such task"), 0);
    return response;
  }
  TRB_RETURN_IF_ERROR(terms.status());
  TRB_ASSIGN_OR_RETURN(const auto receipt, options_.store->FindReceipt(record.task_id()));
  if (receipt.has_value() && receipt->record().update_sha256() == record.update_sha256()) {
    *response.mutable_receipt() = *receipt;
    return response;
  }
  absl::Status fault = CheckAll(caller, request, *terms);
  if (receipt.has_value()) fault = update::Reject(update::kDuplicate, "another update of this task was accepted");
  if (!update::RejectionCode(fault).empty()) {
    *response.mutable_rejected() = Refuse(caller, record, fault, 0);
    return response;
  }
  TRB_RETURN_IF_ERROR(fault);
  if (!terms->open) {
    *response.mutable_not_needed() = NotNeededOf(*terms);
    return response;
  }
  return Ticket(caller, {record, request.signature(), request.metrics(), terms->parameters,
                         std::min(record.examples(), terms->max_weight)});
}

absl::StatusOr<rounds::RunManager::TaskTerms> UpdateIntake::FindTask(const identity::Principal& caller,
                                                                     const std::string& task_id) {
  if (!IsHexDigest(task_id)) return absl::NotFoundError("no task has such an id");
  return options_.runs->GetTask(caller.id, task_id);
}

absl::Status UpdateIntake::CheckAll(const identity::Principal& caller, const v1::BeginUploadRequest& request,
                                    const rounds::RunManager::TaskTerms& terms) {
  TRB_RETURN_IF_ERROR(CheckSpelling(request));
  if (request.record().client_id() != caller.id) {
    return update::Reject(update::kNotInvited, "the record names another client");
  }
  TRB_RETURN_IF_ERROR(CheckAgainstTask(request, terms, options_.federation));
  const auto row = options_.identities->SigningCertificate(caller.id, request.record().certificate_sha256());
  if (absl::IsNotFound(row.status())) {
    return update::Reject(update::kBadSignature, "the certificate was not issued to this client");
  }
  TRB_RETURN_IF_ERROR(row.status());
  if (row->state == identity::CertificateState::kRevoked) {
    return update::Reject(update::kBadSignature, "the certificate is revoked");
  }
  const int64_t now = options_.clock->NowUnixMillis();
  if (now < row->not_before_unix_ms || now > row->not_after_unix_ms) {
    return update::Reject(update::kBadSignature, "the certificate is not valid now: sign with the newest one");
  }
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::FromPem(row->pem));
  return CheckSignature(request, certificate);
}

absl::StatusOr<v1::BeginUploadResponse> UpdateIntake::Ticket(const identity::Principal& caller,
                                                             AnnouncedUpdate update) {
  const uint64_t length = update.record.length();
  TRB_ASSIGN_OR_RETURN(const UploadStore::Ticket ticket, options_.uploads->Announce(std::move(update)));
  TRB_FAIL_POINT("update.announced");
  v1::BeginUploadResponse response;
  response.mutable_ticket()->set_upload_id(ticket.upload_id);
  response.mutable_ticket()->set_offset(ticket.offset);
  if (ticket.offset < length) return response;
  // Every byte came before a crash or a cut: nothing is left to send.
  TRB_ASSIGN_OR_RETURN(const std::shared_ptr<Upload> upload, Find(caller, ticket.upload_id));
  TRB_ASSIGN_OR_RETURN(const uint64_t stream, upload->Begin());
  auto done = Complete(caller, upload.get(), stream, 0);
  TRB_RETURN_IF_ERROR(done.status());
  return ToBeginResponse(*std::move(done));
}

absl::StatusOr<std::shared_ptr<Upload>> UpdateIntake::Find(const identity::Principal& caller,
                                                           const std::string& upload_id) {
  return options_.uploads->Find(upload_id, caller.id);
}

absl::StatusOr<v1::UploadUpdateResponse> UpdateIntake::Complete(const identity::Principal& caller, Upload* upload,
                                                                uint64_t stream, uint64_t upload_ms) {
  const v1::UpdateRecord& record = upload->announced().record;
  absl::Status good = upload->Finish(stream);
  if (good.ok()) good = options_.blobs->Adopt(upload->path(), record.update_sha256());
  if (good.ok()) return Accept(caller, upload, upload_ms);
  if (update::RejectionCode(good).empty()) return good;
  v1::UploadUpdateResponse response;
  *response.mutable_rejected() = Refuse(caller, record, good, record.length());
  return response;
}

absl::StatusOr<v1::UploadUpdateResponse> UpdateIntake::Accept(const identity::Principal& caller, Upload* upload,
                                                              uint64_t upload_ms) {
  const AnnouncedUpdate& announced = upload->announced();
  rounds::Acceptance acceptance{announced.record, announced.signature, announced.metrics,
                                announced.weight, upload_ms,           options_.clock->NowUnixMillis()};
  TRB_ASSIGN_OR_RETURN(AcceptResult result, options_.runs->Accept(acceptance));
  TRB_FAIL_POINT("update.accepted");
  options_.uploads->Drop(UploadStore::UploadId(announced.record.task_id(), announced.record.update_sha256()));
  v1::UploadUpdateResponse response;
  switch (result.kind) {
    case AcceptResult::Kind::kAccepted:
    case AcceptResult::Kind::kDuplicate:
      *response.mutable_receipt() = std::move(result.receipt);
      return response;
    case AcceptResult::Kind::kConflict:
      *response.mutable_rejected() = Refuse(
          caller, announced.record, update::Reject(update::kDuplicate, "another update of this task was accepted"), 0);
      return response;
    case AcceptResult::Kind::kNotNeeded:
      *response.mutable_not_needed() = WhyNotNeeded(caller, announced.record.task_id());
      return response;
    case AcceptResult::Kind::kNotAllowed:
      return absl::PermissionDeniedError("this client is not active any more");
  }
  return absl::InternalError("unknown acceptance");
}

v1::NotNeeded UpdateIntake::WhyNotNeeded(const identity::Principal& caller, const std::string& task_id) {
  const auto terms = options_.runs->GetTask(caller.id, task_id);
  return NotNeededOf(terms.ok() ? *terms : rounds::RunManager::TaskTerms());
}

v1::Rejected UpdateIntake::Refuse(const identity::Principal& caller, const v1::UpdateRecord& record,
                                  const absl::Status& fault, uint64_t bytes) {
  v1::Rejected why;
  why.set_code(update::RejectionCode(fault));
  why.set_reason(std::string(fault.message()));
  Log(LogLevel::kWarning, "update_refused",
      {{"client", caller.name}, {"round", record.round()}, {"code", why.code()}, {"reason", why.reason()}});
  if (why.code() == update::kNotInvited) {
    // No row of the caller's own to write this into, or none that it may spoil.
    v1::AuditEntry entry;
    entry.set_time_unix_ms(options_.clock->NowUnixMillis());
    entry.set_actor(caller.Actor());
    entry.set_certificate_sha256(caller.certificate_sha256);
    entry.set_action("update.upload");
    entry.set_subject(EscapeForLog(record.task_id(), 64));
    entry.set_outcome(absl::StrCat("refused: ", why.reason()));
    const absl::Status audited = options_.store->AddAudit(entry);
    if (!audited.ok()) Log(LogLevel::kError, "audit_failed", {{"reason", audited.ToString()}});
    return why;
  }
  options_.uploads->Drop(UploadStore::UploadId(record.task_id(), record.update_sha256()));
  options_.runs->Refuse(caller.id, record.task_id(), why, bytes);
  return why;
}

}  // namespace tributary::service
