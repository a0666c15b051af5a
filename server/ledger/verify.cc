#include "server/ledger/verify.h"

#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/history/audit_chain.h"
#include "common/history/chain_check.h"
#include "server/ledger/audit_ledger.h"
#include "server/ledger/authority_ledger.h"
#include "server/ledger/history.h"
#include "server/ledger/ledger_rows.h"
#include "server/ledger/ledger_store.h"

namespace tributary::ledger {
namespace {

using history::ChainCheck;
using history::Finding;
using history::kNothing;
using history::Record;
using history::RecordRows;
using storage::BlobStore;
using storage::Database;
using storage::Row;
using storage::Transaction;

// A record with the rows that it is of, in one view of the database.
struct RoundFacts {
  std::optional<Record> record;
  std::string body;  // from the rows as they are now; empty when they are gone
};

// NOT_FOUND becomes nothing: what is gone is a finding, not an error.
template <class T>
absl::StatusOr<std::optional<T>> Maybe(absl::StatusOr<T> value) {
  if (absl::IsNotFound(value.status())) return std::optional<T>();
  if (!value.ok()) return value.status();
  return std::optional<T>(std::move(*value));
}

absl::StatusOr<RoundFacts> ReadRoundFacts(Database& database, const std::string& run, uint64_t number) {
  RoundFacts facts;
  TRB_ASSIGN_OR_RETURN(facts.record, Maybe(ReadRecord(database, run, number)));
  if (!facts.record) return facts;
  TRB_ASSIGN_OR_RETURN(auto body, Maybe(BuildBody(database, run, number)));
  if (body) facts.body = std::move(*body);
  return facts;
}

// The first column of the first row as text; empty without one.
absl::StatusOr<std::string> TextOr(Database& database, std::string_view sql, const storage::Args& args) {
  std::string text;
  TRB_RETURN_IF_ERROR(database.QueryOne(sql, args, [&](const Row& row) { text = row.Text(0); }).status());
  return text;
}

// Walks one run's chain from genesis to its head.
class RunVerifier {
 public:
  RunVerifier(Database& database, const BlobStore& blobs, const VerifyOptions& options, std::string run,
              v1::HistoryVerification* out)
      : database_(database),
        blobs_(blobs),
        options_(options),
        run_(std::move(run)),
        out_(*out),
        chain_(Certificates(database)) {}

  // The first finding, with the round that it belongs to in round().
  Finding Verify() {
    TRB_RETURN_IF_ERROR(SelectRun(database_, run_).status());
    for (round_ = 0;; ++round_) {
      bool end = false;
      TRB_RETURN_IF_FOUND(CheckNext(&end));
      if (end) break;
      if (round_ > 0) out_.set_rounds_checked(out_.rounds_checked() + 1);
      if (chain_.head() == options_.head) found_head_ = true;
    }
    round_ = round_ == 0 ? 0 : round_ - 1;
    out_.set_head_sha256(chain_.head());
    return kNothing;
  }
  uint64_t round() const { return round_; }
  bool found_head() const { return found_head_; }

 private:
  static ChainCheck::Certificates Certificates(Database& database) {
    ChainCheck::Certificates out;
    out.place = "ledger";
    out.authority = [&database](const std::string& sha256) {
      return TextOr(database, "SELECT pem FROM authorities WHERE sha256 = ?1", {sha256});
    };
    out.client = [&database](const std::string& sha256, const std::string& client_id) {
      return TextOr(database, "SELECT pem FROM certificates WHERE sha256 = ?1 AND client_id = ?2", {sha256, client_id});
    };
    out.links = [&database] { return ReadAuthorityLinks(database); };
    return out;
  }

  // One record; `end` when there is none and none is due.
  Finding CheckNext(bool* end) {
    RoundFacts facts;
    {
      TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(database_, Transaction::Kind::kRead));
      TRB_ASSIGN_OR_RETURN(facts, ReadRoundFacts(database_, run_, round_));
      if (!facts.record) {
        TRB_ASSIGN_OR_RETURN(const bool due, IsDue());
        *end = !due;
        return due ? Finding("its record is gone") : CheckRun();
      }
    }
    TRB_RETURN_IF_FOUND(CheckRows(facts));
    if (round_ == 0) TRB_RETURN_IF_FOUND(CheckAuthorityIsThere());
    RecordRows rows;
    TRB_RETURN_IF_FOUND(chain_.CheckNext(*facts.record, &rows));
    if (rows.round) TRB_RETURN_IF_FOUND(CheckAudit(rows.round->audit_sha256));
    if (!options_.blobs) return kNothing;
    return CheckBlobs(rows);
  }

