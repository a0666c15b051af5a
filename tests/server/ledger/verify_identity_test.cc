// What verify says of histories that are whole, yet were never true: every digest, link and signature of the records
// fits, because an insider with the receipt key made them fit. Who signed, and what was signed, still tells.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/ledger/backup.h"
#include "server/ledger/verify.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::ledger {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;

constexpr const char* kRun = "run-0001";

v1::HistoryVerification Verify(LedgerFixture& ledger) {
  auto out = VerifyHistory(ledger.database(), ledger.blobs(), VerifyOptions());
  EXPECT_THAT(out, IsOk());
  return out.value_or(v1::HistoryVerification());
}

void ExpectFault(LedgerFixture& ledger, uint64_t round, const std::string& what) {
  const v1::HistoryVerification out = Verify(ledger);
  EXPECT_FALSE(out.ok()) << "not found: " << what;
  EXPECT_EQ(out.first_fault().run(), kRun);
  EXPECT_EQ(out.first_fault().round(), round) << out.first_fault().what();
  EXPECT_THAT(out.first_fault().what(), HasSubstr(what));
}

// ---- who signed

struct CertificateCase {
  const char* name;
  std::function<void(crypto::CertificateTerms*)> change;
  bool by_a_stranger;
  const char* fault;
};

void PrintTo(const CertificateCase& c, std::ostream* out) { *out << c.name; }
std::string NameOf(const ::testing::TestParamInfo<CertificateCase>& c) { return c.param.name; }

class ClientCertificateTest : public ::testing::TestWithParam<CertificateCase> {};

TEST_P(ClientCertificateTest, OnlyThatClientsGoodCertificateCounts) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound(kRun, 2);
  ASSERT_TRUE(Verify(ledger).ok());
  ledger.ReplaceCertificate("c01", GetParam().change, GetParam().by_a_stranger);
  ledger.CommitRound(kRun, 2);
  ExpectFault(ledger, 2, GetParam().fault);
  EXPECT_THAT(Verify(ledger).first_fault().what(), HasSubstr("client c01"));
}

