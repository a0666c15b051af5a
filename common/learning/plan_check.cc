#include "common/learning/plan_check.h"

#include <cmath>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/bytes.h"
#include "common/base/names.h"
#include "common/learning/fedavg.h"
#include "common/learning/local_trainer.h"
#include "common/learning/precision.h"
#include "common/nn/model_description.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::learning {
namespace {

constexpr uint32_t kMaxClients = 1000000;
constexpr int kMaxLabels = 16;  // of one client, too
constexpr size_t kMaxPathBytes = 4096, kMaxReferenceBytes = 200;
constexpr uint64_t kMaxMillis = uint64_t{365} * 24 * 3600 * 1000;  // a year: no sum of such times overflows

class Faults {
 public:
  void Require(bool fine, std::string_view field, std::string_view what) {
    if (!fine) list_.push_back({std::string(field), std::string(what)});
  }
  std::vector<PlanFault> Take() { return std::move(list_); }

 private:
  std::vector<PlanFault> list_;
};

bool Positive(double v) { return std::isfinite(v) && v > 0; }
bool AtLeast(double v, double low) { return std::isfinite(v) && v >= low; }

void CheckModel(const v1::RunPlan& plan, Faults* faults) {
  if (!plan.has_model()) return faults->Require(false, "model", "is missing");
  const auto model = nn::ModelDescription::FromProto(plan.model());
  if (model.ok()) return;
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(model.status().message(), '\n', absl::SkipEmpty()))) {
    faults->Require(false, "model", line);
  }
}

void CheckTrain(const v1::TrainPlan& t, Faults* faults) {
  faults->Require(t.epochs() >= 1 && t.epochs() <= 1000, "train.epochs",
                  absl::StrCat("is ", t.epochs(), ", not 1 to 1000"));
  faults->Require(t.batch_size() <= (1u << 20), "train.batch_size",
                  absl::StrCat("is ", t.batch_size(), ", more than ", 1u << 20));
  faults->Require(t.optimizer() != v1::OPTIMIZER_UNSPECIFIED && v1::Optimizer_IsValid(t.optimizer()), "train.optimizer",
                  "is none of sgd, momentum, adam");
  faults->Require(Positive(t.learning_rate()), "train.learning_rate",
                  absl::StrCat("is ", t.learning_rate(), ", not a number above 0"));
  faults->Require(t.learning_rate_decay() == 0 || Positive(t.learning_rate_decay()), "train.learning_rate_decay",
                  absl::StrCat("is ", t.learning_rate_decay(), ", not a number above 0"));
  faults->Require(t.validation_split() >= 0 && t.validation_split() < 1, "train.validation_split",
                  absl::StrCat("is ", t.validation_split(), ", not 0 to below 1"));
  faults->Require(AtLeast(t.weight_decay(), 0), "train.weight_decay",
                  absl::StrCat("is ", t.weight_decay(), ", not a number from 0 up"));
  faults->Require(AtLeast(t.clip_norm(), 0), "train.clip_norm",
                  absl::StrCat("is ", t.clip_norm(), ", not a number from 0 up"));
  faults->Require(IsKnownPrecision(t.precision()), "train.precision",
                  absl::StrCat("is \"", EscapeForLog(t.precision()), "\", none of float32, bf16, auto"));
  faults->Require(t.momentum() == 0 || t.momentum() == kEngineMomentum, "train.momentum",
                  absl::StrCat("is ", t.momentum(), "; the engine knows ", kEngineMomentum, " only"));
}

void CheckTime(uint64_t millis, uint64_t least, std::string_view field, Faults* faults) {
  faults->Require(millis >= least, field, "must be more than nothing, e.g. \"10m\"");
  faults->Require(millis <= kMaxMillis, field, "is more than a year");
}

void CheckRound(const v1::RoundPlan& r, Faults* faults) {
  faults->Require(r.clients() >= 1 && r.clients() <= kMaxClients, "round.clients",
                  absl::StrCat("is ", r.clients(), ", not 1 to ", kMaxClients));
  faults->Require(r.min_clients() >= 1, "round.min_clients", "is 0; at least one update is needed for a model");
  faults->Require(r.min_clients() <= r.clients(), "round.min_clients",
                  absl::StrCat("is ", r.min_clients(), ", more than round.clients, ", r.clients()));
  faults->Require(AtLeast(r.over_select(), 1) && r.over_select() <= 1000, "round.over_select",
                  absl::StrCat("is ", r.over_select(), ", not 1 to 1000"));
  CheckTime(r.deadline_ms(), 1, "round.deadline", faults);
  CheckTime(r.select_wait_ms(), 0, "round.select_wait", faults);
  CheckTime(r.stall_timeout_ms(), 0, "round.stall_timeout", faults);
  faults->Require(r.max_failed_rounds() >= 1, "round.max_failed_rounds", "is 0; at least 1");
  faults->Require(r.where_size() <= kMaxLabels, "round.where", absl::StrCat("names more than ", kMaxLabels, " labels"));
  for (const auto& [key, value] : r.where()) {
    faults->Require(IsValidName(key), "round.where", absl::StrCat("\"", EscapeForLog(key), "\" is no label name"));
    faults->Require(IsValidName(value), "round.where",
                    absl::StrCat(EscapeForLog(key), ": \"", EscapeForLog(value), "\" is no label"));
  }
}

