#include "server/operator/data_for_model.h"

#include "common/data/load.h"
#include "common/nn/model_description.h"

namespace tributary::op {

absl::StatusOr<data::Dataset> LoadForModel(const v1::ModelDescription& proto, const DataPath& from) {
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(proto));
  data::LoadOptions options;
  TRB_ASSIGN_OR_RETURN(options.format, data::ParseFormat(from.format));
  options.split = from.test ? data::Split::kTest : data::Split::kTrain;
  options.height = model.input().h;
  options.width = model.input().w;
  options.channels = model.input().c;
  options.classes = model.classes();
  options.num_classes = model.num_classes();
  options.regression = model.loss() == nn::Loss::kMeanSquaredError;
  TRB_ASSIGN_OR_RETURN(data::LoadResult result, data::LoadData(from.path, options));
  return std::move(result.dataset);
}

}  // namespace tributary::op
