#include "server/identity/rotation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/rpc/authority_list.h"
#include "server/identity/ca.h"

namespace tributary::identity {
namespace {

using State = crypto::AuthorityNews::State;

constexpr uint64_t kRenewalEachMs = 50, kLeastRenewalMs = 1000, kMostRenewalMs = 3'600'000;

std::string NameOf(const Member& member) { return absl::StrCat(std::string(RoleName(member.role)), " ", member.name); }

// Those that are good by their date. What cannot be read is nobody's.
std::vector<crypto::Certificate> Good(const Member& member, absl::Time now) {
  std::vector<crypto::Certificate> out;
  for (const std::string& pem : member.certificate_pems) {
    auto certificate = crypto::Certificate::FromPem(pem);
    if (certificate.ok() && now < certificate->not_after()) out.push_back(*std::move(certificate));
  }
  return out;
}

bool Trusts(const Member& member, const std::string& sha256) {
  return std::find(member.trusts.begin(), member.trusts.end(), sha256) != member.trusts.end();
}

uint64_t CountOf(const crypto::Certificate& authority, const Member& member, absl::Time now) {
  const auto good = Good(member, now);
  return static_cast<uint64_t>(
      std::count_if(good.begin(), good.end(), [&](const crypto::Certificate& c) { return c.IssuedBy(authority); }));
}

}  // namespace

std::vector<AuthorityStanding> Standings(const AuthoritySet& set, const std::vector<Member>& members, absl::Time now) {
  std::vector<AuthorityStanding> out;
  for (const crypto::AuthorityNews& one : set.all) {
    AuthorityStanding& standing = out.emplace_back(AuthorityStanding{one.certificate, one.state});
    for (const Member& member : members) {
      if (Trusts(member, one.certificate.sha256())) ++standing.trusted_by;
      if (one.state != State::kRetired) standing.certificates += CountOf(one.certificate, member, now);
    }
  }
  return out;
}

std::vector<std::string> NotYetTrusting(const std::string& authority_sha256, const std::vector<Member>& members,
                                        absl::Time now) {
  std::vector<std::string> out;
  for (const Member& member : members)
    if (member.role == Role::kClient && !Trusts(member, authority_sha256) && !Good(member, now).empty())
      out.push_back(NameOf(member));
  return out;
}

std::vector<std::string> StillHolding(const crypto::Certificate& authority, const std::vector<Member>& members,
                                      absl::Time now) {
  std::vector<std::string> out;
  for (const Member& member : members) {
    const bool own = member.role == Role::kOperator && member.name == kLocalOperator;
    if (!own && CountOf(authority, member, now) > 0) out.push_back(NameOf(member));
  }
  return out;
}

std::vector<std::string> OfNobody(const crypto::TrustList& trust, const std::vector<Member>& members) {
  std::vector<std::string> out;
  for (const Member& member : members)
    for (const crypto::Certificate& certificate : Good(member, absl::InfinitePast()))
      if (trust.IssuerOf(certificate) == nullptr) out.push_back(certificate.sha256());
  return out;
}

v1::AuthorityList TellAuthorities(const AuthoritySet& set, bool with_past, uint64_t clients) {
  if (set.all.size() < 2) return {};
  std::vector<crypto::AuthorityNews> told;
  for (const crypto::AuthorityNews& one : set.all)
    if (with_past || one.state != State::kRetired) told.push_back(one);
  v1::AuthorityList out = rpc::AuthoritiesToProto(told);
  out.set_renew_within_ms(std::clamp(clients * kRenewalEachMs, kLeastRenewalMs, kMostRenewalMs));
  return out;
}

}  // namespace tributary::identity
