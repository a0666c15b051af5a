#include "server/identity/federation_init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/files.h"
#include "common/rpc/enrolment_client.h"
#include "server/identity/ca.h"
#include "server/identity/certificate_renewal.h"
#include "tests/server/identity/fake_identity_store.h"
#include "tests/server/identity/identity_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::identity {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

TEST(FederationTest, AddressesAreReadAndSpelled) {
  EXPECT_EQ(ParseHostPort("example.org:7443")->host, "example.org");
  EXPECT_EQ(ParseHostPort("example.org:7443")->port, 7443);
  EXPECT_EQ(ParseHostPort("[::1]:0")->host, "::1");
  for (const char* bad : {"", "host", "host:", ":1", "host:x", "host:65536", "::1:7443", "host:-1", "host:123456"})
    EXPECT_THAT(ParseHostPort(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  EXPECT_EQ(JoinHostPort("::1", 5), "[::1]:5");
  EXPECT_EQ(JoinHostPort("a.b", 5), "a.b:5");
}

TEST(FederationTest, TheServerIsNamedByHostAdvertisedHostAndLoopback) {
  Federation federation;
  federation.host = "coordinator.example";
  EXPECT_THAT(ServerNames(federation), ElementsAre("coordinator.example", "localhost", "127.0.0.1", "::1"));
  federation.advertise = "public.example:443";
  EXPECT_THAT(ServerNames(federation), Contains("public.example"));
  federation.host = "localhost";
  federation.advertise = "";
  EXPECT_THAT(ServerNames(federation), ElementsAre("localhost", "127.0.0.1", "::1"));
}

TEST(FederationTest, AMissingFileSaysToInitialise) {
  const testing::TempDir dir;
  EXPECT_THAT(LoadFederation(dir.path()), StatusIs(absl::StatusCode::kNotFound));
  dir.Write("federation.json", "{\"id\": 5}");
  EXPECT_THAT(LoadFederation(dir.path()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("federation.json")));
  dir.Write("federation.json", "not json");
  EXPECT_THAT(LoadFederation(dir.path()), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(FederationInitTest, MakesEverythingAndKeepsTheKeysPrivate) {
  testing::TestFederation made;
  const std::string dir = made.directory();
  for (const char* key : {"/pki/ca/ca.key", "/pki/receipt/receipt.key", "/pki/server/current/key.pem",
                          "/pki/operator/current/key.pem", "/pki/operator/identity.json", "/federation.json"})
    EXPECT_EQ(ModeOf(dir + key), 0600u) << key;
  for (const char* folder : {"/pki", "/pki/ca", "/pki/receipt", "/pki/server", "/pki/operator"})
    EXPECT_EQ(ModeOf(dir + folder), 0700u) << folder;
  ASSERT_OK_AND_ASSIGN(const Federation loaded, LoadFederation(dir));
  EXPECT_EQ(loaded.id, made.federation().id);
  EXPECT_EQ(loaded.id.size(), 16u);
  EXPECT_EQ(loaded.host, "coordinator.example");
}

TEST(FederationInitTest, CertificatesAreAsTheDesignSays) {
  testing::TestFederation made;
  const absl::Time now = made.clock().Now();
  const crypto::Certificate& ca = made.authority().certificate();
  EXPECT_GE(ca.not_after(), now + absl::Hours(24 * 3652));
  ASSERT_OK_AND_ASSIGN(const auto server, ServerCredentialDirectory(made.directory()).Load());
  EXPECT_TRUE(server.certificate.IssuedBy(ca));
  EXPECT_EQ(server.certificate.not_after(), now + absl::Hours(24 * 90));
  EXPECT_THAT(server.certificate.uris(), ElementsAre("spiffe://" + made.federation().id + "/coordinator"));
  EXPECT_THAT(server.certificate.dns_names(), ElementsAre("coordinator.example", "localhost"));
  EXPECT_THAT(server.certificate.ip_addresses(), ElementsAre("127.0.0.1", "::1"));
  ASSERT_OK_AND_ASSIGN(const auto receipt, LoadReceiptSigner(made.directory()));
  EXPECT_TRUE(receipt.certificate.IssuedBy(ca));
  EXPECT_EQ(receipt.certificate.not_after(), ca.not_after());
}

TEST(FederationInitTest, TheFirstOperatorMayCallAtOnce) {
  testing::TestFederation made;
  ASSERT_OK_AND_ASSIGN(const auto credential, OperatorCredentialDirectory(made.directory()).Load());
  ASSERT_OK_AND_ASSIGN(const Principal local,
                       made.service().Authorize(rpc::Listener::kMain, "/tributary.v1.OperatorService/ListRuns",
                                                credential.certificate.pem()));
  EXPECT_EQ(local.Actor(), "operator/local");
  ASSERT_OK_AND_ASSIGN(const auto identity, rpc::LoadLocalIdentity(made.directory() + "/pki/operator"));
  EXPECT_EQ(identity.id, local.id);
  EXPECT_EQ(identity.role, "operator");
}

TEST(FederationInitTest, ASecondInitIsRefused) {
  testing::TestFederation made;
  Federation wanted;
  wanted.host = "other.example";
  EXPECT_THAT(InitFederation(made.directory(), wanted, made.store(), made.clock(), crypto::SecureRandom::System()),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(CheckNotInitialised(made.directory()), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST(FederationInitTest, TheDirectoryOfAMemberIsRefused) {
  const testing::TempDir dir;
  ASSERT_OK(MakeDirectories(dir.File("pki"), 0700));
  ASSERT_OK(rpc::StoreLocalIdentity(dir.File("pki"), {"0011", "alice", "client", "fed", "a:1", "a:2"}));
  EXPECT_THAT(CheckNotInitialised(dir.path()), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("of a client")));
}

TEST(FederationInitTest, AnInterruptedInitIsBegunAgain) {
  testing::TestFederation made;
  ASSERT_OK(RemoveFile(made.directory() + "/federation.json"));
  Federation wanted;
  wanted.host = "other.example";
  ASSERT_OK_AND_ASSIGN(const Federation second, InitFederation(made.directory(), wanted, made.store(), made.clock(),
                                                               crypto::SecureRandom::System()));
  EXPECT_NE(second.id, made.federation().id);
  ASSERT_OK_AND_ASSIGN(const auto server, ServerCredentialDirectory(made.directory()).Load());
  EXPECT_THAT(server.certificate.dns_names(), Contains("other.example"));
  ASSERT_OK_AND_ASSIGN(const auto authority, CertificateAuthority::Load(made.directory(), second.id, made.clock(),
                                                                        crypto::SecureRandom::System()));
  EXPECT_TRUE(server.certificate.IssuedBy(authority->certificate()));
}

TEST(FederationInitTest, AllBadFieldsAreListedAtOnce) {
  const testing::TempDir dir;
  const auto store = testing::MakeFakeIdentityStore();
  const testing::ManualClock clock;
  Federation wanted;
  wanted.host = "no host/at all";
  wanted.listen = "nowhere";
  wanted.advertise = "x:y";
  EXPECT_THAT(InitFederation(dir.path(), wanted, *store, clock, crypto::SecureRandom::System()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--name"), HasSubstr("--listen"), HasSubstr("--advertise"))));
  EXPECT_FALSE(FileExists(dir.File("pki")));
}

TEST(CertificateAuthorityTest, AKeyThatOthersCanReadIsRefused) {
  testing::TestFederation made;
  ASSERT_EQ(chmod((made.directory() + "/pki/ca/ca.key").c_str(), 0644), 0);
  EXPECT_THAT(
      CertificateAuthority::Load(made.directory(), made.federation().id, made.clock(), crypto::SecureRandom::System()),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("chmod 600")));
}

class CertificateRenewalTest : public ::testing::Test {
 protected:
  absl::Status Tick() {
    return CertificateRenewal(made_.directory(), made_.federation(), made_.authority(), made_.store(), made_.clock())
        .Tick();
  }
  std::string Server() { return ServerCredentialDirectory(made_.directory()).Load()->certificate.sha256(); }
  crypto::Certificate Operator() { return OperatorCredentialDirectory(made_.directory()).Load()->certificate; }
  absl::Status CallAsOperator(const crypto::Certificate& certificate) {
    return made_.service()
        .Authorize(rpc::Listener::kMain, "/tributary.v1.OperatorService/ListRuns", certificate.pem())
        .status();
  }
  testing::TestFederation made_;
};

TEST_F(CertificateRenewalTest, NothingIsRenewedBeforeTwoThirdsOfLife) {
  const std::string server = Server(), local = Operator().sha256();
  made_.clock().Advance(absl::Hours(24 * 19));
  ASSERT_OK(Tick());
  EXPECT_EQ(Operator().sha256(), local);
  made_.clock().Advance(absl::Hours(24 * 5));  // past 2/3 and all jitter of 30 days, before 2/3 of 90
  ASSERT_OK(Tick());
  EXPECT_NE(Operator().sha256(), local);
  EXPECT_EQ(Server(), server);
}

TEST_F(CertificateRenewalTest, WhatWasIssuedWhileTheClockWasAheadIsReplacedOnceItIsRight) {
  const absl::Time now = made_.clock().Now();
  made_.clock().SetWall(now + absl::Hours(24 * 75));
  ASSERT_OK(Tick());
  const std::string ahead = Server();
  made_.clock().SetWall(now);
  EXPECT_GT(ServerCredentialDirectory(made_.directory()).Load()->certificate.not_before(), now);
  ASSERT_OK(Tick());
  EXPECT_NE(Server(), ahead);
  EXPECT_LE(ServerCredentialDirectory(made_.directory()).Load()->certificate.not_before(), now);
  EXPECT_LE(Operator().not_before(), now);
}

TEST_F(CertificateRenewalTest, TheServersCertificateIsRenewedWithANewKey) {
  ASSERT_OK_AND_ASSIGN(const auto before, ServerCredentialDirectory(made_.directory()).Load());
  made_.clock().Advance(absl::Hours(24 * 75));
  ASSERT_OK(Tick());
  ASSERT_OK_AND_ASSIGN(const auto after, ServerCredentialDirectory(made_.directory()).Load());
  EXPECT_NE(after.certificate.sha256(), before.certificate.sha256());
  EXPECT_FALSE(after.certificate.Certifies(before.key));
  EXPECT_EQ(after.certificate.not_after(), made_.clock().Now() + absl::Hours(24 * 90));
}

TEST_F(CertificateRenewalTest, TheOperatorsOldCertificateWorksUntilTheNewOneIsUsed) {
  const crypto::Certificate before = Operator();
  ASSERT_OK(CallAsOperator(before));
  made_.clock().Advance(absl::Hours(24 * 24));
  ASSERT_OK(Tick());
  EXPECT_OK(CallAsOperator(before));
  EXPECT_OK(CallAsOperator(Operator()));
  EXPECT_THAT(CallAsOperator(before), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(CertificateRenewalTest, WhatExpiredWhileTheCoordinatorWasDownIsMended) {
  made_.clock().Advance(absl::Hours(24 * 400));
  ASSERT_OK(Tick());
  EXPECT_OK(CallAsOperator(Operator()));
}

TEST_F(CertificateRenewalTest, ADamagedCertificateIsReplacedAndAReadableKeyIsNot) {
  const std::string path = made_.directory() + "/pki/server/current/certificate.pem";
  ASSERT_OK(WriteFileDurably(path, "garbage"));
  ASSERT_OK(Tick());
  EXPECT_OK(ServerCredentialDirectory(made_.directory()).Load());
  ASSERT_EQ(chmod((made_.directory() + "/pki/server/current/key.pem").c_str(), 0644), 0);
  EXPECT_THAT(Tick(), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(CertificateRenewalTest, ARevokedLocalOperatorStaysRevoked) {
  ASSERT_OK(made_.service().RevokeOperator("local", made_.Operator()));
  made_.clock().Advance(absl::Hours(24 * 24));
  const std::string before = Operator().sha256();
  ASSERT_OK(Tick());
  EXPECT_EQ(Operator().sha256(), before);
}

}  // namespace
}  // namespace tributary::identity
