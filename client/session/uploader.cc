#include "client/session/uploader.h"

#include "absl/strings/str_cat.h"
#include "client/session/task_check.h"
#include "common/base/fail_point.h"
#include "common/base/logging.h"
#include "common/update/signed_record.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

std::string DescribeMetrics(const OutboxEntry& entry) {
  const absl::StatusOr<v1::UpdateMetrics> metrics = update::ParseMetrics(entry.metrics);
  std::string out = absl::StrCat("examples ", entry.record.examples());
  if (!metrics.ok()) return out;
  absl::StrAppend(&out, ", train_loss ", metrics->train_loss());
  if (metrics->has_validation_loss()) absl::StrAppend(&out, ", validation_loss ", metrics->validation_loss());
  if (metrics->has_validation_accuracy())
    absl::StrAppend(&out, ", validation_accuracy ", metrics->validation_accuracy());
  return absl::StrCat(out, ", update_norm ", metrics->update_norm(), ", steps ", metrics->steps(), ", train_ms ",
                      metrics->train_ms(), ", engine ", metrics->engine());
}

// UNAVAILABLE: the update stays in the outbox; another answer may come.
absl::Status CheckAnswer(const google::protobuf::Message& answer) {
  const absl::Status good = wire::Check(answer);
  return good.ok() ? good : absl::UnavailableError(absl::StrCat("the coordinator's answer: ", good.message()));
}

}  // namespace

void Uploader::Run() {
  while (const std::optional<TaskBoard::UploadJob> job = parts_.board->NextUpload()) Work(*job);
}

void Uploader::Work(const TaskBoard::UploadJob& job) {
  const std::string& task_id = job.task.task_id();
  const absl::StatusOr<std::optional<OutboxEntry>> found = parts_.ledger->FindOutbox(task_id);
  if (found.ok() && !found->has_value()) return parts_.board->Uploaded(task_id);
  absl::Duration after = backoff_.Next();
  absl::Status status = found.status();
  if (found.ok()) {
    OutboxEntry entry = **found;
    status = Attempt(job, &entry, &after);
  }
  if (status.ok()) {
    backoff_.Reset();
    return;
  }
  if (!job.stop.stop_requested())
    Log(LogLevel::kWarning, "upload_delayed",
        {{"run", job.task.run_id()}, {"round", job.task.round()}, {"why", status.ToString()}});
  parts_.board->RetryUpload(task_id, after);
}

absl::Status Uploader::SignAfresh(OutboxEntry* entry) {
  TRB_ASSIGN_OR_RETURN(const Signer signer, parts_.signer());
  if (entry->record.certificate_sha256() == signer.certificate.sha256()) return absl::OkStatus();
  TRB_RETURN_IF_ERROR(Sign(parts_.signer, entry));
  return parts_.ledger->ReplaceSignature(*entry);
}

absl::Status Uploader::RecordSending(const TaskBoard::UploadJob& job, const OutboxEntry& entry, bool delta) {
  SentRow row;
  row.kind = delta ? "delta" : "metrics";
  row.task_id = job.task.task_id();
  row.run_id = job.task.run_id();
  row.run_name = job.task.run_name();
  row.round = job.task.round();
  row.detail = delta ? entry.record.encoding() : DescribeMetrics(entry);
  row.bytes = delta ? entry.record.length() : entry.metrics.size();
  row.sha256 = delta ? entry.record.update_sha256() : entry.record.metrics_sha256();
  row.outcome = "sending";
  row.last_unix_ms = parts_.clock->NowUnixMillis();
  return parts_.ledger->RecordSent(row);
}

