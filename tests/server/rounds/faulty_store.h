// A RunStore that lets a test in before and after every mutation: to make something happen between a decision and its
// transaction (HookedStore), or to fail the N-th, once, before or after it took effect: a full disk, or a crash whose
// transaction had been committed (FaultyStore). Reads always work.
#ifndef TRIBUTARY_TESTS_SERVER_ROUNDS_FAULTY_STORE_H_
#define TRIBUTARY_TESTS_SERVER_ROUNDS_FAULTY_STORE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "server/rounds/store.h"

namespace tributary::testing {

class HookedStore : public rounds::RunStore {
 public:
  // `call` is the method's name. An error is what the caller gets.
  using Hook = std::function<absl::Status(std::string_view call)>;
  explicit HookedStore(rounds::RunStore* store) : store_(*store) {}
  Hook before, after;

  using Str = std::string;
  absl::StatusOr<rounds::RunRow> CreateRun(const rounds::NewRun& run) override {
    return Do("CreateRun", [&] { return store_.CreateRun(run); });
  }
  absl::Status SetRunState(const Str& id, const Str& state, const Str& reason, int64_t now) override {
    return Do("SetRunState", [&] { return store_.SetRunState(id, state, reason, now); });
  }
  absl::Status SaveStalled(const Str& id, uint64_t ms) override {
    return Do("SaveStalled", [&] { return store_.SaveStalled(id, ms); });
  }
  absl::StatusOr<rounds::RoundRow> OpenRound(const Str& run, int64_t now) override {
    return Do("OpenRound", [&] { return store_.OpenRound(run, now); });
  }
  absl::Status CommitInvitations(const Str& run, uint64_t round, uint64_t target,
                                 const std::vector<rounds::Invitee>& invited, uint64_t ms) override {
    return Do("CommitInvitations", [&] { return store_.CommitInvitations(run, round, target, invited, ms); });
  }
  absl::Status SaveElapsed(const Str& run, uint64_t round, uint64_t selecting, uint64_t training) override {
    return Do("SaveElapsed", [&] { return store_.SaveElapsed(run, round, selecting, training); });
  }
  absl::Status ChangeContribution(const Str& run, uint64_t round, const Str& client,
                                  const rounds::ContributionChange& change, int64_t now) override {
    return Do("ChangeContribution", [&] { return store_.ChangeContribution(run, round, client, change, now); });
  }
  absl::StatusOr<rounds::AcceptResult> AcceptUpdate(const rounds::Acceptance& update) override {
    return Do("AcceptUpdate", [&] { return store_.AcceptUpdate(update); });
  }
  absl::Status BeginAggregating(const Str& run, uint64_t round, const Str& become, const Str& reason,
                                uint64_t ms) override {
    return Do("BeginAggregating", [&] { return store_.BeginAggregating(run, round, become, reason, ms); });
  }
  absl::Status BeginEvaluating(const Str& run, uint64_t round, const rounds::RoundResult& result) override {
    return Do("BeginEvaluating", [&] { return store_.BeginEvaluating(run, round, result); });
  }
  absl::StatusOr<rounds::RunRow> CommitRound(const Str& run, uint64_t round, const rounds::RoundEvaluation& evaluation,
                                             const rounds::RoundTimes& times, int64_t now) override {
    return Do("CommitRound", [&] { return store_.CommitRound(run, round, evaluation, times, now); });
  }
  absl::StatusOr<rounds::RunRow> AbandonRound(const Str& run, uint64_t round, const rounds::Abandonment& why,
                                              int64_t now) override {
    return Do("AbandonRound", [&] { return store_.AbandonRound(run, round, why, now); });
  }
  absl::StatusOr<uint64_t> DropRevoked(const Str& run, uint64_t round) override {
    return Do("DropRevoked", [&] { return store_.DropRevoked(run, round); });
  }
  absl::Status AddEvent(const Str& run, uint64_t round, const Str& client, const Str& kind, const Str& detail,
                        int64_t now) override {
    return Do("AddEvent", [&] { return store_.AddEvent(run, round, client, kind, detail, now); });
  }
  absl::Status AddAudit(const v1::AuditEntry& entry) override {
    return Do("AddAudit", [&] { return store_.AddAudit(entry); });
  }

  absl::StatusOr<rounds::RunRow> GetRun(const Str& id) override { return store_.GetRun(id); }
  absl::StatusOr<Str> ResolveRun(const Str& text) override { return store_.ResolveRun(text); }
  absl::StatusOr<std::vector<rounds::RunRow>> ListRuns(bool active) override { return store_.ListRuns(active); }
  absl::StatusOr<std::optional<rounds::RoundRow>> GetOpenRound(const Str& run) override {
    return store_.GetOpenRound(run);
  }
  absl::StatusOr<rounds::RoundRow> GetRound(const Str& run, uint64_t round) override {
    return store_.GetRound(run, round);
  }
  absl::StatusOr<std::vector<rounds::RoundRow>> ListRounds(const Str& run) override { return store_.ListRounds(run); }
  absl::StatusOr<std::vector<v1::Contribution>> ListContributions(const Str& run, uint64_t round) override {
    return store_.ListContributions(run, round);
  }
  absl::StatusOr<Task> FindTask(const Str& task) override { return store_.FindTask(task); }
  absl::StatusOr<std::optional<v1::Receipt>> FindReceipt(const Str& task) override { return store_.FindReceipt(task); }
  absl::StatusOr<std::vector<Link>> ListLinks(const Str& run, uint64_t from, uint64_t to) override {
    return store_.ListLinks(run, from, to);
  }
  absl::StatusOr<std::vector<v1::AuditEntry>> ListAudit(uint64_t limit) override { return store_.ListAudit(limit); }

 private:
  template <class Call>
  auto Do(std::string_view name, Call call) -> decltype(call()) {
    if (before) TRB_RETURN_IF_ERROR(before(name));
    auto result = call();
    if (after) TRB_RETURN_IF_ERROR(after(name));
    return result;
  }

  rounds::RunStore& store_;
};

class FaultyStore final : public HookedStore {
 public:
  enum class When { kBefore, kAfter };
  FaultyStore(rounds::RunStore* store, int fail_at, When when) : HookedStore(store), fail_at_(fail_at) {
    if (when == When::kBefore) {
      before = [this](std::string_view) { return Count(absl::ResourceExhaustedError("injected: no space left")); };
    } else {
      after = [this](std::string_view) { return Count(absl::UnavailableError("injected: done, but nobody heard")); };
    }
  }
  bool failed() const { return calls_ > fail_at_; }

 private:
  absl::Status Count(absl::Status fault) { return calls_++ == fail_at_ ? std::move(fault) : absl::OkStatus(); }
  const int fail_at_;
  int calls_ = 0;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_ROUNDS_FAULTY_STORE_H_
