#include "server/service/history_streams.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/limits.h"
#include "server/ledger/proof_export.h"
#include "server/ledger/verify.h"
#include "server/rounds/replay.h"

namespace tributary::service {
namespace {

// Cuts the proof's pieces into parts.
struct ProofParts {
  std::unique_ptr<ledger::ProofExport> source;
  std::string piece;
  size_t sent = 0;  // of the piece

  absl::StatusOr<bool> Next(v1::HistoryPart* part) {
    if (sent == piece.size()) {
      TRB_ASSIGN_OR_RETURN(piece, source->Next());
      sent = 0;
    }
    if (piece.empty()) return false;
    part->set_data(piece.substr(sent, rpc::kChunkBytes));
    sent += part->data().size();
    return true;
  }
};

}  // namespace

absl::StatusOr<PullStream<v1::HistoryPart>::Next> StreamProof(ledger::LedgerStore* store,
                                                              const v1::ExportHistoryRequest& request) {
  TRB_ASSIGN_OR_RETURN(const std::string run, store->ResolveRun(request.run()));
  auto parts = std::make_shared<ProofParts>();
  TRB_ASSIGN_OR_RETURN(parts->source, ledger::ProofExport::Open(&store->database(), run));
  return PullStream<v1::HistoryPart>::Next(
      [parts](v1::HistoryPart* part, const std::function<bool()>&) { return parts->Next(part); });
}

class Replays::Replay {
 public:
  explicit Replay(Replays* owner) : owner_(*owner) {}
  ~Replay() { owner_.busy_ = false; }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  absl::Status Open(const v1::ReplayHistoryRequest& request) {
    TRB_ASSIGN_OR_RETURN(const std::string id, owner_.store_.ResolveRun(request.run()));
    if (request.has_round()) {
      TRB_ASSIGN_OR_RETURN(const rounds::RoundRow row, owner_.store_.GetRound(id, request.round()));
      if (row.round.state() != "committed")
        return absl::NotFoundError(absl::StrCat("round ", request.round(), " is ", row.round.state(),
                                                ": only a committed round has a model of its own"));
      rounds_ = {request.round()};
    } else {
      TRB_ASSIGN_OR_RETURN(const auto rows, owner_.store_.ListRounds(id));
      for (const rounds::RoundRow& row : rows)
        if (row.round.state() == "committed") rounds_.push_back(row.round.round());
    }
    TRB_ASSIGN_OR_RETURN(const rounds::RunRow run, owner_.store_.GetRun(id));
    TRB_ASSIGN_OR_RETURN(spec_, rounds::RunSpec::From(run));
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Next(v1::ReplayPart* part, const std::function<bool()>& cancelled) {
    part->set_rounds_total(rounds_.size());
    if (!std::exchange(told_, true)) return true;
    if (!std::exchange(verified_, true)) {
      TRB_ASSIGN_OR_RETURN(const v1::HistoryVerification holds, Verify());
      if (!holds.ok()) {
        *part->mutable_fault() = holds.first_fault();
        rounds_.clear();
        return true;
      }
    }
    if (next_ >= rounds_.size()) return false;
    TRB_ASSIGN_OR_RETURN(*part->mutable_round(), Make(rounds_[next_++], cancelled));
    return true;
  }

 private:
  // What is replayed is what the rows say: they must be as they were recorded.
  absl::StatusOr<v1::HistoryVerification> Verify() {
    ledger::VerifyOptions options;
    options.run = spec_->id;
    options.blobs = false;
    return ledger::VerifyHistory(owner_.store_.database(), owner_.blobs_, options);
  }

  absl::StatusOr<v1::ReplayedRound> Make(uint64_t number, const std::function<bool()>& cancelled) {
    const absl::Duration began = owner_.clock_.Monotonic();
    rounds::RecordedRound recorded;
    TRB_ASSIGN_OR_RETURN(const rounds::RoundRow row, owner_.store_.GetRound(spec_->id, number));
    recorded.round = row.round;
    TRB_ASSIGN_OR_RETURN(recorded.contributions, owner_.store_.ListContributions(spec_->id, number));
    TRB_ASSIGN_OR_RETURN(const bool may_be_gone, owner_.store_.LetsGoOfUpdates(spec_->id));
    TRB_ASSIGN_OR_RETURN(v1::ReplayedRound made,
                         rounds::ReplayRound(*spec_, recorded, may_be_gone, &owner_.blobs_, cancelled));
    made.set_replay_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(owner_.clock_.Monotonic() - began)));
    return made;
  }

  Replays& owner_;
  std::shared_ptr<const rounds::RunSpec> spec_;
  std::vector<uint64_t> rounds_;  // to replay, oldest first
  size_t next_ = 0;
  bool told_ = false, verified_ = false;
};

absl::StatusOr<PullStream<v1::ReplayPart>::Next> Replays::Begin(const v1::ReplayHistoryRequest& request) {
  if (busy_.exchange(true)) return absl::AbortedError("another replay is under way: try again when it is done");
  const auto replay = std::make_shared<Replay>(this);
  TRB_RETURN_IF_ERROR(replay->Open(request));
  return PullStream<v1::ReplayPart>::Next(
      [replay](v1::ReplayPart* part, const std::function<bool()>& cancelled) { return replay->Next(part, cancelled); });
}

}  // namespace tributary::service
