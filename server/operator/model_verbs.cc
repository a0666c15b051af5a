#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/nn/engine.h"
#include "server/operator/documents.h"
#include "server/operator/model_source.h"
#include "server/operator/model_use.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

struct ExportArguments {
  std::string run, round = "best", format = "safetensors", to;
};

absl::Status Export(const ExportArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  v1::ExportModelRequest request;
  request.set_run(a.run);
  request.set_round(a.round);
  TRB_ASSIGN_OR_RETURN(const ExportedModel model, api->ExportModel(request));
  TRB_ASSIGN_OR_RETURN(const std::vector<float> parameters, ParametersFromBytes(model.parameters));
  TRB_RETURN_IF_ERROR(learning::WriteModelFile(a.to, model.header.model(), parameters, ExportMetadata(model.header)));
  const std::string line = absl::StrCat(a.to, ": ", model.header.run_name(), " round ", model.header.round(), ", ",
                                        parameters.size(), " parameters, sha256 ", model.header.model_sha256(), "\n");
  return c->Print(Answer{&model.header, {&model.header}, line});
}

struct EvalArguments {
  std::string model;
  EvaluationSource source;
};

absl::Status Eval(EvalArguments a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const learning::ModelFile model, OpenModel(a.model, *c));
  a.source.threads = nn::DefaultThreads();
  TRB_ASSIGN_OR_RETURN(const v1::EvaluationDocument document, EvaluateModel(model, a.source));
  return c->Print(Answer{&document, {&document}, EvaluationTable(document)});
}

struct PredictArguments {
  std::string model;
  std::vector<std::string> images;
};

absl::Status Predict(const PredictArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const learning::ModelFile model, OpenModel(a.model, *c));
  TRB_ASSIGN_OR_RETURN(const v1::PredictionDocument document, PredictFiles(model, a.images));
  Answer answer{&document, {}, PredictionTable(document)};
  for (const auto& p : document.predictions()) answer.rows.push_back(&p);
  return c->Print(answer);
}

void AddExport(CLI::App* noun, Registry* r) {
  auto a = std::make_shared<ExportArguments>();
  CLI::App* v = r->Verb(noun, "export", "Write the model of a round to a file",
                        "tributary model export digits --round best --format safetensors --to digits.safetensors");
  v->add_option("ID", a->run, "Run id, a unique prefix of it, or the run's name when unique")->required();
  v->add_option("--round", a->round, "best, last or a number; 0 is the initial model");
  v->add_option("--format", a->format, "safetensors")->check(CLI::IsMember({"safetensors"}));
  v->add_option("--to", a->to, "The file")->required();
  v->callback([a, r] { r->action = [a, r] { return Export(*a, r->context); }; });
}

void AddEval(CLI::App* noun, Registry* r) {
  auto a = std::make_shared<EvalArguments>();
  CLI::App* v = r->Verb(noun, "eval", "Loss, accuracy, precision, recall, F1 and the confusion matrix on a data set",
                        "tributary model eval digits.safetensors --data synthetic");
  v->add_option("MODEL", a->model, "A model file, or RUN or RUN@ROUND")->required();
  v->add_option("--data", a->source.data, "Test data: a path, or synthetic")->required();
  v->add_option("--format", a->source.format, "idx, images, csv, npz or synthetic; default: guessed");
  v->callback([a, r] { r->action = [a, r] { return Eval(*a, r->context); }; });
}

void AddPredict(CLI::App* noun, Registry* r) {
  auto a = std::make_shared<PredictArguments>();
  CLI::App* v = r->Verb(noun, "predict", "The model's class for each image",
                        "tributary model predict digits.safetensors seven.png");
  v->add_option("MODEL", a->model, "A model file, or RUN or RUN@ROUND")->required();
  v->add_option("IMAGE", a->images, "PNG or JPEG files")->required();
  v->callback([a, r] { r->action = [a, r] { return Predict(*a, r->context); }; });
}

}  // namespace

void AddModelVerbs(CLI::App* app, Registry* r) {
  CLI::App* noun = r->Verb(app, "model", "Trained models", "tributary model export digits --to digits.safetensors");
  noun->require_subcommand(1);
  AddExport(noun, r);
  AddEval(noun, r);
  AddPredict(noun, r);
}

}  // namespace tributary::op
