#include "common/crypto/trust_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/self_signed.h"

namespace tributary::crypto {
namespace {

using Certificates = std::vector<Certificate>;
using State = AuthorityNews::State;

Certificates::const_iterator Find(const Certificates& all, std::string_view sha256) {
  return std::find_if(all.begin(), all.end(), [&](const Certificate& c) { return c.sha256() == sha256; });
}

bool Holds(const Certificates& all, const Certificate& one) { return Find(all, one.sha256()) != all.end(); }

bool InDate(const Certificate& certificate, absl::Time now) {
  return now >= certificate.not_before() && now < certificate.not_after();
}

std::string JoinedPem(const Certificates& all) {
  std::string out;
  for (const Certificate& certificate : all) out += certificate.pem();
  return out;
}

bool SameAs(const Certificates& a, const Certificates& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Certificate& x, const Certificate& y) { return x.sha256() == y.sha256(); });
}

absl::Status No(std::string_view what) { return absl::PermissionDeniedError(absl::StrCat(std::string(what))); }

// `dates`: the word must be good at `now` too.
bool IsVouchedFor(const AuthorityNews& news, const Certificates& by, const absl::Time* dates) {
  for (const Certificate& cross : news.cross) {
    if (dates != nullptr && (!InDate(cross, *dates) || !InDate(news.certificate, *dates))) continue;
    for (const Certificate& one : by)
      if (CheckCross(cross, one, news.certificate).ok()) return true;
  }
  return false;
}

// One may vouch for the next: until nothing changes.
absl::Status AddNew(const std::vector<AuthorityNews>& news, absl::Time now, Certificates* trusted) {
  for (bool grown = true; grown;) {
    grown = false;
    for (const AuthorityNews& one : news) {
      if (one.state == State::kRetired || Holds(*trusted, one.certificate)) continue;
      if (!IsVouchedFor(one, *trusted, &now)) continue;
      trusted->push_back(one.certificate);
      grown = true;
    }
  }
  for (const AuthorityNews& one : news) {
    if (one.state == State::kRetired || Holds(*trusted, one.certificate)) continue;
    return No(absl::StrCat("the coordinator names the authority ", one.certificate.sha256(),
                           ", which none that is trusted here vouches for"));
  }
  return absl::OkStatus();
}

// The oldest of them goes first when there are too many.
void AddPast(const Certificate& old, Certificates* past) {
  if (past->size() >= kMaxAuthorities) past->erase(past->begin());
  past->push_back(old);
}

void LetGo(const AuthorityNews& retired, const Certificate& own, Certificates* trusted, Certificates* past) {
  const Certificate& old = retired.certificate;
  if (Holds(*past, old)) return;
  if (!Holds(*trusted, old)) {
    if (IsVouchedFor(retired, *trusted, nullptr)) AddPast(old, past);
    return;
  }
  const bool has_younger = std::any_of(trusted->begin(), trusted->end(),
                                       [&](const Certificate& c) { return c.not_before() > old.not_before(); });
  if (!has_younger || own.IssuedBy(old)) return;
  std::erase_if(*trusted, [&](const Certificate& c) { return c.sha256() == old.sha256(); });
  AddPast(old, past);
}

}  // namespace

TrustList::TrustList(std::vector<Certificate> trusted, std::vector<Certificate> past)
    : trusted_(std::move(trusted)), past_(std::move(past)) {
  TRB_CHECK(!trusted_.empty());
}

absl::StatusOr<TrustList> TrustList::FromPem(std::string_view trusted, std::string_view past) {
  TRB_ASSIGN_OR_RETURN(Certificates now, Certificate::AllFromPem(trusted, kMaxAuthorities));
  TRB_ASSIGN_OR_RETURN(Certificates before, Certificate::AllFromPem(past, kMaxAuthorities));
  if (now.empty()) return absl::InvalidArgumentError("there is no certificate of an authority");
  return TrustList(std::move(now), std::move(before));
}

const Certificate* TrustList::IssuerOf(const Certificate& certificate) const {
  for (const Certificate& authority : trusted_)
    if (certificate.IssuedBy(authority)) return &authority;
  return nullptr;
}

bool TrustList::IsOfThePast(const Certificate& certificate) const {
  return std::any_of(past_.begin(), past_.end(), [&](const Certificate& a) { return certificate.IssuedBy(a); });
}

bool TrustList::Trusts(std::string_view authority_sha256) const {
  return Find(trusted_, authority_sha256) != trusted_.end();
}

std::vector<std::string> TrustList::TrustedDigests() const {
  std::vector<std::string> out;
  for (const Certificate& authority : trusted_) out.push_back(authority.sha256());
  return out;
}

std::string TrustList::TrustedPem() const { return JoinedPem(trusted_); }
std::string TrustList::PastPem() const { return JoinedPem(past_); }

bool TrustList::operator==(const TrustList& other) const {
  return SameAs(trusted_, other.trusted_) && SameAs(past_, other.past_);
}

absl::Status CheckCross(const Certificate& cross, const Certificate& by) {
  if (!IsMadeFor(cross, CertificateUse::kAuthority)) return No("the cross certificate is not an authority's");
  if (!cross.IssuedBy(by)) return No("the cross certificate is not signed by the authority that is trusted");
  if (cross.uris().size() != 1 || cross.uris() != by.uris() || cross.common_name() != by.common_name())
    return No("the cross certificate is of another federation");
  if (cross.public_key() == by.public_key()) return No("the cross certificate is for the key that signed it");
  return absl::OkStatus();
}

absl::Status CheckCross(const Certificate& cross, const Certificate& by, const Certificate& authority) {
  TRB_RETURN_IF_ERROR(CheckCross(cross, by));
  if (!IsMadeFor(authority, CertificateUse::kAuthority) || !IsSelfSigned(authority))
    return No("what is vouched for is no authority");
  if (authority.public_key() != cross.public_key()) return No("the cross certificate is for another key");
  if (authority.uris() != cross.uris() || authority.common_name() != cross.common_name())
    return No("the cross certificate is for another name");
  return absl::OkStatus();
}

absl::StatusOr<TrustList> Adopt(const TrustList& before, const Certificate& own, const std::vector<AuthorityNews>& news,
                                absl::Time now) {
  Certificates trusted = before.trusted(), past = before.past();
  TRB_RETURN_IF_ERROR(AddNew(news, now, &trusted));
  for (const AuthorityNews& one : news)
    if (one.state == State::kRetired) LetGo(one, own, &trusted, &past);
  for (const AuthorityNews& one : news) {
    const auto it = Find(trusted, one.certificate.sha256());
    if (one.state != State::kActive || it == trusted.end()) continue;
    const auto place = trusted.begin() + (it - trusted.begin());
    std::rotate(trusted.begin(), place, place + 1);
  }
  return TrustList(std::move(trusted), std::move(past));
}

std::shared_ptr<const TrustList> CurrentTrust::Get() const {
  const MutexLock lock(&mu_);
  return list_;
}

void CurrentTrust::Set(TrustList list) {
  auto fresh = std::make_shared<const TrustList>(std::move(list));
  const MutexLock lock(&mu_);
  list_ = std::move(fresh);
}

}  // namespace tributary::crypto
