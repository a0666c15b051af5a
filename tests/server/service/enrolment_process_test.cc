// Programs of a few lines in the place of the real one: what they do wrong costs nothing and leaves nothing. The real
// one is in tests/e2e/strangers_test.py.
#include "server/service/enrolment_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/files.h"
#include "common/base/logging.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::service {
namespace {

using testing::IsOk;
using ::testing::Not;

// A call of number 1 from "abc", without a request in it.
constexpr char kCall[] = "printf '\\001\\0\\0\\0\\0\\0\\0\\0\\003\\0abc' >&3\n";

class EnrolmentProcessTest : public ::testing::Test {
 protected:
  EnrolmentProcessTest() { SetLogLevel(LogLevel::kOff); }
  ~EnrolmentProcessTest() override {
    SetLogLevel(LogLevel::kWarning);
    // Neither a process nor a zombie is left.
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  }
  std::string Script(const std::string& body) const {
    const std::string path = dir_.File("program");
    EXPECT_OK(WriteFileDurably(path, "#!/bin/sh\n" + body, 0700));
    return path;
  }
  absl::StatusOr<std::unique_ptr<EnrolmentProcess>> Start(const std::string& program) {
    EnrolmentProcess::Options options;
    options.program = program;
    options.listening_fd = listening_.get();
    options.handler = [this](RelayedRequest request, EnrolmentProcess::Answer answer) {
      MutexLock lock(&mu_);
      calls_.emplace_back(std::move(request), std::move(answer));
      changed_.NotifyAll();
    };
    options.patience = absl::Milliseconds(200);
    options.first_pause = absl::Milliseconds(1);
    return EnrolmentProcess::Start(std::move(options));
  }
  void AwaitCalls(size_t count) {
    MutexLock lock(&mu_);
    while (calls_.size() < count) changed_.Wait(&mu_);
  }

  const testing::TempDir dir_;
  const Fd listening_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Mutex mu_;
  CondVar changed_;
  std::vector<std::pair<RelayedRequest, EnrolmentProcess::Answer>> calls_ TRB_GUARDED_BY(mu_);
};

TEST_F(EnrolmentProcessTest, WhatItHandsOnIsHeardAndWhatDiesIsStartedAgain) {
  ASSERT_OK_AND_ASSIGN(const auto process, Start(Script(kCall)));
  AwaitCalls(3);
  MutexLock lock(&mu_);
  EXPECT_EQ(calls_[0].first.address, "abc");
  calls_[0].second({1, absl::OkStatus(), {}});  // to a process that is gone
}

TEST_F(EnrolmentProcessTest, AProgramThatDoesNotEndIsKilled) {
  ASSERT_OK_AND_ASSIGN(auto process, Start(Script(std::string(kCall) + "exec sleep 1000\n")));
  AwaitCalls(1);
  process = nullptr;
}

TEST_F(EnrolmentProcessTest, AProgramThatTalksNonsenseIsKilledAndStartedAgain) {
  ASSERT_OK_AND_ASSIGN(const auto process, Start(Script(std::string(kCall) + "printf x >&3\nexec sleep 1000\n")));
  AwaitCalls(2);
}

TEST_F(EnrolmentProcessTest, AProgramWithMoreCallsThanItMayHaveIsKilled) {
  std::string many;
  for (size_t i = 0; i < kRelayedAtOnce + 1; ++i) many += kCall;
  ASSERT_OK_AND_ASSIGN(const auto process, Start(Script(many + "exec sleep 1000\n")));
  AwaitCalls(kRelayedAtOnce + 1);  // the first of its successor
}

TEST_F(EnrolmentProcessTest, AProgramThatIsNotThereIsSaidSo) { EXPECT_THAT(Start(dir_.File("nothing")), Not(IsOk())); }

TEST_F(EnrolmentProcessTest, ItHasNoOtherFileOfOurs) {
  const Fd secret(fcntl(0, F_DUPFD, 200));  // not close-on-exec
  ASSERT_EQ(secret.get(), 200);
  ASSERT_OK_AND_ASSIGN(const auto process,
                       Start(Script("[ -e /proc/self/fd/4 ] && [ ! -e /proc/self/fd/200 ] && " + std::string(kCall))));
  AwaitCalls(1);
}

}  // namespace
}  // namespace tributary::service
