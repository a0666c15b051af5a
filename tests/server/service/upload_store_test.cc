// Partial uploads on disk: offsets, turns, damage, sweeping.
#include "server/service/upload_store.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "common/base/files.h"
#include "common/update/rejection.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::service {
namespace {

using testing::IsOk;
using testing::StatusIs;

class UploadStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(store_, UploadStore::Open(directory_.path())); }

  AnnouncedUpdate Announced(const std::string& bytes, const std::string& task = "task") const {
    AnnouncedUpdate a;
    a.record.set_task_id(task);
    a.record.set_client_id("c-1");
    a.record.set_update_sha256(crypto::Sha256Hex(bytes));
    a.record.set_encoding("float32");
    a.record.set_length(bytes.size());
    a.parameters = bytes.size() / 4;
    return a;
  }
  std::shared_ptr<Upload> Find(const std::string& id) { return *store_->Find(id, "c-1"); }

  const std::string bytes_ = update::EncodeParameters(std::vector<float>{1, 2, 3, 4});
  testing::TempDir directory_;
  std::unique_ptr<UploadStore> store_;
};

TEST_F(UploadStoreTest, BytesComeInOrderAndFinishWithTheirDigest) {
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(Announced(bytes_)));
  EXPECT_EQ(ticket.offset, 0u);
  const auto upload = Find(ticket.upload_id);
  ASSERT_OK_AND_ASSIGN(const uint64_t stream, upload->Begin());
  EXPECT_THAT(upload->Append(stream, 0, bytes_.substr(0, 5)), IsOk());
  EXPECT_THAT(upload->Append(stream, 6, bytes_.substr(6)), StatusIs(absl::StatusCode::kAborted));
  EXPECT_FALSE(upload->Complete(stream));
  EXPECT_THAT(upload->Append(stream, 5, bytes_.substr(5)), IsOk());
  EXPECT_TRUE(upload->Complete(stream));
  EXPECT_THAT(upload->Finish(stream), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string written, ReadFile(upload->path()));
  EXPECT_EQ(written, bytes_);
}

