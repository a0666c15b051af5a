#include "server/service/enrolment_door.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "common/base/files.h"
#include "common/base/logging.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::service {
namespace {

TEST(EnrolmentDoorTest, AnAnswerFromBeforeAnInvitationDoesNotCloseThePort) {
  SetLogLevel(LogLevel::kOff);
  const testing::TempDir dir;
  ASSERT_OK(WriteFileDurably(dir.File("program"), "#!/bin/sh\nexec head -c 1 <&3 >/dev/null\n", 0700));
  std::atomic<bool> invited{false};
  std::promise<void> asked, opened;
  EnrolmentDoor::Options options;
  options.program = dir.File("program");
  options.wanted = [&]() -> absl::StatusOr<bool> {
    if (invited) return true;
    asked.set_value();
    // The invitation comes now. It opens the port at once, or waits until this answer has had its effect.
    opened.get_future().wait_for(std::chrono::milliseconds(200));
    return false;
  };
  EnrolmentDoor door(std::move(options));
  ASSERT_OK(door.Claim({"127.0.0.1", 0}));
  std::thread housekeeping([&door] { EXPECT_OK(door.Update()); });
  asked.get_future().wait();
  invited = true;
  EXPECT_OK(door.Update());
  opened.set_value();
  housekeeping.join();
  EXPECT_TRUE(door.IsOpen());
  door.Close();
  SetLogLevel(LogLevel::kWarning);
}

}  // namespace
}  // namespace tributary::service
