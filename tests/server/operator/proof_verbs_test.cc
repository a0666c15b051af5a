// history export, check and replay as a person meets them. Whole proofs are checked in tests/server/ledger (unit) and
// tests/e2e/prove_test.py (real federation).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/base/bytes.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/crypto/certificate_issuer.h"
#include "common/history/proof.h"
#include "server/operator/cli.h"
#include "server/operator/owner_receipts.h"
#include "tests/server/operator/cli_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::op {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

class ProofVerbsTest : public CommandLineTest {
 protected:
  nlohmann::json Out() const { return nlohmann::json::parse(out()); }

  // Whole as a file; what its record says would not hold.
  std::vector<std::string> Proof() {
    crypto::CertificateTerms terms;
    terms.use = crypto::CertificateUse::kAuthority;
    terms.common_name = "ca";
    terms.serial = "s";
    terms.not_before = absl::FromUnixSeconds(1'600'000'000);
    terms.not_after = absl::FromUnixSeconds(2'000'000'000);
    history::ProofWriter writer;
    std::vector<std::string> parts = {writer.Begin(*crypto::SelfSign(*crypto::PrivateKey::Generate(), terms))};
    parts.push_back(writer.AddRecord(0, {"", "", std::string(64, 'a'), "", "body"}));
    parts.push_back(writer.End());
    return parts;
  }
  v1::ReplayPart Round(uint64_t number, const std::string& state) {
    v1::ReplayPart part;
    part.set_rounds_total(2);
    part.mutable_round()->set_round(number);
    part.mutable_round()->set_state(state);
    if (state != "equal") part.mutable_round()->set_reason("because");
    return part;
  }
  size_t Files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir_.path()), {}));
  }

  testing::TempDir dir_;
};

// ---- export

TEST_F(ProofVerbsTest, AProofIsWrittenWholeAndDescribed) {
  coordinator_.proof = Proof();
  const std::string to = dir_.File("digits.proof");
  EXPECT_EQ(Run({"history", "export", "digits", "--to", to, "-o", "json"}), kExitOk) << err();
  EXPECT_EQ(Out()["records"], "1");
  EXPECT_EQ(Out()["head_sha256"], std::string(64, 'a'));
  EXPECT_EQ(Out()["file"], to);
  EXPECT_EQ(ReadFile(to)->size(), std::filesystem::file_size(to));
  EXPECT_EQ(Files(), 1u);
}