TEST_F(UploadStoreTest, ANewAnnouncementTakesTheFileFromAnOlderStream) {
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(Announced(bytes_)));
  const auto older = Find(ticket.upload_id);
  ASSERT_OK_AND_ASSIGN(const uint64_t stream, older->Begin());
  ASSERT_THAT(older->Append(stream, 0, bytes_.substr(0, 6)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto again, store_->Announce(Announced(bytes_)));
  EXPECT_EQ(again.offset, 6u);
  EXPECT_THAT(older->Append(stream, 6, bytes_.substr(6)), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(older->Begin(), StatusIs(absl::StatusCode::kAborted));
  const auto newer = Find(again.upload_id);
  ASSERT_OK_AND_ASSIGN(const uint64_t next, newer->Begin());
  EXPECT_THAT(newer->Append(next, 6, bytes_.substr(6)), IsOk());
  EXPECT_THAT(newer->Finish(next), IsOk());
}

TEST_F(UploadStoreTest, BytesSurviveARestart) {
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(Announced(bytes_)));
  {
    const auto upload = Find(ticket.upload_id);
    ASSERT_OK_AND_ASSIGN(const uint64_t stream, upload->Begin());
    ASSERT_THAT(upload->Append(stream, 0, bytes_.substr(0, 7)), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(store_, UploadStore::Open(directory_.path()));
  EXPECT_THAT(store_->Find(ticket.upload_id, "c-1"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const auto again, store_->Announce(Announced(bytes_)));
  EXPECT_EQ(again.offset, 7u);
}

TEST_F(UploadStoreTest, WhatThisProcessWroteIsNotReadAgain) {
  ASSERT_OK_AND_ASSIGN(auto ticket, store_->Announce(Announced(bytes_)));
  ASSERT_OK_AND_ASSIGN(uint64_t stream, Find(ticket.upload_id)->Begin());
  ASSERT_THAT(Find(ticket.upload_id)->Append(stream, 0, bytes_.substr(0, 6)), IsOk());
  Find(ticket.upload_id)->Release(stream);
  directory_.Write("partial/" + ticket.upload_id, "ABCDEF");  // nobody would
  ASSERT_OK_AND_ASSIGN(ticket, store_->Announce(Announced(bytes_)));
  EXPECT_EQ(ticket.offset, 6u);
  ASSERT_OK_AND_ASSIGN(stream, Find(ticket.upload_id)->Begin());
  ASSERT_THAT(Find(ticket.upload_id)->Append(stream, 6, bytes_.substr(6)), IsOk());
  EXPECT_THAT(Find(ticket.upload_id)->Finish(stream), IsOk());
}

TEST_F(UploadStoreTest, AFileThatIsNotAsItWasLeftIsReadAgain) {
  ASSERT_OK_AND_ASSIGN(auto ticket, store_->Announce(Announced(bytes_)));
  ASSERT_OK_AND_ASSIGN(uint64_t stream, Find(ticket.upload_id)->Begin());
  ASSERT_THAT(Find(ticket.upload_id)->Append(stream, 0, bytes_.substr(0, 9)), IsOk());
  Find(ticket.upload_id)->Release(stream);
  std::filesystem::resize_file(directory_.File("partial/" + ticket.upload_id), 5);
  ASSERT_OK_AND_ASSIGN(ticket, store_->Announce(Announced(bytes_)));
  EXPECT_EQ(ticket.offset, 5u);
  ASSERT_OK_AND_ASSIGN(stream, Find(ticket.upload_id)->Begin());
  ASSERT_THAT(Find(ticket.upload_id)->Append(stream, 5, bytes_.substr(5)), IsOk());
  EXPECT_THAT(Find(ticket.upload_id)->Finish(stream), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string written, ReadFile(directory_.File("partial/" + ticket.upload_id)));
  EXPECT_EQ(written, bytes_);
}

TEST_F(UploadStoreTest, AnotherLengthIsNotReadAsTheFirstWas) {
  ASSERT_OK_AND_ASSIGN(auto ticket, store_->Announce(Announced(bytes_)));
  ASSERT_OK_AND_ASSIGN(uint64_t stream, Find(ticket.upload_id)->Begin());
  ASSERT_THAT(Find(ticket.upload_id)->Append(stream, 0, bytes_.substr(0, 8)), IsOk());
  AnnouncedUpdate shorter = Announced(bytes_);
  shorter.parameters = 2;
  shorter.record.set_length(8);
  ASSERT_OK_AND_ASSIGN(ticket, store_->Announce(shorter));
  ASSERT_OK_AND_ASSIGN(stream, Find(ticket.upload_id)->Begin());
  EXPECT_TRUE(Find(ticket.upload_id)->Complete(stream));
  EXPECT_EQ(update::RejectionCode(Find(ticket.upload_id)->Append(stream, 8, bytes_.substr(8))), update::kWrongShape);
}

TEST_F(UploadStoreTest, AWrongDigestIsTheSendersFaultOnlyWhenItSentEveryByte) {
  AnnouncedUpdate other = Announced(bytes_);
  other.record.set_update_sha256(std::string(64, 'a'));
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(other));
  ASSERT_OK_AND_ASSIGN(uint64_t stream, Find(ticket.upload_id)->Begin());
  ASSERT_THAT(Find(ticket.upload_id)->Append(stream, 0, bytes_.substr(0, 8)), IsOk());
  ASSERT_OK_AND_ASSIGN(store_, UploadStore::Open(directory_.path()));
  ASSERT_THAT(store_->Announce(other), IsOk());
  const auto upload = Find(ticket.upload_id);
  ASSERT_OK_AND_ASSIGN(stream, upload->Begin());  // resumed
  ASSERT_THAT(upload->Append(stream, 8, bytes_.substr(8)), IsOk());
  EXPECT_THAT(upload->Finish(stream), StatusIs(absl::StatusCode::kAborted));
  ASSERT_OK_AND_ASSIGN(stream, upload->Begin());  // from the beginning
  ASSERT_THAT(upload->Append(stream, 0, bytes_), IsOk());
  EXPECT_EQ(update::RejectionCode(upload->Finish(stream)), update::kWrongDigest);
}

TEST_F(UploadStoreTest, WhatCanNeverBeAcceptedIsNotWritten) {
  const std::string bad = update::EncodeParameters(std::vector<float>{1, std::numeric_limits<float>::infinity(), 3});
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(Announced(bad)));
  const auto upload = Find(ticket.upload_id);
  ASSERT_OK_AND_ASSIGN(const uint64_t stream, upload->Begin());
  EXPECT_EQ(update::RejectionCode(upload->Append(stream, 0, bad)), update::kNotFinite);
  EXPECT_EQ(std::filesystem::file_size(upload->path()), 0u);
}

TEST_F(UploadStoreTest, AnotherClientDoesNotFindIt) {
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(Announced(bytes_)));
  EXPECT_THAT(store_->Find(ticket.upload_id, "c-2"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(UploadStoreTest, AnotherDigestForATaskReplacesTheFirst) {
  ASSERT_OK_AND_ASSIGN(const auto first, store_->Announce(Announced(bytes_)));
  ASSERT_THAT(Find(first.upload_id)->Begin(), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto second,
                       store_->Announce(Announced(update::EncodeParameters(std::vector<float>{5, 6, 7, 8}))));
  EXPECT_NE(first.upload_id, second.upload_id);
  EXPECT_THAT(store_->Find(first.upload_id, "c-1"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(FileExists(directory_.File("partial/" + first.upload_id)));
}

TEST_F(UploadStoreTest, AnotherDigestReplacesWhatAnEarlierProcessLeft) {
  ASSERT_OK_AND_ASSIGN(const auto first, store_->Announce(Announced(bytes_)));
  ASSERT_THAT(Find(first.upload_id)->Begin(), IsOk());
  ASSERT_OK_AND_ASSIGN(store_, UploadStore::Open(directory_.path()));
  ASSERT_THAT(store_->Announce(Announced(update::EncodeParameters(std::vector<float>{5, 6, 7, 8}))), IsOk());
  EXPECT_FALSE(FileExists(directory_.File("partial/" + first.upload_id)));
}

TEST_F(UploadStoreTest, SweepingKeepsWhatOpenTasksNeed) {
  ASSERT_OK_AND_ASSIGN(const auto open, store_->Announce(Announced(bytes_, "open")));
  ASSERT_OK_AND_ASSIGN(const auto closed, store_->Announce(Announced(bytes_, "closed")));
  ASSERT_THAT(Find(open.upload_id)->Begin(), IsOk());
  ASSERT_THAT(Find(closed.upload_id)->Begin(), IsOk());
  directory_.Write("partial/left-by-somebody", "x");
  ASSERT_THAT(store_->Sweep([] { return std::set<std::string>{"open"}; }), IsOk());
  EXPECT_TRUE(FileExists(directory_.File("partial/" + open.upload_id)));
  EXPECT_FALSE(FileExists(directory_.File("partial/" + closed.upload_id)));
  EXPECT_FALSE(FileExists(directory_.File("partial/left-by-somebody")));
}

TEST_F(UploadStoreTest, SweepingSparesAnUploadThatBeginsWhileTheOpenTasksAreRead) {
  std::string upload_id;
  ASSERT_THAT(store_->Sweep([&] {
    // The list is read; then the next round opens, and its first client is quick.
    const std::set<std::string> open = {"of the round before"};
    upload_id = store_->Announce(Announced(bytes_, "of the next round")).value().upload_id;
    EXPECT_THAT(Find(upload_id)->Begin(), IsOk());
    return open;
  }),
              IsOk());
  EXPECT_TRUE(FileExists(directory_.File("partial/" + upload_id)));
  EXPECT_THAT(store_->Find(upload_id, "c-1"), IsOk());
}

TEST_F(UploadStoreTest, WithoutTheOpenTasksNothingIsSwept) {
  ASSERT_OK_AND_ASSIGN(const auto ticket, store_->Announce(Announced(bytes_)));
  ASSERT_THAT(Find(ticket.upload_id)->Begin(), IsOk());
  EXPECT_THAT(store_->Sweep([]() -> absl::StatusOr<std::set<std::string>> { return absl::UnknownError("disk"); }),
              StatusIs(absl::StatusCode::kUnknown));
  EXPECT_TRUE(FileExists(directory_.File("partial/" + ticket.upload_id)));
}

}  // namespace
}  // namespace tributary::service
