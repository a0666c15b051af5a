// Whatever an operator sends: parsed, checked by the wire's rules, and then by what stands behind them.
#include "common/learning/plan_check.h"
#include "common/nn/model_description.h"
#include "common/wire/check.h"
#include "server/identity/invite_request.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_mutator.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::fuzz {

const std::vector<const google::protobuf::Message*>& Messages() {
  static const std::vector<const google::protobuf::Message*> all = {
      &v1::StartRunRequest::default_instance(),    &v1::InviteRequest::default_instance(),
      &v1::ModelPart::default_instance(),          &v1::GetRunRequest::default_instance(),
      &v1::ExportModelRequest::default_instance(), &v1::RevokeClientRequest::default_instance(),
      &v1::StopRunRequest::default_instance(),     &v1::ListAuditRequest::default_instance(),
      &v1::ModelDescription::default_instance()};
  return all;
}

namespace {

void CheckModel(const v1::ModelDescription& proto) {
  const auto model = nn::ModelDescription::FromProto(proto);
  if (!model.ok()) return;
  Require(model->parameter_count() <= (size_t{1} << 28));
  size_t end = 0;
  for (const nn::ParameterArray& array : model->parameter_arrays()) {
    Require(array.offset == end);
    end += array.size;
  }
  Require(end == model->parameter_count());
}

void CheckPlan(const v1::RunPlan& plan) {
  const bool valid = learning::ValidatePlan(plan).ok();
  Require(!valid || nn::ModelDescription::FromProto(plan.model()).ok());
  Require(!valid || (plan.round().min_clients() >= 1 && plan.round().min_clients() <= plan.round().clients()));
}

}  // namespace
}  // namespace tributary::fuzz

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto message = fuzz::ParseInput(input);
  if (message == nullptr || !wire::Check(*message).ok()) return;
  if (input[0] == 0) fuzz::CheckPlan(static_cast<const v1::StartRunRequest&>(*message).plan());
  if (input[0] == 1) (void)identity::ValidateInvite(static_cast<const v1::InviteRequest&>(*message), absl::Hours(720));
  if (input[0] == 2) fuzz::CheckModel(static_cast<const v1::ModelPart&>(*message).header().model());
  if (input[0] == 8) fuzz::CheckModel(static_cast<const v1::ModelDescription&>(*message));
}
