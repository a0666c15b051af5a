// What is signed: two records that differ have different bytes to sign, and metrics are read as they were written.
#include "common/update/signed_record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_mutator.h"
#include "tributary/v1/update.pb.h"

namespace tributary::fuzz {

const std::vector<const google::protobuf::Message*>& Messages() {
  static const std::vector<const google::protobuf::Message*> all = {
      &v1::UpdateRecord::default_instance(), &v1::UpdateMetrics::default_instance(), &v1::Receipt::default_instance()};
  return all;
}

}  // namespace tributary::fuzz

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto message = fuzz::ParseInput(input);
  if (message == nullptr) return;
  if (input[0] == 0) {
    const auto& record = static_cast<const v1::UpdateRecord&>(*message);
    (void)update::CheckWellFormed(record);
    // The end of one text is never the beginning of the next.
    v1::UpdateRecord moved = record;
    moved.set_federation(record.federation() + record.run_id().substr(0, 1));
    moved.set_run_id(record.run_id().empty() ? "" : record.run_id().substr(1));
    fuzz::Require(record.run_id().empty() || update::CanonicalBytes(moved) != update::CanonicalBytes(record));
  } else if (input[0] == 1) {
    const std::string bytes(input.substr(1));
    const auto metrics = update::ParseMetrics(bytes);
    fuzz::Require(!metrics.ok() || (bytes.size() <= 4096 && metrics->engine().size() <= 64));
  } else {
    (void)update::CanonicalBytes(static_cast<const v1::Receipt&>(*message));
  }
}
