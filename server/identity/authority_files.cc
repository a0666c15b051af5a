#include "server/identity/authority_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/fail_point.h"
#include "common/base/files.h"
#include "server/identity/ca.h"

namespace tributary::identity {
namespace {

namespace fs = std::filesystem;
using State = crypto::AuthorityNews::State;

constexpr size_t kSerialBytes = 16;
constexpr const char* kLinks[] = {"/link.crt", "/back.crt"};

struct Places {
  explicit Places(const std::string& directory)
      : pki(directory + "/pki"),
        active(pki + "/ca"),
        next(pki + "/ca.next"),
        making(pki + "/ca.next.making"),
        old(pki + "/ca.old"),
        retired(pki + "/ca.retired") {}
  const std::string pki, active, next, making, old, retired;
};

absl::StatusOr<std::unique_ptr<DirectoryLock>> Lock(const Places& places) {
  auto lock = DirectoryLock::Acquire(places.pki);
  if (!absl::IsFailedPrecondition(lock.status())) return lock;
  return WithFix(absl::FailedPreconditionError(lock.status().message()),
                 "another `ca` command, or a coordinator that takes one in, is at work for a moment: try again");
}

absl::Status Rename(const std::string& from, const std::string& to, const Places& places) {
  TRB_FAIL_POINT("authority.rename", to);
  if (rename(from.c_str(), to.c_str()) != 0) return ErrnoToStatus(errno, absl::StrCat("rename ", from, " to ", to));
  TRB_FAIL_POINT("authority.renamed", to);
  TRB_RETURN_IF_ERROR(SyncDirectory(places.pki));
  return PassFailPoint("authority.in_place", to);
}

absl::StatusOr<std::vector<std::string>> RetiredDirectories(const Places& places) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(places.retired, error), end; !error && it != end; it.increment(error))
    out.push_back(it->path().string());
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoToStatus(error.value(), absl::StrCat("read ", places.retired));
  std::sort(out.begin(), out.end());
  return out;
}

// A retired authority has no key any more.
absl::Status DeleteRetiredKeys(const Places& places) {
  TRB_ASSIGN_OR_RETURN(const std::vector<std::string> retired, RetiredDirectories(places));
  for (const std::string& directory : retired) {
    if (!FileExists(directory + "/ca.key")) continue;
    TRB_RETURN_IF_ERROR(RemoveFile(directory + "/ca.key"));
    TRB_FAIL_POINT("authority.key_deleted", directory);
    TRB_RETURN_IF_ERROR(SyncDirectory(directory));
  }
  return absl::OkStatus();
}

// Whatever a kill left half done is ended, or, where nothing had been decided yet, taken back.
absl::Status Settle(const Places& places) {
  std::error_code error;
  fs::remove_all(places.making, error);
  if (!FileExists(places.active) && FileExists(places.next) && FileExists(places.old))
    TRB_RETURN_IF_ERROR(Rename(places.next, places.active, places));
  return DeleteRetiredKeys(places);
}

struct Named {
  crypto::AuthorityNews news;
  std::vector<crypto::Certificate> links;  // that lie beside it, whoever's they are
};

absl::StatusOr<Named> ReadOne(const std::string& directory, State state) {
  TRB_ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Load(directory + "/ca.crt"));
  Named out{{std::move(certificate), state, {}}, {}};
  for (const char* name : kLinks) {
    auto link = crypto::Certificate::Load(directory + name);
    if (absl::IsNotFound(link.status())) continue;
    TRB_RETURN_IF_ERROR(link.status());
    out.links.push_back(*std::move(link));
  }
  return out;
}

absl::StatusOr<std::vector<Named>> ReadAll(const Places& places, const std::string& active) {
  std::vector<Named> all;
  const auto add = [&all](const std::string& directory, State state) -> absl::Status {
    TRB_ASSIGN_OR_RETURN(Named one, ReadOne(directory, state));
    all.push_back(std::move(one));
    return absl::OkStatus();
  };
  TRB_RETURN_IF_ERROR(add(active, State::kActive));
  if (active != places.next && FileExists(places.next)) TRB_RETURN_IF_ERROR(add(places.next, State::kStaged));
  if (FileExists(places.old)) TRB_RETURN_IF_ERROR(add(places.old, State::kRetiring));
  const size_t first_retired = all.size();
  TRB_ASSIGN_OR_RETURN(const std::vector<std::string> retired, RetiredDirectories(places));
  for (const std::string& directory : retired) TRB_RETURN_IF_ERROR(add(directory, State::kRetired));
  std::stable_sort(
      all.begin() + static_cast<std::ptrdiff_t>(first_retired), all.end(),
      [](const Named& a, const Named& b) { return a.news.certificate.not_before() > b.news.certificate.not_before(); });
  return all;
}

