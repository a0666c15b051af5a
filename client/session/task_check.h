// What can be said of a task and of a receipt by looking at them alone.
// Threads: pure functions.
#ifndef TRIBUTARY_CLIENT_SESSION_TASK_CHECK_H_
#define TRIBUTARY_CLIENT_SESSION_TASK_CHECK_H_

#include <string>

#include "client/policy/policy.h"
#include "client/session/history_check.h"
#include "common/base/status.h"
#include "common/crypto/trust_list.h"
#include "common/nn/model_description.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/plan.pb.h"
#include "tributary/v1/update.pb.h"

namespace tributary::session {

// A task that this client understands.
struct ParsedTask {
  v1::RunPlan plan;
  nn::ModelDescription model;
};

// Every field fits its rule (common/wire/rules.h), the plan is the one that its digest names, the model is made of
// known layers, sizes agree, the receipt key is certified by the federation's CA. INVALID_ARGUMENT says what is wrong
// (declined as `unsupported`).
absl::StatusOr<ParsedTask> ParseTask(const v1::TrainTask& task, const crypto::TrustList& trust);

// The model counts as a preset only when its layers, input and loss are that preset's; class names and input scaling
// are the run's own.
policy::TaskTerms TermsOf(const v1::TrainTask& task, const v1::RunPlan& plan);

// Whether `receipt` proves that the coordinator took `record`, made for `task`: every field the same (the signing
// certificate may be an older or newer one of this client), the task's previous record, a signature by the run's
// receipt key. DATA_LOSS says what does not hold.
absl::Status CheckReceipt(const v1::Receipt& receipt, const v1::UpdateRecord& record, const v1::TrainTask& task);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_TASK_CHECK_H_
