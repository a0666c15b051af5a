// One suite, every store (style H18): the in-memory fake, SQLite in memory, and SQLite on disk.
#include "server/identity/identity_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/storage/database.h"
#include "common/storage/migrations.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/ledger_store.h"
#include "tests/server/identity/fake_identity_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Pair;
using testing::StatusIs;

enum class Kind { kFake, kSqliteMemory, kSqliteFile };

class IdentityStoreTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kFake) {
      store_ = testing::MakeFakeIdentityStore();
      return;
    }
    const std::string path = GetParam() == Kind::kSqliteFile ? dir_.File("ledger.db") : ":memory:";
    ASSERT_OK_AND_ASSIGN(database_, storage::Database::Open(path));
    ASSERT_OK(storage::Migrate(*database_, ledger::LedgerMigrations()));
    store_ = ledger::MakeIdentityLedger(*database_);
  }

  static NewInvitation Invite(const std::string& token, const std::string& id, const std::string& name,
                              int64_t expires = 1000) {
    NewInvitation out;
    out.invitation.token_id = token;
    out.invitation.secret_sha256 = "secret of " + token;
    out.invitation.subject_id = id;
    out.invitation.name = name;
    out.invitation.created_unix_ms = 1;
    out.invitation.expires_unix_ms = expires;
    return out;
  }
  static CertificateRow Certificate(const std::string& sha256, const std::string& client, const std::string& request,
                                    int64_t issued = 10) {
    CertificateRow row;
    row.sha256 = sha256;
    row.serial = "serial of " + sha256;
    row.subject_id = client;
    row.pem = "pem of " + sha256;
    row.request_sha256 = request;
    row.not_before_unix_ms = issued - 5;
    row.not_after_unix_ms = issued + 5000;
    row.issued_unix_ms = issued;
    return row;
  }
  void EnrolAlice() {
    ASSERT_OK(store_->AddInvitation(Invite("t1", "id1", "alice")));
    ASSERT_OK_AND_ASSIGN(const EnrolResult result, store_->Enrol("t1", Certificate("c1", "id1", "r1")));
    ASSERT_EQ(result.outcome, EnrolOutcome::kEnrolled);
  }
  CertificateState StateOf(const std::string& sha256) { return store_->FindCertificate(sha256)->certificate.state; }
  EnrolOutcome OutcomeOf(const std::string& token, const CertificateRow& row) {
    const auto result = store_->Enrol(token, row);
    EXPECT_OK(result);
    return result->outcome;
  }

  testing::TempDir dir_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<IdentityStore> store_;
};

TEST_P(IdentityStoreTest, InvitingMakesASubjectThatIsNotYetActive) {
  NewInvitation invitation = Invite("t1", "id1", "alice");
  invitation.labels = {{"region", "eu"}};
  ASSERT_OK_AND_ASSIGN(const InviteResult result, store_->AddInvitation(invitation));
  EXPECT_EQ(result.subject_id, "id1");
  EXPECT_FALSE(result.ended_sessions);
  ASSERT_OK_AND_ASSIGN(const Subject alice, store_->GetSubject(Role::kClient, "alice"));
  EXPECT_EQ(alice.state, SubjectState::kInvited);
  EXPECT_THAT(alice.labels, ElementsAre(Pair("region", "eu")));
  ASSERT_OK_AND_ASSIGN(const InvitationRow row, store_->GetInvitation("t1"));
  EXPECT_EQ(row.name, "alice");
  EXPECT_EQ(row.subject_id, "id1");
  EXPECT_EQ(row.secret_sha256, "secret of t1");
  EXPECT_EQ(row.expires_unix_ms, 1000);
}

TEST_P(IdentityStoreTest, EnrollingMakesTheSubjectActiveAndRecordsTheCertificate) {
  EnrolAlice();
  ASSERT_OK_AND_ASSIGN(const Known known, store_->FindCertificate("c1"));
  EXPECT_EQ(known.subject.name, "alice");
  EXPECT_EQ(known.subject.state, SubjectState::kActive);
  EXPECT_EQ(known.subject.certificate_not_after_unix_ms, 5010);
  EXPECT_EQ(known.certificate.pem, "pem of c1");
  EXPECT_EQ(known.certificate.serial, "serial of c1");
  EXPECT_EQ(known.certificate.state, CertificateState::kActive);
  EXPECT_EQ(known.certificate.first_used_unix_ms, 0);
}

