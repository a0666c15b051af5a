// Whether a task stands on the history that this client remembers: the only defence of a data holder against a
// coordinator that shows different pasts to different clients, or takes rounds back.
//
// Of each run the client remembers its genesis record, its plan and, of the newest task it has seen, the round, the
// base model and the digest of the record before that round. A newer task must be linked to that record, link by link.
// The first task of a run that a client ever sees is taken as it comes. Threads: pure functions.
#ifndef TRIBUTARY_CLIENT_SESSION_HISTORY_CHECK_H_
#define TRIBUTARY_CLIENT_SESSION_HISTORY_CHECK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/session/refusal.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

// What a client remembers of a run.
struct RunMemory {
  std::string run_id;
  std::string run_name;
  std::string genesis_sha256;
  uint64_t round = 0;                   // of the newest task seen
  std::string previous_record_sha256;   // that it carried
  std::string receipt_certificate_pem;  // pinned at first sight
  // Empty when a version that did not keep them saw the task.
  std::string base_model_sha256;  // of the newest task seen
  std::string plan_sha256;        // the same in every round
};

// What a client remembers once it has seen the task.
RunMemory MemoryOf(const v1::TrainTask& task);

// SHA-256("tributary/record/v1\0" | previous record digest | body digest), both as 64 hexadecimal characters.
std::string RecordDigest(std::string_view previous_sha256, std::string_view body_sha256);

// history_rollback: an older round than remembered. history_fork: another genesis, another receipt key, another plan,
// the same round with another past or another base model, or a newer round that is not linked to what is remembered.
Refusal CheckHistory(const std::optional<RunMemory>& memory, const v1::TrainTask& task);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_HISTORY_CHECK_H_
