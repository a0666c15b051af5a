#include "server/service/run_documents.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::service {
namespace {

absl::StatusOr<v1::RunPlan> PlanOf(const rounds::RunRow& row) {
  v1::RunPlan plan;
  if (!plan.ParseFromString(row.plan_bytes)) {
    return absl::DataLossError(absl::StrCat("the plan of run ", row.run.id(), " cannot be read"));
  }
  return plan;
}

absl::Status AddContributions(rounds::RunStore& store, uint64_t round, v1::RunDocument* document) {
  TRB_ASSIGN_OR_RETURN(const auto rows, store.ListContributions(document->run().id(), round));
  for (const v1::Contribution& row : rows) *document->add_contributions() = row;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> LastCommitted(rounds::RunStore& store, const std::string& run) {
  TRB_ASSIGN_OR_RETURN(const std::vector<rounds::RoundRow> rounds, store.ListRounds(run));
  uint64_t last = 0;
  for (const rounds::RoundRow& row : rounds) {
    if (row.round.state() == "committed") last = row.round.round();
  }
  if (last == 0) return absl::FailedPreconditionError("the run has no committed round yet");
  return last;
}

absl::StatusOr<uint64_t> RoundNumber(rounds::RunStore& store, const v1::Run& run, const std::string& text) {
  if (text == "last") return LastCommitted(store, run.id());
  if (text == "best" || text.empty()) {
    if (run.has_best_round()) return run.best_round();
    return absl::FailedPreconditionError("the run has no committed round with a metric yet");
  }
  uint64_t number = 0;
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  if (digits && absl::SimpleAtoi(text, &number)) return number;
  return absl::InvalidArgumentError(
      absl::StrCat("'", EscapeForLog(text, 40), "' is not a round: best, last, or a number"));
}

}  // namespace

absl::StatusOr<v1::RunDocument> DescribeRun(rounds::RunStore& store, const v1::GetRunRequest& request) {
  TRB_ASSIGN_OR_RETURN(const std::string id, store.ResolveRun(request.run()));
  TRB_ASSIGN_OR_RETURN(const rounds::RunRow row, store.GetRun(id));
  v1::RunDocument document;
  document.set_schema_version(kSchemaVersion);
  *document.mutable_run() = row.run;
  TRB_ASSIGN_OR_RETURN(*document.mutable_plan(), PlanOf(row));
  if (request.has_round()) {
    TRB_ASSIGN_OR_RETURN(rounds::RoundRow round, store.GetRound(id, request.round()));
    *document.add_rounds() = std::move(round.round);
    TRB_RETURN_IF_ERROR(AddContributions(store, request.round(), &document));
    return document;
  }
  TRB_ASSIGN_OR_RETURN(std::vector<rounds::RoundRow> rounds, store.ListRounds(id));
  for (rounds::RoundRow& round : rounds) *document.add_rounds() = std::move(round.round);
  if (!request.contributions()) return document;
  for (const v1::Round& round : document.rounds()) {
    TRB_RETURN_IF_ERROR(AddContributions(store, round.round(), &document));
  }
  return document;
}

absl::StatusOr<v1::RunList> DescribeRuns(rounds::RunStore& store) {
  TRB_ASSIGN_OR_RETURN(std::vector<rounds::RunRow> rows, store.ListRuns(false));
  v1::RunList list;
  list.set_schema_version(kSchemaVersion);
  for (rounds::RunRow& row : rows) *list.add_runs() = std::move(row.run);
  return list;
}

absl::StatusOr<v1::ModelHeader> FindModel(rounds::RunStore& store, const v1::ExportModelRequest& request) {
  TRB_ASSIGN_OR_RETURN(const std::string id, store.ResolveRun(request.run()));
  TRB_ASSIGN_OR_RETURN(const rounds::RunRow row, store.GetRun(id));
  TRB_ASSIGN_OR_RETURN(const v1::RunPlan plan, PlanOf(row));
  TRB_ASSIGN_OR_RETURN(const uint64_t number, RoundNumber(store, row.run, request.round()));
  v1::ModelHeader header;
  *header.mutable_model() = plan.model();
  header.set_run_id(id);
  header.set_run_name(row.run.name());
  header.set_round(number);
  header.set_model_sha256(row.run.initial_model_sha256());
  header.set_record_sha256(row.run.genesis_sha256());
  if (number == 0) return header;
  TRB_ASSIGN_OR_RETURN(const rounds::RoundRow round, store.GetRound(id, number));
  if (round.round.record_sha256().empty()) {
    return absl::FailedPreconditionError(absl::StrCat("round ", number, " is still open"));
  }
  header.set_model_sha256(round.round.model_sha256());
  header.set_record_sha256(round.round.record_sha256());
  return header;
}

}  // namespace tributary::service