void CheckAggregate(const v1::AggregatePlan& a, Faults* faults) {
  faults->Require(a.strategy() == "fedavg", "aggregate.strategy",
                  absl::StrCat("is \"", EscapeForLog(a.strategy()), "\"; this version knows fedavg"));
  faults->Require(Positive(a.server_learning_rate()), "aggregate.server_learning_rate",
                  absl::StrCat("is ", a.server_learning_rate(), ", not a number above 0"));
  faults->Require(a.max_weight() >= 1 && a.max_weight() <= FedAvg::kMaxWeight, "aggregate.max_weight",
                  absl::StrCat("is ", a.max_weight(), ", not 1 to ", FedAvg::kMaxWeight));
}

void CheckEvaluate(const v1::EvaluatePlan& e, Faults* faults) {
  constexpr std::string_view kFormats[] = {"", "idx", "images", "csv", "npz", "synthetic"};
  bool known = false;
  for (const std::string_view f : kFormats) known = known || e.format() == f;
  faults->Require(e.data().size() <= kMaxPathBytes && e.data().find('\0') == std::string::npos, "evaluate.data",
                  "is no path");
  faults->Require(known, "evaluate.format",
                  absl::StrCat("is \"", EscapeForLog(e.format()), "\", none of idx, images, csv, npz, synthetic"));
}

void CheckStop(const v1::RunPlan& plan, Faults* faults) {
  const v1::StopRule& stop = plan.stop();
  if (stop.metric().empty()) return;
  const std::string& m = stop.metric();
  const bool test = m == "test_accuracy" || m == "test_loss";
  const bool validation = m == "validation_accuracy" || m == "validation_loss";
  faults->Require(test || validation, "stop.metric",
                  absl::StrCat("is \"", EscapeForLog(m),
                               "\", none of test_accuracy, validation_accuracy, test_loss, validation_loss"));
  faults->Require(std::isfinite(stop.target()), "stop.target", "is not a number");
  faults->Require(!test || (plan.evaluate().every() > 0 && !plan.evaluate().data().empty()), "stop.metric",
                  absl::StrCat("is ", m, ", but evaluate names no test data, so it is never measured"));
  faults->Require(!validation || plan.train().validation_split() > 0, "stop.metric",
                  absl::StrCat("is ", m, ", but train.validation_split is 0, so it is never measured"));
}

void CheckTop(const v1::RunPlan& plan, Faults* faults) {
  faults->Require(
      IsValidName(plan.name()), "name",
      absl::StrCat("is \"", EscapeForLog(plan.name()),
                   "\"; lower-case letters, digits, '.', '_' and '-', at most 63, a letter or digit first"));
  faults->Require(plan.rounds() >= 1, "rounds", "is 0; at least 1");
}

void CheckRest(const v1::RunPlan& plan, Faults* faults) {
  const std::string& keep = plan.keep_updates();
  faults->Require(keep == "round" || keep == "run" || keep == "forever", "keep_updates",
                  absl::StrCat("is \"", EscapeForLog(keep), "\", none of round, run, forever"));
  faults->Require(plan.initial_model_sha256().empty() || IsHexDigest(plan.initial_model_sha256()),
                  "initial_model_sha256", "is not 64 lower-case hexadecimal characters");
  const std::string& warm = plan.warm_start();
  if (warm.empty() || warm == "file") return;
  faults->Require(warm.size() <= kMaxReferenceBytes, "model.from",
                  absl::StrCat("has more than ", kMaxReferenceBytes, " characters"));
  const size_t at = warm.rfind('@');
  faults->Require(at != std::string::npos && at > 0 && at + 1 < warm.size(), "model.from",
                  absl::StrCat("is \"", EscapeForLog(warm), "\", neither a file nor RUN@ROUND"));
}

}  // namespace

std::vector<PlanFault> CheckPlan(const v1::RunPlan& plan) {
  Faults faults;
  CheckTop(plan, &faults);
  CheckModel(plan, &faults);
  CheckTrain(plan.train(), &faults);
  CheckRound(plan.round(), &faults);
  CheckAggregate(plan.aggregate(), &faults);
  CheckEvaluate(plan.evaluate(), &faults);
  CheckStop(plan, &faults);
  CheckRest(plan, &faults);
  return faults.Take();
}

absl::Status ValidatePlan(const v1::RunPlan& plan) {
  const std::vector<PlanFault> faults = CheckPlan(plan);
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(
      faults, "\n", [](std::string* out, const PlanFault& f) { absl::StrAppend(out, f.field, " ", f.what); }));
}

}  // namespace tributary::learning
