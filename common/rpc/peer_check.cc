#include "common/rpc/peer_check.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/self_signed.h"

namespace tributary::rpc {
namespace {

// The same address may be spelled in several ways.
std::string Normal(const std::string& host) {
  for (const int family : {AF_INET, AF_INET6}) {
    unsigned char bytes[16];
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(family, host.c_str(), bytes) == 1 && inet_ntop(family, bytes, text, sizeof text) != nullptr)
      return text;
  }
  return absl::AsciiStrToLower(host);
}

bool Names(const std::vector<std::string>& names, const std::string& host) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return Normal(name) == host; });
}

absl::Status CheckHost(const crypto::Certificate& shown, const std::string& host) {
  const std::string wanted = Normal(host);
  if (Names(shown.dns_names(), wanted) || Names(shown.ip_addresses(), wanted)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("its certificate names ", absl::StrJoin(shown.dns_names(), ", "), " ",
                                                  absl::StrJoin(shown.ip_addresses(), ", "), ", not ", host,
                                                  ": dial it by a name that the certificate carries"));
}

std::string Apart(absl::Duration d) {
  const int64_t seconds = absl::ToInt64Seconds(d);
  if (seconds < 120) return absl::StrCat(seconds, " seconds");
  if (seconds < 7200) return absl::StrCat(seconds / 60, " minutes");
  return seconds < 172800 ? absl::StrCat(seconds / 3600, " hours") : absl::StrCat(seconds / 86400, " days");
}

absl::Status CheckDates(const crypto::Certificate& shown, absl::Time now) {
  if (now < shown.not_before())
    return absl::FailedPreconditionError(
        absl::StrCat("its certificate is not valid before ", DateText(shown.not_before()),
                     ", and the clock of this machine says ", DateText(now), ": it is behind by at least ",
                     Apart(shown.not_before() - now), ", or the coordinator's is ahead"));
  if (now >= shown.not_after())
    return absl::FailedPreconditionError(absl::StrCat("its certificate expired at ", DateText(shown.not_after()),
                                                      ", and the clock of this machine says ", DateText(now),
                                                      ": it is ahead by at least ", Apart(now - shown.not_after()),
                                                      ", or the coordinator has not renewed its certificate"));
  return absl::OkStatus();
}

absl::Status CheckIssuer(const crypto::Certificate& shown, const crypto::TrustList& trust) {
  if (trust.Trusts(shown.sha256())) return absl::PermissionDeniedError("it shows the authority's own certificate");
  if (trust.IssuerOf(shown) != nullptr) return absl::OkStatus();
  if (trust.IsOfThePast(shown))
    return absl::PermissionDeniedError("its certificate is of an authority that this federation has retired");
  return absl::PermissionDeniedError(crypto::IsSelfSigned(shown)
                                         ? "its certificate is signed by itself, not by this federation's authority"
                                         : "its certificate is not signed by this federation's authority");
}

// Signed by an authority that one of `trust` vouches for in what the server shows beside it.
bool IsVouchedFor(const ShownByServer& shown, const crypto::TrustList& trust, absl::Time now) {
  for (const crypto::Certificate& cross : shown.chain) {
    if (now < cross.not_before() || now >= cross.not_after()) continue;
    for (const crypto::Certificate& authority : trust.trusted())
      if (crypto::CheckCross(cross, authority).ok() && shown.certificate.IssuedBy(cross)) return true;
  }
  return false;
}

// Who was not there when the authority was replaced should hear of that.
absl::Status CheckServersIssuer(const ShownByServer& shown, const crypto::TrustList& trust, absl::Time now) {
  const absl::Status issued = CheckIssuer(shown.certificate, trust);
  if (issued.ok() || IsVouchedFor(shown, trust, now)) return absl::OkStatus();
  const bool foreign = shown.certificate.uris().size() != 1 ||
                       !absl::StartsWith(shown.certificate.uris()[0], absl::StrCat(FederationUri(trust.active()), "/"));
  if (foreign || crypto::IsSelfSigned(shown.certificate) || trust.IsOfThePast(shown.certificate)) return issued;
  return absl::PermissionDeniedError(
      absl::StrCat(issued.message(),
                   " as this machine knows it: either it is another server, or the authority was "
                   "replaced while this machine was away and a new invitation is needed"));
}

}  // namespace

std::string FederationUri(const crypto::Certificate& ca) { return ca.uris().size() == 1 ? ca.uris()[0] : ""; }

std::string DateText(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

absl::Status CheckServer(const ShownByServer& server, const crypto::TrustList& trust, Listener listener,
                         const std::string& host, absl::Time now) {
  const crypto::Certificate& shown = server.certificate;
  TRB_RETURN_IF_ERROR(CheckServersIssuer(server, trust, now));
  if (!crypto::IsMadeFor(shown, crypto::CertificateUse::kServer))
    return absl::PermissionDeniedError("its certificate is not a server's");
  const std::string federation = FederationUri(trust.active());
  const std::string uri = absl::StrCat(federation, listener == Listener::kMain ? "/coordinator" : "/enrol");
  if (federation.empty() || shown.uris() != std::vector<std::string>{uri})
    return absl::PermissionDeniedError(absl::StrCat("its certificate is of ", absl::StrJoin(shown.uris(), ", "),
                                                    ", not of ", uri,
                                                    ": is this the other port, or a coordinator of an older version?"));
  TRB_RETURN_IF_ERROR(CheckHost(shown, host));
  return CheckDates(shown, now);
}

absl::Status CheckMember(const crypto::Certificate& shown, const crypto::TrustList& trust) {
  TRB_RETURN_IF_ERROR(CheckIssuer(shown, trust));
  if (!crypto::IsMadeFor(shown, crypto::CertificateUse::kPeer))
    return absl::PermissionDeniedError("its certificate is not a client's or an operator's");
  const std::string federation = FederationUri(trust.active());
  if (!federation.empty() && shown.uris().size() == 1) {
    absl::string_view rest = shown.uris()[0];
    if (absl::ConsumePrefix(&rest, federation) &&
        (absl::StartsWith(rest, "/client/") || absl::StartsWith(rest, "/operator/")))
      return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat("its certificate is of ", absl::StrJoin(shown.uris(), ", "),
                                                  ", which is no client or operator of this federation"));
}

}  // namespace tributary::rpc