absl::Status Uploader::Attempt(const TaskBoard::UploadJob& job, OutboxEntry* entry, absl::Duration* after) {
  TRB_RETURN_IF_ERROR(SignAfresh(entry));
  TRB_RETURN_IF_ERROR(RecordSending(job, *entry, false));
  v1::BeginUploadRequest request;
  *request.mutable_record() = entry->record;
  request.set_signature(entry->signature);
  request.set_metrics(entry->metrics);
  TRB_FAIL_POINT("upload.announce");
  const absl::StatusOr<v1::BeginUploadResponse> answer = parts_.link->BeginUpload(request, job.stop);
  if (absl::IsNotFound(answer.status())) return Ended(*entry, TaskState::kDropped, "unknown", "the task is gone");
  if (absl::IsInvalidArgument(answer.status()))
    return Ended(*entry, TaskState::kRejected, "malformed", std::string(answer.status().message()));
  TRB_RETURN_IF_ERROR(answer.status());
  TRB_RETURN_IF_ERROR(CheckAnswer(*answer));
  if (!answer->has_ticket()) return Resolve(job, *entry, *answer);
  if (answer->ticket().retry_after_ms() > 0) {
    // Not sooner than this machine's disk bears, whatever is asked: each attempt is written down.
    *after = absl::Milliseconds(std::clamp<uint64_t>(answer->ticket().retry_after_ms(), 50, 600'000));
    return absl::UnavailableError("the coordinator takes no more uploads at the moment");
  }
  return SendBytes(job, *entry, answer->ticket());
}

absl::Status Uploader::SendBytes(const TaskBoard::UploadJob& job, const OutboxEntry& entry,
                                 const v1::UploadTicket& ticket) {
  const absl::StatusOr<std::string> bytes = parts_.outbox->ReadBytes(entry);
  if (absl::IsDataLoss(bytes.status()) || absl::IsNotFound(bytes.status())) {
    Log(LogLevel::kWarning, "outbox_bytes_lost", {{"task", job.task.task_id()}, {"why", bytes.status().message()}});
    TRB_RETURN_IF_ERROR(parts_.outbox->Requeue(entry));
    parts_.board->Requeued(job.task.task_id());
    return absl::OkStatus();
  }
  TRB_RETURN_IF_ERROR(bytes.status());
  if (ticket.offset() > bytes->size()) return absl::OutOfRangeError("the coordinator has more bytes than there are");
  TRB_RETURN_IF_ERROR(RecordSending(job, entry, true));
  TRB_FAIL_POINT("upload.send");
  TRB_ASSIGN_OR_RETURN(const v1::UploadUpdateResponse answer, parts_.link->UploadUpdate(ticket, *bytes, job.stop));
  TRB_FAIL_POINT("upload.answered");
  TRB_RETURN_IF_ERROR(CheckAnswer(answer));
  return Resolve(job, entry, answer);
}

template <class Answer>
absl::Status Uploader::Resolve(const TaskBoard::UploadJob& job, const OutboxEntry& entry, const Answer& answer) {
  if (answer.has_receipt()) return Receipted(job, entry, answer.receipt());
  if (answer.has_not_needed())
    return Ended(entry, TaskState::kDropped, answer.not_needed().code(), answer.not_needed().reason());
  if (answer.has_rejected())
    return Ended(entry, TaskState::kRejected, answer.rejected().code(), answer.rejected().reason());
  return absl::UnavailableError("the coordinator's answer cannot be understood");
}

absl::Status Uploader::Receipted(const TaskBoard::UploadJob& job, const OutboxEntry& entry,
                                 const v1::Receipt& receipt) {
  if (const absl::Status good = CheckReceipt(receipt, entry.record, job.task); !good.ok()) {
    Log(LogLevel::kError, "receipt_refused",
        {{"run", job.task.run_id()}, {"round", job.task.round()}, {"why", good.message()}});
    return good;
  }
  TRB_RETURN_IF_ERROR(
      parts_.outbox->Close(entry, TaskState::kDone, {}, receipt.SerializeAsString(), parts_.clock->NowUnixMillis()));
  Log(LogLevel::kInfo, "update_receipted",
      {{"run", job.task.run_id()}, {"round", job.task.round()}, {"update", entry.record.update_sha256()}});
  parts_.board->Uploaded(job.task.task_id());
  return absl::OkStatus();
}

absl::Status Uploader::Ended(const OutboxEntry& entry, TaskState end, const std::string& code,
                             const std::string& reason) {
  const Refusal why = Shortened({code, reason});
  TRB_RETURN_IF_ERROR(parts_.outbox->Close(entry, end, why, "", parts_.clock->NowUnixMillis()));
  Log(end == TaskState::kRejected ? LogLevel::kError : LogLevel::kInfo, "update_not_taken",
      {{"run", entry.record.run_id()}, {"round", entry.record.round()}, {"code", why.code}, {"reason", why.reason}});
  parts_.board->Uploaded(entry.record.task_id());
  return absl::OkStatus();
}

}  // namespace tributary::session
