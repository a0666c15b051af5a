#include "common/crypto/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <set>

#include "common/crypto/certificate_issuer.h"
#include "common/crypto/certificate_request.h"
#include "common/crypto/digest.h"
#include "common/crypto/openssl_handles.h"
#include "tests/support/status_matchers.h"

namespace tributary::crypto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr char kForeignRequest[] = R"(-----BEGIN CERTIFICATE REQUEST-----
MIIBBDCBqwIBADASMRAwDgYDVQQDDAdtYWxsb3J5MFkwEwYHKoZIzj0CAQYIKoZI
zj0DAQcDQgAEHtupqrOJs42zSXlTmaAVoYAytY8yRkHMmbMPZ2ZxphnV9f8+Gt4J
O5dii8DXxQ4AMwl1UvYBBBMhCHdVSTYK7qA3MDUGCSqGSIb3DQEJDjEoMCYwJAYD
VR0RBB0wG4YZc3BpZmZlOi8vZXZpbC9jb29yZGluYXRvcjAKBggqhkjOPQQDAgNI
ADBFAiAxjIT23i6AvOoaD25GZUR5UOv59RgsZ3IxeSgRhfPoZgIhAPp7qKQalL7j
5L5NjpGUZTbgLJxoAgWN2u48ETqNv9kG
-----END CERTIFICATE REQUEST-----
)";
constexpr char kP384Request[] = R"(-----BEGIN CERTIFICATE REQUEST-----
MIIBBDCBiwIBADAMMQowCAYDVQQDDAF4MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE
W3g6xmG9vzQak1SSlPGzXNWEZdbmWiWumGQ/ikx7zw24Yhi70V3EIogWq1A3kMJc
8CQhiTUzC/G17nrK0JG6dmcUoRWmttQaDJDj4luC/uy5mZkMayHxsaHq5RDM60+P
oAAwCgYIKoZIzj0EAwIDaAAwZQIxALxlstXXyI5fA/nP4YCiuVED+wvpkg1JRPb4
1VHkoRxgjIVPM4YWmdK6hMlBEtLFCQIwcwID5XgW20RvbYv4gAbigGfy67asEuCa
D2CUnalfeaxvRvu6i6/I1UsHf1dmZo/1
-----END CERTIFICATE REQUEST-----
)";

class CertificateTest : public ::testing::Test {
 protected:
  CertificateTerms Terms(CertificateUse use) const {
    CertificateTerms terms;
    terms.use = use;
    terms.common_name = "somebody";
    terms.serial = std::string(16, '\xff');
    terms.not_before = start_;
    terms.not_after = start_ + absl::Hours(24 * 30);
    return terms;
  }
  Issuer MakeAuthority() const {
    PrivateKey key = *PrivateKey::Generate();
    Certificate certificate = *SelfSign(key, Terms(CertificateUse::kAuthority));
    return {std::move(certificate), std::move(key)};
  }
  // Of what `use` says, as OpenSSL reads it.
  static uint32_t Flags(const Certificate& certificate) {
    return X509_get_extension_flags(certificate.handle().x509.get());
  }
  static uint32_t Usage(const Certificate& certificate) { return X509_get_key_usage(certificate.handle().x509.get()); }
  static uint32_t ExtendedUsage(const Certificate& certificate) {
    return X509_get_extended_key_usage(certificate.handle().x509.get());
  }

