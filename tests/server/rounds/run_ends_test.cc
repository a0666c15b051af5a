// No zombie runs: whatever state a run is in, when nothing comes from clients any more and time passes, it ends by
// itself, and within the time that its plan allows. Played through the pure decisions of round.h, the driver's way.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "server/rounds/round.h"

namespace tributary::rounds {
namespace {

enum class End { kNone, kCompleted, kFailed };

// A run as the ledger has it, and clients that never say another word: those online stay online, those open stay open.
class SilentRun {
 public:
  explicit SilentRun(uint64_t seed) : rng_(seed) {
    rules_.rounds = 1 + rng_.Below(20);
    rules_.target = 1 + rng_.Below(12);
    rules_.invitations = rules_.target + rng_.Below(4);
    rules_.min_clients = 1 + rng_.Below(rules_.target);
    rules_.deadline = absl::Milliseconds(1 + rng_.Below(600'000));
    rules_.select_wait = absl::Milliseconds(rng_.Below(60'000));
    rules_.stall_timeout = absl::Milliseconds(rng_.Below(3'600'000));
    rules_.max_failed_rounds = 1 + static_cast<uint32_t>(rng_.Below(5));
    if (rng_.Below(2) == 0) rules_.stop_metric = "test_accuracy", rules_.stop_target = 0.5;
    run_.committed = rng_.Below(rules_.rounds + 1);
    run_.abandoned_in_a_row = static_cast<uint32_t>(rng_.Below(rules_.max_failed_rounds + 1));
    if (rng_.Below(2) == 0) run_.test_accuracy = rng_.UniformDouble();
    for (uint64_t i = rng_.Below(16); i > 0; --i)
      clients_.push_back({absl::StrCat("id", i), absl::StrCat("n", i), rng_.Below(2) == 0, rng_.Below(4) > 0});
    stalled_ = rng_.Below(3) == 0;
    Enter(static_cast<RoundState>(rng_.Below(6)));
    elapsed_ = absl::Milliseconds(rng_.Below(700'000));
    stalled_for_ = absl::Milliseconds(rng_.Below(4'000'000));
    accepted_ = rng_.Below(rules_.target + 1);
    open_ = rng_.Below(rules_.invitations + 1);
  }

  // One decision, and the time that it asks to wait for.
  End Step() {
    switch (state_) {
      case RoundState::kSelecting:
        return Select();
      case RoundState::kTraining:
        return Train();
      case RoundState::kAggregating:
        Enter(RoundState::kEvaluating);
        return End::kNone;
      case RoundState::kEvaluating:
        ++run_.committed;
        run_.abandoned_in_a_row = 0;
        Enter(RoundState::kCommitted);
        return End::kNone;
      default:
        return Begin();
    }
  }

  absl::Duration passed() const { return passed_; }
  // Every round that is left may stall, and be abandoned, as often as it may.
  absl::Duration Allowed() const {
    const auto rounds = static_cast<double>(rules_.rounds + 1) * (rules_.max_failed_rounds + 1);
    return rounds * (rules_.select_wait + rules_.stall_timeout + rules_.deadline);
  }

 private:
  void Enter(RoundState state) {
    state_ = state;
    elapsed_ = absl::ZeroDuration();
  }
  void Pass(absl::Duration d) {
    EXPECT_GT(d, absl::ZeroDuration()) << "a wait of nothing is a loop";
    EXPECT_LT(d, absl::InfiniteDuration()) << "nobody will come";
    passed_ += d;
    elapsed_ += d;
    stalled_for_ += d;
  }
  void Abandon() {
    ++run_.abandoned_in_a_row;
    Enter(RoundState::kAbandoned);
  }
  End Begin() {
    const RunDecision decision = DecideRun(rules_, run_);
    if (decision.action == RunDecision::Action::kComplete) return End::kCompleted;
    if (decision.action == RunDecision::Action::kFail) return End::kFailed;
    Enter(RoundState::kSelecting);
    return End::kNone;
  }
  End Select() {
    SelectingSnapshot now;
    now.ranked = clients_;
    now.elapsed = elapsed_;
    now.stalled = stalled_;
    now.stalled_for = stalled_for_;
    const SelectingDecision decision = DecideSelecting(rules_, now);
    switch (decision.action) {
      case SelectingDecision::Action::kWait:
        Pass(decision.wait);
        return End::kNone;
      case SelectingDecision::Action::kStall:
        EXPECT_FALSE(decision.reason.empty());
        stalled_ = true;
        stalled_for_ = absl::ZeroDuration();
        return End::kNone;
      case SelectingDecision::Action::kFail:
        EXPECT_FALSE(decision.reason.empty());
        return End::kFailed;
      default:
        EXPECT_GE(decision.invited.size(), rules_.min_clients);
        stalled_ = false;
        accepted_ = 0;
        open_ = decision.invited.size();
        Enter(RoundState::kTraining);
        return End::kNone;
    }
  }
  End Train() {
    TrainingSnapshot now;
    now.target = rules_.target;
    now.accepted = accepted_;
    now.open = open_;
    now.elapsed = elapsed_;
    const TrainingDecision decision = DecideTraining(rules_, now);
    if (decision.action == TrainingDecision::Action::kWait) {
      Pass(decision.wait);
    } else if (decision.action == TrainingDecision::Action::kAggregate) {
      Enter(RoundState::kAggregating);
    } else {
      EXPECT_FALSE(decision.reason.empty());
      Abandon();
    }
    return End::kNone;
  }

  Rng rng_;
  RoundRules rules_;
  RunSnapshot run_;
  std::vector<SelectionCandidate> clients_;
  RoundState state_ = RoundState::kSelecting;
  bool stalled_ = false;
  absl::Duration elapsed_, stalled_for_, passed_;
  uint64_t accepted_ = 0, open_ = 0;
};

TEST(RunEndsTest, FromAnyStateWithSilentClientsWithinItsTime) {
  constexpr uint64_t kRuns = 20'000;
  constexpr int kMostSteps = 1'000;
  uint64_t completed = 0, failed = 0;
  for (uint64_t seed = 1; seed <= kRuns; ++seed) {
    SilentRun run(seed);
    End end = End::kNone;
    int steps = 0;
    while (end == End::kNone && ++steps < kMostSteps) end = run.Step();
    ASSERT_NE(end, End::kNone) << "seed " << seed << ": it goes on after " << absl::FormatDuration(run.passed());
    ASSERT_LE(run.passed(), run.Allowed()) << "seed " << seed;
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
    ++(end == End::kCompleted ? completed : failed);
  }
  EXPECT_GT(completed, kRuns / 100) << "both ends are reached";
  EXPECT_GT(failed, kRuns / 2);
}

}  // namespace
}  // namespace tributary::rounds
