#include "client/session/history_check.h"

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"

namespace tributary::session {
namespace {

constexpr std::string_view kRecordPrefix("tributary/record/v1\0", 20);

bool Differs(const std::string& remembered, const std::string& now) { return !remembered.empty() && remembered != now; }

Refusal Fork(std::string reason) { return {"history_fork", std::move(reason)}; }

// Follows the links from the remembered record to the one that the task carries. Links of rounds before the remembered
// one are allowed (the coordinator may not know that this client saw a task it declined) and prove nothing.
Refusal FollowLinks(const RunMemory& memory, const v1::TrainTask& task) {
  std::string head = memory.previous_record_sha256;
  uint64_t round = memory.round;
  for (const v1::RecordLink& link : task.links()) {
    if (link.round() < memory.round) continue;
    if (link.round() != round || !IsHexDigest(link.body_sha256()))
      return Fork(absl::StrCat("the link of round ", round, " is missing or malformed"));
    head = RecordDigest(head, link.body_sha256());
    ++round;
  }
  if (round != task.round())
    return Fork(absl::StrCat("links end at round ", round, ", the task is of round ", task.round()));
  if (head != task.previous_record_sha256())
    return Fork(absl::StrCat("round ", task.round(), " does not continue the history seen at round ", memory.round));
  return {};
}

}  // namespace

std::string RecordDigest(std::string_view previous_sha256, std::string_view body_sha256) {
  std::string bytes(kRecordPrefix);
  bytes.append(previous_sha256).append(body_sha256);
  return crypto::Sha256Hex(bytes);
}

RunMemory MemoryOf(const v1::TrainTask& task) {
  return {task.run_id(),
          task.run_name(),
          task.genesis_sha256(),
          task.round(),
          task.previous_record_sha256(),
          task.receipt_certificate_pem(),
          task.base_model_sha256(),
          task.plan_sha256()};
}

Refusal CheckHistory(const std::optional<RunMemory>& memory, const v1::TrainTask& task) {
  if (task.round() == 1 && task.previous_record_sha256() != task.genesis_sha256())
    return Fork("round 1 does not stand on the genesis record");
  if (!memory.has_value()) return {};
  if (memory->genesis_sha256 != task.genesis_sha256()) return Fork("the run has another genesis record than before");
  if (memory->receipt_certificate_pem != task.receipt_certificate_pem())
    return Fork("the run has another receipt key than before");
  if (Differs(memory->plan_sha256, task.plan_sha256())) return Fork("the run has another plan than before");
  if (task.round() < memory->round)
    return {"history_rollback", absl::StrCat("round ", task.round(), " after round ", memory->round, " was seen")};
  if (task.round() > memory->round) return FollowLinks(*memory, task);
  if (task.previous_record_sha256() != memory->previous_record_sha256)
    return Fork(absl::StrCat("round ", task.round(), " comes with another past than before"));
  if (Differs(memory->base_model_sha256, task.base_model_sha256()))
    return Fork(absl::StrCat("round ", task.round(), " comes with another base model than before"));
  return {};
}

}  // namespace tributary::session
