#include "common/crypto/credential_directory.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/files.h"
#include "common/crypto/certificate_request.h"

namespace tributary::crypto {
namespace {

constexpr size_t kVersionsKept = 2;
constexpr uint64_t kMaxBundleBytes = kMaxAuthorities * kMaxCertificatePemBytes;

// Newest first. Whatever is not a number is not ours and is left alone.
std::vector<uint64_t> Versions(const std::string& directory) {
  std::vector<uint64_t> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    uint64_t number = 0;
    if (absl::SimpleAtoi(it->path().filename().string(), &number)) out.push_back(number);
  }
  std::sort(out.rbegin(), out.rend());
  return out;
}

absl::Status WriteVersion(const std::string& directory, const Credential& credential) {
  TRB_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  TRB_RETURN_IF_ERROR(credential.key.Store(directory + "/key.pem"));
  std::string shown = credential.certificate.pem();
  for (const Certificate& more : credential.chain) shown += more.pem();
  TRB_RETURN_IF_ERROR(WriteFileDurably(directory + "/certificate.pem", shown));
  TRB_RETURN_IF_ERROR(WriteFileDurably(directory + "/ca.pem", credential.trust.TrustedPem()));
  const std::string past = credential.trust.PastPem(), path = directory + "/past.pem";
  return past.empty() ? RemoveFile(path) : WriteFileDurably(path, past);
}

absl::StatusOr<TrustList> ReadTrust(const std::string& trusted_path, const std::string& past_path) {
  TRB_ASSIGN_OR_RETURN(const std::string trusted, ReadFile(trusted_path, kMaxBundleBytes));
  auto past = ReadFile(past_path, kMaxBundleBytes);
  if (absl::IsNotFound(past.status())) past = "";
  TRB_RETURN_IF_ERROR(past.status());
  auto list = TrustList::FromPem(trusted, *past);
  if (!list.ok()) return Annotate(list.status(), trusted_path);
  return list;
}

// rename() replaces the link in one step; symlink() cannot.
absl::Status SwapLink(const std::string& root, const std::string& target) {
  const std::string fresh = root + "/current.new";
  TRB_RETURN_IF_ERROR(RemoveFile(fresh));
  if (symlink(target.c_str(), fresh.c_str()) != 0) return ErrnoToStatus(errno, absl::StrCat("link ", fresh));
  TRB_FAIL_POINT("credential.link", root);
  const std::string current = root + "/current";
  if (rename(fresh.c_str(), current.c_str()) != 0) return ErrnoToStatus(errno, absl::StrCat("rename to ", current));
  TRB_FAIL_POINT("credential.swapped", root);
  TRB_RETURN_IF_ERROR(SyncDirectory(root));
  TRB_FAIL_POINT("credential.installed", root);
  return absl::OkStatus();
}

absl::Status CheckBelongTogether(const Credential& credential) {
  if (!credential.certificate.Certifies(credential.key))
    return absl::InvalidArgumentError("the certificate is not for this key");
  if (credential.trust.IssuerOf(credential.certificate) == nullptr)
    return absl::InvalidArgumentError("the certificate is not signed by this CA");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Credential> CredentialDirectory::Load() const {
  TRB_ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::Load(key_path()));
  TRB_ASSIGN_OR_RETURN(const std::string pem, ReadFile(certificate_path(), kMaxBundleBytes));
  auto shown = Certificate::AllFromPem(pem, kMaxAuthorities);
  if (shown.ok() && shown->empty()) shown = absl::InvalidArgumentError("there is no certificate");
  if (!shown.ok()) return Annotate(shown.status(), certificate_path());
  TRB_ASSIGN_OR_RETURN(TrustList trust, LoadTrust());
  Credential out{std::move(key), shown->front(), std::move(trust), {shown->begin() + 1, shown->end()}};
  TRB_RETURN_IF_ERROR(Annotate(CheckBelongTogether(out), root_));
  return out;
}

absl::StatusOr<std::string> CredentialDirectory::InstalledVersion() const {
  const std::string link = root_ + "/current";
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(link, error);
  if (error) return ErrnoToStatus(error.value(), absl::StrCat("read ", link));
  return target.string();
}

absl::StatusOr<TrustList> CredentialDirectory::LoadTrust() const { return ReadTrust(ca_path(), past_path()); }

absl::Status CredentialDirectory::Install(const Credential& credential) {
  TRB_RETURN_IF_ERROR(Annotate(CheckBelongTogether(credential), root_));
  TRB_RETURN_IF_ERROR(MakeDirectories(root_, 0700));
  const std::string versions = root_ + "/versions";
  TRB_RETURN_IF_ERROR(MakeDirectories(versions, 0700));
  const std::vector<uint64_t> before = Versions(versions);
  const std::string name = absl::StrCat(before.empty() ? 1 : before.front() + 1);
  TRB_RETURN_IF_ERROR(WriteVersion(absl::StrCat(versions, "/", name), credential));
  TRB_RETURN_IF_ERROR(SyncDirectory(versions));
  TRB_RETURN_IF_ERROR(SwapLink(root_, absl::StrCat("versions/", name)));
  // Tidying up is not worth failing for: the new version is in place.
  for (size_t i = kVersionsKept - 1; i < before.size(); ++i) {
    std::error_code ignored;
    std::filesystem::remove_all(absl::StrCat(versions, "/", before[i]), ignored);
  }
  return absl::OkStatus();
}

bool CredentialDirectory::HasPending() const { return FileExists(root_ + "/pending/request.pem"); }

absl::StatusOr<PendingRequest> CredentialDirectory::PreparePending() {
  const std::string pending = root_ + "/pending", request_path = pending + "/request.pem";
  if (HasPending()) {
    TRB_ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::Load(pending + "/key.pem"));
    TRB_ASSIGN_OR_RETURN(std::string request, ReadFile(request_path, kMaxRequestPemBytes));
    TRB_ASSIGN_OR_RETURN(const CertificateRequest parsed, ParseRequest(request));
    if (parsed.public_key != key.public_key())
      return absl::InvalidArgumentError(absl::StrCat(pending, ": key and request differ; remove this directory"));
    return PendingRequest{std::move(key), std::move(request)};
  }
  TRB_RETURN_IF_ERROR(MakeDirectories(root_, 0700));
  TRB_RETURN_IF_ERROR(MakeDirectories(pending, 0700));
  TRB_FAIL_POINT("credential.pending_made", root_);
  TRB_RETURN_IF_ERROR(SyncDirectory(root_));
  TRB_ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::Generate());
  TRB_ASSIGN_OR_RETURN(std::string request, MakeRequestPem(key));
  // The request is written last: once it is there, so is its key.
  TRB_RETURN_IF_ERROR(key.Store(pending + "/key.pem"));
  TRB_RETURN_IF_ERROR(WriteFileDurably(request_path, request));
  return PendingRequest{std::move(key), std::move(request)};
}

