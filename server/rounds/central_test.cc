#include "server/rounds/central_test.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/data/load.h"
#include "common/learning/evaluation.h"
#include "common/storage/blob_store.h"
#include "common/update/update_codec.h"

namespace tributary::rounds {

absl::Status CentralTest::Load() {
  const v1::EvaluatePlan& plan = spec_->plan.evaluate();
  data::LoadOptions options;
  TRB_ASSIGN_OR_RETURN(options.format, data::ParseFormat(plan.format()));
  options.split = data::Split::kTest;
  options.height = spec_->model.flat_input() ? 0 : spec_->model.input().h;
  options.width = spec_->model.flat_input() ? 0 : spec_->model.input().w;
  options.channels = spec_->model.flat_input() ? 0 : spec_->model.input().c;
  options.classes = spec_->model.classes();
  options.num_classes = spec_->model.num_classes();
  options.regression = spec_->model.num_classes() == 0;
  TRB_ASSIGN_OR_RETURN(data::LoadResult loaded, data::LoadData(plan.data(), options));
  data_ = std::make_unique<const data::Dataset>(std::move(loaded.dataset));
  return absl::OkStatus();
}

absl::StatusOr<RoundEvaluation> CentralTest::Run(const std::string& model_sha256,
                                                 const std::function<bool()>& cancelled) {
  if (data_ == nullptr) TRB_RETURN_IF_ERROR(Annotate(Load(), "evaluate.data"));
  std::vector<float> parameters;
  {
    TRB_ASSIGN_OR_RETURN(const std::string bytes, blobs_.Get(model_sha256));
    TRB_ASSIGN_OR_RETURN(parameters, update::DecodeParameters(bytes, spec_->parameters()));
  }
  learning::EvaluationOptions options;
  options.threads = threads_;
  options.stop = cancelled;
  TRB_ASSIGN_OR_RETURN(const learning::Evaluation found, learning::Evaluate(spec_->model, parameters, *data_, options));
  RoundEvaluation result;
  result.test_loss = found.loss;
  result.test_accuracy = found.accuracy;
  result.test_precision = found.precision;
  result.test_recall = found.recall;
  result.test_f1 = found.f1;
  return result;
}

}  // namespace tributary::rounds
