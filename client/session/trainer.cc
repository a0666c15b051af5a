#include "client/session/trainer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session/task_check.h"
#include "common/base/fail_point.h"
#include "common/base/logging.h"
#include "common/crypto/digest.h"
#include "common/update/signed_record.h"
#include "common/update/update_codec.h"

namespace tributary::session {
namespace {

constexpr absl::Duration kProgressEvery = absl::Seconds(1);
constexpr absl::Duration kPauseWithoutLedger = absl::Seconds(30);
constexpr Backoff::Range kLookForRoom = {absl::Seconds(1), absl::Seconds(30)};
// Base models that do not fit their digest, before the task is given up: each costs a whole download.
constexpr int kMostWrongModels = 3;

bool MayRetry(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    // Not for the trainer to judge: the session learns whether this identity is gone, and stops everything.
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return true;
    default:
      return false;
  }
}

std::string SerializeMetrics(const learning::LocalResult& result, const TrainJob& job, uint64_t download_ms) {
  v1::UpdateMetrics metrics;
  metrics.set_train_loss(result.train_loss);
  if (result.validation_loss.has_value()) metrics.set_validation_loss(*result.validation_loss);
  if (result.validation_accuracy.has_value()) metrics.set_validation_accuracy(*result.validation_accuracy);
  metrics.set_validation_examples(result.validation_examples);
  metrics.set_steps(result.steps);
  metrics.set_engine(result.engine);
  metrics.set_queue_ms(job.queue_ms);
  metrics.set_download_ms(download_ms);
  metrics.set_train_ms(static_cast<uint64_t>(std::max<int64_t>(result.train_ms, 0)));
  metrics.set_update_norm(result.update_norm);
  return metrics.SerializeAsString();
}

v1::UpdateRecord RecordOf(const TrainJob& job, const learning::LocalResult& result, const std::string& bytes,
                          const std::string& metrics) {
  v1::UpdateRecord record;
  record.set_federation(job.identity.federation);
  record.set_run_id(job.task.run_id());
  record.set_round(job.task.round());
  record.set_task_id(job.task.task_id());
  record.set_client_id(job.identity.client_id);
  record.set_base_model_sha256(job.task.base_model_sha256());
  record.set_plan_sha256(job.task.plan_sha256());
  record.set_update_sha256(crypto::Sha256Hex(bytes));
  record.set_encoding(job.task.encoding());
  record.set_length(bytes.size());
  record.set_examples(result.examples);
  record.set_metrics_sha256(crypto::Sha256Hex(metrics));
  return record;
}

}  // namespace

absl::Status Sign(const SignerSource& source, OutboxEntry* entry) {
  TRB_ASSIGN_OR_RETURN(const Signer signer, source());
  entry->record.set_certificate_sha256(signer.certificate.sha256());
  TRB_ASSIGN_OR_RETURN(entry->signature, signer.key.Sign(update::CanonicalBytes(entry->record)));
  return absl::OkStatus();
}

void Trainer::Run() {
  while (const std::optional<TrainJob> job = parts_.board->NextTraining()) {
    End(*job, Work(*job));
    if (parts_.data->MustTell() && parts_.announce) parts_.announce();
  }
}

absl::Status Trainer::Work(const TrainJob& job) {
  TRB_ASSIGN_OR_RETURN(Model model, FetchModel(job));
  TRB_ASSIGN_OR_RETURN(const learning::LocalResult result, TrainOn(job, std::move(model.bytes)));
  return Deliver(job, result, model.download_ms);
}

absl::StatusOr<Trainer::Model> Trainer::FetchModel(const TrainJob& job) {
  const absl::Duration begin = parts_.clock->Monotonic();
  Backoff backoff({}, job.task.round());
  int wrong = 0;
  for (;;) {
    absl::StatusOr<std::string> bytes = parts_.cache->Fetch(job.task, parts_.link, job.stop);
    const auto took = static_cast<uint64_t>(absl::ToInt64Milliseconds(parts_.clock->Monotonic() - begin));
    if (job.stop.stop_requested()) return absl::CancelledError("stopped while the base model was fetched");
    if (bytes.ok()) return Model{*std::move(bytes), took};
    if (absl::IsDataLoss(bytes.status())) ++wrong;
    if (!MayRetry(bytes.status()) || wrong == kMostWrongModels) return Annotate(bytes.status(), "base model");
    Log(LogLevel::kWarning, "download_failed", {{"task", job.task.task_id()}, {"why", bytes.status().ToString()}});
    parts_.board->Pause(job, backoff.Next());
  }
}

