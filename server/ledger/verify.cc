#include "server/ledger/verify.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "server/ledger/certificate_check.h"
#include "server/ledger/history.h"
#include "server/ledger/ledger_rows.h"
#include "server/ledger/ledger_store.h"
#include "server/ledger/round_check.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::ledger {
namespace {

using storage::BlobStore;
using storage::Database;
using storage::Row;
using storage::Transaction;

constexpr const char* kNothing = "";

// Walks one run's chain from genesis to its head.
class RunVerifier {
 public:
  RunVerifier(Database& database, const BlobStore& blobs, const VerifyOptions& options, std::string run,
              v1::HistoryVerification* out)
      : database_(database), blobs_(blobs), options_(options), out_(*out) {
    chain_.run = std::move(run);
    chain_.head = std::string(kNoRecord);
  }

  // The first finding, with the round that it belongs to in round().
  Finding Verify() {
    TRB_RETURN_IF_FOUND(CheckGenesis());
    for (round_ = 0;; ++round_) {
      bool end = false;
      TRB_RETURN_IF_FOUND(CheckNext(&end));
      if (end) break;
      if (round_ > 0) out_.set_rounds_checked(out_.rounds_checked() + 1);
      if (chain_.head == options_.head) found_head_ = true;
    }
    round_ = round_ == 0 ? 0 : round_ - 1;
    out_.set_head_sha256(chain_.head);
    return kNothing;
  }
  uint64_t round() const { return round_; }
  bool found_head() const { return found_head_; }

 private:
  Finding CheckGenesis() {
    TRB_ASSIGN_OR_RETURN(const rounds::RunRow row, SelectRun(database_, chain_.run));
    chain_.plan_sha256 = row.run.plan_sha256();
    chain_.model = row.run.initial_model_sha256();
    TRB_ASSIGN_OR_RETURN(chain_.federation,
                         database_.QueryText("SELECT federation FROM runs WHERE id = ?1", {chain_.run}));
    if (crypto::Sha256Hex(row.plan_bytes) != row.run.plan_sha256()) return "the plan does not fit its digest";
    v1::RunPlan plan;
    if (!plan.ParseFromString(row.plan_bytes)) return "the plan cannot be read";
    chain_.max_weight = plan.aggregate().max_weight();
    TRB_RETURN_IF_FOUND(CheckAuthority());
    return CheckReceiptCertificate(row);
  }

  // The certificate whose digest is in the genesis record.
  Finding CheckAuthority() {
    std::string pem, sha256;
    TRB_ASSIGN_OR_RETURN(const bool found,
                         database_.QueryOne("SELECT pem, sha256 FROM authorities WHERE sha256 = (SELECT "
                                            "ca_certificate_sha256 FROM runs WHERE id = ?1)",
                                            {chain_.run}, [&](const Row& row) {
                                              pem = row.Text(0);
                                              sha256 = row.Text(1);
                                            }));
    if (!found) {
      return "the certificate of the federation's authority is not in the ledger (after an upgrade, the coordinator "
             "puts it there when it starts)";
    }
    auto authority = crypto::Certificate::FromPem(pem);
    if (!authority.ok() || authority->sha256() != sha256)
      return "the certificate of the federation's authority does not fit its digest";
    chain_.authority = *std::move(authority);
    return kNothing;
  }

  Finding CheckReceiptCertificate(const rounds::RunRow& row) {
    auto receipts = crypto::Certificate::FromPem(row.receipt_certificate_pem);
    if (!receipts.ok()) return "the run's receipt certificate cannot be read";
    const std::string fault =
        FaultOf(*receipts, *chain_.authority,
                {crypto::CertificateUse::kReceipt, absl::StrCat("spiffe://", chain_.federation, "/receipts"),
                 row.run.created_unix_ms()});
    if (!fault.empty()) return absl::StrCat("the run's receipt certificate ", fault);
    chain_.receipts = *std::move(receipts);
    return kNothing;
  }

  // One record; `end` when there is none and none is due.
  Finding CheckNext(bool* end) {
    RoundFacts facts;
    {
      TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(database_, Transaction::Kind::kRead));
      TRB_ASSIGN_OR_RETURN(facts, ReadRoundFacts(database_, chain_.run, round_));
      if (!facts.record) {
        TRB_ASSIGN_OR_RETURN(const bool due, IsDue());
        *end = !due;
        return due ? Finding("its record is gone") : CheckRun();
      }
    }
    TRB_RETURN_IF_FOUND(CheckRound(facts, &chain_));
    if (!options_.blobs) return kNothing;
    return CheckBlobs(facts);
  }

  // Whether a record of this round or a later one must be there.
  absl::StatusOr<bool> IsDue() {
    if (round_ == 0) return true;
    TRB_ASSIGN_OR_RETURN(
        const int64_t later,
        database_.QueryInt("SELECT EXISTS (SELECT 1 FROM records WHERE run_id = ?1 AND round > ?2) OR EXISTS (SELECT 1 "
                           "FROM rounds WHERE run_id = ?1 AND (round > ?2 OR (round = ?2 AND state IN ('committed', "
                           "'abandoned'))))",
                           {chain_.run, round_}));
    return later != 0;
  }

