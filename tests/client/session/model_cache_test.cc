#include "client/session/model_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "tests/client/session/test_federation.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

class ModelCacheTest : public ::testing::Test {
 protected:
  ModelCacheTest() : task_(federation_.Task(1)), cache_(ModelCache::Open(dir_.path()).value()) {
    link_.on_download = [this](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink,
                               std::stop_token) {
      offsets_.push_back(request.offset());
      return SendModel(federation_.BaseModel(), request, sink);
    };
  }
  absl::StatusOr<std::string> Fetch() { return cache_->Fetch(task_, &link_, std::stop_token()); }
  void CutAfter(size_t bytes) {
    link_.on_download = [this, bytes](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink,
                                      std::stop_token) -> absl::Status {
      offsets_.push_back(request.offset());
      TRB_RETURN_IF_ERROR(SendModel(federation_.BaseModel().substr(0, bytes), request, sink));
      return absl::UnavailableError("cut");
    };
  }

  const testing::TempDir dir_;
  const TestFederation federation_;
  const v1::TrainTask task_;
  const std::unique_ptr<ModelCache> cache_;
  FakeLink link_;
  std::vector<uint64_t> offsets_;
};

TEST_F(ModelCacheTest, AModelIsFetchedOnce) {
  EXPECT_EQ(federation_.BaseModel(), Fetch().value());
  EXPECT_EQ(federation_.BaseModel(), Fetch().value());
  EXPECT_EQ(1u, offsets_.size());
}

TEST_F(ModelCacheTest, AfterACutItGoesOnWhereItWas) {
  const auto resume = link_.on_download;
  CutAfter(14);
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kUnavailable));
  link_.on_download = resume;
  ASSERT_OK_AND_ASSIGN(const auto reopened, ModelCache::Open(dir_.path()));
  EXPECT_EQ(federation_.BaseModel(), reopened->Fetch(task_, &link_, std::stop_token()).value());
  EXPECT_EQ((std::vector<uint64_t>{0, 14}), offsets_);
}

TEST_F(ModelCacheTest, AnEndBeforeTheEndIsTriedAgain) {
  link_.on_download = [this](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink,
                             std::stop_token) {
    return SendModel(federation_.BaseModel().substr(0, 7), request, sink);
  };
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ModelCacheTest, OtherBytesAreRefusedAndNotKept) {
  const auto good = link_.on_download;
  link_.on_download = [this](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink,
                             std::stop_token) {
    return SendModel(std::string(federation_.BaseModel().size(), 'x'), request, sink);
  };
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kDataLoss));
  link_.on_download = good;
  EXPECT_OK(Fetch());
}

TEST_F(ModelCacheTest, TooManyBytesAreRefused) {
  link_.on_download = [this](const v1::DownloadModelRequest& request, const CoordinatorLink::Sink& sink,
                             std::stop_token) { return SendModel(federation_.BaseModel() + "more", request, sink); };
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ModelCacheTest, EmptyChunksAreRefused) {
  link_.on_download = [](const v1::DownloadModelRequest&, const CoordinatorLink::Sink& sink, std::stop_token) {
    return sink(v1::ModelChunk());
  };
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ModelCacheTest, ADamagedFileIsFetchedAgain) {
  ASSERT_OK(Fetch());
  dir_.Write("cache/" + task_.base_model_sha256(), std::string(federation_.BaseModel().size(), 'y'));
  EXPECT_EQ(federation_.BaseModel(), Fetch().value());
}

TEST_F(ModelCacheTest, FewAreKept) {
  for (int i = 0; i < 8; ++i) dir_.Write("cache/old" + std::to_string(i), "x");
  ASSERT_OK(Fetch());
  int files = 0;
  for (int i = 0; i < 8; ++i) files += FileExists(dir_.File("cache/old" + std::to_string(i))) ? 1 : 0;
  EXPECT_EQ(3, files);
  EXPECT_TRUE(FileExists(dir_.File("cache/" + task_.base_model_sha256())));
}

TEST_F(ModelCacheTest, WhatIsFetchedStaysAfterTheClockWasSetBack) {
  for (int i = 0; i < 4; ++i) {
    const std::string path = dir_.Write("cache/old" + std::to_string(i), "x");
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  }
  ASSERT_OK(Fetch());
  EXPECT_TRUE(FileExists(dir_.File("cache/" + task_.base_model_sha256())));
}

}  // namespace
}  // namespace tributary::session
