#include "server/operator/watching.h"

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "server/operator/interrupt.h"
#include "server/operator/watch_view.h"

namespace tributary::op {
namespace {

constexpr int kAttempts = 5;  // lost connections in a row before giving up

bool IsOver(const v1::Run& run) { return run.state() != "running" && run.state() != "stalled"; }

absl::StatusOr<v1::RunDocument> Fetch(const std::string& run, OperatorApi* api) {
  v1::GetRunRequest request;
  request.set_run(run);
  return api->GetRun(request);
}

// Rounds that no event showed: those before the call, and those that came while the line was down.
absl::StatusOr<v1::RunDocument> CatchUp(const std::string& run, OperatorApi* api, WatchView* view,
                                        WatchTarget* target) {
  TRB_ASSIGN_OR_RETURN(v1::RunDocument document, Fetch(run, api));
  for (const v1::Round& round : document.rounds()) target->stream << view->OnRound(round);
  target->stream << std::flush;
  return document;
}

}  // namespace

absl::StatusOr<v1::RunDocument> WatchToEnd(const std::string& run, OperatorApi* api, Interrupt* interrupt,
                                           WatchTarget* target) {
  WatchView view(target->terminal);
  interrupt->OnSignal([api] { api->Cancel(); });
  absl::Status last;
  for (int failures = 0; failures < kAttempts;) {
    absl::StatusOr<v1::RunDocument> document = CatchUp(run, api, &view, target);
    if (document.ok() && IsOver(document->run())) {
      target->stream << view.OnEnd(document->run()) << std::flush;
      interrupt->OnSignal(nullptr);
      return document;
    }
    last = document.ok() ? api->WatchRun(run,
                                         [&](const v1::RunEvent& event) {
                                           failures = 0;
                                           // Events may be merged under load: fetch what one skipped.
                                           if (event.round().round() > view.last_round_shown() + 1)
                                             CatchUp(run, api, &view, target).IgnoreError();
                                           target->stream << view.OnEvent(event) << std::flush;
                                           return !interrupt->seen();
                                         })
                         : document.status();
    if (interrupt->seen()) {
      target->stream << (target->terminal ? "\n" : "") << std::flush;
      return WithFix(absl::CancelledError(absl::StrCat("no longer watching; run ", run, " goes on")),
                     absl::StrCat("tributary run watch ", run, " takes it up again"));
    }
    if (!last.ok() && last.code() != absl::StatusCode::kUnavailable) return last;
    ++failures;
  }
  return last.ok() ? absl::UnavailableError("the coordinator keeps ending the watch") : last;
}

}  // namespace tributary::op
