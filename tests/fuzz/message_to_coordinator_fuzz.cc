// Whatever a client or a stranger sends: parsed, checked by the wire's rules, and then by what stands behind them.
#include "common/crypto/certificate_request.h"
#include "common/update/rejection.h"
#include "common/update/signed_record.h"
#include "common/wire/check.h"
#include "server/service/hello_checks.h"
#include "server/service/update_checks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_mutator.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::fuzz {

const std::vector<const google::protobuf::Message*>& Messages() {
  static const std::vector<const google::protobuf::Message*> all = {
      &v1::ClientMessage::default_instance(),      &v1::DownloadModelRequest::default_instance(),
      &v1::BeginUploadRequest::default_instance(), &v1::UploadChunk::default_instance(),
      &v1::RenewRequest::default_instance(),       &v1::EnrolRequest::default_instance()};
  return all;
}

namespace {

void CheckUpload(const v1::BeginUploadRequest& request) {
  rounds::RunManager::TaskTerms terms;
  terms.run_id = request.record().run_id();
  terms.round = request.record().round();
  terms.base_model_sha256 = terms.plan_sha256 = std::string(64, 'a');
  terms.encoding = "float32";
  terms.parameters = 10;
  terms.max_examples = 100;
  const absl::Status spelled = service::CheckSpelling(request);
  // Every refusal has a code, which the ledger keeps.
  Require(spelled.ok() || !update::RejectionCode(spelled).empty());
  if (!spelled.ok()) return;
  const absl::Status fits = service::CheckAgainstTask(request, terms, request.record().federation());
  Require(fits.ok() || !update::RejectionCode(fits).empty());
  Require(!fits.ok() || (request.record().length() == 40 && request.record().examples() <= 100));
}

void CheckHello(const v1::Hello& hello) {
  (void)service::CheckProtocolVersion(hello.protocol_version());
  Require(hello.held_size() <= 64 && hello.heads_size() <= 256 && hello.dataset().shape_size() <= 3);
  uint64_t features = 1;
  for (const uint32_t side : hello.dataset().shape()) features *= side;
  Require(features >= 1 && features <= (uint64_t{1} << 28));
}

}  // namespace
}  // namespace tributary::fuzz

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto message = fuzz::ParseInput(input);
  if (message == nullptr) return;
  const bool good = wire::Check(*message).ok();
  if (input[0] == 2) fuzz::CheckUpload(static_cast<const v1::BeginUploadRequest&>(*message));
  if (!good) return;
  if (input[0] == 0) fuzz::CheckHello(static_cast<const v1::ClientMessage&>(*message).hello());
  if (input[0] == 4) (void)crypto::ParseRequest(static_cast<const v1::RenewRequest&>(*message).csr_pem());
  if (input[0] == 5) (void)crypto::ParseRequest(static_cast<const v1::EnrolRequest&>(*message).csr_pem());
}
