#include "server/rounds/task_builder.h"

#include <algorithm>
#include <string_view>

#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/learning/learning_rate.h"
#include "common/update/update_codec.h"

namespace tributary::rounds {

std::string TaskId(const std::string& federation, const std::string& run, uint64_t round,
                   const std::string& client_id) {
  using namespace std::string_view_literals;  // NOLINT: for the \0 in the tag
  std::string number;
  AppendLe64(&number, round);
  std::string framed("tributary/task/v1\0"sv);
  for (const std::string& field : {federation, run, number, client_id}) AppendLengthPrefixed(&framed, field);
  return crypto::Sha256Hex(framed);
}

LinkRange LinksFor(const v1::RunHead& head, const std::string& run, uint64_t round) {
  // The client knows the record before head.round; with the links from there it can follow the chain to this task. A
  // head beyond this round is a rollback that the client must see for itself: nothing could explain it.
  if (head.run_id() != run || head.round() == 0 || head.round() >= round) return {};
  return {head.round(), round - 1};
}

v1::TrainTask BuildTask(const RunSpec& spec, const OpenTraining& training, const Invitee& invitee,
                        const std::vector<RunStore::Link>& links, absl::Duration now) {
  v1::TrainTask task;
  task.set_task_id(invitee.task_id);
  task.set_run_id(spec.id);
  task.set_run_name(spec.name);
  task.set_round(training.round);
  task.set_base_model_sha256(training.base_model_sha256);
  task.set_base_model_bytes(spec.model_bytes());
  task.set_plan(spec.plan_bytes);
  task.set_plan_sha256(spec.plan_sha256);
  task.set_seed(spec.plan.seed());
  task.set_learning_rate(learning::LearningRateAfter(spec.plan.train(), training.rounds_done));
  task.set_encoding(std::string(update::kDefaultEncoding));
  const absl::Duration remaining = std::max(training.closes_at - now, absl::ZeroDuration());
  task.set_remaining_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(remaining)));
  task.set_min_clients(spec.plan.round().min_clients());
  task.set_retention(spec.plan.keep_updates());
  task.set_previous_record_sha256(training.previous_record_sha256);
  for (const RunStore::Link& link : links) {
    v1::RecordLink* out = task.add_links();
    out->set_round(link.round);
    out->set_body_sha256(link.body_sha256);
  }
  task.set_genesis_sha256(spec.genesis_sha256);
  task.set_receipt_certificate_pem(spec.receipt_certificate_pem);
  return task;
}

}  // namespace tributary::rounds
