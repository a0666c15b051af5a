#include "server/operator/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "common/base/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::op {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;

class ChildProcessTest : public ::testing::Test {
 protected:
  std::string log() const { return dir_.path() + "/log"; }
  const testing::TempDir dir_;
};

TEST_F(ChildProcessTest, ReadsItsInputAndItsLineIsFound) {
  const auto child = ChildProcess::Start({"/bin/sh", "-c", "read x; echo \"ready $x\"; exec cat"}, "token\n", log());
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT((*child)->WaitForLine("ready ", absl::Seconds(30)), IsOkAndHolds(std::string("ready token")));
}

TEST_F(ChildProcessTest, HalfALineIsNotTheLineUntilItsEndComes) {
  const auto child = ChildProcess::Start(
      {"/bin/sh", "-c",
       "echo other; printf 'ready main=127.'; trap 'echo 0.0.1:7443; exit 0' TERM; while :; do :; done"},
      "", log());
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT((*child)->WaitForLine("ready", absl::Milliseconds(300)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  (*child)->Stop(absl::Seconds(30));
  EXPECT_THAT((*child)->WaitForLine("ready", absl::Seconds(30)),
              IsOkAndHolds(std::string("ready main=127.0.0.1:7443")));
}

TEST_F(ChildProcessTest, NoLineInTimeSaysSo) {
  const auto child = ChildProcess::Start({"/bin/sh", "-c", "echo other; exec sleep 60"}, "", log());
  ASSERT_THAT(child, IsOk());
  ASSERT_THAT((*child)->WaitForLine("other", absl::Seconds(30)), IsOk());
  EXPECT_THAT((*child)->WaitForLine("ready", absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("other")));
}

TEST_F(ChildProcessTest, ItGoesOnTalkingAfterTheLineAndAllOfItIsLogged) {
  // More than a pipe holds: a reader that stopped at the line would stop the process too.
  const auto child =
      ChildProcess::Start({"/bin/sh", "-c", "echo ready; head -c 300000 /dev/zero | tr '\\0' x; echo end"}, "", log());
  ASSERT_THAT(child, IsOk());
  ASSERT_THAT((*child)->WaitForLine("ready", absl::Seconds(30)), IsOk());
  EXPECT_EQ((*child)->Wait(), 0);
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(log()));
  EXPECT_EQ(text, "ready\n" + std::string(300000, 'x') + "end\n");
}

TEST_F(ChildProcessTest, WhatItLeavesRunningDoesNotHoldItsEndUp) {
  const auto child = ChildProcess::Start({"/bin/sh", "-c", "sleep 100 & echo $!; echo last words; exit 3"}, "", log());
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT((*child)->WaitForLine("never", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("last words")));
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(log()));
  kill(static_cast<pid_t>(std::stol(text)), SIGKILL);
}

TEST_F(ChildProcessTest, AnEndBeforeTheLineShowsTheLog) {
  const auto child = ChildProcess::Start({"/bin/sh", "-c", "echo port in use >&2; exit 3"}, "", log());
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT((*child)->WaitForLine("ready", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("port in use")));
}

TEST_F(ChildProcessTest, RunSaysHowItFailed) {
  EXPECT_THAT(ChildProcess::Run({"/bin/sh", "-c", "exit 0"}, "", log()), IsOk());
  EXPECT_THAT(ChildProcess::Run({"/bin/sh", "-c", "exit 4"}, "", log()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("exit code 4")));
}

TEST_F(ChildProcessTest, StopEndsOneThatIgnoresSigterm) {
  const auto child =
      ChildProcess::Start({"/bin/sh", "-c", "trap '' TERM; echo up; while :; do read x < /dev/null; done"}, "", log());
  ASSERT_THAT(child, IsOk());
  ASSERT_THAT((*child)->WaitForLine("up", absl::Seconds(30)), IsOk());
  EXPECT_TRUE((*child)->running());
  (*child)->Stop(absl::Milliseconds(50));
  EXPECT_FALSE((*child)->running());
  EXPECT_EQ((*child)->Wait(), 128 + 9);
}

}  // namespace
}  // namespace tributary::op
