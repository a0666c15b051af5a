// A RunStore that fails the N-th mutation, once, before or after it took effect: a full disk, or a crash whose
// transaction had been committed. Reads always work.
#ifndef TRIBUTARY_TESTS_SERVER_ROUNDS_FAULTY_STORE_H_
#define TRIBUTARY_TESTS_SERVER_ROUNDS_FAULTY_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "server/rounds/store.h"

namespace tributary::testing {

class FaultyStore final : public rounds::RunStore {
 public:
  enum class When { kBefore, kAfter };
  FaultyStore(rounds::RunStore* store, int fail_at, When when) : store_(*store), fail_at_(fail_at), when_(when) {}
  bool failed() const { return calls_ > fail_at_; }

  using Str = std::string;
  absl::StatusOr<rounds::RunRow> CreateRun(const rounds::NewRun& run) override {
    return Do([&] { return store_.CreateRun(run); });
  }
  absl::Status SetRunState(const Str& id, const Str& state, const Str& reason, int64_t now) override {
    return Do([&] { return store_.SetRunState(id, state, reason, now); });
  }
  absl::Status SaveStalled(const Str& id, uint64_t ms) override {
    return Do([&] { return store_.SaveStalled(id, ms); });
  }
  absl::StatusOr<rounds::RoundRow> OpenRound(const Str& run, int64_t now) override {
    return Do([&] { return store_.OpenRound(run, now); });
  }
  absl::Status CommitInvitations(const Str& run, uint64_t round, uint64_t target,
                                 const std::vector<rounds::Invitee>& invited, uint64_t ms) override {
    return Do([&] { return store_.CommitInvitations(run, round, target, invited, ms); });
  }
  absl::Status SaveElapsed(const Str& run, uint64_t round, uint64_t selecting, uint64_t training) override {
    return Do([&] { return store_.SaveElapsed(run, round, selecting, training); });
  }
  absl::Status ChangeContribution(const Str& run, uint64_t round, const Str& client,
                                  const rounds::ContributionChange& change, int64_t now) override {
    return Do([&] { return store_.ChangeContribution(run, round, client, change, now); });
  }
  absl::StatusOr<rounds::AcceptResult> AcceptUpdate(const rounds::Acceptance& update) override {
    return Do([&] { return store_.AcceptUpdate(update); });
  }
  absl::Status BeginAggregating(const Str& run, uint64_t round, const Str& become, const Str& reason,
                                uint64_t ms) override {
    return Do([&] { return store_.BeginAggregating(run, round, become, reason, ms); });
  }
  absl::Status BeginEvaluating(const Str& run, uint64_t round, const rounds::RoundResult& result) override {
    return Do([&] { return store_.BeginEvaluating(run, round, result); });
  }
  absl::StatusOr<rounds::RunRow> CommitRound(const Str& run, uint64_t round, const rounds::RoundEvaluation& evaluation,
                                             const rounds::RoundTimes& times, int64_t now) override {
    return Do([&] { return store_.CommitRound(run, round, evaluation, times, now); });
  }
  absl::StatusOr<rounds::RunRow> AbandonRound(const Str& run, uint64_t round, const Str& reason, const Str& become,
                                              const rounds::RoundTimes& times, int64_t now) override {
    return Do([&] { return store_.AbandonRound(run, round, reason, become, times, now); });
  }
  absl::Status AddEvent(const Str& run, uint64_t round, const Str& client, const Str& kind, const Str& detail,
                        int64_t now) override {
    return Do([&] { return store_.AddEvent(run, round, client, kind, detail, now); });
  }
  absl::Status AddAudit(const v1::AuditEntry& entry) override {
    return Do([&] { return store_.AddAudit(entry); });
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
  auto Do(Call call) -> decltype(call()) {
    const bool fail = calls_++ == fail_at_;
    if (fail && when_ == When::kBefore) return absl::ResourceExhaustedError("injected: no space left");
    auto result = call();
    if (fail) return absl::UnavailableError("injected: done, but nobody heard");
    return result;
  }

  rounds::RunStore& store_;
  const int fail_at_;
  const When when_;
  int calls_ = 0;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_ROUNDS_FAULTY_STORE_H_
