// Whether an announced update is what its task asked for. Pure functions; every fault is its own wire code
// (common/update/rejection.h), so that the client, the ledger and the operator name it alike.
#ifndef TRIBUTARY_SERVER_SERVICE_UPDATE_CHECKS_H_
#define TRIBUTARY_SERVER_SERVICE_UPDATE_CHECKS_H_

#include <string>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "server/rounds/run_manager.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::service {

// Sizes and spelling: what can be said without knowing the task. malformed, bad_encoding, bad_examples, bad_metrics...
absl::Status CheckSpelling(const v1::BeginUploadRequest& request);

// That the record speaks of this client's task and of nothing else: not_invited, malformed, wrong_base_model,
// wrong_plan, bad_encoding, wrong_shape, bad_examples, wrong_digest (of the metrics).
absl::Status CheckAgainstTask(const v1::BeginUploadRequest& request, const rounds::RunManager::TaskTerms& terms,
                              const std::string& federation);

// That the certificate's key signed the record. bad_signature.
absl::Status CheckSignature(const v1::BeginUploadRequest& request, const crypto::Certificate& certificate);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPDATE_CHECKS_H_
