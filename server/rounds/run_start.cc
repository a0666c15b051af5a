#include "server/rounds/run_start.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cmath>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/crypto/secure_random.h"
#include "common/learning/initial_model.h"
#include "common/learning/plan_check.h"
#include "common/nn/model_description.h"
#include "common/storage/blob_store.h"
#include "common/update/update_codec.h"

namespace tributary::rounds {
namespace {

// Maps in key order: two runs of one plan have one plan digest.
std::string Serialize(const v1::RunPlan& plan) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    plan.SerializeToCodedStream(&out);
  }
  return bytes;
}

absl::Status CheckTestData(const v1::EvaluatePlan& plan) {
  if (plan.every() == 0 || plan.data().empty()) return absl::OkStatus();
  if (plan.format() == "synthetic" || (plan.format().empty() && absl::StartsWith(plan.data(), "synthetic"))) {
    return absl::OkStatus();
  }
  std::error_code error;
  if (std::filesystem::exists(plan.data(), error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("evaluate.data ", plan.data(), ": not there on the coordinator's host"));
}

// Sums of 16 bytes a parameter, the base model, the next one, and copies of both on their way to the disk and to
// clients.
constexpr double kBytesOfParameter = 40;

absl::Status CheckMemory(const nn::ModelDescription& model, uint64_t memory_bytes) {
  const double needed = kBytesOfParameter * static_cast<double>(model.parameter_count());
  if (needed <= static_cast<double>(memory_bytes)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model: averaging ", model.parameter_count(), " parameters takes about ", std::ceil(needed / 1e6),
                   " MB of the coordinator's memory, and it has ", memory_bytes / 1'000'000, " MB"));
}

// The model that "RUN@ROUND" names; ROUND is a number, "best" or "last".
absl::StatusOr<std::string> ModelOf(RunStore& store, const std::string& from) {
  const size_t at = from.rfind('@');
  const std::string round = from.substr(at + 1);
  TRB_ASSIGN_OR_RETURN(const std::string id, store.ResolveRun(from.substr(0, at)));
  TRB_ASSIGN_OR_RETURN(const RunRow run, store.GetRun(id));
  if (round == "last") return run.run.model_sha256();
  uint64_t number = 0;
  if (round == "best") {
    if (!run.run.has_best_round()) return absl::NotFoundError(absl::StrCat("run ", id, " has no committed round yet"));
    number = run.run.best_round();
  } else if (!absl::SimpleAtoi(round, &number)) {
    return absl::InvalidArgumentError(absl::StrCat("model.from ", from, ": the round is a number, best or last"));
  }
  if (number == 0) return run.run.initial_model_sha256();
  TRB_ASSIGN_OR_RETURN(const RoundRow row, store.GetRound(id, number));
  if (row.round.state() != "committed") {
    return absl::NotFoundError(absl::StrCat("round ", number, " of run ", id, " is ", row.round.state()));
  }
  return row.round.model_sha256();
}

// Another model of the same number of parameters passes: layouts are not compared.
absl::Status CheckFits(const storage::BlobStore& blobs, const std::string& sha256, uint64_t parameters) {
  TRB_ASSIGN_OR_RETURN(const uint64_t size, blobs.Size(sha256));
  if (size != parameters * sizeof(float)) {
    return absl::InvalidArgumentError(absl::StrCat("model.from: it has ", size, " bytes, this model needs ",
                                                   parameters * sizeof(float), " (", parameters, " parameters)"));
  }
  TRB_ASSIGN_OR_RETURN(const std::string bytes, blobs.Get(sha256));
  return Annotate(update::DecodeParameters(bytes, parameters).status(), "model.from");
}

}  // namespace

absl::StatusOr<NewRun> RunStart::Prepare(const v1::StartRunRequest& request, const Actor& actor) const {
  v1::RunPlan plan = request.plan();
  TRB_RETURN_IF_ERROR(learning::ValidatePlan(plan));
  TRB_RETURN_IF_ERROR(CheckTestData(plan.evaluate()));
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(plan.model()));
  TRB_RETURN_IF_ERROR(CheckMemory(model, memory_bytes));
  if (plan.warm_start().empty()) {
    if (!request.dry_run()) {
      TRB_ASSIGN_OR_RETURN(const std::vector<float> parameters, learning::InitialParameters(model, plan.seed()));
      TRB_ASSIGN_OR_RETURN(*plan.mutable_initial_model_sha256(), blobs.Put(update::EncodeParameters(parameters)));
    }
  } else {
    if (plan.warm_start() == "file") {
      // With dry_run the command line has sent no file yet.
      if (request.dry_run() && plan.initial_model_sha256().empty()) return NewRun();
    } else {
      TRB_ASSIGN_OR_RETURN(*plan.mutable_initial_model_sha256(), ModelOf(store, plan.warm_start()));
    }
    TRB_RETURN_IF_ERROR(Annotate(CheckFits(blobs, plan.initial_model_sha256(), model.parameter_count()),
                                 absl::StrCat("initial model ", plan.initial_model_sha256())));
  }
  NewRun run;
  run.request_id = request.request_id();
  run.id = absl::StrCat("r-", crypto::SecureRandom::System().Hex(6));
  run.plan_bytes = Serialize(plan);
  run.initial_model_sha256 = plan.initial_model_sha256();
  run.actor = actor.name;
  run.actor_certificate_sha256 = actor.certificate_sha256;
  run.now_unix_ms = clock.NowUnixMillis();
  return run;
}

}  // namespace tributary::rounds
