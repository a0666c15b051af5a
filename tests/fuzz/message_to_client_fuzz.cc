// Whatever a coordinator sends to a client: parsed, checked by the wire's rules, and then as the client does.
#include <optional>

#include "client/session/history_check.h"
#include "client/session/task_check.h"
#include "common/crypto/certificate_issuer.h"
#include "common/wire/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_mutator.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::fuzz {

const std::vector<const google::protobuf::Message*>& Messages() {
  static const std::vector<const google::protobuf::Message*> all = {
      &v1::CoordinatorMessage::default_instance(),  &v1::ModelChunk::default_instance(),
      &v1::BeginUploadResponse::default_instance(), &v1::UploadUpdateResponse::default_instance(),
      &v1::RenewResponse::default_instance(),       &v1::EnrolResponse::default_instance()};
  return all;
}

namespace {

const crypto::Certificate& Authority() {
  static const crypto::Certificate ca = [] {
    const auto key = crypto::PrivateKey::Generate();
    Require(key.ok());
    crypto::CertificateTerms terms;
    terms.use = crypto::CertificateUse::kAuthority;
    terms.common_name = "fuzz";
    terms.serial = "fuzz";
    terms.not_before = absl::FromUnixSeconds(1'600'000'000);
    terms.not_after = absl::FromUnixSeconds(4'000'000'000);
    const auto made = crypto::SelfSign(*key, terms);
    Require(made.ok());
    return *made;
  }();
  return ca;
}

void CheckTask(const v1::TrainTask& task) {
  const auto parsed = session::ParseTask(task, Authority());
  v1::RunPlan plan;
  if (plan.ParseFromString(task.plan())) (void)session::TermsOf(task, plan);
  (void)session::CheckHistory(std::nullopt, task);
  // As if an earlier task of the run had been seen.
  session::RunMemory memory = session::MemoryOf(task);
  memory.round = task.round() > 1 ? 1 : 2;
  const session::Refusal refusal = session::CheckHistory(memory, task);
  Require(refusal.refused() || task.links_size() > 0 || task.round() == memory.round);
  Require(!parsed.ok() || task.base_model_bytes() == 4 * parsed->model.parameter_count());
}

template <class Answer>
void CheckAnswer(const Answer& answer) {
  if (answer.has_receipt()) (void)session::CheckReceipt(answer.receipt(), answer.receipt().record(), v1::TrainTask());
}

}  // namespace
}  // namespace tributary::fuzz

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto message = fuzz::ParseInput(input);
  if (message == nullptr || !wire::Check(*message).ok()) return;
  if (input[0] == 0) {
    const auto& from_coordinator = static_cast<const v1::CoordinatorMessage&>(*message);
    if (from_coordinator.has_task()) fuzz::CheckTask(from_coordinator.task());
  }
  if (input[0] == 2) fuzz::CheckAnswer(static_cast<const v1::BeginUploadResponse&>(*message));
  if (input[0] == 3) fuzz::CheckAnswer(static_cast<const v1::UploadUpdateResponse&>(*message));
}
