#include "client/session/session_sender.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/manual_clock.h"

namespace tributary::session {
namespace {

// A coordinator that takes nothing: Write blocks until the session is cancelled.
class DeafSession final : public CoordinatorLink::Session {
 public:
  absl::StatusOr<v1::CoordinatorMessage> Read() override { return absl::UnavailableError("not used"); }
  bool Write(const v1::ClientMessage&) override {
    const MutexLock lock(&mu_);
    writing_ = true;
    changed_.NotifyAll();
    while (!cancelled_) changed_.Wait(&mu_);
    return false;
  }
  void Cancel() override {
    const MutexLock lock(&mu_);
    cancelled_ = true;
    changed_.NotifyAll();
  }
  void AwaitWrite() {
    const MutexLock lock(&mu_);
    while (!writing_) changed_.Wait(&mu_);
  }
  bool cancelled() {
    const MutexLock lock(&mu_);
    return cancelled_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool writing_ TRB_GUARDED_BY(mu_) = false;
  bool cancelled_ TRB_GUARDED_BY(mu_) = false;
};

TEST(SessionSenderTest, AFloodThatIsNotTakenEndsTheSession) {
  testing::ManualClock clock;
  DeafSession session;
  SessionSender sender(&session, &clock, absl::Seconds(10), {});
  sender.Push(v1::ClientMessage());
  session.AwaitWrite();
  for (size_t i = 0; i < SessionSender::kMostQueued; ++i) sender.Push(v1::ClientMessage());
  EXPECT_FALSE(session.cancelled());
  sender.Push(v1::ClientMessage());
  EXPECT_TRUE(session.cancelled());
}

TEST(SessionSenderTest, AfterItsEndItMayBeCalledAndTouchesNoSession) {
  testing::ManualClock clock;
  auto session = std::make_unique<DeafSession>();
  SessionSender sender(session.get(), &clock, absl::Seconds(10), {});
  session->Cancel();
  sender.End();
  session.reset();
  for (size_t i = 0; i <= SessionSender::kMostQueued; ++i) sender.Push(v1::ClientMessage());
  sender.End();
}

}  // namespace
}  // namespace tributary::session
