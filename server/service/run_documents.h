// The ledger's rows as the documents that operators read.
// Threads: safe from any thread; all read the ledger. Errors: those of the store; INVALID_ARGUMENT for a round that is
// no number.
#ifndef TRIBUTARY_SERVER_SERVICE_RUN_DOCUMENTS_H_
#define TRIBUTARY_SERVER_SERVICE_RUN_DOCUMENTS_H_

#include <string>

#include "common/base/status.h"
#include "server/rounds/store.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::service {

inline constexpr uint32_t kSchemaVersion = 1;  // of every document

absl::StatusOr<v1::RunDocument> DescribeRun(rounds::RunStore& store, const v1::GetRunRequest& request);
absl::StatusOr<v1::RunList> DescribeRuns(rounds::RunStore& store);

// The header of an exported model: "best", "last", or a round's number (0: the initial model). FAILED_PRECONDITION when
// there is no such model yet. `total_bytes` is left to the caller.
absl::StatusOr<v1::ModelHeader> FindModel(rounds::RunStore& store, const v1::ExportModelRequest& request);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_RUN_DOCUMENTS_H_