absl::Status CredentialDirectory::InstallPending(const Certificate& certificate, const TrustList& trust) {
  auto key = PrivateKey::Load(root_ + "/pending/key.pem");
  if (absl::IsNotFound(key.status())) return absl::FailedPreconditionError(absl::StrCat(root_, ": no key is pending"));
  TRB_RETURN_IF_ERROR(key.status());
  return Install(Credential{*std::move(key), certificate, trust, {}});
}

absl::StatusOr<bool> CredentialDirectory::InstallTrust(const TrustList& trust) {
  TRB_ASSIGN_OR_RETURN(Credential credential, Load());
  if (credential.trust == trust) return false;
  credential.trust = trust;
  TRB_RETURN_IF_ERROR(Install(credential));
  return true;
}

absl::Status CredentialDirectory::DropPending() {
  const std::string pending = root_ + "/pending";
  TRB_FAIL_POINT("credential.pending_drop", root_);
  TRB_RETURN_IF_ERROR(RemoveFile(pending + "/request.pem"));
  TRB_FAIL_POINT("credential.pending_request_gone", root_);
  TRB_RETURN_IF_ERROR(RemoveFile(pending + "/key.pem"));
  if (rmdir(pending.c_str()) != 0 && errno != ENOENT) return ErrnoToStatus(errno, absl::StrCat("remove ", pending));
  return absl::OkStatus();
}

}  // namespace tributary::crypto