  // What the run's own row says, against what the chain has shown.
  Finding CheckRun() {
    TRB_ASSIGN_OR_RETURN(const rounds::RunRow row, SelectRun(database_, chain_.run));
    const v1::Run& run = row.run;
    --round_;  // it speaks of the newest record
    TRB_ASSIGN_OR_RETURN(const Record genesis, ReadRecord(database_, chain_.run, 0));
    if (run.genesis_sha256() != genesis.record_sha256) return "the run names another genesis record";
    if (run.head_sha256() != chain_.head) return "the run names another newest record than the last one there";
    if (run.model_sha256() != chain_.model) return "the run names another model than the last committed one";
    if (run.rounds_done() != chain_.rounds_done) return "the run does not count its committed rounds";
    if (row.abandoned_in_a_row != chain_.abandoned_in_a_row) return "the run does not count its abandoned rounds";
    const uint64_t best = chain_.best ? chain_.best->round() : 0;
    if (run.best_round() != best) return "the run names another best round than its metrics do";
    ++round_;
    return kNothing;
  }

  Finding CheckBlobs(const RoundFacts& facts) {
    TRB_RETURN_IF_FOUND(CheckBlob(chain_.model, "the model", /*may_be_deleted=*/false));
    for (const StoredUpdate& update : facts.updates) {
      TRB_RETURN_IF_FOUND(CheckBlob(update.update_sha256,
                                    absl::StrCat("the update of client ", EscapeForLog(update.client_id, 64)),
                                    /*may_be_deleted=*/true));
    }
    return kNothing;
  }

  Finding CheckBlob(const std::string& sha256, const std::string& what, bool may_be_deleted) {
    if (!IsHexDigest(sha256)) return absl::StrCat(what, " has no digest");
    if (!looked_at_.insert(sha256).second) return kNothing;
    const absl::Status status = blobs_.Verify(sha256);
    if (status.ok()) {
      out_.set_blobs_checked(out_.blobs_checked() + 1);
      return kNothing;
    }
    if (absl::IsDataLoss(status))
      return absl::StrCat(what, " has been changed: the bytes of ", blobs_.PathOf(sha256), " do not fit its digest");
    if (!absl::IsNotFound(status)) return status;
    // Asked for after the file was missed: the note of a deletion, and the end of a run that allows it, are committed
    // before the file goes.
    TRB_ASSIGN_OR_RETURN(
        const int64_t deleted,
        database_.QueryInt("SELECT EXISTS (SELECT 1 FROM deleted_blobs WHERE sha256 = ?1) AND EXISTS (SELECT 1 FROM "
                           "runs WHERE id = ?2 AND (keep_updates = 'round' OR (keep_updates = 'run' AND state NOT IN "
                           "('running', 'stalled'))))",
                           {sha256, chain_.run}));
    if (deleted == 0 || !may_be_deleted) return absl::StrCat(what, " is missing: ", blobs_.PathOf(sha256));
    out_.set_blobs_missing(out_.blobs_missing() + 1);
    return kNothing;
  }

  Database& database_;
  const BlobStore& blobs_;
  const VerifyOptions& options_;
  v1::HistoryVerification& out_;
  ChainState chain_;
  std::set<std::string> looked_at_;
  uint64_t round_ = 0;
  bool found_head_ = false;
};

absl::StatusOr<std::vector<std::string>> RunIds(Database& database, const std::string& only) {
  std::vector<std::string> ids;
  if (!only.empty()) {
    TRB_RETURN_IF_ERROR(SelectRun(database, only).status());
    return std::vector<std::string>{only};
  }
  // Also runs whose own row is gone: their first fault is that.
  TRB_RETURN_IF_ERROR(database.Query(
      "SELECT id FROM (SELECT id, sequence FROM runs UNION ALL SELECT DISTINCT run_id, 9e18 FROM records "
      "WHERE run_id NOT IN (SELECT id FROM runs)) ORDER BY sequence",
      {}, [&](const Row& row) {
        ids.push_back(row.Text(0));
        return absl::OkStatus();
      }));
  return ids;
}

void SetFault(v1::HistoryVerification* out, const std::string& run, uint64_t round, const std::string& what) {
  out->set_ok(false);
  out->mutable_first_fault()->set_run(run);
  out->mutable_first_fault()->set_round(round);
  out->mutable_first_fault()->set_what(what);
}

}  // namespace

absl::StatusOr<v1::HistoryVerification> VerifyHistory(Database& database, const BlobStore& blobs,
                                                      const VerifyOptions& options) {
  TRB_ASSIGN_OR_RETURN(const std::vector<std::string> runs, RunIds(database, options.run));
  v1::HistoryVerification out;
  out.set_schema_version(1);
  out.set_ok(true);
  bool found_head = options.head.empty();
  for (const std::string& run : runs) {
    RunVerifier verifier(database, blobs, options, run, &out);
    Finding finding = verifier.Verify();
    if (options.run.empty() && absl::IsNotFound(finding.status())) finding = "the run's own row is gone";
    if (!finding.ok()) return finding.status();
    if (!finding->empty()) {
      SetFault(&out, run, verifier.round(), *finding);
      return out;
    }
    found_head = found_head || verifier.found_head();
  }
  if (!found_head)
    SetFault(&out, options.run, 0, absl::StrCat("no record has the digest ", EscapeForLog(options.head, 80)));
  return out;
}

absl::StatusOr<v1::HistoryVerification> VerifyDirectory(const std::string& directory, const VerifyOptions& options) {
  TRB_ASSIGN_OR_RETURN(const auto database, OpenLedgerReadOnly(directory));
  TRB_ASSIGN_OR_RETURN(const auto blobs, BlobStore::Open(directory, /*read_only=*/true));
  return VerifyHistory(*database, *blobs, options);
}

}  // namespace tributary::ledger
