// What the coordinator sends to clients, and to whoever enrols. What it sends to operators are documents for people:
// nothing is decided by them, and the command line escapes what it prints.
#include "common/crypto/trust_list.h"
#include "common/rpc/limits.h"
#include "common/update/update_codec.h"
#include "common/wire/rules.h"
#include "tributary/v1/authority.pb.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::wire {
namespace {

constexpr uint64_t kMostWhole = INT64_MAX;
constexpr size_t kMostLinks = 100'000;                 // rounds that a client may have missed
constexpr uint64_t kMostPlanBytes = 1024 * 1024;       // an operator's message is no larger
constexpr uint64_t kMostCertificateBytes = 16 * 1024;  // kept for each run
// Codes and reasons: what one message can hold. They are shortened before they are kept (session::Shortened), and a
// definitive answer with too many words is still one.
constexpr uint64_t kMostSaidBytes = 4 * 1024 * 1024;

constexpr std::string_view kReceipt = "session::CheckReceipt", kEnrolled = "rpc::JoinFederation",
                           kRenewed = "rpc::RenewCredential";

std::vector<MessageRules> Session() {
  return {
      {&v1::CoordinatorMessage::descriptor,
       {{"welcome", Message().OrEmpty()},
        {"task", Message().OrEmpty()},
        {"cancel", Message().OrEmpty()},
        {"pace", Message().OrEmpty()},
        {"authorities", Message().OrEmpty()}}},
      {&v1::Welcome::descriptor,
       {{"federation", Name()},
        {"client_id", Name()},
        {"name", Name()},
        {"protocol_version", Anything()},       // this client speaks one version
        {"heartbeat_interval_ms", Anything()},  // within what the client finds bearable
        {"verdicts", Message().UpTo(64)},
        {"reconnect_min_ms", Anything()},
        {"reconnect_max_ms", Anything()},
        {"authorities", Message().OrEmpty()}}},
      {&v1::TaskVerdict::descriptor, {{"task_id", Digest()}, {"action", Known()}, {"reason", Words(kMostSaidBytes)}}},
      {&v1::TrainTask::descriptor,
       {{"task_id", Digest()},
        {"run_id", Name()},
        {"run_name", Name()},
        {"round", Whole(1, kMostWhole)},
        {"base_model_sha256", Digest()},
        {"base_model_bytes", Whole(4, update::kMaxModelBytes)},
        {"plan", Bytes(1, kMostPlanBytes)},
        {"plan_sha256", Digest()},
        {"seed", Anything()},
        {"learning_rate", Real(1e-300, 1e300)},
        {"encoding", Text(1, 64)},
        {"remaining_ms", Anything()},  // told to the owner only
        {"min_clients", Anything()},   // the owner's policy judges it
        {"retention", Text(0, 64)},
        {"privacy", Message().OrEmpty()},
        {"previous_record_sha256", Digest()},
        {"links", Message().UpTo(kMostLinks)},
        {"genesis_sha256", Digest()},
        {"receipt_certificate_pem", Words(kMostCertificateBytes)}}},
      {&v1::PrivacyTerms::descriptor, {}},
      {&v1::RecordLink::descriptor, {{"round", Whole(0, kMostWhole)}, {"body_sha256", Digest()}}},
      {&v1::CancelTask::descriptor,
       {{"task_id", Digest()}, {"code", Words(kMostSaidBytes)}, {"reason", Words(kMostSaidBytes)}}},
      {&v1::Pace::descriptor, {{"retry_after_ms", Anything()}, {"reason", Words(kMostSaidBytes)}}},
  };
}

std::vector<MessageRules> Transfers() {
  return {
      {&v1::ModelChunk::descriptor,
       {{"offset", Whole(0, update::kMaxModelBytes)},
        {"data", Bytes(0, static_cast<uint64_t>(rpc::kChunkBytes))},
        {"total_bytes", Whole(0, update::kMaxModelBytes)}}},
      {&v1::BeginUploadResponse::descriptor,
       {{"ticket", Message().OrEmpty()},
        {"receipt", Message().OrEmpty()},
        {"not_needed", Message().OrEmpty()},
        {"rejected", Message().OrEmpty()}}},
      {&v1::UploadTicket::descriptor,
       {{"upload_id", Text(0, 128)}, {"offset", Whole(0, update::kMaxModelBytes)}, {"retry_after_ms", Anything()}}},
      {&v1::UploadUpdateResponse::descriptor,
       {{"receipt", Message().OrEmpty()}, {"not_needed", Message().OrEmpty()}, {"rejected", Message().OrEmpty()}}},
      {&v1::NotNeeded::descriptor, {{"code", Words(kMostSaidBytes)}, {"reason", Words(kMostSaidBytes)}}},
      {&v1::Rejected::descriptor, {{"code", Words(kMostSaidBytes)}, {"reason", Words(kMostSaidBytes)}}},
      {&v1::Receipt::descriptor,
       {{"record", Elsewhere(kReceipt)},
        {"previous_record_sha256", Digest()},
        {"accepted_unix_ms", Whole(0, kMostWhole)},
        {"signature", Bytes(1, 128)}}},
  };
}

std::vector<MessageRules> Certificates() {
  return {
      {&v1::EnrolResponse::descriptor,
       {{"certificate_pem", Elsewhere(kEnrolled)},
        {"ca_certificate_pem", Elsewhere(kEnrolled)},
        {"id", Elsewhere(kEnrolled)},
        {"name", Elsewhere(kEnrolled)},
        {"role", Elsewhere(kEnrolled)},
        {"federation", Elsewhere(kEnrolled)},
        {"authorities", Elsewhere(kEnrolled)}}},
      {&v1::RenewResponse::descriptor,
       {{"certificate_pem", Elsewhere(kRenewed)},
        {"ca_certificate_pem", Elsewhere(kRenewed)},
        {"authorities", Elsewhere(kRenewed)}}},
      // What they say is then checked by rpc::AuthoritiesFromProto and crypto::Adopt.
      {&v1::AuthorityList::descriptor,
       {{"authorities", Message().UpTo(crypto::kMaxAuthorities)}, {"renew_within_ms", Anything()}}},
      {&v1::Authority::descriptor,
       {{"certificate_pem", Words(crypto::kMaxCertificatePemBytes)},
        {"state", Known()},
        {"cross_pem", Words(crypto::kMaxCertificatePemBytes).UpTo(4)}}},
  };
}

}  // namespace

std::vector<MessageRules> RulesToClient() {
  std::vector<MessageRules> all;
  for (auto* part : {&Session, &Transfers, &Certificates}) {
    std::vector<MessageRules> rules = part();
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

}  // namespace tributary::wire
