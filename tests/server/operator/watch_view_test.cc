#include "server/operator/watch_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::op {
namespace {

using ::testing::HasSubstr;

v1::Round Committed(uint64_t number) {
  v1::Round r;
  r.set_round(number);
  r.set_state("committed");
  r.set_accepted(5);
  r.set_invited(5);
  r.set_examples(6000);
  r.set_train_loss(0.5);
  r.set_test_accuracy(0.97);
  r.set_total_ms(1500);
  r.set_model_sha256("abc");
  return r;
}

v1::RunEvent Event(const v1::Round& round) {
  v1::RunEvent e;
  e.mutable_run()->set_id("r-1");
  e.mutable_run()->set_name("digits");
  e.mutable_run()->set_state("running");
  e.mutable_run()->set_rounds_total(3);
  *e.mutable_round() = round;
  return e;
}

TEST(WatchViewTest, PlainOutputIsOneKeyValueLineARound) {
  WatchView view(false);
  EXPECT_EQ(view.OnRound(Committed(1)),
            "round=1 state=committed accepted=5 invited=5 examples=6000 train_loss=0.500000 test_accuracy=0.970000 "
            "total_ms=1500 model_sha256=abc\n");
}

TEST(WatchViewTest, ARoundIsShownOnce) {
  WatchView view(false);
  EXPECT_NE(view.OnRound(Committed(1)), "");
  EXPECT_EQ(view.OnRound(Committed(1)), "");
  EXPECT_EQ(view.last_round_shown(), 1u);
}

TEST(WatchViewTest, AnOpenRoundIsNoLine) {
  WatchView view(false);
  v1::Round open = Committed(1);
  open.set_state("training");
  EXPECT_EQ(view.OnRound(open), "");
  EXPECT_EQ(view.last_round_shown(), 0u);
}

TEST(WatchViewTest, PlainOutputHasNoEscapes) {
  WatchView view(false);
  v1::Round open = Committed(1);
  open.set_state("training");
  std::string all = view.OnEvent(Event(open)) + view.OnEvent(Event(Committed(1))) + view.OnEnd(Event(open).run());
  EXPECT_EQ(all.find('\x1b'), std::string::npos) << all;
  EXPECT_EQ(all.find('\r'), std::string::npos) << all;
}

TEST(WatchViewTest, TheTerminalBarCountsFinishedClientsAndSteps) {
  WatchView view(true);
  v1::Round open = Committed(2);
  open.set_state("training");
  open.set_invited(4);
  open.set_accepted(1);
  v1::RunEvent e = Event(open);
  e.set_contributions_done(1);
  v1::ClientProgress* p = e.add_progress();
  p->set_state("training");
  p->set_steps_done(50);
  p->set_steps_total(50);
  EXPECT_THAT(view.OnEvent(e), HasSubstr(" 50%  training, 1 of 4 in"));
}

TEST(WatchViewTest, TheTerminalBarNeverGoesBackInARound) {
  WatchView view(true);
  v1::Round open = Committed(2);
  open.set_state("training");
  open.set_invited(2);
  open.set_accepted(0);
  v1::RunEvent e = Event(open);
  v1::ClientProgress* p = e.add_progress();
  p->set_state("training");
  p->set_steps_done(10);
  p->set_steps_total(10);
  EXPECT_THAT(view.OnEvent(e), HasSubstr(" 50% "));
  p->set_state("finished");
  EXPECT_THAT(view.OnEvent(e), HasSubstr(" 50% "));
  e.mutable_round()->set_round(3);
  EXPECT_THAT(view.OnEvent(e), HasSubstr("  0% "));
}

TEST(WatchViewTest, TheTerminalTableHasItsHeaderOnce) {
  WatchView view(true);
  EXPECT_THAT(view.OnRound(Committed(1)), HasSubstr("round  state"));
  EXPECT_THAT(view.OnRound(Committed(2)), ::testing::Not(HasSubstr("round  state")));
}

TEST(WatchViewTest, AReasonCannotMoveTheCursor) {
  for (const bool terminal : {false, true}) {
    WatchView view(terminal);
    v1::Round round = Committed(1);
    round.set_state("abandoned");
    round.set_reason(
        "\x1b[2J\xC2\x9B"
        "31m\nforged=1");
    v1::RunEvent event = Event(round);
    event.mutable_run()->set_state("stalled");
    event.mutable_run()->set_reason("\x1b]0;owned\a");
    event.mutable_run()->set_ended_unix_ms(1);
    const std::string out = view.OnEvent(event) + view.OnEnd(event.run());
    EXPECT_EQ(out.find("\x1b[2J"), std::string::npos) << out;
    EXPECT_EQ(out.find("\x1b]"), std::string::npos) << out;
    EXPECT_EQ(out.find("\xC2\x9B"), std::string::npos) << out;
    EXPECT_EQ(out.find("\nforged"), std::string::npos) << out;
  }
}

TEST(WatchViewTest, AStallSaysWhy) {
  WatchView view(true);
  v1::RunEvent e = Event(Committed(1));
  view.OnEvent(e);
  e.mutable_run()->set_state("stalled");
  e.mutable_run()->set_reason("2 of 3 clients online");
  EXPECT_THAT(view.OnEvent(e), HasSubstr("state=stalled reason=\"2 of 3 clients online\""));
}

}  // namespace
}  // namespace tributary::op