// A link is listed with the authority whose key it carries, wherever it lies.
std::vector<crypto::AuthorityNews> WithLinks(std::vector<Named> all) {
  for (Named& one : all) {
    const crypto::PublicKey key = one.news.certificate.public_key();
    for (const Named& beside : all)
      for (const crypto::Certificate& link : beside.links)
        if (link.public_key() == key) one.news.cross.push_back(link);
  }
  std::vector<crypto::AuthorityNews> out;
  for (Named& one : all) out.push_back(std::move(one.news));
  return out;
}

absl::StatusOr<AuthoritySet> Read(const Places& places) {
  const bool between = !FileExists(places.active) && FileExists(places.next) && FileExists(places.old);
  const std::string& active = between ? places.next : places.active;
  TRB_ASSIGN_OR_RETURN(crypto::Issuer issuer, LoadIssuer(active + "/ca.key", active + "/ca.crt"));
  TRB_ASSIGN_OR_RETURN(std::vector<Named> all, ReadAll(places, active));
  return AuthoritySet{std::move(issuer), WithLinks(std::move(all))};
}

crypto::CertificateTerms TermsFor(const std::string& federation, absl::Time now, crypto::SecureRandom& random) {
  crypto::CertificateTerms terms;
  terms.use = crypto::CertificateUse::kAuthority;
  terms.common_name = absl::StrCat("Tributary federation ", federation);
  terms.serial = random.Bytes(kSerialBytes);
  terms.not_before = now - kClockSkew;
  terms.not_after = now + kAuthorityLife;
  terms.uris = {absl::StrCat("spiffe://", federation)};
  return terms;
}

absl::StatusOr<crypto::Issuer> MakeAuthority(const std::string& federation, absl::Time now,
                                             crypto::SecureRandom& random) {
  TRB_ASSIGN_OR_RETURN(crypto::PrivateKey key, crypto::PrivateKey::Generate());
  TRB_ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::SelfSign(key, TermsFor(federation, now, random)));
  return crypto::Issuer{std::move(certificate), std::move(key)};
}

absl::Status StoreAuthority(const std::string& directory, const crypto::Issuer& authority) {
  TRB_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  TRB_RETURN_IF_ERROR(authority.key.Store(directory + "/ca.key"));
  return WriteFileDurably(directory + "/ca.crt", authority.certificate.pem());
}

// The word of `by` for the key of `other`, no longer than either lives.
absl::StatusOr<crypto::Certificate> Vouch(const crypto::Issuer& by, const crypto::Issuer& other,
                                          crypto::CertificateTerms terms) {
  terms.not_after = std::min(by.certificate.not_after(), other.certificate.not_after());
  return crypto::Issue(by, other.key.public_key(), terms);
}

}  // namespace

absl::StatusOr<crypto::Issuer> LoadIssuer(const std::string& key_path, const std::string& certificate_path) {
  TRB_ASSIGN_OR_RETURN(crypto::PrivateKey key, crypto::PrivateKey::Load(key_path));
  TRB_ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Load(certificate_path));
  if (!certificate.Certifies(key))
    return absl::InvalidArgumentError(absl::StrCat(certificate_path, " is not the certificate of ", key_path));
  return crypto::Issuer{std::move(certificate), std::move(key)};
}

const crypto::AuthorityNews* AuthoritySet::Find(State state) const {
  for (const crypto::AuthorityNews& one : all)
    if (one.state == state) return &one;
  return nullptr;
}

crypto::TrustList AuthoritySet::Trust() const {
  std::vector<crypto::Certificate> trusted, past;
  for (const crypto::AuthorityNews& one : all)
    (one.state == State::kRetired ? past : trusted).push_back(one.certificate);
  if (past.size() > crypto::kMaxAuthorities) past.erase(past.begin() + crypto::kMaxAuthorities, past.end());
  return crypto::TrustList(std::move(trusted), std::move(past));
}

