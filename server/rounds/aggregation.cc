#include "server/rounds/aggregation.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/learning/fedavg.h"
#include "common/storage/blob_store.h"
#include "common/update/update_codec.h"

namespace tributary::rounds {
namespace {

std::vector<const v1::Contribution*> Accepted(const std::vector<v1::Contribution>& rows) {
  std::vector<const v1::Contribution*> accepted;
  for (const v1::Contribution& row : rows) {
    if (row.state() == "accepted") accepted.push_back(&row);
  }
  std::sort(accepted.begin(), accepted.end(), [](const auto* a, const auto* b) { return a->client() < b->client(); });
  return accepted;
}

absl::Status AddUpdate(const v1::Contribution& row, uint64_t parameters, storage::BlobStore* blobs,
                       learning::AggregationStrategy* strategy) {
  TRB_ASSIGN_OR_RETURN(update::DeltaDecoder decoder,
                       update::DeltaDecoder::Create(update::kDefaultEncoding, parameters));
  TRB_RETURN_IF_ERROR(strategy->Begin(row.weight()));
  const auto sink = [strategy](size_t offset, std::span<const float> values) {
    return strategy->AddChunk(offset, values);
  };
  TRB_RETURN_IF_ERROR(
      blobs->Read(row.update_sha256(), [&](std::string_view piece) { return decoder.Consume(piece, sink); }));
  TRB_RETURN_IF_ERROR(decoder.Finish());
  return strategy->End();
}

// Of the average delta, which is what the new model differs by when the server's rate is 1.
double DifferenceNorm(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

history::RoundMeans FiguresOf(const v1::Contribution& c) {
  history::RoundMeans figures;
  if (c.has_train_loss()) figures.train_loss = c.train_loss();
  if (c.has_validation_loss()) figures.validation_loss = c.validation_loss();
  if (c.has_validation_accuracy()) figures.validation_accuracy = c.validation_accuracy();
  return figures;
}

}  // namespace

void FillMeans(const std::vector<v1::Contribution>& rows, RoundResult* result) {
  std::vector<history::Reported> reported;
  result->examples = 0;
  for (const v1::Contribution* row : Accepted(rows)) {
    result->examples += row->weight();
    reported.push_back({row->client(), row->weight(), FiguresOf(*row)});
  }
  result->means = history::MeansOf(std::move(reported));
}

RoundSum::RoundSum(const RunSpec& spec, storage::BlobStore* blobs) : spec_(spec), blobs_(*blobs) {}

RoundSum::~RoundSum() = default;

absl::StatusOr<size_t> RoundSum::Add(const std::vector<v1::Contribution>& rows, size_t most,
                                     const std::function<bool()>& cancelled) {
  size_t count = 0;
  for (const v1::Contribution* row : Accepted(rows)) {
    if (count == most) break;
    if (added_.contains(row->client())) continue;
    if (cancelled && cancelled()) return absl::CancelledError("aggregation was interrupted");
    if (strategy_ == nullptr) {
      TRB_ASSIGN_OR_RETURN(strategy_, learning::CreateStrategy(spec_.plan.aggregate().strategy(), spec_.parameters()));
    }
    if (absl::Status done = AddUpdate(*row, spec_.parameters(), &blobs_, strategy_.get()); !done.ok()) {
      return Annotate(done, absl::StrCat("update of ", row->client()));
    }
    added_.insert(row->client());
    ++count;
  }
  return count;
}

absl::StatusOr<RoundSum::Model> RoundSum::MakeModel(const std::string& base_model_sha256,
                                                    const std::vector<v1::Contribution>& rows,
                                                    const std::function<bool()>& cancelled) {
  const size_t accepted = Accepted(rows).size();
  if (accepted == 0) return absl::FailedPreconditionError("no accepted update");
  TRB_RETURN_IF_ERROR(Add(rows, accepted, cancelled).status());
  if (added_.size() != accepted) return absl::InternalError("an update was added that is not accepted any more");
  Model out;
  {
    TRB_ASSIGN_OR_RETURN(const std::string bytes, blobs_.Get(base_model_sha256));
    TRB_ASSIGN_OR_RETURN(out.base, update::DecodeParameters(bytes, spec_.parameters()));
  }
  TRB_ASSIGN_OR_RETURN(out.next, strategy_->Finish(out.base, spec_.plan.aggregate().server_learning_rate()));
  return out;
}

absl::StatusOr<RoundResult> RoundSum::Finish(const std::string& base_model_sha256,
                                             const std::vector<v1::Contribution>& rows,
                                             const std::function<bool()>& cancelled) {
  TRB_ASSIGN_OR_RETURN(const Model made, MakeModel(base_model_sha256, rows, cancelled));
  RoundResult result;
  result.model_norm = DifferenceNorm(made.next, made.base) / spec_.plan.aggregate().server_learning_rate();
  FillMeans(rows, &result);
  TRB_FAIL_POINT("round.aggregated");
  TRB_ASSIGN_OR_RETURN(result.new_model_sha256, blobs_.Put(update::EncodeParameters(made.next)));
  TRB_FAIL_POINT("round.model_stored");
  return result;
}

absl::StatusOr<RoundResult> AggregateRound(const RunSpec& spec, const std::string& base_model_sha256,
                                           const std::vector<v1::Contribution>& rows, storage::BlobStore* blobs,
                                           const std::function<bool()>& cancelled) {
  return RoundSum(spec, blobs).Finish(base_model_sha256, rows, cancelled);
}

}  // namespace tributary::rounds