  const absl::Time start_ = absl::FromUnixSeconds(1'700'000'000);
  const Issuer authority_ = MakeAuthority();
  const PrivateKey key_ = *PrivateKey::Generate();
};

TEST_F(CertificateTest, SaysWhatItWasMadeFrom) {
  CertificateTerms terms = Terms(CertificateUse::kPeer);
  terms.uris = {"spiffe://f/client/1"};
  terms.dns_names = {"a.example", "localhost"};
  terms.ip_addresses = {"127.0.0.1", "::1"};
  ASSERT_OK_AND_ASSIGN(const Certificate certificate, Issue(authority_, key_.public_key(), terms));
  EXPECT_EQ(certificate.common_name(), "somebody");
  EXPECT_EQ(certificate.serial(), "7f" + std::string(30, 'f'));
  EXPECT_EQ(certificate.not_before(), start_);
  EXPECT_EQ(certificate.not_after(), start_ + absl::Hours(24 * 30));
  EXPECT_THAT(certificate.uris(), ElementsAre("spiffe://f/client/1"));
  EXPECT_THAT(certificate.dns_names(), ElementsAre("a.example", "localhost"));
  EXPECT_THAT(certificate.ip_addresses(), ElementsAre("127.0.0.1", "::1"));
  EXPECT_EQ(certificate.sha256(), Sha256Hex(certificate.ToDer()));
  EXPECT_EQ(certificate.public_key().ToDer(), key_.public_key().ToDer());
  EXPECT_TRUE(certificate.Certifies(key_));
  EXPECT_FALSE(certificate.Certifies(authority_.key));
}

TEST_F(CertificateTest, PemAndDerGoThereAndBack) {
  const Certificate& ca = authority_.certificate;
  EXPECT_EQ(Certificate::FromPem(ca.pem())->sha256(), ca.sha256());
  EXPECT_EQ(Certificate::FromDer(ca.ToDer())->pem(), ca.pem());
}

TEST_F(CertificateTest, WhatIsNoCertificateIsRefused) {
  EXPECT_THAT(Certificate::FromPem(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Certificate::FromPem(std::string(10'000, 'x')), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Certificate::FromPem(key_.ToPem()), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string der = authority_.certificate.ToDer();
  EXPECT_THAT(Certificate::FromDer(der + "x"), StatusIs(absl::StatusCode::kInvalidArgument));
  for (size_t length = 0; length < der.size(); length += 7)
    EXPECT_THAT(Certificate::FromDer(der.substr(0, length)), StatusIs(absl::StatusCode::kInvalidArgument)) << length;
}

TEST_F(CertificateTest, OnlyAnAuthorityIssues) {
  ASSERT_OK_AND_ASSIGN(const Certificate peer, Issue(authority_, key_.public_key(), Terms(CertificateUse::kPeer)));
  EXPECT_TRUE(peer.IssuedBy(authority_.certificate));
  EXPECT_TRUE(authority_.certificate.IssuedBy(authority_.certificate));
  EXPECT_FALSE(peer.IssuedBy(MakeAuthority().certificate));
  // A peer's own key can sign, but what it signs is issued by nobody.
  ASSERT_OK_AND_ASSIGN(const Certificate child,
                       Issue({peer, key_}, PrivateKey::Generate()->public_key(), Terms(CertificateUse::kPeer)));
  EXPECT_FALSE(child.IssuedBy(peer));
}

TEST_F(CertificateTest, EachKindMayDoItsOwnThingOnly) {
  EXPECT_TRUE(Flags(authority_.certificate) & EXFLAG_CA);
  EXPECT_EQ(Usage(authority_.certificate), static_cast<uint32_t>(KU_KEY_CERT_SIGN | KU_CRL_SIGN));
  const struct {
    CertificateUse use;
    uint32_t extended;
  } cases[] = {{CertificateUse::kServer, XKU_SSL_SERVER},
               {CertificateUse::kPeer, XKU_SSL_CLIENT},
               {CertificateUse::kReceipt, 0}};
  for (const auto& [use, extended] : cases) {
    ASSERT_OK_AND_ASSIGN(const Certificate certificate, Issue(authority_, key_.public_key(), Terms(use)));
    EXPECT_FALSE(Flags(certificate) & EXFLAG_CA);
    EXPECT_EQ(Usage(certificate), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
    EXPECT_TRUE(Flags(certificate) & EXFLAG_XKUSAGE);
    EXPECT_EQ(ExtendedUsage(certificate), extended);
    EXPECT_NE(X509_get0_subject_key_id(certificate.handle().x509.get()), nullptr);
    EXPECT_NE(X509_get0_authority_key_id(certificate.handle().x509.get()), nullptr);
  }
}

TEST_F(CertificateTest, EachKindIsKnownByItsUsages) {
  constexpr CertificateUse kAll[] = {CertificateUse::kAuthority, CertificateUse::kServer, CertificateUse::kPeer,
                                     CertificateUse::kReceipt};
  for (const CertificateUse made : kAll) {
    ASSERT_OK_AND_ASSIGN(const Certificate certificate, Issue(authority_, key_.public_key(), Terms(made)));
    for (const CertificateUse asked : kAll)
      EXPECT_EQ(IsMadeFor(certificate, asked), made == asked) << static_cast<int>(made) << static_cast<int>(asked);
  }
}

TEST_F(CertificateTest, TermsThatCannotBeSpelledAreRefused) {
  const auto refused = [&](const CertificateTerms& terms) {
    return Issue(authority_, key_.public_key(), terms).status().code() == absl::StatusCode::kInvalidArgument;
  };
  CertificateTerms terms = Terms(CertificateUse::kServer);
  terms.ip_addresses = {"no address"};
  EXPECT_TRUE(refused(terms));
  terms = Terms(CertificateUse::kServer);
  terms.not_after = terms.not_before;
  EXPECT_TRUE(refused(terms));
  terms = Terms(CertificateUse::kServer);
  terms.serial = "";
  EXPECT_TRUE(refused(terms));
  terms = Terms(CertificateUse::kServer);
  terms.common_name = std::string(65, 'x');
  EXPECT_TRUE(refused(terms));
}

TEST_F(CertificateTest, RenewalIsDueBetweenTwoThirdsAndTheEndAndDiffersByCertificate) {
  std::set<absl::Time> times;
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK_AND_ASSIGN(const Certificate certificate,
                         Issue(authority_, key_.public_key(), Terms(CertificateUse::kPeer)));
    const absl::Time due = RenewalDue(certificate);
    EXPECT_EQ(due, RenewalDue(certificate));
    EXPECT_GE(due, start_ + absl::Hours(24 * 20));
    EXPECT_LE(due, start_ + absl::Hours(24 * 23));
    times.insert(due);
  }
  EXPECT_GT(times.size(), 1u);
}

// ---- requests

TEST_F(CertificateTest, ARequestCarriesItsKey) {
  ASSERT_OK_AND_ASSIGN(const std::string pem, MakeRequestPem(key_));
  ASSERT_OK_AND_ASSIGN(const CertificateRequest request, ParseRequest(pem));
  EXPECT_EQ(request.public_key.ToDer(), key_.public_key().ToDer());
  EXPECT_EQ(request.sha256, ParseRequest(pem)->sha256);
  EXPECT_NE(request.sha256, ParseRequest(*MakeRequestPem(key_))->sha256);
}

TEST_F(CertificateTest, NamesAndExtensionsOfARequestAreIgnored) {
  // It asks for CN=mallory and the coordinator's URI.
  ASSERT_OK_AND_ASSIGN(const CertificateRequest request, ParseRequest(kForeignRequest));
  CertificateTerms terms = Terms(CertificateUse::kPeer);
  terms.uris = {"spiffe://f/client/1"};
  ASSERT_OK_AND_ASSIGN(const Certificate certificate, Issue(authority_, request.public_key, terms));
  EXPECT_EQ(certificate.common_name(), "somebody");
  EXPECT_THAT(certificate.uris(), ElementsAre("spiffe://f/client/1"));
}

TEST_F(CertificateTest, BadRequestsAreRefused) {
  EXPECT_THAT(ParseRequest(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseRequest(std::string(5000, 'x')), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("long")));
  EXPECT_THAT(ParseRequest(kP384Request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256")));
  // One flipped bit inside the key or the signature.
  ASSERT_OK_AND_ASSIGN(std::string pem, MakeRequestPem(key_));
  const size_t middle = pem.find('\n') + 70;
  pem[middle] = pem[middle] == 'A' ? 'B' : 'A';
  EXPECT_THAT(ParseRequest(pem), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tributary::crypto
