#include "client/session/authority_follower.h"

#include <algorithm>

#include "client/identity/identity.h"
#include "common/base/logging.h"
#include "common/rpc/authority_list.h"

namespace tributary::session {
namespace {

constexpr uint64_t kLongestMs = 24 * 3'600'000;  // what a peer may ask us to wait

}  // namespace

AuthorityFollower::AuthorityFollower(const std::string& directory, crypto::CurrentTrust* trust,
                                     CertificateRenewal* renewal, const Clock* clock)
    : pki_(client::PkiDirectory(directory)), trust_(*trust), renewal_(*renewal), clock_(*clock) {}

std::vector<std::string> AuthorityFollower::Trusted() { return trust_.Get()->TrustedDigests(); }

// What cannot be followed is no reason to stop: those that are trusted still are.
bool AuthorityFollower::Take(const v1::AuthorityList& list) {
  const absl::StatusOr<bool> changed = Adopt(list);
  if (!changed.ok()) Log(LogLevel::kError, "authority_refused", {{"why", changed.status().ToString()}});
  return changed.ok() && *changed;
}

absl::StatusOr<bool> AuthorityFollower::Adopt(const v1::AuthorityList& list) {
  if (list.authorities().empty()) return false;
  TRB_ASSIGN_OR_RETURN(const crypto::Credential own, pki_.Load());
  TRB_ASSIGN_OR_RETURN(const crypto::TrustList trust, rpc::AdoptFrom(list, own.trust, own.certificate, clock_.Now()));
  TRB_ASSIGN_OR_RETURN(const bool changed, pki_.InstallTrust(trust));
  if (changed) {
    trust_.Set(trust);
    Log(LogLevel::kInfo, "authorities_changed",
        {{"active", trust.active().sha256()}, {"trusted", trust.trusted().size()}, {"past", trust.past().size()}});
  }
  const auto within = absl::Milliseconds(static_cast<int64_t>(std::min(list.renew_within_ms(), kLongestMs)));
  renewal_.ReissueAfter(rpc::ReissueAfter(own.certificate, trust, within));
  return changed;
}

std::string AuthorityFollower::Fault() {
  const auto own = pki_.Load();
  if (!own.ok() || own->certificate.IssuedBy(own->trust.active())) return "";
  return "this client's certificate is of an authority that the federation is replacing: if it has been retired since, "
         "ask the operator for a new invitation (`tributary client invite NAME --replace`) and join again";
}

}  // namespace tributary::session
