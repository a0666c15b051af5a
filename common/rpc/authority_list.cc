#include "common/rpc/authority_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"

namespace tributary::rpc {
namespace {

using State = crypto::AuthorityNews::State;
constexpr int kMostCross = 4;

v1::Authority::State ToProto(State state) {
  switch (state) {
    case State::kStaged:
      return v1::Authority::STAGED;
    case State::kActive:
      return v1::Authority::ACTIVE;
    case State::kRetiring:
      return v1::Authority::RETIRING;
    case State::kRetired:
      return v1::Authority::RETIRED;
  }
  return v1::Authority::STATE_UNSPECIFIED;
}

absl::StatusOr<State> FromProto(v1::Authority::State state) {
  switch (state) {
    case v1::Authority::STAGED:
      return State::kStaged;
    case v1::Authority::ACTIVE:
      return State::kActive;
    case v1::Authority::RETIRING:
      return State::kRetiring;
    case v1::Authority::RETIRED:
      return State::kRetired;
    default:
      return absl::InvalidArgumentError("an authority is in no state that is known here");
  }
}

absl::StatusOr<crypto::AuthorityNews> FromProto(const v1::Authority& authority) {
  TRB_ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::FromPem(authority.certificate_pem()));
  crypto::AuthorityNews out{std::move(certificate), State::kActive, {}};
  TRB_ASSIGN_OR_RETURN(out.state, FromProto(authority.state()));
  if (authority.cross_pem_size() > kMostCross) return absl::InvalidArgumentError("too many cross certificates");
  for (const std::string& pem : authority.cross_pem()) {
    TRB_ASSIGN_OR_RETURN(crypto::Certificate cross, crypto::Certificate::FromPem(pem));
    out.cross.push_back(std::move(cross));
  }
  return out;
}

}  // namespace

v1::AuthorityList AuthoritiesToProto(const std::vector<crypto::AuthorityNews>& news) {
  v1::AuthorityList out;
  for (const crypto::AuthorityNews& one : news) {
    if (static_cast<size_t>(out.authorities_size()) == crypto::kMaxAuthorities) break;
    v1::Authority& authority = *out.add_authorities();
    authority.set_certificate_pem(one.certificate.pem());
    authority.set_state(ToProto(one.state));
    for (size_t i = 0; i < one.cross.size() && i < kMostCross; ++i) authority.add_cross_pem(one.cross[i].pem());
  }
  return out;
}

absl::StatusOr<std::vector<crypto::AuthorityNews>> AuthoritiesFromProto(const v1::AuthorityList& list) {
  if (static_cast<size_t>(list.authorities_size()) > crypto::kMaxAuthorities)
    return absl::InvalidArgumentError("too many authorities");
  std::vector<crypto::AuthorityNews> out;
  for (const v1::Authority& authority : list.authorities()) {
    TRB_ASSIGN_OR_RETURN(crypto::AuthorityNews one, FromProto(authority));
    out.push_back(std::move(one));
  }
  return out;
}

absl::StatusOr<crypto::TrustList> AdoptFrom(const v1::AuthorityList& list, const crypto::TrustList& before,
                                            const crypto::Certificate& own, absl::Time now) {
  TRB_ASSIGN_OR_RETURN(const std::vector<crypto::AuthorityNews> news, AuthoritiesFromProto(list));
  return crypto::Adopt(before, own, news, now);
}

absl::Duration ReissueAfter(const crypto::Certificate& own, const crypto::TrustList& trust, absl::Duration within) {
  if (own.IssuedBy(trust.active())) return absl::InfiniteDuration();
  const double share = LoadLe32(crypto::Sha256("tributary/reissue/" + own.sha256()).data()) / 4294967296.0;
  return within * share;
}

}  // namespace tributary::rpc
