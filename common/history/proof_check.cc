#include "common/history/proof_check.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/history/chain_check.h"
#include "common/history/proof.h"

namespace tributary::history {
namespace {

class ProofCheck {
 public:
  ProofCheck(const std::set<std::string>& pinned, const std::set<std::string>& wanted)
      : pinned_(pinned), wanted_(wanted), chain_(Sources()) {}

  // The first finding; out().fault_round says where.
  Finding Check(ProofReader* reader) {
    for (;;) {
      absl::StatusOr<ProofReader::Entry> entry = reader->Next();
      if (absl::IsDataLoss(entry.status()))
        return absl::StrCat("the file is damaged: ", std::string(entry.status().message()));
      TRB_RETURN_IF_ERROR(entry.status());
      if (entry->kind == 'e') return chain_.next() == 0 ? "it has no record" : kNothing;
      if (entry->kind == 'r') {
        TRB_RETURN_IF_FOUND(TakeRecord(*entry));
      } else {
        TRB_RETURN_IF_FOUND(TakeCertificate(*entry));
      }
    }
  }

  CheckedProof Result() {
    out_.fault_round = chain_.next();
    out_.run = chain_.genesis().id;
    out_.run_name = chain_.genesis().name;
    out_.federation = chain_.genesis().federation;
    out_.plan_sha256 = chain_.genesis().plan_sha256;
    out_.receipt_certificate_pem = chain_.genesis().receipt_certificate_pem;
    out_.model_sha256 = chain_.model();
    out_.rounds_committed = chain_.rounds_committed();
    out_.updates_checked = chain_.updates_checked();
    out_.receipts = chain_.receipts();
    if (!out_.records.empty()) out_.genesis_sha256 = out_.records[0];
    return std::move(out_);
  }

 private:
  ChainCheck::Certificates Sources() {
    const auto find = [this](const std::string& sha256) {
      const auto it = known_.find(sha256);
      return it == known_.end() ? std::string() : it->second;
    };
    ChainCheck::Certificates sources;
    sources.place = "proof";
    sources.authority = find;
    // Whom it names is read from the certificate itself.
    sources.client = [find](const std::string& sha256, const std::string&) { return find(sha256); };
    sources.links = [this] { return links_; };
    return sources;
  }

  Finding TakeCertificate(const ProofReader::Entry& entry) {
    if ((entry.kind == 'a') != known_.empty()) return "the authority's certificate is one, and comes first";
    const auto certificate = crypto::Certificate::FromDer(entry.certificate_der);
    if (!certificate.ok()) return "a certificate cannot be read";
    if (entry.kind == 'x') return TakeAuthority(*certificate, entry.cross_der);
    known_[certificate->sha256()] = certificate->pem();
    if (entry.kind != 'a') return kNothing;
    root_ = *certificate;
    out_.authority_sha256 = certificate->sha256();
    return kNothing;
  }

  // Each is vouched for by one that came before: nobody can add one on his own.
  Finding TakeAuthority(const crypto::Certificate& authority, const std::string& cross_der) {
    if (chain_.next() > 0) return "an authority's certificate comes after the first record";
    if (links_.size() == kMaxLinks) return "it has too many authorities";
    const auto cross = crypto::Certificate::FromDer(cross_der);
    if (!cross.ok()) return "a certificate cannot be read";
    links_.push_back({authority, *cross});
    if (Leading(*root_, links_).size() == links_.size()) return kNothing;
    return absl::StrCat("none of its authorities vouches for the authority ", authority.sha256());
  }

  // Before the first record: all authorities are there.
  Finding CheckPins() {
    out_.authorities = {root_->sha256()};
    for (const AuthorityLink& link : links_)
      for (const crypto::Certificate& reached : KinOf(link.authority, links_))
        if (reached.sha256() == root_->sha256()) out_.authorities.insert(link.authority.sha256());
    if (pinned_.empty()) return kNothing;
    for (const std::string& sha256 : pinned_)
      if (out_.authorities.contains(sha256)) return kNothing;
    return absl::StrCat("it is of another federation: its CA certificate is ", root_->sha256(), ", yours is ",
                        absl::StrJoin(pinned_, ", "));
  }

  Finding TakeRecord(const ProofReader::Entry& entry) {
    if (!root_) return "the authority's certificate does not come first";
    if (chain_.next() == 0) TRB_RETURN_IF_FOUND(CheckPins());
    if (entry.round != chain_.next())
      return absl::StrCat("the record of round ", chain_.next(), " is gone: that of round ", entry.round,
                          " comes next");
    RecordRows rows;
    TRB_RETURN_IF_FOUND(chain_.CheckNext(entry.record, &rows));
    out_.records.push_back(chain_.head());
    if (rows.genesis && rows.genesis->ca_certificate_sha256 != out_.authority_sha256)
      return "its run names another authority than the proof begins with";
    for (const UpdateRow& update : rows.updates) Remember(rows, update);
    return kNothing;
  }

  void Remember(const RecordRows& rows, const UpdateRow& update) {
    if (!wanted_.contains(update.task_id)) return;
    ProvedUpdate proved;
    proved.round = rows.round->round.round();
    proved.round_state = rows.round->round.state();
    proved.record = update.record;
    proved.examples = rows.round->round.examples();
    for (const ContributionRow& row : rows.contributions) {
      if (row.client_id != update.client_id) continue;
      proved.client_name = row.client_name;
      proved.weight = row.weight;
    }
    out_.updates[update.task_id] = std::move(proved);
  }

  static constexpr size_t kMaxLinks = 64;
  const std::set<std::string>&pinned_, &wanted_;
  std::map<std::string, std::string> known_;  // PEM by digest
  std::optional<crypto::Certificate> root_;
  std::vector<AuthorityLink> links_;
  ChainCheck chain_;
  CheckedProof out_;
};

}  // namespace

absl::StatusOr<CheckedProof> CheckProof(const std::string& path, const std::set<std::string>& pinned,
                                        const std::set<std::string>& wanted) {
  TRB_ASSIGN_OR_RETURN(const auto reader, ProofReader::Open(path));
  ProofCheck check(pinned, wanted);
  Finding finding = check.Check(reader.get());
  TRB_RETURN_IF_ERROR(finding.status());
  CheckedProof out = check.Result();
  out.fault = *std::move(finding);
  return out;
}

}  // namespace tributary::history
