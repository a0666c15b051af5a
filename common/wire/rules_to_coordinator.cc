// What clients, strangers and operators send to the coordinator.
#include "absl/strings/str_cat.h"
#include "common/crypto/trust_list.h"
#include "common/rpc/limits.h"
#include "common/update/update_codec.h"
#include "common/wire/rules.h"
#include "tributary/v1/authority.pb.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::wire {
namespace {

constexpr uint64_t kMostWhole = INT64_MAX;  // the ledger's integers are signed; above it is somebody's negative number
constexpr uint64_t kMostExamples = uint64_t{1} << 40;
constexpr uint64_t kMostFeatures = uint64_t{1} << 28;  // of one example
constexpr size_t kMostClasses = 65536;
constexpr size_t kMostClassNamesBytes = 64 * 1024;  // all of them: they are kept and shown
constexpr uint64_t kMostRequestBytes = 4096;        // of a certificate request
// How an operator names a run or a client: what is not there is for the ledger to say.
constexpr Rule kReference = Text(0, 128);

constexpr std::string_view kSpelling = "service::CheckSpelling", kWellFormed = "update::CheckWellFormed",
                           kMetrics = "update::ParseMetrics", kInvite = "identity::ValidateInvite",
                           kPlan = "learning::CheckPlan", kModel = "nn::ModelDescription::FromProto";

absl::Status CheckDataset(const google::protobuf::Message& message) {
  const auto& d = static_cast<const v1::DatasetFacts&>(message);
  if (d.shape_size() == 2) {
    return absl::InvalidArgumentError("shape is [h, w, c], [features], or empty for images of any size");
  }
  uint64_t features = 1;
  for (const uint32_t extent : d.shape()) {
    if (extent > kMostFeatures / features) return absl::InvalidArgumentError("shape is out of range");
    features *= extent;
  }
  size_t bytes = 0;
  for (const std::string& name : d.classes()) bytes += name.size();
  if (bytes > kMostClassNamesBytes) return absl::InvalidArgumentError("the class names are too long together");
  return absl::OkStatus();
}

std::vector<MessageRules> FromClients() {
  return {
      {&v1::ClientMessage::descriptor,
       {{"hello", Message().OrEmpty()},
        {"heartbeat", Message().OrEmpty()},
        {"answer", Message().OrEmpty()},
        {"progress", Message().OrEmpty()},
        {"trust", Message().OrEmpty()}}},
      {&v1::Hello::descriptor,
       {{"protocol_version", Elsewhere("service::CheckProtocolVersion")},
        {"version", Text(0, 64)},
        {"engine", Text(0, 64)},
        {"dataset", Message().OrEmpty()},
        {"held", Message().UpTo(64)},
        {"heads", Message().UpTo(256)},
        {"trusted_authorities", Digest().UpTo(crypto::kMaxAuthorities)}}},
      {&v1::DatasetFacts::descriptor,
       {{"examples", Whole(0, kMostExamples)},
        {"shape", Whole(1, kMostFeatures).UpTo(3)},
        {"classes", Text(1, 255).UpTo(kMostClasses)},
        {"num_classes", Whole(0, kMostClasses)}},
       &CheckDataset},
      {&v1::HeldTask::descriptor, {{"task_id", Digest()}, {"state", Known()}, {"update_sha256", Digest().OrEmpty()}}},
      {&v1::RunHead::descriptor,
       {{"run_id", Name()}, {"round", Whole(0, kMostWhole)}, {"previous_record_sha256", Digest()}}},
      {&v1::Heartbeat::descriptor, {{"sequence", Anything()}}},
      {&v1::TaskAnswer::descriptor,
       {{"task_id", Digest()}, {"accepted", Anything()}, {"code", Text(0, 64)}, {"reason", Words(1000)}}},
      {&v1::TaskProgress::descriptor,
       {{"task_id", Digest()},
        {"state", Known()},
        {"steps_done", Whole(0, kMostWhole)},
        {"steps_total", Whole(0, kMostWhole)}}},
      {&v1::DownloadModelRequest::descriptor, {{"task_id", Digest()}, {"offset", Whole(0, kMostWhole)}}},
      {&v1::UploadChunk::descriptor,
       {{"upload_id", Text(0, 128)},
        {"offset", Whole(0, update::kMaxModelBytes)},
        {"data", Bytes(0, static_cast<uint64_t>(rpc::kChunkBytes))}}},
      {&v1::RenewRequest::descriptor, {{"csr_pem", Words(kMostRequestBytes)}}},
      {&v1::TrustReport::descriptor, {{"authorities", Digest().UpTo(crypto::kMaxAuthorities)}}},
  };
}

// Each fault of these has a code of its own, which the client, the ledger and the operator all see.
std::vector<MessageRules> UpdatesFromClients() {
  return {
      {&v1::BeginUploadRequest::descriptor,
       {{"record", Elsewhere(kSpelling)}, {"signature", Elsewhere(kSpelling)}, {"metrics", Elsewhere(kSpelling)}}},
      {&v1::UpdateRecord::descriptor,
       {{"federation", Elsewhere(kWellFormed)},
        {"run_id", Elsewhere(kWellFormed)},
        {"round", Elsewhere(kWellFormed)},
        {"task_id", Elsewhere(kWellFormed)},
        {"client_id", Elsewhere(kWellFormed)},
        {"certificate_sha256", Elsewhere(kWellFormed)},
        {"base_model_sha256", Elsewhere(kWellFormed)},
        {"plan_sha256", Elsewhere(kWellFormed)},
        {"update_sha256", Elsewhere(kWellFormed)},
        {"encoding", Elsewhere(kWellFormed)},
        {"length", Elsewhere(kWellFormed)},
        {"examples", Elsewhere(kWellFormed)},
        {"metrics_sha256", Elsewhere(kWellFormed)}}},
      {&v1::UpdateMetrics::descriptor,
       {{"train_loss", Elsewhere(kMetrics)},
        {"validation_loss", Elsewhere(kMetrics)},
        {"validation_accuracy", Elsewhere(kMetrics)},
        {"validation_examples", Elsewhere(kMetrics)},
        {"steps", Elsewhere(kMetrics)},
        {"engine", Elsewhere(kMetrics)},
        {"queue_ms", Elsewhere(kMetrics)},
        {"download_ms", Elsewhere(kMetrics)},
        {"train_ms", Elsewhere(kMetrics)},
        {"update_norm", Elsewhere(kMetrics)}}},
  };
}

std::vector<MessageRules> FromStrangers() {
  return {
      {&v1::EnrolRequest::descriptor,
       {{"token_id", Text(1, 64)},
        {"secret", Bytes(32, 32)},
        {"csr_pem", Elsewhere("crypto::ParseRequest")},
        {"version", Text(0, 64)},
        {"protocol_version", Elsewhere("identity::IdentityService::Enrol")}}},
  };
}

std::vector<MessageRules> FromOperators() {
  return {
      {&v1::GetStatusRequest::descriptor, {}},
      {&v1::StartRunRequest::descriptor,
       {{"request_id", Text(1, 64)}, {"plan", Elsewhere(kPlan)}, {"dry_run", Anything()}}},
      {&v1::ListRunsRequest::descriptor, {}},
      {&v1::GetRunRequest::descriptor,
       {{"run", kReference}, {"round", Whole(0, kMostWhole)}, {"contributions", Anything()}}},
      {&v1::StopRunRequest::descriptor, {{"run", kReference}, {"request_id", Text(0, 64)}}},
      {&v1::WatchRunRequest::descriptor, {{"run", kReference}}},
      {&v1::InviteRequest::descriptor,
       {{"name", Elsewhere(kInvite)},
        {"role", Elsewhere(kInvite)},
        {"expires_in_ms", Elsewhere(kInvite)},
        {"labels", Elsewhere(kInvite)},
        {"replace", Anything()},
        {"request_id", Elsewhere(kInvite)}}},
      {&v1::ListClientsRequest::descriptor, {}},
      {&v1::GetClientRequest::descriptor, {{"name", kReference}}},
      {&v1::RevokeClientRequest::descriptor, {{"name", kReference}, {"request_id", Text(0, 64)}}},
      {&v1::ExportModelRequest::descriptor, {{"run", kReference}, {"round", Text(0, 32)}}},
      {&v1::ModelPart::descriptor,
       {{"header", Message().OrEmpty()}, {"data", Bytes(0, static_cast<uint64_t>(rpc::kChunkBytes))}}},
      {&v1::ModelHeader::descriptor,
       {{"model", Elsewhere(kModel)},
        {"model_sha256", Digest()},
        {"total_bytes", Whole(1, update::kMaxModelBytes)},
        {"run_id", Name().OrEmpty()},
        {"run_name", Name().OrEmpty()},
        {"round", Whole(0, kMostWhole)},
        {"record_sha256", Digest().OrEmpty()},
        {"federation", Text(0, 128)}}},
      {&v1::VerifyHistoryRequest::descriptor, {{"run", kReference}, {"blobs", Anything()}}},
      {&v1::ExportHistoryRequest::descriptor, {{"run", kReference}}},
      {&v1::ReplayHistoryRequest::descriptor, {{"run", kReference}, {"round", Whole(1, kMostWhole)}}},
      {&v1::ListAuditRequest::descriptor, {{"limit", Anything()}}},
  };
}

// A plan comes from an operator, and again to the client in its task: both check it by the same function.
std::vector<MessageRules> Plans() {
  const Rule plan = Elsewhere(kPlan);
  return {
      {&v1::RunPlan::descriptor,
       {{"name", plan},
        {"rounds", plan},
        {"seed", Anything()},
        {"model", Elsewhere(kModel)},
        {"train", plan},
        {"round", plan},
        {"aggregate", plan},
        {"evaluate", plan},
        {"stop", plan},
        {"keep_updates", plan},
        {"warm_start", plan},
        {"initial_model_sha256", plan}}},
      {&v1::TrainPlan::descriptor,
       {{"epochs", plan},
        {"batch_size", plan},
        {"optimizer", plan},
        {"learning_rate", plan},
        {"learning_rate_decay", plan},
        {"validation_split", plan},
        {"weight_decay", plan},
        {"clip_norm", plan},
        {"precision", plan},
        {"momentum", plan}}},
      {&v1::RoundPlan::descriptor,
       {{"clients", plan},
        {"min_clients", plan},
        {"over_select", plan},
        {"deadline_ms", plan},
        {"select_wait_ms", plan},
        {"stall_timeout_ms", plan},
        {"max_failed_rounds", plan},
        {"where", plan}}},
      {&v1::AggregatePlan::descriptor, {{"strategy", plan}, {"server_learning_rate", plan}, {"max_weight", plan}}},
      {&v1::EvaluatePlan::descriptor, {{"every", Anything()}, {"data", plan}, {"format", plan}}},
      {&v1::StopRule::descriptor, {{"metric", plan}, {"target", plan}}},
  };
}

std::vector<MessageRules> Models() {
  const Rule model = Elsewhere(kModel);
  return {
      {&v1::ModelDescription::descriptor,
       {{"input", model},
        {"layers", model},
        {"loss", model},
        {"classes", model},
        {"input_mean", model},
        {"input_std", model},
        {"preset", model}}},
      {&v1::Layer::descriptor,
       {{"conv2d", model},
        {"max_pool2d", model},
        {"avg_pool2d", model},
        {"flatten", model},
        {"dense", model},
        {"dropout", model},
        {"activation", model}}},
      {&v1::Conv2D::descriptor,
       {{"filters", model},
        {"kernel_height", model},
        {"kernel_width", model},
        {"stride_height", model},
        {"stride_width", model},
        {"padding", model},
        {"activation", model}}},
      {&v1::Pool2D::descriptor,
       {{"pool_height", model},
        {"pool_width", model},
        {"stride_height", model},
        {"stride_width", model},
        {"padding", model}}},
      {&v1::Flatten::descriptor, {}},
      {&v1::Dense::descriptor, {{"units", model}, {"activation", model}}},
      {&v1::Dropout::descriptor, {{"rate", model}}},
      {&v1::ActivationLayer::descriptor, {{"activation", model}}},
  };
}

}  // namespace

std::vector<MessageRules> RulesToCoordinator() {
  std::vector<MessageRules> all;
  for (auto* part : {&FromClients, &UpdatesFromClients, &FromStrangers, &FromOperators, &Plans, &Models}) {
    std::vector<MessageRules> rules = part();
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

}  // namespace tributary::wire