absl::StatusOr<learning::LocalResult> Trainer::TrainOn(const TrainJob& job, std::string model_bytes) {
  TRB_ASSIGN_OR_RETURN(const ParsedTask parsed, ParseTask(job.task, *parts_.trust->Get()));
  TRB_RETURN_IF_ERROR(OnceThereIsRoom(job, [&] { return parts_.board->Begins(job.task.task_id()); }));
  TRB_ASSIGN_OR_RETURN(const data::Dataset* const data, parts_.data->ForModel(parsed.model));
  TRB_ASSIGN_OR_RETURN(const std::vector<float> base,
                       update::DecodeParameters(model_bytes, parsed.model.parameter_count()));
  std::string().swap(model_bytes);  // not a second copy through all of the training
  Log(LogLevel::kInfo, "training_started",
      {{"run", job.task.run_id()}, {"round", job.task.round()}, {"task", job.task.task_id()}});
  absl::Duration next_report = parts_.clock->Monotonic() + kProgressEvery;
  const learning::LocalTask task{
      .model = parsed.model,
      .base = base,
      .data = *data,
      .indices = {},
      .plan = parsed.plan.train(),
      .learning_rate = job.task.learning_rate(),
      .run_seed = job.task.seed(),
      .round = job.task.round(),
      .client_name = job.identity.name,
      .threads = parts_.threads,
      .stop = [&job] { return job.stop.stop_requested(); },
      .progress =
          [&](uint64_t done, uint64_t total) {
            if (parts_.clock->Monotonic() < next_report) return;
            next_report = parts_.clock->Monotonic() + kProgressEvery;
            parts_.board->Progress(job.task.task_id(), done, total);
          },
      .clock = parts_.clock,
  };
  return parts_.train(task);
}

// A disk without room is the owner's to mend, and no reason to lose a round: the work waits as long as its task does.
absl::Status Trainer::OnceThereIsRoom(const TrainJob& job, const std::function<absl::Status()>& write) {
  Backoff backoff(kLookForRoom, job.task.round());
  for (;;) {
    const absl::Status written = write();
    if (!absl::IsResourceExhausted(written)) return written;
    Log(LogLevel::kError, "no_room", {{"task", job.task.task_id()}, {"why", written.message()}});
    parts_.board->Pause(job, backoff.Next());
    if (job.stop.stop_requested()) return absl::CancelledError("stopped while there was no room on the disk");
  }
}

absl::Status Trainer::Deliver(const TrainJob& job, const learning::LocalResult& result, uint64_t download_ms) {
  for (const std::string& warning : result.warnings)
    Log(LogLevel::kWarning, "training_warning", {{"run", job.task.run_id()}, {"what", warning}});
  TRB_ASSIGN_OR_RETURN(const std::string bytes, update::EncodeDelta(job.task.encoding(), result.delta));
  OutboxEntry entry;
  entry.metrics = SerializeMetrics(result, job, download_ms);
  entry.record = RecordOf(job, result, bytes, entry.metrics);
  TRB_RETURN_IF_ERROR(Sign(parts_.signer, &entry));
  if (job.stop.stop_requested()) return absl::CancelledError("stopped");
  TRB_FAIL_POINT("training.done");
  const absl::Status put = OnceThereIsRoom(job, [&] { return parts_.outbox->Put(entry, bytes); });
  // The ledger no longer has the task as held: it was cancelled this very moment.
  if (absl::IsNotFound(put)) return absl::CancelledError("cancelled");
  TRB_RETURN_IF_ERROR(put);
  Log(LogLevel::kInfo, "training_finished",
      {{"run", job.task.run_id()},
       {"round", job.task.round()},
       {"examples", result.examples},
       {"train_loss", result.train_loss},
       {"train_ms", result.train_ms},
       {"update", entry.record.update_sha256()}});
  parts_.board->Trained(job.task.task_id(), entry.record.update_sha256());
  return absl::OkStatus();
}

void Trainer::End(const TrainJob& job, const absl::Status& status) {
  if (status.ok()) return;
  Log(absl::IsCancelled(status) ? LogLevel::kInfo : LogLevel::kWarning, "training_ended",
      {{"run", job.task.run_id()}, {"round", job.task.round()}, {"why", status.ToString()}});
  if (absl::IsCancelled(status) || job.stop.stop_requested()) {
    parts_.board->TrainingStopped(job.task.task_id());
    return;
  }
  const Refusal refusal = Shortened(RefusalOf(status, "training_failed"));
  const absl::Status told = parts_.board->TrainingFailed(job.task.task_id(), refusal);
  if (told.ok()) return;
  // A full disk, say. The task stays held, and is tried again.
  Log(LogLevel::kError, "task_not_saved", {{"why", told.ToString()}});
  parts_.board->Pause(job, kPauseWithoutLedger);
  parts_.board->TrainingStopped(job.task.task_id());
}

}  // namespace tributary::session