const CertificateCase kClientCases[] = {
    {"OfAnotherAuthority", nullptr, true, "was not issued by the federation's authority"},
    {"OfAServer", [](crypto::CertificateTerms* terms) { terms->use = crypto::CertificateUse::kServer; }, false,
     "was made for another use"},
    {"OfTheReceiptKey", [](crypto::CertificateTerms* terms) { terms->use = crypto::CertificateUse::kReceipt; }, false,
     "was made for another use"},
    {"OfAnotherClient", [](crypto::CertificateTerms* terms) { terms->uris = {"spiffe://federation-1/client/c02"}; },
     false, "names somebody else"},
    {"OfAnOperator", [](crypto::CertificateTerms* terms) { terms->uris = {"spiffe://federation-1/operator/c01"}; },
     false, "names somebody else"},
    {"OfAnotherFederation", [](crypto::CertificateTerms* terms) { terms->uris = {"spiffe://federation-2/client/c01"}; },
     false, "names somebody else"},
    {"WithASecondName",
     [](crypto::CertificateTerms* terms) { terms->uris.push_back("spiffe://federation-1/client/c02"); }, false,
     "names somebody else"},
    {"Expired", [](crypto::CertificateTerms* terms) { terms->not_after = absl::FromUnixSeconds(1'699'999'999); }, false,
     "was not valid at that time"},
    {"NotYetValid", [](crypto::CertificateTerms* terms) { terms->not_before = absl::FromUnixSeconds(1'700'000'001); },
     false, "was not valid at that time"}};
INSTANTIATE_TEST_SUITE_P(All, ClientCertificateTest, ::testing::ValuesIn(kClientCases), NameOf);

class ReceiptCertificateTest : public ::testing::TestWithParam<CertificateCase> {};

TEST_P(ReceiptCertificateTest, OnlyTheFederationsReceiptCertificateCounts) {
  LedgerFixture::Options options;
  options.receipt_terms = GetParam().change;
  options.receipts_of_a_stranger = GetParam().by_a_stranger;
  LedgerFixture ledger(options);
  ledger.CreateRun();
  ledger.CommitRound(kRun, 2);
  ExpectFault(ledger, 0, GetParam().fault);
}

const CertificateCase kReceiptCases[] = {
    {"OfAnotherAuthority", nullptr, true, "was not issued by the federation's authority"},
    {"OfAClient", [](crypto::CertificateTerms* terms) { terms->use = crypto::CertificateUse::kPeer; }, false,
     "was made for another use"},
    {"OfAnotherFederation", [](crypto::CertificateTerms* terms) { terms->uris = {"spiffe://federation-2/receipts"}; },
     false, "names somebody else"},
    {"Expired", [](crypto::CertificateTerms* terms) { terms->not_after = absl::FromUnixSeconds(1'699'999'999); }, false,
     "was not valid at that time"}};
INSTANTIATE_TEST_SUITE_P(All, ReceiptCertificateTest, ::testing::ValuesIn(kReceiptCases), NameOf);

TEST(AuthorityTest, TheAuthorityThatARunNamesMustBeThere) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound(kRun, 1);
  ledger.Unlock();
  ASSERT_OK(ledger.database().Run("UPDATE authorities SET pem = replace(pem, 'A', 'B')"));
  ExpectFault(ledger, 0, "the certificate of the federation's authority");
  ASSERT_OK(ledger.database().Run("DELETE FROM authorities"));
  ExpectFault(ledger, 0, "the certificate of the federation's authority is not in the ledger");
}

TEST(AuthorityTest, AStartAfterAnUpgradePutsItThere) {
  LedgerFixture::Options options;
  options.in_memory = false;
  LedgerFixture ledger(options);
  ledger.CreateRun();
  ledger.CommitRound(kRun, 1);
  // As a ledger of schema 2 is left by `upgrade`.
  ledger.Unlock();
  ASSERT_OK(ledger.database().Run("DELETE FROM authorities"));
  ExpectFault(ledger, 0, "the coordinator puts it there when it starts");
  ledger.Reopen();
  EXPECT_TRUE(Verify(ledger).ok()) << Verify(ledger).first_fault().what();
}

// ---- one authority took over from another

TEST(RotatedAuthorityTest, AHistoryThatSpansARotationHolds) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound(kRun, 2);
  ledger.Rotate();
  ledger.ReplaceCertificate("c01", nullptr, /*by_a_stranger=*/true);
  ledger.CommitRound(kRun, 2);  // c00 has not renewed yet
  const v1::HistoryVerification out = Verify(ledger);
  EXPECT_TRUE(out.ok()) << out.first_fault().what();
}

TEST(RotatedAuthorityTest, ARunThatBeganUnderTheNewOneTakesClientsOfTheOld) {
  LedgerFixture ledger;
  ledger.Rotate();
  ledger.CreateRun();
  ledger.ReplaceCertificate("c01", nullptr, /*by_a_stranger=*/true);
  ledger.CommitRound(kRun, 2);
  const v1::HistoryVerification out = Verify(ledger);
  EXPECT_TRUE(out.ok()) << out.first_fault().what();
  std::string named;
  ASSERT_OK(ledger.database().QueryOne("SELECT ca_certificate_sha256 FROM runs", {},
                                       [&](const storage::Row& row) { named = row.Text(0); }));
  EXPECT_EQ(named, ledger.authority(/*stranger=*/true).sha256());
}

TEST(RotatedAuthorityTest, WithoutTheWordOfTheOldOneTheNewIsAStranger) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.Rotate();
  ledger.ReplaceCertificate("c01", nullptr, /*by_a_stranger=*/true);
  ledger.CommitRound(kRun, 2);
  ledger.Unlock();
  ASSERT_OK(ledger.database().Run("DELETE FROM authority_links"));
  ExpectFault(ledger, 1, "was not issued by the federation's authority");
}

TEST(RotatedAuthorityTest, AWordThatWasChangedIsNamed) {
  for (const char* change :
       {"UPDATE authority_links SET pem = replace(pem, 'M', 'N')", "UPDATE authority_links SET pem = ''",
        "UPDATE authority_links SET authority_sha256 = by_sha256",
        "UPDATE authority_links SET pem = (SELECT pem FROM authorities WHERE sha256 = authority_sha256)"}) {
    LedgerFixture ledger;
    ledger.CreateRun();
    ledger.Rotate();
    ledger.CommitRound(kRun, 2);
    ASSERT_TRUE(Verify(ledger).ok());
    ledger.Unlock();
    ASSERT_OK(ledger.database().Run(change));
    const v1::HistoryVerification out = Verify(ledger);
    EXPECT_FALSE(out.ok()) << change;
    EXPECT_THAT(out.first_fault().what(), HasSubstr("the word of the authority")) << change;
  }
}

TEST(RotatedAuthorityTest, EachStepIsInTheAuditOnce) {
  LedgerFixture ledger;
  ledger.Rotate();
  ledger.Rotate();
  std::vector<std::string> actions;
  ASSERT_OK_AND_ASSIGN(const auto entries, ledger.store().ListAudit(100));
  for (const v1::AuditEntry& entry : entries) actions.push_back(entry.action());
  EXPECT_THAT(actions, ::testing::UnorderedElementsAre("ca.activate", "ca.retiring"));
}

TEST(AuthorityTest, AnAuthorityIsNeverChangedOrDeleted) {
  LedgerFixture ledger;
  EXPECT_FALSE(ledger.database().Run("UPDATE authorities SET pem = ''").ok());
  EXPECT_FALSE(ledger.database().Run("DELETE FROM authorities").ok());
}

// ---- what was signed

TEST(VerifyFiguresTest, ALargeContributionCountsAsThePlanSays) {
  v1::RunPlan plan = LedgerFixture::Plan();
  plan.mutable_aggregate()->set_max_weight(40);
  LedgerFixture ledger;
  ledger.CreateRun(plan);
  ledger.change_acceptance = [](rounds::Acceptance* a) { a->weight = 40; };
  ledger.CommitRound(kRun, 2);
  EXPECT_TRUE(Verify(ledger).ok()) << Verify(ledger).first_fault().what();
  ledger.change_acceptance = [](rounds::Acceptance* a) { a->weight = a->record.client_id() == "c01" ? 100 : 40; };
  ledger.CommitRound(kRun, 2);
  ExpectFault(ledger, 2, "the weight of client c01");
}

TEST(VerifyFiguresTest, NobodyCountsForMoreThanItsExamples) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.change_acceptance = [](rounds::Acceptance* a) { a->weight = 101; };
  ledger.CommitRound(kRun, 2);
  ExpectFault(ledger, 1, "the weight of client c00");
}

class SignedColumnTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(SignedColumnTest, SaysWhatTheClientSigned) {
  const auto [column, value] = GetParam();
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound(kRun, 2);
  ledger.CommitRound(kRun, 2);
  ledger.Unlock();
  ledger.RewriteRecord(kRun, 2);
  ASSERT_TRUE(Verify(ledger).ok()) << "a record that was rewritten as it was";
  ASSERT_OK(ledger.database().Run(
      absl::StrCat("UPDATE contributions SET ", column, " = ", value, " WHERE round = 2 AND client_id = 'c01'")));
  ledger.RewriteRecord(kRun, 2);
  ExpectFault(ledger, 2, absl::StrCat(column, " of client c01"));
}

INSTANTIATE_TEST_SUITE_P(All, SignedColumnTest,
                         ::testing::Values(std::pair{"engine", "'0.1.0/avx512/float32'"},
                                           std::pair{"update_norm", "1.4999"}, std::pair{"train_loss", "0.2"},
                                           std::pair{"validation_loss", "NULL"},
                                           std::pair{"validation_accuracy", "0.99"},
                                           std::pair{"validation_examples", "11"}, std::pair{"queue_ms", "1"},
                                           std::pair{"download_ms", "1"}, std::pair{"train_ms", "8"},
                                           std::pair{"accepted_unix_ms", "accepted_unix_ms + 1"}),
                         [](const auto& tested) { return std::string(tested.param.first); });

class MeanTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(MeanTest, IsComputedAgain) {
  const auto [column, value] = GetParam();
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound(kRun, 3);
  ledger.Unlock();
  ASSERT_OK(ledger.database().Run(absl::StrCat("UPDATE rounds SET ", column, " = ", value)));
  ledger.RewriteRecord(kRun, 1);
  ExpectFault(ledger, 1, absl::StrCat("its ", column, " is not the weighted mean"));
}

INSTANTIATE_TEST_SUITE_P(All, MeanTest,
                         ::testing::Values(std::pair{"train_loss", "0.2500000000000001"},
                                           std::pair{"validation_loss", "NULL"},
                                           std::pair{"validation_accuracy", "0.99"}),
                         [](const auto& tested) { return std::string(tested.param.first); });

TEST(VerifyFiguresTest, FewerBytesThanTheUpdateHasAreNoUpdate) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound(kRun, 2);
  ledger.Unlock();
  ASSERT_OK(ledger.database().Run("UPDATE contributions SET bytes_up = bytes_up - 1 WHERE client_id = 'c01'"));
  ASSERT_OK(ledger.database().Run("UPDATE rounds SET bytes_up = bytes_up - 1"));
  ledger.RewriteRecord(kRun, 1);
  ExpectFault(ledger, 1, "bytes_up of client c01");
}

// ---- what may be gone

class MissingUpdateTest : public ::testing::Test {
 protected:
  void Commit(const std::string& keep) {
    v1::RunPlan plan = LedgerFixture::Plan();
    plan.set_keep_updates(keep);
    ledger_.CreateRun(plan);
    ledger_.CommitRound(kRun, 2);
  }
  // As a person would who wants it to look like retention.
  void Lose(const std::string& client_id) {
    const std::string sha256 =
        *ledger_.database().QueryText("SELECT update_sha256 FROM updates WHERE client_id = ?1", {client_id});
    ASSERT_OK(ledger_.blobs().Remove(sha256));
    ASSERT_OK(ledger_.database().Run(
        "INSERT INTO deleted_blobs (sha256, run_id, deleted_unix_ms, file_removed) VALUES (?1, ?2, 1, 1)",
        {sha256, kRun}));
  }
  void End() { ASSERT_OK(ledger_.store().SetRunState(kRun, "completed", "", ledger_.now())); }
  LedgerFixture ledger_;
};

TEST_F(MissingUpdateTest, WhatIsKeptForeverIsNeverExcused) {
  Commit("forever");
  End();
  Lose("c01");
  ExpectFault(ledger_, 1, "the update of client c01 is missing");
}

TEST_F(MissingUpdateTest, WhatIsKeptForTheRunIsMissedWhileTheRunGoesOn) {
  Commit("run");
  Lose("c01");
  ExpectFault(ledger_, 1, "the update of client c01 is missing");
}

TEST_F(MissingUpdateTest, WhatIsKeptForTheRunMayBeGoneAfterIt) {
  Commit("run");
  End();
  EXPECT_TRUE(Verify(ledger_).ok()) << Verify(ledger_).first_fault().what();
  EXPECT_EQ(Verify(ledger_).blobs_missing(), 2u);
}

TEST_F(MissingUpdateTest, WhatWasNotDeletedByUsIsMissingWhateverTheRule) {
  Commit("run");
  const std::string sha256 = *ledger_.database().QueryText("SELECT update_sha256 FROM updates LIMIT 1");
  ASSERT_OK(ledger_.blobs().Remove(sha256));
  ExpectFault(ledger_, 1, "is missing");
}

}  // namespace
}  // namespace tributary::ledger
