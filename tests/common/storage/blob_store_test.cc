#include "common/storage/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TempDir;

class BlobStoreTest : public ::testing::Test {
 protected:
  void Flip(const std::string& sha256) {
    std::string bytes = ReadFile(blobs_->PathOf(sha256)).value();
    bytes[bytes.size() / 2] ^= 1;
    ASSERT_OK(WriteFileDurably(blobs_->PathOf(sha256), bytes, 0600));
  }
  TempDir dir_;
  std::unique_ptr<BlobStore> blobs_ = BlobStore::Open(dir_.path()).value();
};

TEST_F(BlobStoreTest, ABlobIsNamedByItsDigest) {
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put("abc"));
  EXPECT_EQ(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(blobs_->PathOf(sha256), absl::StrCat(dir_.path(), "/blobs/ba/", sha256));
  EXPECT_THAT(blobs_->Get(sha256), IsOkAndHolds("abc"));
  EXPECT_THAT(blobs_->Size(sha256), IsOkAndHolds(3u));
  EXPECT_TRUE(blobs_->Contains(sha256));
  EXPECT_OK(blobs_->Verify(sha256));
  EXPECT_OK(RequirePrivate(blobs_->PathOf(sha256)));
}

TEST_F(BlobStoreTest, AnEmptyBlobIsABlob) {
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put(""));
  EXPECT_THAT(blobs_->Get(sha256), IsOkAndHolds(""));
}

TEST_F(BlobStoreTest, AbsentAndImpossibleNamesAreToldApart) {
  const std::string absent(64, 'a');
  EXPECT_THAT(blobs_->Get(absent), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(blobs_->Size(absent), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(blobs_->Verify(absent), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(blobs_->Contains(absent));
  for (const std::string bad : {"", "ab", "../../../../etc/passwd", "A"}) {
    EXPECT_THAT(blobs_->Get(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
    EXPECT_THAT(blobs_->Remove(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
    EXPECT_FALSE(blobs_->Contains(bad)) << bad;
  }
}

TEST_F(BlobStoreTest, OneFlippedByteIsDataLossAndNamesTheFile) {
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put("some model"));
  Flip(sha256);
  EXPECT_THAT(blobs_->Get(sha256), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(blobs_->PathOf(sha256))));
  EXPECT_THAT(blobs_->Verify(sha256), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(BlobStoreTest, PuttingADamagedBlobAgainMendsIt) {
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put("some model"));
  Flip(sha256);
  EXPECT_THAT(blobs_->Put("some model"), IsOkAndHolds(sha256));
  EXPECT_OK(blobs_->Verify(sha256));
}

TEST_F(BlobStoreTest, LargeBlobsAreReadInPieces) {
  std::string bytes(700'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 % 251);
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put(bytes));
  std::string read;
  ASSERT_OK(blobs_->Read(sha256, [&](std::string_view piece) {
    EXPECT_LE(piece.size(), 256u * 1024);
    read.append(piece);
    return absl::OkStatus();
  }));
  EXPECT_TRUE(read == bytes);
  int pieces = 0;
  EXPECT_THAT(blobs_->Read(sha256,
                           [&](std::string_view) {
                             ++pieces;
                             return absl::CancelledError("enough");
                           }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(pieces, 1);
  Flip(sha256);
  EXPECT_THAT(blobs_->Read(sha256, [](std::string_view) { return absl::OkStatus(); }),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(BlobStoreTest, AFinishedUploadIsTakenOver) {
  const std::string upload = dir_.Write("partial/upload-1", "abc");
  const std::string sha256 = crypto::Sha256Hex("abc");
  ASSERT_OK(blobs_->Adopt(upload, sha256));
  EXPECT_FALSE(FileExists(upload));
  EXPECT_THAT(blobs_->Get(sha256), IsOkAndHolds("abc"));
}

TEST_F(BlobStoreTest, AnUploadOfAnotherDigestStaysWhereItIs) {
  const std::string upload = dir_.Write("partial/upload-1", "abc");
  EXPECT_THAT(blobs_->Adopt(upload, std::string(64, 'a')), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(FileExists(upload));
  EXPECT_THAT(blobs_->Adopt(dir_.File("none"), std::string(64, 'a')), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(BlobStoreTest, RemovingIsFinalAndRepeatable) {
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put("abc"));
  EXPECT_OK(blobs_->Remove(sha256));
  EXPECT_OK(blobs_->Remove(sha256));
  EXPECT_FALSE(blobs_->Contains(sha256));
}

TEST_F(BlobStoreTest, ListIsSortedAndHoldsBlobsOnly) {
  ASSERT_OK_AND_ASSIGN(const std::string a, blobs_->Put("abc"));
  ASSERT_OK_AND_ASSIGN(const std::string b, blobs_->Put("def"));
  dir_.Write("blobs/ba/README", "not a blob");
  EXPECT_THAT(*blobs_->List(), ElementsAre(std::min(a, b), std::max(a, b)));
}

TEST_F(BlobStoreTest, OpeningSweepsWhatACrashLeft) {
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put("abc"));
  const std::string left = absl::StrCat(blobs_->PathOf(sha256), ".tmp-1-2");
  ASSERT_OK(WriteFileDurably(left, "half", 0600));
  ASSERT_THAT(BlobStore::Open(dir_.path(), /*read_only=*/true), IsOk());
  EXPECT_TRUE(FileExists(left)) << "a reader removes nothing";
  ASSERT_THAT(BlobStore::Open(dir_.path()), IsOk());
  EXPECT_FALSE(FileExists(left));
  EXPECT_TRUE(blobs_->Contains(sha256));
}

TEST(BlobStoreReaderTest, AReaderMakesNothing) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(const auto blobs, BlobStore::Open(dir.path(), /*read_only=*/true));
  EXPECT_FALSE(FileExists(dir.File("blobs")));
  EXPECT_THAT(*blobs->List(), ElementsAre());
  EXPECT_THAT(blobs->Get(std::string(64, 'a')), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(BlobStoreTest, TheSameBytesFromManyThreadsAreOneBlob) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) EXPECT_THAT(blobs_->Put(absl::StrCat("same ", k)), IsOk());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(blobs_->List()->size(), 5u);
}

TEST_F(BlobStoreTest, AnOfferIsBesideItsBlobAndGoesWithIt) {
  EXPECT_THAT(blobs_->Offer(std::string(64, 'a')), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const std::string sha256, blobs_->Put("a model"));
  EXPECT_THAT(blobs_->OfferedAt(sha256), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(blobs_->Offer(sha256));
  EXPECT_THAT(blobs_->OfferedAt(sha256), IsOk());
  EXPECT_THAT(blobs_->List(), IsOkAndHolds(std::vector<std::string>{sha256}));
  ASSERT_OK(blobs_->Remove(sha256));
  EXPECT_THAT(blobs_->OfferedAt(sha256), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace tributary::storage
