#include "server/identity/authority_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/base/files.h"
#include "server/identity/ca.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::identity {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using State = crypto::AuthorityNews::State;

class AuthorityFilesTest : public ::testing::Test {
 protected:
  AuthorityFilesTest() {
    EXPECT_OK(MakeDirectories(pki_, 0700));
    EXPECT_OK(MakeFirstAuthority(dir_.path(), "fed", clock_, random_));
  }
  absl::Status Stage() {
    clock_.Advance(absl::Hours(1));
    return StageAuthority(dir_.path(), "fed", clock_, random_);
  }
  void Rotate() {
    ASSERT_OK(Stage());
    ASSERT_OK(ActivateAuthority(dir_.path()));
    ASSERT_OK(RetireAuthority(dir_.path()));
  }
  AuthoritySet Load() {
    auto set = LoadAuthorities(dir_.path());
    EXPECT_THAT(set, IsOk());
    return *std::move(set);
  }
  std::vector<State> States() {
    std::vector<State> out;
    for (const crypto::AuthorityNews& one : Load().all) out.push_back(one.state);
    return out;
  }
  bool Is(const std::string& name) const { return FileExists(pki_ + "/" + name); }
  void Move(const std::string& from, const std::string& to) { fs::rename(pki_ + "/" + from, pki_ + "/" + to); }

  const testing::TempDir dir_;
  const std::string pki_ = dir_.path() + "/pki";
  testing::ManualClock clock_;
  crypto::SecureRandom& random_ = crypto::SecureRandom::System();
};

TEST_F(AuthorityFilesTest, AFederationBeginsWithOne) {
  EXPECT_THAT(States(), ElementsAre(State::kActive));
  EXPECT_TRUE(Load().Chain().empty());
  EXPECT_OK(RequirePrivate(pki_ + "/ca/ca.key"));
}

TEST_F(AuthorityFilesTest, AStagedOneIsTrustedAndIssuesNothing) {
  const std::string first = Load().issuer.certificate.sha256();
  ASSERT_OK(Stage());
  const AuthoritySet set = Load();
  EXPECT_THAT(States(), ElementsAre(State::kActive, State::kStaged));
  EXPECT_EQ(set.issuer.certificate.sha256(), first);
  EXPECT_TRUE(set.Trust().Trusts(set.Find(State::kStaged)->certificate.sha256()));
  EXPECT_OK(RequirePrivate(pki_ + "/ca.next/ca.key"));
  EXPECT_TRUE(set.Chain().empty());
}

TEST_F(AuthorityFilesTest, TheTwoVouchForEachOther) {
  ASSERT_OK(Stage());
  const AuthoritySet set = Load();
  const crypto::AuthorityNews &active = set.all[0], &staged = set.all[1];
  ASSERT_EQ(active.cross.size(), 1u);
  ASSERT_EQ(staged.cross.size(), 1u);
  EXPECT_OK(crypto::CheckCross(staged.cross[0], active.certificate, staged.certificate));
  EXPECT_OK(crypto::CheckCross(active.cross[0], staged.certificate, active.certificate));
}

TEST_F(AuthorityFilesTest, StagingTwiceKeepsTheFirst) {
  ASSERT_OK(Stage());
  const std::string staged = Load().Find(State::kStaged)->certificate.sha256();
  ASSERT_OK(Stage());
  EXPECT_EQ(Load().Find(State::kStaged)->certificate.sha256(), staged);
}

TEST_F(AuthorityFilesTest, AfterActivationTheNewOneIssuesAndTheOldIsStillTrusted) {
  const crypto::Certificate first = Load().issuer.certificate;
  ASSERT_OK(Stage());
  const std::string staged = Load().Find(State::kStaged)->certificate.sha256();
  ASSERT_OK(ActivateAuthority(dir_.path()));
  const AuthoritySet set = Load();
  EXPECT_EQ(set.issuer.certificate.sha256(), staged);
  EXPECT_THAT(States(), ElementsAre(State::kActive, State::kRetiring));
  EXPECT_TRUE(set.Trust().Trusts(first.sha256()));
  ASSERT_EQ(set.Chain().size(), 1u);
  EXPECT_OK(crypto::CheckCross(set.Chain()[0], first, set.issuer.certificate));
}

TEST_F(AuthorityFilesTest, ARetiredOneLosesItsKeyAndKeepsItsCertificate) {
  const crypto::Certificate first = Load().issuer.certificate;
  Rotate();
  const AuthoritySet set = Load();
  EXPECT_THAT(States(), ElementsAre(State::kActive, State::kRetired));
  EXPECT_FALSE(set.Trust().Trusts(first.sha256()));
  EXPECT_EQ(set.all[1].certificate.sha256(), first.sha256());
  EXPECT_FALSE(Is("ca.retired/" + first.sha256() + "/ca.key"));
  EXPECT_TRUE(Is("ca.retired/" + first.sha256() + "/ca.crt"));
  EXPECT_TRUE(set.Chain().empty());
}

