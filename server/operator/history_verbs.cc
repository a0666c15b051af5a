#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/operator/documents.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

struct VerifyArguments {
  std::string run;
  bool blobs = false;
};

absl::Status Verify(const VerifyArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  v1::VerifyHistoryRequest request;
  request.set_run(a.run);
  request.set_blobs(a.blobs);
  TRB_ASSIGN_OR_RETURN(const v1::HistoryVerification verification, api->VerifyHistory(request));
  TRB_RETURN_IF_ERROR(c->Print(Answer{&verification, {}, VerificationTable(verification)}));
  if (verification.ok()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the history does not hold: run ", verification.first_fault().run(),
                                          ", round ", verification.first_fault().round(), ": ",
                                          verification.first_fault().what()));
}

absl::Status Audit(uint64_t limit, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const v1::AuditList list, api->ListAudit(limit));
  Answer answer{&list, {}, AuditTable(list)};
  for (const auto& entry : list.entries()) answer.rows.push_back(&entry);
  return c->Print(answer);
}

}  // namespace

void AddHistoryVerbs(CLI::App* app, Registry* r) {
  CLI::App* history = r->Verb(app, "history", "The chain of records of a run", "tributary history verify digits");
  history->require_subcommand(1);
  auto a = std::make_shared<VerifyArguments>();
  CLI::App* verify = r->Verb(history, "verify", "Recompute every digest and signature; name the first fault",
                             "tributary history verify digits --blobs");
  verify->add_option("ID", a->run, "Run id, a unique prefix of it, or the run's name when unique")->required();
  verify->add_flag("--blobs", a->blobs, "Also read and hash every model and update");
  verify->callback([a, r] { r->action = [a, r] { return Verify(*a, r->context); }; });
  AddProofVerbs(history, r);
  CLI::App* audit = r->Verb(app, "audit", "Who did what, and how it went", "tributary audit list");
  audit->require_subcommand(1);
  auto limit = std::make_shared<uint64_t>(100);
  CLI::App* list = r->Verb(audit, "list", "The newest entries", "tributary audit list --limit 20");
  list->add_option("--limit", *limit, "How many, newest first")->check(AtLeastOne());
  list->callback([limit, r] { r->action = [limit, r] { return Audit(*limit, r->context); }; });
}

}  // namespace tributary::op
