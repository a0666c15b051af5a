// What every verb of `tributary` is given. Borrowed pieces outlive the verb.
#ifndef TRIBUTARY_SERVER_OPERATOR_CONTEXT_H_
#define TRIBUTARY_SERVER_OPERATOR_CONTEXT_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/operator/api.h"
#include "server/operator/output.h"

namespace tributary::op {

struct Context {
  std::ostream& out;  // the answer
  std::ostream& err;  // everything else
  bool out_is_terminal = false;
  std::string dir{};  // --dir or TRIBUTARY_DIR
  Format format = Format::kTable;
  const Clock* clock = &Clock::System();
  // Opens the connection when a verb first needs it.
  std::function<absl::StatusOr<std::unique_ptr<OperatorApi>>(const std::string& dir)> connect{};

  absl::StatusOr<std::unique_ptr<OperatorApi>> Connect() const;
  // Writes the rendered answer to `out`.
  absl::Status Print(const Answer& answer) const;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_CONTEXT_H_
