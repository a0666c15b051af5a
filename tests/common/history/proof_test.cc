#include "common/history/proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/certificate_issuer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::history {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TempDir;

constexpr std::string_view kMagic = "tributary-proof/v1\n";

crypto::Certificate MakeAuthority() {
  crypto::CertificateTerms terms;
  terms.use = crypto::CertificateUse::kAuthority;
  terms.common_name = "ca";
  terms.serial = std::string(16, 's');
  terms.not_before = absl::FromUnixSeconds(1'600'000'000);
  terms.not_after = absl::FromUnixSeconds(2'000'000'000);
  return *crypto::SelfSign(*crypto::PrivateKey::Generate(), terms);
}

class ProofTest : public ::testing::Test {
 protected:
  std::string Write(std::string_view bytes) { return dir_.Write("a.proof", std::string(bytes)); }

  // Reads to the end, or what stood in the way.
  absl::Status ReadAll(std::string_view bytes) {
    TRB_ASSIGN_OR_RETURN(const auto reader, ProofReader::Open(Write(bytes)));
    for (;;) {
      TRB_ASSIGN_OR_RETURN(const ProofReader::Entry entry, reader->Next());
      if (entry.kind == 'e') return absl::OkStatus();
    }
  }

  std::string Whole() {
    ProofWriter writer;
    std::string out = writer.Begin(authority_);
    out += writer.AddRecord(0, {std::string(64, '0'), std::string(64, 'b'), std::string(64, 'r'), "sig", "body"});
    out += writer.AddClient(authority_);
    out += writer.AddRecord(1, {std::string(64, 'r'), std::string(64, 'c'), std::string(64, 's'), "sig2", ""});
    return out + writer.End();
  }

  const crypto::Certificate authority_ = MakeAuthority();
  TempDir dir_;
};

TEST_F(ProofTest, ComesBackAsItWasWritten) {
  ASSERT_OK_AND_ASSIGN(const auto reader, ProofReader::Open(Write(Whole())));
  ASSERT_OK_AND_ASSIGN(const auto authority, reader->Next());
  EXPECT_EQ(authority.kind, 'a');
  EXPECT_EQ(authority.certificate_der, authority_.ToDer());
  ASSERT_OK_AND_ASSIGN(const auto genesis, reader->Next());
  EXPECT_EQ(genesis.kind, 'r');
  EXPECT_EQ(genesis.round, 0u);
  EXPECT_EQ(genesis.record.body, "body");
  EXPECT_EQ(genesis.record.signature, "sig");
  EXPECT_EQ(genesis.record.record_sha256, std::string(64, 'r'));
  EXPECT_EQ(reader->Next()->kind, 'c');
  EXPECT_EQ(reader->Next()->round, 1u);
  EXPECT_EQ(reader->Next()->kind, 'e');
}

TEST_F(ProofTest, EveryBitCounts) {
  const std::string whole = Whole();
  ASSERT_OK(ReadAll(whole));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    EXPECT_THAT(ReadAll(changed), StatusIs(absl::StatusCode::kDataLoss)) << "byte " << at;
  }
}

TEST_F(ProofTest, EveryEndButTheLastIsRefused) {
  const std::string whole = Whole();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(ReadAll(whole.substr(0, size)), StatusIs(absl::StatusCode::kDataLoss)) << size << " bytes";
  EXPECT_THAT(ReadAll(whole + "x"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("follows its end")));
}

TEST_F(ProofTest, ALengthIsNotBelievedBeforeTheBytesAreThere) {
  for (const uint64_t length : {uint64_t{1} << 27, ProofReader::kMaxRecordBytes, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::string lie(kMagic);
    lie += 'r';
    AppendLe64(&lie, length);
    lie += "few bytes";
    EXPECT_THAT(ReadAll(lie), StatusIs(absl::StatusCode::kDataLoss)) << length;
    // The same inside a record: its fields.
    std::string payload;
    AppendLe64(&payload, 0);
    AppendLe64(&payload, length);
    std::string inner(kMagic);
    inner += 'r';
    AppendLengthPrefixed(&inner, payload);
    EXPECT_THAT(ReadAll(inner), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("layout"))) << length;
  }
}

TEST_F(ProofTest, OtherFilesAreRefusedByWhatTheyAre) {
  EXPECT_THAT(ReadAll(""), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is no proof")));
  EXPECT_THAT(ReadAll("tributary-backup/v1\n and more"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no proof")));
  EXPECT_THAT(ReadAll("tributary-proof/v2\n and more"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("a version")));
  EXPECT_THAT(ProofReader::Open(dir_.File("nothing")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ProofReader::Open(dir_.path()), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string pipe = dir_.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(ProofReader::Open(pipe), StatusIs(absl::StatusCode::kInvalidArgument)) << "and does not wait";
}

}  // namespace
}  // namespace tributary::history
