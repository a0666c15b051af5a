#include "server/service/worker_pool.h"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// Keeps the pool's one thread busy until Open.
class Barrier {
 public:
  void Wait() {
    MutexLock lock(&mu_);
    waiting_ = true;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(&mu_);
  }
  void AwaitWaiting() {
    MutexLock lock(&mu_);
    while (!waiting_) changed_.Wait(&mu_);
  }
  void Open() {
    MutexLock lock(&mu_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool waiting_ TRB_GUARDED_BY(mu_) = false, open_ TRB_GUARDED_BY(mu_) = false;
};

class WorkerPoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(pool_.Post([this] { barrier_.Wait(); }));
    barrier_.AwaitWaiting();
  }
  void TearDown() override { barrier_.Open(); }

  Barrier barrier_;
  WorkerPool pool_{1, {.pieces = 3, .bytes = 100}};
};

TEST_F(WorkerPoolTest, NewWorkIsRefusedWhenTooMuchWaits) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 3; ++i) ASSERT_THAT(pool_.Offer([&] { ++ran; }, 1), IsOk());
  EXPECT_THAT(pool_.Offer([&] { ++ran; }, 1),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("try again in")));
  EXPECT_TRUE(pool_.Post([&] { ++ran; })) << "what goes on already must be able to end";
  barrier_.Open();
  pool_.Stop();
  EXPECT_EQ(ran, 4);
}

TEST_F(WorkerPoolTest, NewWorkIsRefusedWhenItsRequestsTakeTooMuchMemory) {
  ASSERT_THAT(pool_.Offer([] {}, 60), IsOk());
  EXPECT_THAT(pool_.Offer([] {}, 60), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(pool_.Offer([] {}, 40), IsOk());
}

TEST_F(WorkerPoolTest, ALargeRequestIsTakenWhenNothingWaits) {
  EXPECT_THAT(pool_.Offer([] {}, 1000), IsOk());
}

TEST_F(WorkerPoolTest, WhatWasDoneMakesRoomAgain) {
  ASSERT_THAT(pool_.Offer([] {}, 100), IsOk());
  barrier_.Open();
  while (!pool_.Offer([] {}, 100).ok()) {
  }
}

TEST_F(WorkerPoolTest, AfterStopNothingIsTaken) {
  barrier_.Open();
  pool_.Stop();
  EXPECT_THAT(pool_.Offer([] {}, 1), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace tributary::service
