#include "server/operator/model_use.h"

#include "common/data/load.h"
#include "common/learning/evaluation.h"
#include "common/nn/model_description.h"
#include "server/operator/data_for_model.h"

namespace tributary::op {
namespace {

void FillClasses(const learning::Evaluation& e, v1::EvaluationDocument* d) {
  for (const learning::ClassScores& c : e.per_class) {
    v1::ClassMetrics* m = d->add_per_class();
    m->set_class_(c.name);
    m->set_precision(c.precision);
    m->set_recall(c.recall);
    m->set_f1(c.f1);
    m->set_examples(c.examples);
  }
  for (const std::vector<uint64_t>& row : e.confusion) {
    google::protobuf::ListValue* cells = d->add_confusion();
    for (const uint64_t n : row) cells->add_values()->set_number_value(static_cast<double>(n));
  }
}

}  // namespace

absl::StatusOr<v1::EvaluationDocument> EvaluateModel(const learning::ModelFile& file, const EvaluationSource& source) {
  v1::ModelDescription proto;
  TRB_RETURN_IF_ERROR(file.ParseDescription(&proto));
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(proto));
  TRB_ASSIGN_OR_RETURN(const data::Dataset dataset, LoadForModel(proto, {source.data, source.format, true}));
  learning::EvaluationOptions options;
  options.threads = source.threads;
  TRB_ASSIGN_OR_RETURN(const learning::Evaluation e, learning::Evaluate(model, file.parameters, dataset, options));
  v1::EvaluationDocument d;
  d.set_schema_version(1);
  d.set_examples(e.examples);
  d.set_loss(e.loss);
  if (e.accuracy) d.set_accuracy(*e.accuracy);
  if (e.precision) d.set_precision(*e.precision);
  if (e.recall) d.set_recall(*e.recall);
  if (e.f1) d.set_f1(*e.f1);
  if (e.mean_absolute_error) d.set_mean_absolute_error(*e.mean_absolute_error);
  FillClasses(e, &d);
  if (const auto it = file.metadata.find("parameters_sha256"); it != file.metadata.end())
    d.set_model_sha256(it->second);
  return d;
}

absl::StatusOr<v1::PredictionDocument> PredictFiles(const learning::ModelFile& file,
                                                    const std::vector<std::string>& files) {
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, file.Model());
  v1::PredictionDocument d;
  d.set_schema_version(1);
  for (const std::string& path : files) {
    TRB_ASSIGN_OR_RETURN(const data::Dataset image,
                         data::DecodeImageFile(path, model.input().h, model.input().w, model.input().c));
    TRB_ASSIGN_OR_RETURN(const std::vector<learning::Prediction> said,
                         learning::Predict(model, file.parameters, image));
    v1::Prediction* p = d.add_predictions();
    p->set_file(path);
    p->set_class_(said[0].name);
    p->set_index(static_cast<uint32_t>(said[0].index));
    for (const float v : said[0].probabilities) p->add_probabilities(v);
  }
  return d;
}

}  // namespace tributary::op
