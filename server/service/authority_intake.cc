#include "server/service/authority_intake.h"

#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "server/identity/rotation.h"
#include "server/ledger/authority_ledger.h"

namespace tributary::service {
namespace {

using State = crypto::AuthorityNews::State;

bool HoldsAny(const identity::Member& member, const std::set<std::string>& digests) {
  for (const std::string& pem : member.certificate_pems) {
    const auto certificate = crypto::Certificate::FromPem(pem);
    if (certificate.ok() && digests.contains(certificate->sha256())) return true;
  }
  return false;
}

}  // namespace

AuthorityIntake::AuthorityIntake(Options options)
    : options_(std::move(options)),
      trust_(std::make_shared<crypto::CurrentTrust>(options_.authority->set()->Trust())) {}

absl::Status AuthorityIntake::TakeIn() {
  TRB_ASSIGN_OR_RETURN(identity::AuthoritySet set, identity::LoadAuthorities(options_.directory));
  bool changed = false;
  TRB_ASSIGN_OR_RETURN(const std::set<std::string> over, WriteDown(set, &changed));
  trust_->Set(set.Trust());
  options_.authority->Use(std::move(set));
  TRB_RETURN_IF_ERROR(identity::RenewReceiptCertificate(options_.directory, *options_.authority));
  TRB_ASSIGN_OR_RETURN(const crypto::Issuer receipts, identity::LoadReceiptSigner(options_.directory));
  TRB_RETURN_IF_ERROR(
      options_.ledger->SetReceiptCertificate(receipts.certificate.pem(), options_.authority->certificate().pem()));
  if (options_.end)
    for (const std::string& id : over) options_.end(id);
  if (changed && options_.announce) options_.announce();
  return absl::OkStatus();
}

absl::StatusOr<std::set<std::string>> AuthorityIntake::WriteDown(const identity::AuthoritySet& set, bool* changed) {
  std::vector<ledger::AuthorityStep> steps;
  TRB_ASSIGN_OR_RETURN(const Doomed doomed, FindDoomed(set));
  const absl::Status written = options_.identities->Together([&]() -> absl::Status {
    TRB_ASSIGN_OR_RETURN(
        steps, ledger::RecordAuthorities(options_.ledger->database(), set.all, options_.clock->NowUnixMillis()));
    if (doomed.invited_before_unix_ms > 0)
      TRB_RETURN_IF_ERROR(options_.identities->VoidInvitedBefore(doomed.invited_before_unix_ms));
    return options_.identities->RevokeCertificates(doomed.certificates);
  });
  TRB_RETURN_IF_ERROR(written);
  for (const ledger::AuthorityStep& step : steps)
    Log(LogLevel::kInfo, "authority", {{"state", ledger::AuthorityStateName(step.state)}, {"sha256", step.sha256}});
  *changed = !steps.empty();
  return doomed.owners;
}

// Looked for once for each retirement: from then on all that is issued is of an authority that is trusted.
absl::StatusOr<AuthorityIntake::Doomed> AuthorityIntake::FindDoomed(const identity::AuthoritySet& set) const {
  TRB_ASSIGN_OR_RETURN(const auto known, ledger::ReadAuthoritySteps(options_.ledger->database()));
  const bool news = std::any_of(set.all.begin(), set.all.end(), [&known](const crypto::AuthorityNews& one) {
    return one.state == State::kRetired && !known.contains({one.certificate.sha256(), "retired"});
  });
  Doomed out;
  if (!news) return out;
  // The authority that issues now may be taken in together with this: then all that was invited so far is of before.
  const auto since = known.find({set.issuer.certificate.sha256(), "active"});
  out.invited_before_unix_ms = since == known.end() ? options_.clock->NowUnixMillis() : since->second;
  TRB_ASSIGN_OR_RETURN(const std::vector<identity::Member> members, options_.identities->ListMembers());
  out.certificates = identity::OfNobody(set.Trust(), members);
  const std::set<std::string> digests(out.certificates.begin(), out.certificates.end());
  for (const identity::Member& member : members)
    if (HoldsAny(member, digests)) out.owners.insert(member.id);
  return out;
}

}  // namespace tributary::service