TEST_F(ProofVerbsTest, WhatBreaksOffLeavesNoFile) {
  coordinator_.proof = Proof();
  coordinator_.proof.pop_back();
  const std::string to = dir_.File("digits.proof");
  EXPECT_EQ(Run({"history", "export", "digits", "--to", to}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("cut short"));
  coordinator_.error = absl::UnavailableError("gone");
  EXPECT_EQ(Run({"history", "export", "digits", "--to", to}), kExitUnreachable);
  EXPECT_EQ(Files(), 0u);
}

// ---- check

TEST_F(ProofVerbsTest, AProofThatDoesNotHoldEndsWithOneAndNamesTheRound) {
  std::string bytes;
  for (const std::string& part : Proof()) bytes += part;
  const std::string file = dir_.Write("bad.proof", bytes);
  EXPECT_EQ(Run({"history", "check", file, "-o", "json"}), kExitFailed);
  EXPECT_EQ(Out()["ok"], false);
  EXPECT_EQ(Out()["first_fault"]["round"], "0");
  EXPECT_THAT(err(), HasSubstr("data_loss"));
  EXPECT_EQ(Run({"history", "check", file}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("FAULT"));
}

TEST_F(ProofVerbsTest, AFileThatIsNoProofIsRefused) {
  EXPECT_EQ(Run({"history", "check", dir_.Write("x", "hello")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("is no proof"));
  EXPECT_EQ(Run({"history", "check", dir_.File("none")}), kExitFailed);
}

// ---- whose receipts

TEST_F(ProofVerbsTest, ReceiptsComeFromAListOfUploads) {
  v1::Receipt receipt;
  receipt.mutable_record()->set_run_id("r-1");
  receipt.mutable_record()->set_round(3);
  const nlohmann::json list = {
      {"uploads",
       {{{"kind", "dataset_facts"}},
        {{"kind", "metrics"}, {"receipt", {{"message", HexEncode(receipt.SerializeAsString())}}}},
        {{"kind", "delta"}, {"receipt", {{"message", HexEncode(receipt.SerializeAsString())}}}}}}};
  ASSERT_OK_AND_ASSIGN(const OwnerReceipts owner, LoadOwnerReceipts(dir_.Write("uploads.json", list.dump())));
  ASSERT_EQ(owner.receipts.size(), 1u);
  EXPECT_EQ(owner.receipts[0].record().round(), 3u);
  EXPECT_TRUE(owner.authorities.empty()) << "a list does not say which CA is the right one";
}

TEST_F(ProofVerbsTest, WhatIsNoListOfUploadsIsRefused) {
  for (const char* text :
       {"", "{", "[]", "7", "{}", R"({"uploads": 1})", R"({"uploads": [1]})", R"({"uploads": [{"receipt": 1}]})",
        R"({"uploads": [{"kind": "delta", "receipt": 1}]})", R"({"uploads": [{"kind": "delta", "receipt": {}}]})",
        R"({"uploads": [{"kind": "delta", "receipt": {"message": 5}}]})",
        R"({"uploads": [{"kind": "delta", "receipt": {"message": "abc"}}]})",
        R"({"uploads": [{"kind": "delta", "receipt": {"message": "ffffffff"}}]})"}) {
    EXPECT_THAT(LoadOwnerReceipts(dir_.Write("uploads.json", text)), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(LoadOwnerReceipts(dir_.path()), StatusIs(absl::StatusCode::kNotFound)) << "no client's directory";
  EXPECT_THAT(LoadOwnerReceipts(dir_.File("none")), StatusIs(absl::StatusCode::kNotFound));
}

// ---- replay

TEST_F(ProofVerbsTest, EqualRoundsAreOk) {
  coordinator_.replay = {Round(1, "equal"), Round(2, "equal")};
  EXPECT_EQ(Run({"history", "replay", "digits", "-o", "json"}), kExitOk);
  EXPECT_EQ(Out()["ok"], true);
  EXPECT_EQ(Out()["rounds_equal"], "2");
  EXPECT_EQ(err(), "");
  EXPECT_EQ(Run({"history", "replay", "digits"}), kExitOk);
  EXPECT_THAT(err(), HasSubstr("round 2 (2 of 2): equal")) << "progress for a person";
}

TEST_F(ProofVerbsTest, ARoundWithoutItsUpdatesIsNoFaultWhereAnotherWasReplayed) {
  coordinator_.replay = {Round(1, "not_replayable"), Round(2, "equal")};
  EXPECT_EQ(Run({"history", "replay", "digits", "-o", "json"}), kExitOk);
  EXPECT_EQ(Out()["rounds_not_replayable"], "1");
  coordinator_.replay = {Round(1, "not_replayable")};
  EXPECT_EQ(Run({"history", "replay", "digits", "-o", "json"}), kExitFailed) << "nothing was shown";
  EXPECT_EQ(Out()["ok"], false);
  EXPECT_FALSE(Out().contains("first_fault"));
}

TEST_F(ProofVerbsTest, ARoundThatDiffersIsAFaultWithItsRound) {
  for (const char* state : {"differs", "failed"}) {
    coordinator_.replay = {Round(1, "equal"), Round(2, state)};
    EXPECT_EQ(Run({"history", "replay", "digits", "-o", "json"}), kExitFailed);
    EXPECT_EQ(Out()["ok"], false);
    EXPECT_EQ(Out()["first_fault"]["round"], "2");
    EXPECT_EQ(Out()["first_fault"]["what"], "because");
  }
  v1::ReplayPart fault;
  fault.mutable_fault()->set_round(4);
  fault.mutable_fault()->set_what("its record is gone");
  coordinator_.replay = {fault};
  EXPECT_EQ(Run({"history", "replay", "digits"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("round 4: its record is gone"));
}

}  // namespace
}  // namespace tributary::op
