#include "server/operator/context.h"

#include "common/base/error_report.h"

namespace tributary::op {

absl::StatusOr<std::unique_ptr<OperatorApi>> Context::Connect() const {
  if (dir.empty()) {
    return WithFix(absl::InvalidArgumentError("no directory named: which federation?"),
                   "give --dir DIR, or set TRIBUTARY_DIR");
  }
  return connect(dir);
}

absl::Status Context::Print(const Answer& answer) const {
  out << Render(answer, format) << std::flush;
  return out.good() ? absl::OkStatus() : absl::DataLossError("the answer could not be written to stdout");
}

}  // namespace tributary::op