  // That the rows are those that were recorded; what the record says of itself is the chain's to check.
  Finding CheckRows(const RoundFacts& facts) {
    if (facts.body.empty()) return "its rows are gone";
    if (crypto::Sha256Hex(facts.record->body) != facts.record->body_sha256)
      return "the body of its record and the body's digest do not belong together";
    if (facts.record->body == facts.body) return kNothing;
    return absl::StrCat("its rows are not as they were recorded: ",
                        history::DescribeDifference(facts.record->body, facts.body));
  }

  Finding CheckAuthorityIsThere() {
    TRB_ASSIGN_OR_RETURN(
        const int64_t there,
        database_.QueryInt("SELECT EXISTS (SELECT 1 FROM authorities WHERE sha256 = (SELECT ca_certificate_sha256 FROM "
                           "runs WHERE id = ?1))",
                           {run_}));
    if (there != 0) return kNothing;
    return "the certificate of the federation's authority is not in the ledger (after an upgrade, the coordinator "
           "puts it there when it starts)";
  }

  // The row of the audit that the round sealed when it was closed.
  Finding CheckAudit(const std::string& entry_sha256) {
    if (entry_sha256.empty()) return kNothing;
    TRB_ASSIGN_OR_RETURN(
        const int64_t sequence,
        database_.QueryInt("SELECT ifnull((SELECT sequence FROM audit WHERE entry_sha256 = ?1), 0)", {entry_sha256}));
    if (sequence == 0)
      return absl::StrCat("the row of the audit that it names is gone: ", EscapeForLog(entry_sha256, 64));
    if (sequence < audit_sequence_) return "it names an older row of the audit than the round before it";
    audit_sequence_ = sequence;
    return kNothing;
  }

  // Whether a record of this round or a later one must be there.
  absl::StatusOr<bool> IsDue() {
    if (round_ == 0) return true;
    TRB_ASSIGN_OR_RETURN(
        const int64_t later,
        database_.QueryInt("SELECT EXISTS (SELECT 1 FROM records WHERE run_id = ?1 AND round > ?2) OR EXISTS (SELECT 1 "
                           "FROM rounds WHERE run_id = ?1 AND (round > ?2 OR (round = ?2 AND state IN ('committed', "
                           "'abandoned'))))",
                           {run_, round_}));
    return later != 0;
  }

  // What the run's own row says, against what the chain has shown.
  Finding CheckRun() {
    TRB_ASSIGN_OR_RETURN(const rounds::RunRow row, SelectRun(database_, run_));
    const v1::Run& run = row.run;
    --round_;  // it speaks of the newest record
    TRB_ASSIGN_OR_RETURN(const Record genesis, ReadRecord(database_, run_, 0));
    if (run.genesis_sha256() != genesis.record_sha256) return "the run names another genesis record";
    if (run.head_sha256() != chain_.head()) return "the run names another newest record than the last one there";
    if (run.model_sha256() != chain_.model()) return "the run names another model than the last committed one";
    if (run.rounds_done() != chain_.rounds_committed()) return "the run does not count its committed rounds";
    if (row.abandoned_in_a_row != chain_.abandoned_in_a_row()) return "the run does not count its abandoned rounds";
    if (run.best_round() != chain_.best_round()) return "the run names another best round than its metrics do";
    TRB_RETURN_IF_FOUND(CheckEngines());
    TRB_RETURN_IF_FOUND(CheckEnd(run));
    ++round_;
    return kNothing;
  }

  Finding CheckEngines() {
    TRB_ASSIGN_OR_RETURN(
        const int64_t differ,
        database_.QueryInt("WITH named AS (SELECT engine FROM run_engines WHERE run_id = ?1), used AS (SELECT engine "
                           "FROM contributions WHERE run_id = ?1 AND state = 'accepted' AND engine <> '') "
                           "SELECT EXISTS (SELECT * FROM named EXCEPT SELECT * FROM used) OR "
                           "EXISTS (SELECT * FROM used EXCEPT SELECT * FROM named)",
                           {run_}));
    return differ == 0 ? Finding(kNothing) : Finding("the run names other engines than its accepted updates do");
  }

