#include "server/service/outgoing_stream.h"

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

#include "tributary/v1/federation.pb.h"

namespace tributary::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A call whose peer takes a message when the test says so.
struct FakeReactor {
  void StartWrite(const v1::Pace* message) { written.push_back(message->reason()); }
  void Finish(const grpc::Status& status) { finished = status.error_code(); }
  std::vector<std::string> written;
  std::optional<grpc::StatusCode> finished;
};

class OutgoingStreamTest : public ::testing::Test {
 protected:
  using Stream = OutgoingStream<FakeReactor, v1::Pace>;
  static v1::Pace Say(const std::string& what) {
    v1::Pace pace;
    pace.set_reason(what);
    return pace;
  }
  Stream Make(size_t messages = 3, size_t bytes = 1000, bool held = false) {
    return Stream(&reactor_, nullptr, {messages, bytes, held});
  }
  FakeReactor reactor_;
};

TEST_F(OutgoingStreamTest, OneMessageIsWrittenAtATimeInOrder) {
  Stream out = Make();
  for (const char* word : {"a", "b", "c"}) EXPECT_TRUE(out.Send(Say(word)));
  EXPECT_THAT(reactor_.written, ElementsAre("a"));
  out.OnWriteDone(true);
  EXPECT_THAT(reactor_.written, ElementsAre("a", "b"));
  out.OnWriteDone(true);
  out.OnWriteDone(true);
  EXPECT_THAT(reactor_.written, ElementsAre("a", "b", "c"));
  EXPECT_FALSE(reactor_.finished.has_value());
}

TEST_F(OutgoingStreamTest, APeerThatDoesNotReadIsBoundedInMessages) {
  Stream out = Make();
  EXPECT_TRUE(out.Send(Say("under way")));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(out.Send(Say("waits")));
  EXPECT_FALSE(out.Send(Say("one too many")));
  out.OnWriteDone(true);
  EXPECT_TRUE(out.Send(Say("there is room again")));
}

TEST_F(OutgoingStreamTest, APeerThatDoesNotReadIsBoundedInBytes) {
  Stream out = Make(100, 1000);
  EXPECT_TRUE(out.Send(Say("under way")));
  EXPECT_TRUE(out.Send(Say(std::string(5000, 'x')))) << "alone it goes, whatever its size";
  EXPECT_FALSE(out.Send(Say("y")));
  out.OnWriteDone(true);
  EXPECT_TRUE(out.Send(Say(std::string(600, 'x'))));
  EXPECT_FALSE(out.Send(Say(std::string(600, 'x'))));
  EXPECT_TRUE(out.Send(Say(std::string(300, 'x'))));
  out.OnWriteDone(true);
  EXPECT_TRUE(out.Send(Say(std::string(600, 'x')))) << "what went out counts no longer";
}

TEST_F(OutgoingStreamTest, TheNewestReplacesWhatItMakesOldElseTheOldestGoes) {
  Stream out = Make();
  const auto send = [&](const std::string& word) {
    out.SendNewest(Say(word), [&](const v1::Pace& p) { return p.reason()[0] == word[0]; });
  };
  for (const char* word : {"under way", "a1", "b1", "b2", "b3", "c1"}) send(word);
  for (int i = 0; i < 4; ++i) out.OnWriteDone(true);
  EXPECT_THAT(reactor_.written, ElementsAre("under way", "b2", "b3", "c1"));
}

TEST_F(OutgoingStreamTest, TheNewestFitsInTheBytesTooHoweverManyMustGo) {
  Stream out = Make(100, 1000);
  const auto never = [](const v1::Pace&) { return false; };
  for (const char* word : {"under way", "a", "b"}) out.SendNewest(Say(word), never);
  out.SendNewest(Say(std::string(995, 'x')), never);
  for (int i = 0; i < 2; ++i) out.OnWriteDone(true);
  EXPECT_THAT(reactor_.written, ElementsAre("under way", std::string(995, 'x')));
}

TEST_F(OutgoingStreamTest, TheEndComesAfterWhatIsQueuedOrAtOnce) {
  for (const bool flush : {true, false}) {
    SCOPED_TRACE(flush);
    reactor_ = FakeReactor();
    Stream out = Make();
    ASSERT_TRUE(out.Send(Say("a")) && out.Send(Say("b")));
    out.End(absl::AbortedError("first"), flush);
    out.End(absl::CancelledError("second"), false);
    EXPECT_TRUE(out.ending());
    EXPECT_TRUE(out.Send(Say("too late")));
    EXPECT_FALSE(reactor_.finished.has_value()) << "a write is under way";
    out.OnWriteDone(true);
    if (flush) out.OnWriteDone(true);
    EXPECT_EQ(reactor_.written.size(), flush ? 2u : 1u);
    EXPECT_EQ(reactor_.finished, grpc::StatusCode::ABORTED) << "the first reason stands";
  }
}

TEST_F(OutgoingStreamTest, AHeldStreamBeginsWithTheMessageThatOpensIt) {
  Stream out = Make(3, 1000, true);
  ASSERT_TRUE(out.Send(Say("task")));
  EXPECT_THAT(reactor_.written, IsEmpty());
  out.Open(Say("welcome"));
  out.OnWriteDone(true);
  EXPECT_THAT(reactor_.written, ElementsAre("welcome", "task"));

  reactor_ = FakeReactor();
  Stream never_opened = Make(3, 1000, true);
  ASSERT_TRUE(never_opened.Send(Say("task")));
  never_opened.End(absl::AbortedError("no hello"), true);
  EXPECT_THAT(reactor_.written, IsEmpty());
  EXPECT_EQ(reactor_.finished, grpc::StatusCode::ABORTED);
}

TEST_F(OutgoingStreamTest, ABrokenWriteEndsItAndNothingFollowsItsDone) {
  Stream out = Make();
  ASSERT_TRUE(out.Send(Say("a")) && out.Send(Say("b")));
  out.OnWriteDone(false);
  EXPECT_EQ(reactor_.finished, grpc::StatusCode::UNAVAILABLE);
  out.OnDone();
  EXPECT_TRUE(out.done());
  reactor_ = FakeReactor();
  out.End(absl::AbortedError("late"), false);
  out.Open(Say("late"));
  out.TryCancel();  // the context is gone
  EXPECT_THAT(reactor_.written, IsEmpty());
  EXPECT_FALSE(reactor_.finished.has_value());
}

}  // namespace
}  // namespace tributary::service