std::vector<crypto::Certificate> AuthoritySet::Chain() const {
  std::vector<crypto::Certificate> out;
  const crypto::AuthorityNews* const retiring = Find(State::kRetiring);
  if (retiring == nullptr) return out;
  for (const crypto::Certificate& cross : all.front().cross)
    if (crypto::CheckCross(cross, retiring->certificate).ok()) out.push_back(cross);
  return out;
}

absl::Status MakeFirstAuthority(const std::string& directory, const std::string& federation, const Clock& clock,
                                crypto::SecureRandom& random) {
  TRB_ASSIGN_OR_RETURN(const crypto::Issuer made, MakeAuthority(federation, clock.Now(), random));
  return StoreAuthority(Places(directory).active, made);
}

absl::StatusOr<AuthoritySet> LoadAuthorities(const std::string& directory) {
  const Places places(directory);
  TRB_ASSIGN_OR_RETURN(const auto lock, Lock(places));
  TRB_RETURN_IF_ERROR(Settle(places));
  return Read(places);
}

absl::StatusOr<AuthoritySet> PeekAuthorities(const std::string& directory) { return Read(Places(directory)); }

absl::Status StageAuthority(const std::string& directory, const std::string& federation, const Clock& clock,
                            crypto::SecureRandom& random) {
  const Places places(directory);
  TRB_ASSIGN_OR_RETURN(const auto lock, Lock(places));
  TRB_RETURN_IF_ERROR(Settle(places));
  if (FileExists(places.next)) return absl::OkStatus();
  if (FileExists(places.old))
    return WithFix(absl::FailedPreconditionError("the authority before this one is not retired yet"),
                   absl::StrCat("retire it first: tributary-coordinator ca retire --dir ", directory));
  TRB_ASSIGN_OR_RETURN(const AuthoritySet set, Read(places));
  const absl::Time now = clock.Now();
  TRB_ASSIGN_OR_RETURN(const crypto::Issuer made, MakeAuthority(federation, now, random));
  TRB_ASSIGN_OR_RETURN(const auto link, Vouch(set.issuer, made, TermsFor(federation, now, random)));
  TRB_ASSIGN_OR_RETURN(const auto back, Vouch(made, set.issuer, TermsFor(federation, now, random)));
  TRB_RETURN_IF_ERROR(StoreAuthority(places.making, made));
  TRB_RETURN_IF_ERROR(WriteFileDurably(places.making + kLinks[0], link.pem()));
  TRB_RETURN_IF_ERROR(WriteFileDurably(places.making + kLinks[1], back.pem()));
  return Rename(places.making, places.next, places);
}

absl::Status ActivateAuthority(const std::string& directory) {
  const Places places(directory);
  TRB_ASSIGN_OR_RETURN(const auto lock, Lock(places));
  TRB_RETURN_IF_ERROR(Settle(places));
  if (!FileExists(places.next)) {
    if (FileExists(places.old)) return absl::OkStatus();  // done before
    return WithFix(absl::FailedPreconditionError("no authority is staged"),
                   absl::StrCat("stage one first: tributary-coordinator ca stage --dir ", directory));
  }
  TRB_RETURN_IF_ERROR(Rename(places.active, places.old, places));
  return Rename(places.next, places.active, places);
}

absl::Status RetireAuthority(const std::string& directory) {
  const Places places(directory);
  TRB_ASSIGN_OR_RETURN(const auto lock, Lock(places));
  TRB_RETURN_IF_ERROR(Settle(places));
  if (!FileExists(places.old)) {
    TRB_ASSIGN_OR_RETURN(const std::vector<std::string> retired, RetiredDirectories(places));
    if (!retired.empty() && !FileExists(places.next)) return absl::OkStatus();  // done before
    return WithFix(absl::FailedPreconditionError("no authority is on its way out"),
                   "an authority is retired after another was staged and activated in its place");
  }
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate old, crypto::Certificate::Load(places.old + "/ca.crt"));
  TRB_RETURN_IF_ERROR(MakeDirectories(places.retired, 0700));
  TRB_RETURN_IF_ERROR(Rename(places.old, absl::StrCat(places.retired, "/", old.sha256()), places));
  TRB_RETURN_IF_ERROR(SyncDirectory(places.retired));
  return DeleteRetiredKeys(places);
}

}  // namespace tributary::identity
