#include "server/operator/run_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/toml_reader.h"
#include "common/learning/plan_check.h"
#include "common/learning/precision.h"
#include "server/operator/model_section.h"

namespace tributary::op {
namespace {

constexpr double kHuge = 1e9;

uint32_t U32(TomlTable* t, std::string_view key, int64_t default_value, int64_t min, int64_t max) {
  return static_cast<uint32_t>(t->Int(key, default_value, min, max));
}

uint64_t Millis(TomlTable* t, std::string_view key, absl::Duration default_value) {
  return static_cast<uint64_t>(absl::ToInt64Milliseconds(t->Duration(key, default_value)));
}

// > 0: TOML ranges are closed, so the smallest normal number stands for "above zero".
double Positive(TomlTable* t, std::string_view key, double default_value) {
  return t->Double(key, default_value, std::numeric_limits<double>::min(), kHuge);
}

void ReadTrain(TomlTable t, v1::TrainPlan* out) {
  out->set_epochs(U32(&t, "epochs", 1, 1, 1000));
  out->set_batch_size(U32(&t, "batch_size", 32, 0, 1 << 20));
  const std::string optimizer = t.String("optimizer", "adam");
  if (optimizer == "sgd") {
    out->set_optimizer(v1::OPTIMIZER_SGD);
  } else if (optimizer == "momentum") {
    out->set_optimizer(v1::OPTIMIZER_MOMENTUM);
  } else {
    out->set_optimizer(v1::OPTIMIZER_ADAM);
    if (optimizer != "adam") t.Fault("optimizer", absl::StrCat("\"", optimizer, "\" is none of sgd, momentum, adam"));
  }
  if (t.Has("momentum") && optimizer != "momentum") t.Fault("momentum", "only optimizer = \"momentum\" takes it");
  out->set_momentum(t.Double("momentum", 0.9, 0.9, 0.9));  // the engine knows no other value
  out->set_learning_rate(Positive(&t, "learning_rate", 0.001));
  out->set_learning_rate_decay(Positive(&t, "learning_rate_decay", 1));
  out->set_validation_split(t.Double("validation_split", 0, 0, 0.999999));
  out->set_weight_decay(t.Double("weight_decay", 0, 0, kHuge));
  out->set_clip_norm(t.Double("clip_norm", 0, 0, kHuge));
  out->set_precision(t.String("precision", "float32"));
  if (!learning::IsKnownPrecision(out->precision()))
    t.Fault("precision", absl::StrCat("\"", out->precision(), "\" is none of float32, bf16, auto"));
  t.RejectUnknownKeys();
}

void ReadRound(TomlTable t, v1::RoundPlan* out) {
  out->set_clients(U32(&t, "clients", 10, 1, 1000000));
  out->set_min_clients(U32(&t, "min_clients", std::min<int64_t>(3, out->clients()), 1, 1000000));
  if (out->min_clients() > out->clients())
    t.Fault("min_clients",
            absl::StrCat("min_clients is ", out->min_clients(), ", more than clients, ", out->clients()));
  out->set_over_select(t.Double("over_select", 1, 1, 1000));
  out->set_deadline_ms(Millis(&t, "deadline", absl::Minutes(10)));
  if (out->deadline_ms() == 0) t.Fault("deadline", "must be more than nothing, e.g. \"10m\"");
  out->set_select_wait_ms(Millis(&t, "select_wait", absl::Seconds(30)));
  out->set_stall_timeout_ms(Millis(&t, "stall_timeout", absl::Hours(1)));
  out->set_max_failed_rounds(U32(&t, "max_failed_rounds", 3, 1, 1000000));
  for (auto& [key, value] : t.StringMap("where")) {
    if (!IsValidName(key)) t.Fault("where", absl::StrCat("\"", key, "\" is no label name"));
    if (!IsValidName(value)) t.Fault("where", absl::StrCat("\"", value, "\" is no label"));
    (*out->mutable_where())[key] = value;
  }
  t.RejectUnknownKeys();
}

void ReadAggregate(TomlTable t, v1::AggregatePlan* out) {
  out->set_strategy(t.String("strategy", "fedavg"));
  if (out->strategy() != "fedavg")
    t.Fault("strategy", absl::StrCat("\"", out->strategy(), "\" is not known; this version knows fedavg"));
  out->set_server_learning_rate(Positive(&t, "server_learning_rate", 1));
  out->set_max_weight(static_cast<uint64_t>(t.Int("max_weight", 1 << 20, 1, 1 << 20)));
  t.RejectUnknownKeys();
}

void ReadEvaluate(TomlTable t, v1::EvaluatePlan* out) {
  out->set_every(U32(&t, "every", 1, 0, 1000000));
  out->set_data(t.String("data", ""));
  out->set_format(t.String("format", ""));
  const std::string& f = out->format();
  if (!f.empty() && f != "idx" && f != "images" && f != "csv" && f != "npz" && f != "synthetic")
    t.Fault("format", absl::StrCat("\"", f, "\" is none of idx, images, csv, npz, synthetic"));
  t.RejectUnknownKeys();
}

void ReadStop(TomlTable* root, v1::RunPlan* plan) {
  if (!root->Has("stop")) return;
  TomlTable t = root->Table("stop");
  v1::StopRule* out = plan->mutable_stop();
  out->set_metric(t.String("metric", ""));
  const std::string& m = out->metric();
  if (m != "test_accuracy" && m != "validation_accuracy" && m != "test_loss" && m != "validation_loss")
    t.Fault("metric", "expected one of test_accuracy, validation_accuracy, test_loss, validation_loss");
  if (!t.Has("target")) t.Fault("target", "stop needs a target");
  out->set_target(t.Double("target", 0, -kHuge, kHuge));
  t.RejectUnknownKeys();
}

// "RUN@ROUND" names a model of the coordinator's; anything else is a file here.
bool IsRunAtRound(const std::string& from) {
  const size_t at = from.rfind('@');
  return at != std::string::npos && at > 0 && !absl::StrContains(from, "/") && !absl::EndsWith(from, ".safetensors");
}

void ReadPlan(TomlTable* root, RunFile* out) {
  v1::RunPlan& plan = out->plan;
  plan.set_name(root->String("name", "run"));
  if (!IsValidName(plan.name()))
    root->Fault("name", "a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit");
  plan.set_rounds(U32(root, "rounds", 10, 1, 1000000));
  plan.set_seed(static_cast<uint64_t>(root->Int("seed", 1, 0, std::numeric_limits<int64_t>::max())));
  std::string from;
  *plan.mutable_model() = ReadModelSection(root, &from);
  if (!from.empty()) plan.set_warm_start(IsRunAtRound(from) ? from : "file");
  if (plan.warm_start() == "file") out->warm_start_file = from;
  ReadTrain(root->Table("train"), plan.mutable_train());
  ReadRound(root->Table("round"), plan.mutable_round());
  ReadAggregate(root->Table("aggregate"), plan.mutable_aggregate());
  ReadEvaluate(root->Table("evaluate"), plan.mutable_evaluate());
  ReadStop(root, &plan);
  plan.set_keep_updates(root->String("keep_updates", "run"));
  const std::string& keep = plan.keep_updates();
  if (keep != "round" && keep != "run" && keep != "forever")
    root->Fault("keep_updates", absl::StrCat("\"", keep, "\" is none of round, run, forever"));
  root->RejectUnknownKeys();
}

}  // namespace

absl::StatusOr<RunFile> ParseRunFile(std::string_view text, const std::string& name,
                                     const std::vector<std::string>& overrides) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<TomlReader> reader, TomlReader::Parse(text, name));
  for (const std::string& assignment : overrides) TRB_RETURN_IF_ERROR(reader->Override(assignment));
  RunFile file;
  TomlTable root = reader->Root();
  ReadPlan(&root, &file);
  TRB_RETURN_IF_ERROR(reader->Faults());
  // What the coordinator will check again: nothing should be left, but a plan it refuses must not look good here.
  TRB_RETURN_IF_ERROR(Annotate(learning::ValidatePlan(file.plan), name));
  return file;
}

}  // namespace tributary::op