TEST_P(IdentityStoreTest, TheSameRequestAgainGetsTheSameCertificateEvenAfterExpiry) {
  EnrolAlice();
  ASSERT_OK_AND_ASSIGN(const EnrolResult again, store_->Enrol("t1", Certificate("c2", "id1", "r1", 2000)));
  EXPECT_EQ(again.outcome, EnrolOutcome::kRepeated);
  EXPECT_EQ(again.certificate.sha256, "c1");
  EXPECT_THAT(store_->FindCertificate("c2"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, AnotherRequestOnAUsedInvitationIsRefused) {
  EnrolAlice();
  EXPECT_EQ(OutcomeOf("t1", Certificate("c2", "id1", "r2")), EnrolOutcome::kOtherKey);
  EXPECT_THAT(store_->FindCertificate("c2"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, AnUnknownInvitationIsRefused) {
  EXPECT_EQ(OutcomeOf("nothing", Certificate("c1", "id1", "r1")), EnrolOutcome::kUnknown);
  EXPECT_THAT(store_->GetInvitation("nothing"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, AnInvitationExpiresAtItsTimeAndNotBefore) {
  ASSERT_OK(store_->AddInvitation(Invite("t1", "id1", "alice", 1000)));
  EXPECT_EQ(OutcomeOf("t1", Certificate("c1", "id1", "r1", 1000)), EnrolOutcome::kExpired);
  EXPECT_EQ(OutcomeOf("t1", Certificate("c1", "id1", "r1", 999)), EnrolOutcome::kEnrolled);
}

TEST_P(IdentityStoreTest, ANewInvitationVoidsTheOneBefore) {
  ASSERT_OK(store_->AddInvitation(Invite("t1", "id1", "alice")));
  ASSERT_OK_AND_ASSIGN(const InviteResult second, store_->AddInvitation(Invite("t2", "other", "alice")));
  EXPECT_EQ(second.subject_id, "id1");
  EXPECT_EQ(OutcomeOf("t1", Certificate("c1", "id1", "r1")), EnrolOutcome::kVoided);
  EXPECT_EQ(OutcomeOf("t2", Certificate("c1", "id1", "r1")), EnrolOutcome::kEnrolled);
}

TEST_P(IdentityStoreTest, AnEnrolledNameIsTakenUnlessReplaced) {
  EnrolAlice();
  EXPECT_THAT(store_->AddInvitation(Invite("t2", "id2", "alice")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--replace")));
  EXPECT_EQ(StateOf("c1"), CertificateState::kActive);
}

TEST_P(IdentityStoreTest, ReplacingKeepsTheIdAndEndsTheOldCertificatesAtOnce) {
  EnrolAlice();
  NewInvitation replacement = Invite("t2", "id2", "alice");
  replacement.replace = true;
  ASSERT_OK_AND_ASSIGN(const InviteResult result, store_->AddInvitation(replacement));
  EXPECT_EQ(result.subject_id, "id1");
  EXPECT_TRUE(result.ended_sessions);
  EXPECT_EQ(StateOf("c1"), CertificateState::kRevoked);
  EXPECT_EQ(store_->GetSubjectById(Role::kClient, "id1")->state, SubjectState::kInvited);
  EXPECT_EQ(OutcomeOf("t1", Certificate("c9", "id1", "r1")), EnrolOutcome::kVoided);
  EXPECT_EQ(OutcomeOf("t2", Certificate("c2", "id1", "r2")), EnrolOutcome::kEnrolled);
  EXPECT_EQ(store_->GetSubjectById(Role::kClient, "id1")->state, SubjectState::kActive);
  EXPECT_EQ(StateOf("c1"), CertificateState::kRevoked);
}

TEST_P(IdentityStoreTest, AReplacementWithoutLabelsKeepsTheOldOnes) {
  NewInvitation first = Invite("t1", "id1", "alice");
  first.labels = {{"region", "eu"}};
  ASSERT_OK(store_->AddInvitation(first));
  NewInvitation second = Invite("t2", "x", "alice");
  second.replace = true;
  ASSERT_OK(store_->AddInvitation(second));
  EXPECT_THAT(store_->GetSubject(Role::kClient, "alice")->labels, ElementsAre(Pair("region", "eu")));
  NewInvitation third = Invite("t3", "x", "alice");
  third.replace = true;
  third.labels = {{"tier", "gold"}};
  ASSERT_OK(store_->AddInvitation(third));
  EXPECT_THAT(store_->GetSubject(Role::kClient, "alice")->labels, ElementsAre(Pair("tier", "gold")));
}

TEST_P(IdentityStoreTest, ReplacingBringsARevokedClientBack) {
  EnrolAlice();
  ASSERT_THAT(store_->Revoke(Role::kClient, "id1", 20), IsOkAndHolds(true));
  EXPECT_THAT(store_->AddInvitation(Invite("t2", "x", "alice")), StatusIs(absl::StatusCode::kAlreadyExists));
  NewInvitation replacement = Invite("t2", "x", "alice");
  replacement.replace = true;
  ASSERT_OK_AND_ASSIGN(const InviteResult result, store_->AddInvitation(replacement));
  EXPECT_EQ(result.subject_id, "id1");
  EXPECT_FALSE(result.ended_sessions);
}

TEST_P(IdentityStoreTest, FirstUseOfARenewedCertificateEndsTheOldOne) {
  EnrolAlice();
  ASSERT_OK(store_->MarkUsed("c1", 11));
  ASSERT_OK_AND_ASSIGN(const CertificateRow renewed, store_->Renew("c1", Certificate("c2", "id1", "r2", 12)));
  EXPECT_EQ(renewed.sha256, "c2");
  EXPECT_EQ(StateOf("c1"), CertificateState::kActive);
  ASSERT_OK(store_->MarkUsed("c1", 13));  // the old one goes on meanwhile
  ASSERT_OK(store_->MarkUsed("c2", 14));
  EXPECT_EQ(StateOf("c1"), CertificateState::kSuperseded);
  EXPECT_EQ(StateOf("c2"), CertificateState::kActive);
  EXPECT_EQ(store_->FindCertificate("c2")->certificate.first_used_unix_ms, 14);
  EXPECT_THAT(store_->MarkUsed("c1", 15), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(store_->Renew("c1", Certificate("c3", "id1", "r3")), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(IdentityStoreTest, UsingOneOfTwoRenewalsEndsWhatCameBeforeItOnly) {
  EnrolAlice();
  ASSERT_OK(store_->Renew("c1", Certificate("c2", "id1", "r2")));
  ASSERT_OK(store_->Renew("c1", Certificate("c3", "id1", "r3")));
  ASSERT_OK(store_->MarkUsed("c2", 20));
  EXPECT_EQ(StateOf("c1"), CertificateState::kSuperseded);
  EXPECT_EQ(StateOf("c3"), CertificateState::kActive);
}

TEST_P(IdentityStoreTest, FirstUseTouchesNobodyElsesCertificate) {
  EnrolAlice();
  ASSERT_OK(store_->AddInvitation(Invite("t2", "id2", "bob")));
  ASSERT_EQ(OutcomeOf("t2", Certificate("c2", "id2", "r2")), EnrolOutcome::kEnrolled);
  ASSERT_OK(store_->MarkUsed("c2", 20));
  EXPECT_EQ(StateOf("c1"), CertificateState::kActive);
}

TEST_P(IdentityStoreTest, RenewingWithTheSameRequestGivesTheSameCertificate) {
  EnrolAlice();
  ASSERT_OK(store_->Renew("c1", Certificate("c2", "id1", "r2")));
  ASSERT_OK_AND_ASSIGN(const CertificateRow again, store_->Renew("c1", Certificate("c3", "id1", "r2")));
  EXPECT_EQ(again.sha256, "c2");
  EXPECT_THAT(store_->FindCertificate("c3"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, ACertificateIsRenewedForItsOwnerAlone) {
  EnrolAlice();
  ASSERT_OK(store_->AddInvitation(Invite("t2", "id2", "bob")));
  EXPECT_THAT(store_->Renew("c1", Certificate("c2", "id2", "r2")), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(IdentityStoreTest, RevokingEndsTheClientItsCertificatesAndItsInvitations) {
  EnrolAlice();
  EXPECT_THAT(store_->Revoke(Role::kClient, "id1", 20), IsOkAndHolds(true));
  EXPECT_THAT(store_->Revoke(Role::kClient, "id1", 21), IsOkAndHolds(false));
  ASSERT_OK_AND_ASSIGN(const Known known, store_->FindCertificate("c1"));
  EXPECT_EQ(known.subject.state, SubjectState::kRevoked);
  EXPECT_EQ(known.certificate.state, CertificateState::kRevoked);
  EXPECT_EQ(known.subject.certificate_not_after_unix_ms, 0);
  EXPECT_THAT(store_->MarkUsed("c1", 22), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(store_->Renew("c1", Certificate("c2", "id1", "r2")), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(OutcomeOf("t1", Certificate("c2", "id1", "r1")), EnrolOutcome::kVoided);
  EXPECT_THAT(store_->Revoke(Role::kClient, "nobody", 23), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, EnrolmentIsWantedUntilTheNewCertificateIsUsed) {
  EXPECT_THAT(store_->EnrolmentWanted(5), IsOkAndHolds(false));
  ASSERT_OK(store_->AddInvitation(Invite("t1", "id1", "alice", 1000)));
  EXPECT_THAT(store_->EnrolmentWanted(999), IsOkAndHolds(true));
  EXPECT_THAT(store_->EnrolmentWanted(1000), IsOkAndHolds(false));
  ASSERT_EQ(OutcomeOf("t1", Certificate("c1", "id1", "r1")), EnrolOutcome::kEnrolled);
  EXPECT_THAT(store_->EnrolmentWanted(1000), IsOkAndHolds(true));  // the answer may have been lost
  EXPECT_THAT(store_->EnrolmentWanted(5010), IsOkAndHolds(false));
  ASSERT_OK(store_->MarkUsed("c1", 20));
  EXPECT_THAT(store_->EnrolmentWanted(21), IsOkAndHolds(false));
}

TEST_P(IdentityStoreTest, RevokingClosesTheWindowOfAnUnusedInvitation) {
  ASSERT_OK(store_->AddInvitation(Invite("t1", "id1", "alice")));
  ASSERT_OK(store_->Revoke(Role::kClient, "id1", 5));
  EXPECT_THAT(store_->EnrolmentWanted(6), IsOkAndHolds(false));
}

TEST_P(IdentityStoreTest, OperatorsAndClientsMayShareANameButNotAnIdentity) {
  EnrolAlice();
  NewInvitation invitation = Invite("t2", "op1", "alice");
  invitation.invitation.role = Role::kOperator;
  ASSERT_OK(store_->AddInvitation(invitation));
  CertificateRow row = Certificate("c2", "op1", "r2");
  row.role = Role::kOperator;
  ASSERT_EQ(OutcomeOf("t2", row), EnrolOutcome::kEnrolled);
  EXPECT_EQ(store_->FindCertificate("c2")->subject.role, Role::kOperator);
  EXPECT_EQ(store_->GetInvitation("t2")->role, Role::kOperator);
  EXPECT_EQ(store_->GetSubject(Role::kOperator, "alice")->id, "op1");
  EXPECT_EQ(store_->GetSubject(Role::kClient, "alice")->id, "id1");
  ASSERT_OK(store_->Revoke(Role::kOperator, "op1", 30));
  EXPECT_EQ(StateOf("c1"), CertificateState::kActive);
}

TEST_P(IdentityStoreTest, TheCoordinatorsOwnOperatorKeepsItsIdOverRenewals) {
  Subject local;
  local.role = Role::kOperator;
  local.id = "op1";
  local.name = "local";
  CertificateRow row = Certificate("c1", "op1", "");
  row.role = Role::kOperator;
  ASSERT_THAT(store_->PutOperator(local, row), IsOkAndHolds("op1"));
  local.id = "op2";
  CertificateRow second = Certificate("c2", "op2", "");
  second.role = Role::kOperator;
  ASSERT_THAT(store_->PutOperator(local, second), IsOkAndHolds("op1"));
  EXPECT_EQ(store_->FindCertificate("c2")->subject.id, "op1");
  EXPECT_EQ(store_->FindCertificate("c2")->subject.state, SubjectState::kActive);
  ASSERT_OK(store_->Revoke(Role::kOperator, "op1", 30));
  CertificateRow third = Certificate("c3", "op1", "");
  third.role = Role::kOperator;
  EXPECT_THAT(store_->PutOperator(local, third), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(IdentityStoreTest, WhatAClientSaysOfItselfIsKept) {
  EnrolAlice();
  v1::Hello hello;
  hello.set_version("0.1.0");
  hello.set_engine("0.1.0/avx2/float32");
  hello.mutable_dataset()->set_examples(600);
  hello.mutable_dataset()->add_shape(28);
  hello.mutable_dataset()->add_classes("cat");
  ASSERT_OK(store_->RecordHello("id1", hello, 50));
  ASSERT_OK(store_->RecordSeen(Role::kClient, "id1", 40));  // never moves back
  ASSERT_OK_AND_ASSIGN(Subject alice, store_->GetSubject(Role::kClient, "alice"));
  EXPECT_EQ(alice.version, "0.1.0");
  EXPECT_EQ(alice.engine, "0.1.0/avx2/float32");
  EXPECT_EQ(alice.dataset.examples(), 600u);
  EXPECT_EQ(alice.dataset.shape(0), 28u);
  EXPECT_EQ(alice.dataset.classes(0), "cat");
  EXPECT_EQ(alice.last_seen_unix_ms, 50);
  ASSERT_OK(store_->RecordSeen(Role::kClient, "id1", 60));
  EXPECT_EQ(store_->GetSubject(Role::kClient, "alice")->last_seen_unix_ms, 60);
  EXPECT_THAT(store_->RecordHello("nobody", hello, 1), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->RecordSeen(Role::kClient, "nobody", 1), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, SubjectsAreListedByNameWithTheirLabels) {
  NewInvitation bob = Invite("t1", "id1", "bob");
  bob.labels = {{"region", "us"}};
  ASSERT_OK(store_->AddInvitation(bob));
  ASSERT_OK(store_->AddInvitation(Invite("t2", "id2", "alice")));
  ASSERT_OK_AND_ASSIGN(const auto subjects, store_->ListSubjects(Role::kClient));
  ASSERT_EQ(subjects.size(), 2u);
  EXPECT_EQ(subjects[0].name, "alice");
  EXPECT_TRUE(subjects[0].labels.empty());
  EXPECT_THAT(subjects[1].labels, ElementsAre(Pair("region", "us")));
  EXPECT_TRUE(store_->ListSubjects(Role::kOperator)->empty());
}

TEST_P(IdentityStoreTest, WhatIsNotThereIsNotFound) {
  EXPECT_THAT(store_->GetSubject(Role::kClient, "nobody"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->GetSubjectById(Role::kClient, "nobody"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->FindCertificate("nothing"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->MarkUsed("nothing", 1), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(IdentityStoreTest, WhatAMemberTrustsIsWhatItSaidLast) {
  EnrolAlice();
  EXPECT_THAT(store_->RecordTrust(Role::kClient, "nobody", {"a"}, 1), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(store_->RecordTrust(Role::kClient, "id1", {"b", "a", "a"}, 20));
  ASSERT_OK_AND_ASSIGN(std::vector<Member> members, store_->ListMembers());
  ASSERT_EQ(members.size(), 1u);
  EXPECT_EQ(members[0].name, "alice");
  EXPECT_THAT(members[0].trusts, ::testing::UnorderedElementsAre("a", "b"));
  EXPECT_THAT(members[0].certificate_pems, ElementsAre("pem of c1"));
  ASSERT_OK(store_->RecordTrust(Role::kClient, "id1", {"c"}, 30));
  ASSERT_OK_AND_ASSIGN(members, store_->ListMembers());
  EXPECT_THAT(members[0].trusts, ElementsAre("c"));
}

TEST_P(IdentityStoreTest, OnlyActiveOnesAreMembersClientsFirst) {
  Subject op;
  op.role = Role::kOperator;
  op.id = "op1";
  op.name = "anna";
  CertificateRow row = Certificate("c-op", "op1", "");
  row.role = Role::kOperator;
  ASSERT_OK(store_->PutOperator(op, row));
  EnrolAlice();
  ASSERT_OK(store_->AddInvitation(Invite("t2", "id2", "bob")));
  ASSERT_OK_AND_ASSIGN(std::vector<Member> members, store_->ListMembers());
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].name, "alice");
  EXPECT_EQ(members[1].name, "anna");
  EXPECT_EQ(members[1].role, Role::kOperator);
  ASSERT_OK(store_->Revoke(Role::kClient, "id1", 50));
  ASSERT_OK_AND_ASSIGN(members, store_->ListMembers());
  EXPECT_EQ(members.size(), 1u);
}

TEST_P(IdentityStoreTest, ARevokedCertificateLeavesItsOwnerActive) {
  EnrolAlice();
  ASSERT_OK(store_->RevokeCertificates({"c1", "unknown"}));
  EXPECT_EQ(StateOf("c1"), CertificateState::kRevoked);
  EXPECT_EQ(store_->GetSubject(Role::kClient, "alice")->state, SubjectState::kActive);
}

TEST_P(IdentityStoreTest, InvitationsThatWaitAreNamed) {
  EnrolAlice();  // used
  ASSERT_OK(store_->AddInvitation(Invite("t2", "id2", "bob")));
  ASSERT_OK(store_->AddInvitation(Invite("t3", "id3", "carl", 50)));
  NewInvitation later = Invite("t4", "id4", "dora");
  later.invitation.created_unix_ms = 90;
  ASSERT_OK(store_->AddInvitation(later));
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, store_->InvitedBefore(90, 60));
  EXPECT_THAT(names, ElementsAre("bob")) << "alice has used hers, carl's has expired, dora's was made later";
  ASSERT_OK(store_->VoidInvitedBefore(90));
  EXPECT_THAT(store_->InvitedBefore(90, 60), IsOkAndHolds(ElementsAre()));
  EXPECT_EQ(OutcomeOf("t2", Certificate("c2", "id2", "r2")), EnrolOutcome::kVoided);
  EXPECT_EQ(OutcomeOf("t4", Certificate("c4", "id4", "r4")), EnrolOutcome::kEnrolled);
}

INSTANTIATE_TEST_SUITE_P(Stores, IdentityStoreTest,
                         ::testing::Values(Kind::kFake, Kind::kSqliteMemory, Kind::kSqliteFile),
                         [](const auto& instance) {
                           return instance.param == Kind::kFake           ? "Fake"
                                  : instance.param == Kind::kSqliteMemory ? "SqliteMemory"
                                                                          : "SqliteFile";
                         });

TEST(IdentityLedgerTest, RevocationSurvivesReopening) {
  testing::TempDir dir;
  {
    ASSERT_OK_AND_ASSIGN(const auto database, storage::Database::Open(dir.File("ledger.db")));
    ASSERT_OK(storage::Migrate(*database, ledger::LedgerMigrations()));
    const auto store = ledger::MakeIdentityLedger(*database);
    NewInvitation invitation;
    invitation.invitation.token_id = "t1";
    invitation.invitation.subject_id = "id1";
    invitation.invitation.name = "alice";
    ASSERT_OK(store->AddInvitation(invitation));
    ASSERT_OK(store->Revoke(Role::kClient, "id1", 5));
  }
  ASSERT_OK_AND_ASSIGN(const auto database, storage::Database::Open(dir.File("ledger.db")));
  EXPECT_EQ(ledger::MakeIdentityLedger(*database)->GetSubject(Role::kClient, "alice")->state, SubjectState::kRevoked);
}

}  // namespace
}  // namespace tributary::identity