  // Whether and how it ended is in the audit, for runs that closed a round since the audit is a chain.
  Finding CheckEnd(const v1::Run& run) {
    if (audit_sequence_ == 0) return kNothing;
    std::string outcome;
    int64_t time = 0;
    TRB_ASSIGN_OR_RETURN(const bool ended,
                         database_.QueryOne("SELECT outcome, time_unix_ms FROM audit WHERE action = 'run.end' AND "
                                            "subject = ?1 ORDER BY sequence DESC LIMIT 1",
                                            {run_}, [&](const Row& row) {
                                              outcome = row.Text(0);
                                              time = row.Int(1);
                                            }));
    if (ended != !IsActive(run.state()) || time != run.ended_unix_ms())
      return "the run's state is not what the audit says of its end";
    if (!ended) return kNothing;
    const std::string told = run.reason().empty() ? run.state() : absl::StrCat(run.state(), ": ", run.reason());
    return told == outcome ? Finding(kNothing) : Finding("the run's state or reason is not what the audit says");
  }

  Finding CheckBlobs(const RecordRows& rows) {
    TRB_RETURN_IF_FOUND(CheckBlob(chain_.model(), "the model", /*may_be_deleted=*/false));
    for (const history::UpdateRow& update : rows.updates) {
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
                           {sha256, run_}));
    if (deleted == 0 || !may_be_deleted) return absl::StrCat(what, " is missing: ", blobs_.PathOf(sha256));
    out_.set_blobs_missing(out_.blobs_missing() + 1);
    return kNothing;
  }

  Database& database_;
  const BlobStore& blobs_;
  const VerifyOptions& options_;
  const std::string run_;
  v1::HistoryVerification& out_;
  ChainCheck chain_;
  int64_t audit_sequence_ = 0;  // of the newest row of the audit that a round named
  std::set<std::string> looked_at_;
  uint64_t round_ = 0;
  bool found_head_ = false;
};

// The whole audit, from its first row. The first finding goes to `out`, with the row's number.
absl::StatusOr<bool> VerifyAudit(Database& database, const std::string& head, v1::HistoryVerification* out) {
  history::AuditChainCheck check;
  bool found_head = false;
  std::string what;
  const absl::Status walked = ForEachAudit(database, 0, [&](const v1::AuditEntry& entry) {
    what = check.CheckNext(entry);
    found_head = found_head || entry.entry_sha256() == head;
    return what.empty() ? absl::OkStatus() : absl::DataLossError(what);
  });
  if (what.empty()) TRB_RETURN_IF_ERROR(walked);
  out->set_audit_rows_checked(check.sequence());
  out->set_audit_head_sha256(check.head());
  if (what.empty()) {
    TRB_ASSIGN_OR_RETURN(const int64_t written,
                         database.QueryInt("SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)"));
    if (static_cast<uint64_t>(written) <= check.sequence()) return found_head;
    what = absl::StrCat("it is gone, with all up to row ", written);
  }
  out->set_ok(false);
  out->mutable_first_fault()->set_audit_sequence(check.sequence() + 1);
  out->mutable_first_fault()->set_what(absl::StrCat("row ", check.sequence() + 1, " of the audit: ", what));
  return found_head;
}

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
  TRB_ASSIGN_OR_RETURN(const std::string broken, FindBrokenLink(database));
  if (!broken.empty()) {
    SetFault(&out, options.run, 0, broken);
    return out;
  }
  if (options.run.empty()) {
    TRB_ASSIGN_OR_RETURN(const bool in_audit, VerifyAudit(database, options.head, &out));
    if (!out.ok()) return out;
    found_head = found_head || in_audit;
  }
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
    SetFault(&out, options.run, 0,
             absl::StrCat("no record and no row of the audit has the digest ", EscapeForLog(options.head, 80)));
  return out;
}

absl::StatusOr<v1::HistoryVerification> VerifyDirectory(const std::string& directory, const VerifyOptions& options) {
  TRB_ASSIGN_OR_RETURN(const auto database, OpenLedgerReadOnly(directory));
  TRB_ASSIGN_OR_RETURN(const auto blobs, BlobStore::Open(directory, /*read_only=*/true));
  return VerifyHistory(*database, *blobs, options);
}

}  // namespace tributary::ledger
