#include "server/operator/watch_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/text.h"
#include "server/operator/output.h"

namespace tributary::op {
namespace {

constexpr char kHeader[] = "round  state      clients  examples  train loss  val acc   test loss  test acc    time\n";

bool IsFinished(const v1::Round& r) { return r.state() == "committed" || r.state() == "abandoned"; }

std::string Cell(bool has, double value) { return has ? Number(value, 4) : "-"; }

std::string PlainRound(const v1::Round& r) {
  std::string line = absl::StrCat("round=", r.round(), " state=", r.state(), " accepted=", r.accepted(),
                                  " invited=", r.invited(), " examples=", r.examples());
  if (r.has_train_loss()) absl::StrAppend(&line, " train_loss=", Number(r.train_loss(), 6));
  if (r.has_validation_loss()) absl::StrAppend(&line, " validation_loss=", Number(r.validation_loss(), 6));
  if (r.has_validation_accuracy()) absl::StrAppend(&line, " validation_accuracy=", Number(r.validation_accuracy(), 6));
  if (r.has_test_loss()) absl::StrAppend(&line, " test_loss=", Number(r.test_loss(), 6));
  if (r.has_test_accuracy()) absl::StrAppend(&line, " test_accuracy=", Number(r.test_accuracy(), 6));
  absl::StrAppend(&line, " total_ms=", r.total_ms(), " model_sha256=", r.model_sha256());
  if (!r.reason().empty()) absl::StrAppend(&line, " reason=\"", EscapeForTerminal(r.reason()), "\"");
  return line + "\n";
}

std::string PlainRun(const v1::Run& run) {
  const std::string line = absl::StrCat("run=", run.id(), " name=", run.name(), " state=", run.state(),
                                        run.reason().empty() ? "" : absl::StrCat(" reason=\"", run.reason(), "\""));
  return EscapeForTerminal(line) + "\n";
}

}  // namespace

std::string WatchView::Clear() {
  if (!bar_shown_) return "";
  bar_shown_ = false;
  return "\r\x1b[K";
}

std::string WatchView::RoundLine(const v1::Round& r) const {
  if (!terminal_) return PlainRound(r);
  std::string line = absl::StrFormat(
      "%5d  %-9s  %7s  %8d  %10s  %7s  %10s  %8s  %6s", r.round(), r.state(),
      absl::StrCat(r.accepted(), "/", r.invited()), r.examples(), Cell(r.has_train_loss(), r.train_loss()),
      r.has_validation_accuracy() ? Percent(r.validation_accuracy()) : "-", Cell(r.has_test_loss(), r.test_loss()),
      r.has_test_accuracy() ? Percent(r.test_accuracy()) : "-", Millis(r.total_ms()));
  if (!r.reason().empty()) absl::StrAppend(&line, "  ", EscapeForTerminal(r.reason()));
  return line + "\n";
}

std::string WatchView::OnRound(const v1::Round& round) {
  if (!IsFinished(round) || round.round() <= last_round_) return "";
  last_round_ = round.round();
  std::string out = Clear();
  if (terminal_ && !header_shown_) out += kHeader;
  header_shown_ = true;
  return out + RoundLine(round);
}

// The share done of the round under way: finished clients, and the steps of those that train.
std::string WatchView::Bar(const v1::RunEvent& e) {
  constexpr int kCells = 24;
  const v1::Round& r = e.round();
  double done = static_cast<double>(e.contributions_done());
  for (const v1::ClientProgress& p : e.progress()) {
    if (p.state() == "training" && p.steps_total() > 0)
      done += std::min(1.0, static_cast<double>(p.steps_done()) / static_cast<double>(p.steps_total()));
  }
  double share = r.invited() == 0 ? 0 : std::min(1.0, done / static_cast<double>(r.invited()));
  // Between the end of training and the receipt a client is in neither count: a bar that went back would only confuse.
  if (r.round() != bar_round_) bar_share_ = 0;
  bar_round_ = r.round();
  share = bar_share_ = std::max(bar_share_, share);
  const int filled = static_cast<int>(share * kCells);
  std::string bar;
  for (int i = 0; i < kCells; ++i) bar += i < filled ? "█" : "░";
  return absl::StrFormat("round %d of %d  %s %3d%%  %s, %d of %d in", r.round(), e.run().rounds_total(), bar,
                         static_cast<int>(share * 100), e.run().state() == "stalled" ? "stalled" : r.state(),
                         r.accepted(), r.invited());
}

std::string WatchView::OnEvent(const v1::RunEvent& event) {
  std::string out;
  if (event.has_round()) out += OnRound(event.round());
  const v1::Run& run = event.run();
  if (run.state() != last_state_) {
    const bool news = run.state() == "stalled" || last_state_ == "stalled";
    last_state_ = run.state();
    if (!terminal_ || news) {
      out += Clear();
      out += PlainRun(run);
    }
  }
  if (terminal_ && event.has_round() && !IsFinished(event.round()) && run.ended_unix_ms() == 0) {
    out += Clear() + Bar(event);
    bar_shown_ = true;
  }
  return out;
}

std::string WatchView::OnEnd(const v1::Run& run) {
  std::string out = Clear();
  if (!terminal_) {
    if (run.state() == last_state_) return out;
    return out + PlainRun(run);
  }
  absl::StrAppend(&out, "run ", EscapeForTerminal(run.id()), " ", EscapeForTerminal(run.state()),
                  run.reason().empty() ? "" : absl::StrCat(": ", EscapeForTerminal(run.reason())), ", ",
                  run.rounds_done(), " of ", run.rounds_total(), " rounds",
                  run.has_best_round() ? absl::StrCat(", best round ", run.best_round()) : "", "\n");
  return out;
}

}  // namespace tributary::op
