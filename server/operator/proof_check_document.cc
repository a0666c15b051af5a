#include "server/operator/proof_check_document.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/crypto/trust_list.h"
#include "common/history/proof_check.h"
#include "common/history/receipt_check.h"
#include "server/operator/output.h"
#include "server/operator/owner_receipts.h"

namespace tributary::op {
namespace {

using history::CheckedProof;

void SetFault(v1::HistoryCheck* out, uint64_t round, const std::string& what) {
  if (out->has_first_fault()) return;
  out->set_ok(false);
  out->mutable_first_fault()->set_run(out->run());
  out->mutable_first_fault()->set_round(round);
  out->mutable_first_fault()->set_what(what);
}

v1::HistoryCheck Describe(const CheckedProof& proof) {
  v1::HistoryCheck out;
  out.set_schema_version(1);
  out.set_ok(true);
  out.set_run(proof.run);
  out.set_run_name(proof.run_name);
  out.set_federation(proof.federation);
  out.set_authority_sha256(proof.authority_sha256);
  out.set_rounds_checked(proof.records.empty() ? 0 : proof.records.size() - 1);
  out.set_rounds_committed(proof.rounds_committed);
  out.set_updates_checked(proof.updates_checked);
  if (!proof.records.empty()) out.set_head_sha256(proof.records.back());
  out.set_model_sha256(proof.model_sha256);
  if (!proof.fault.empty()) SetFault(&out, proof.fault_round, proof.fault);
  return out;
}

// The receipts of the proof's run, by round; the first that contradicts is a fault of the whole.
void CompareReceipts(const OwnerReceipts& owner, const CheckedProof& proof, v1::HistoryCheck* out) {
  std::vector<v1::ReceiptCheck> checks;
  for (const v1::Receipt& receipt : owner.receipts) {
    if (receipt.record().run_id() == proof.run) {
      checks.push_back(history::CheckReceipt(receipt, proof));
    } else {
      out->set_receipts_of_other_runs(out->receipts_of_other_runs() + 1);
    }
  }
  std::stable_sort(checks.begin(), checks.end(), [](const auto& a, const auto& b) { return a.round() < b.round(); });
  for (v1::ReceiptCheck& check : checks) {
    if (history::Contradicts(check))
      SetFault(out, check.round(), absl::StrCat("your receipt: ", check.verdict(), ": ", check.what()));
    // A certificate that the owner's own receipt names by its digest was issued by this authority: no other can show
    // it.
    if (out->authority_pinned_by().empty() && (check.verdict() == "in_model" || check.verdict() == "abandoned"))
      out->set_authority_pinned_by("uploads");
    *out->add_receipts() = std::move(check);
  }
}

absl::Status CompareMemory(const OwnerReceipts& owner, const CheckedProof& proof, v1::HistoryCheck* out) {
  for (const history::RememberedRun& memory : owner.runs) {
    if (memory.run_id != proof.run) continue;
    std::string agreement;
    TRB_ASSIGN_OR_RETURN(const std::string finding, history::CheckRemembered(memory, proof, &agreement));
    out->set_remembered(agreement);
    if (!finding.empty()) SetFault(out, memory.round == 0 ? 0 : memory.round - 1, finding);
  }
  return absl::OkStatus();
}

// Of all certificates in it: a client's ca.pem may have two.
absl::StatusOr<std::set<std::string>> DigestsOf(const std::string& ca_file) {
  std::set<std::string> out;
  if (ca_file.empty()) return out;
  TRB_ASSIGN_OR_RETURN(const std::string pem,
                       ReadFile(ca_file, crypto::kMaxAuthorities * crypto::kMaxCertificatePemBytes));
  const auto all = crypto::Certificate::AllFromPem(pem, crypto::kMaxAuthorities);
  if (!all.ok()) return Annotate(all.status(), ca_file);
  if (all->empty()) return absl::InvalidArgumentError(absl::StrCat(ca_file, ": this is no certificate"));
  for (const crypto::Certificate& authority : *all) out.insert(authority.sha256());
  return out;
}

bool HangsOn(const CheckedProof& proof, const std::set<std::string>& authorities) {
  return std::any_of(authorities.begin(), authorities.end(),
                     [&](const std::string& sha256) { return proof.authorities.contains(sha256); });
}

std::string AuthorityLine(const v1::HistoryCheck& c) {
  const std::string line = absl::StrCat("CA certificate  ", c.authority_sha256());
  if (!c.authority_pinned_by().empty()) return absl::StrCat(line, " (pinned by ", c.authority_pinned_by(), ")\n");
  return absl::StrCat(line,
                      "\nNobody here says that this is your federation's CA: compare the digest with one that you\n",
                      "know to be right, or give --ca FILE or --uploads.\n");
}

}  // namespace

absl::StatusOr<v1::HistoryCheck> CheckProofFile(const ProofQuestion& question) {
  TRB_ASSIGN_OR_RETURN(const std::set<std::string> named_ca, DigestsOf(question.ca));
  OwnerReceipts owner;
  if (!question.uploads.empty()) {
    TRB_ASSIGN_OR_RETURN(owner, LoadOwnerReceipts(question.uploads));
  }
  std::set<std::string> tasks;
  for (const v1::Receipt& receipt : owner.receipts) tasks.insert(receipt.record().task_id());
  const std::set<std::string>& pinned = named_ca.empty() ? owner.authorities : named_ca;
  TRB_ASSIGN_OR_RETURN(const CheckedProof proof, history::CheckProof(question.file, pinned, tasks));
  v1::HistoryCheck out = Describe(proof);
  if (!out.ok()) return out;
  if (!pinned.empty()) out.set_authority_pinned_by(named_ca.empty() ? "uploads" : "--ca");
  if (!owner.authorities.empty() && !HangsOn(proof, owner.authorities))
    SetFault(&out, 0,
             absl::StrCat("your client joined a federation with the CA certificate ",
                          absl::StrJoin(owner.authorities, ", ")));
  CompareReceipts(owner, proof, &out);
  TRB_RETURN_IF_ERROR(CompareMemory(owner, proof, &out));
  return out;
}

std::string HistoryCheckTable(const v1::HistoryCheck& c) {
  std::string out = absl::StrCat(c.ok() ? "ok" : "FAULT", ": ", c.rounds_checked(), " rounds (", c.rounds_committed(),
                                 " committed), ", c.updates_checked(), " signed updates\n", "run             ", c.run(),
                                 " (", c.run_name(), ")\n", "federation      ", c.federation(), "\n", AuthorityLine(c),
                                 "head            ", c.head_sha256(), "\n", "model           ", c.model_sha256(), "\n");
  if (!c.ok()) absl::StrAppend(&out, "round ", c.first_fault().round(), ": ", c.first_fault().what(), "\n");
  if (!c.remembered().empty())
    absl::StrAppend(&out, "your client remembers ",
                    c.remembered() == "agrees" ? "the same history\n" : "more rounds than this proof has\n");
  for (const v1::ReceiptCheck& receipt : c.receipts()) {
    const bool fine = receipt.verdict() == "in_model";
    absl::StrAppend(&out, "round ", receipt.round(), ": ", fine ? "" : absl::StrCat(receipt.verdict(), ": "),
                    receipt.what(), "\n");
  }
  if (c.receipts_of_other_runs() > 0)
    absl::StrAppend(&out, c.receipts_of_other_runs(), " receipts of other runs were not looked at\n");
  return out;
}

}  // namespace tributary::op
