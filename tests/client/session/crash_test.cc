// A client that is killed (-9) between finishing a training and storing its receipt: nothing is trained twice that is
// in the outbox, nothing is lost, and one update only counts.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>

#include "client/session/task_check.h"
#include "tests/client/session/client_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

namespace fs = std::filesystem;

// Runs one task to its end, keeping the directory as it was at some instant; then goes on from there as a new process.
class CrashTest : public ClientFixture {
 protected:
  CrashTest() {
    train_ = [this](const learning::LocalTask& task) {
      auto result = learning::TrainLocally(task);
      if (trainings_++ == 0) at_trained_();
      return result;
    };
    link_.on_begin = [this](const v1::BeginUploadRequest& request) {
      if (begun_count_++ == 0) at_begin_();
      v1::BeginUploadResponse response;
      record_ = request.record();
      if (taken_.count(record_.update_sha256()) > 0) {
        *response.mutable_receipt() = federation_.ReceiptFor(record_, task_);
      } else {
        response.mutable_ticket()->set_upload_id("u");
      }
      return response;
    };
    link_.on_upload = [this](const v1::UploadTicket&, std::string_view) {
      ++uploads_;
      taken_.insert(record_.update_sha256());
      at_taken_();
      v1::UploadUpdateResponse response;
      *response.mutable_receipt() = federation_.ReceiptFor(record_, task_);
      return response;
    };
  }
  ~CrashTest() override { StopAll(); }

  // The files as a kill at this instant leaves them; no other thread writes at the instants of these tests.
  void Keep() {
    fs::remove_all(kept_.path());
    fs::copy(dir_.path(), kept_.path(), fs::copy_options::recursive);
    fs::remove(kept_.path() + "/client.db-shm");
  }
  void RunToTheEnd() {
    StartAll();
    link_.AwaitHello(1);
    link_.PushTask(task_);
    AwaitState(task_, TaskState::kDone);
  }
  void GoOnFromWhatWasKept() {
    StopAll();
    board_.reset();
    outbox_.reset();
    ledger_.reset();
    for (const auto& entry : fs::directory_iterator(dir_.path())) fs::remove_all(entry.path());
    fs::copy(kept_.path(), dir_.path(), fs::copy_options::recursive);
    stop_ = std::stop_source();
    v1::TaskVerdict& verdict = *link_.welcome.add_verdicts();
    verdict.set_task_id(task_.task_id());
    verdict.set_action(v1::TaskVerdict::CONTINUE);
    OpenStores();
    StartAll();
  }
  std::string StoredReceipt() {
    std::string receipt;
    EXPECT_OK(ledger_->ListSent([&receipt](const SentRow& row) {
      if (!row.receipt.empty()) receipt = row.receipt;
      return absl::OkStatus();
    }));
    return receipt;
  }
  // What must hold whenever it was killed.
  void ExpectOneUpdateReceipted() {
    AwaitState(task_, TaskState::kDone);
    StopAll();
    EXPECT_EQ(1u, taken_.size()) << "the same update, whenever it was made";
    v1::Receipt receipt;
    ASSERT_TRUE(receipt.ParseFromString(StoredReceipt()));
    EXPECT_EQ(*taken_.begin(), receipt.record().update_sha256());
    EXPECT_TRUE(fs::is_empty(dir_.path() + "/outbox"));
    EXPECT_FALSE(intake_->Decide(task_).value().accepted) << "not again";
  }

  const v1::TrainTask task_ = federation_.Task(1);
  const testing::TempDir kept_;
  std::function<void()> at_trained_ = [] {}, at_begin_ = [] {}, at_taken_ = [] {};
  std::atomic<int> trainings_{0}, begun_count_{0}, uploads_{0};
  v1::UpdateRecord record_;      // of the newest BeginUpload; the uploader's thread alone
  std::set<std::string> taken_;  // updates, likewise
};

TEST_F(CrashTest, BeforeTheUpdateIsDurableItIsTrainedAgainToTheSameBits) {
  at_trained_ = [this] { Keep(); };
  RunToTheEnd();
  GoOnFromWhatWasKept();
  ExpectOneUpdateReceipted();
  EXPECT_EQ(2, trainings_);
}

TEST_F(CrashTest, WithTheFileWrittenAndNoRowItIsTrainedAgainToTheSameBits) {
  at_trained_ = [this] {
    Keep();
    kept_.Write("outbox/" + task_.task_id(), "some of the update");
  };
  RunToTheEnd();
  GoOnFromWhatWasKept();
  ExpectOneUpdateReceipted();
  EXPECT_EQ(2, trainings_);
}

TEST_F(CrashTest, WithTheRowWrittenNothingIsTrainedAgain) {
  at_begin_ = [this] { Keep(); };
  RunToTheEnd();
  GoOnFromWhatWasKept();
  ExpectOneUpdateReceipted();
  EXPECT_EQ(1, trainings_);
}

TEST_F(CrashTest, OnceItWasSentTheReceiptIsHadWithoutSendingItAgain) {
  at_taken_ = [this] { Keep(); };
  RunToTheEnd();
  GoOnFromWhatWasKept();
  ExpectOneUpdateReceipted();
  EXPECT_EQ(1, trainings_);
  EXPECT_EQ(1, uploads_);
}

TEST_F(CrashTest, WithTheReceiptStoredTheBytesThatAreLeftGo) {
  RunToTheEnd();
  Keep();
  kept_.Write("outbox/" + task_.task_id(), "the update");
  GoOnFromWhatWasKept();
  ExpectOneUpdateReceipted();
  EXPECT_EQ(1, trainings_);
  EXPECT_EQ(1, uploads_);
  EXPECT_EQ(1, begun_count_);
}

}  // namespace
}  // namespace tributary::session