TEST_F(AuthorityFilesTest, EachStepHasItsTime) {
  EXPECT_THAT(ActivateAuthority(dir_.path()), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("staged")));
  EXPECT_THAT(RetireAuthority(dir_.path()), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(Stage());
  EXPECT_THAT(RetireAuthority(dir_.path()), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(ActivateAuthority(dir_.path()));
  EXPECT_OK(ActivateAuthority(dir_.path())) << "done before";
  EXPECT_THAT(Stage(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not retired yet")));
  ASSERT_OK(RetireAuthority(dir_.path()));
  EXPECT_OK(RetireAuthority(dir_.path())) << "done before";
}

TEST_F(AuthorityFilesTest, ManyRotationsLeaveAChainOfLinks) {
  Rotate();
  Rotate();
  Rotate();
  const AuthoritySet set = Load();
  EXPECT_THAT(States(), ElementsAre(State::kActive, State::kRetired, State::kRetired, State::kRetired));
  for (size_t i = 0; i + 1 < set.all.size(); ++i) {
    EXPECT_GT(set.all[i].certificate.not_before(), set.all[i + 1].certificate.not_before()) << "newest first";
    bool forward = false, back = false;
    for (const auto& cross : set.all[i].cross)
      forward = forward || crypto::CheckCross(cross, set.all[i + 1].certificate, set.all[i].certificate).ok();
    for (const auto& cross : set.all[i + 1].cross)
      back = back || crypto::CheckCross(cross, set.all[i].certificate, set.all[i + 1].certificate).ok();
    EXPECT_TRUE(forward && back) << i;
  }
}

// ---- killed between two steps on the disk; tests/e2e/fail_points_test.py kills the command itself at each

TEST_F(AuthorityFilesTest, AStagingThatWasCutOffIsBegunAgain) {
  ASSERT_OK(Stage());
  Move("ca.next", "ca.next.making");
  EXPECT_THAT(States(), ElementsAre(State::kActive));
  EXPECT_FALSE(Is("ca.next.making"));
  EXPECT_OK(Stage());
  EXPECT_THAT(States(), ElementsAre(State::kActive, State::kStaged));
}

TEST_F(AuthorityFilesTest, AnActivationThatWasCutOffCountsAndIsEnded) {
  ASSERT_OK(Stage());
  const std::string staged = Load().Find(State::kStaged)->certificate.sha256();
  Move("ca", "ca.old");
  ASSERT_OK_AND_ASSIGN(const AuthoritySet peeked, PeekAuthorities(dir_.path()));
  EXPECT_EQ(peeked.issuer.certificate.sha256(), staged);
  EXPECT_FALSE(Is("ca")) << "a look changes nothing";
  EXPECT_EQ(Load().issuer.certificate.sha256(), staged);
  EXPECT_THAT(States(), ElementsAre(State::kActive, State::kRetiring));
  EXPECT_TRUE(Is("ca"));
  EXPECT_FALSE(Is("ca.next"));
}

TEST_F(AuthorityFilesTest, AKeyThatARetirementLeftIsDeleted) {
  const std::string first = Load().issuer.certificate.sha256();
  ASSERT_OK(Stage());
  ASSERT_OK(ActivateAuthority(dir_.path()));
  ASSERT_OK(MakeDirectories(pki_ + "/ca.retired", 0700));
  Move("ca.old", "ca.retired/" + first);
  ASSERT_TRUE(Is("ca.retired/" + first + "/ca.key"));
  EXPECT_OK(RetireAuthority(dir_.path()));
  EXPECT_FALSE(Is("ca.retired/" + first + "/ca.key"));
}

TEST_F(AuthorityFilesTest, TwoAtOnceAreRefused) {
  ASSERT_OK_AND_ASSIGN(const auto lock, DirectoryLock::Acquire(pki_));
  EXPECT_THAT(Stage(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("in use")));
  EXPECT_THAT(LoadAuthorities(dir_.path()), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AuthorityFilesTest, AKeyThatOthersCanReadIsNotUsed) {
  ASSERT_OK(Stage());
  ASSERT_EQ(chmod((pki_ + "/ca/ca.key").c_str(), 0644), 0);
  EXPECT_THAT(LoadAuthorities(dir_.path()), StatusIs(absl::StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace tributary::identity
