#include "common/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <string_view>

#include "common/base/limited_log.h"

namespace tributary::rpc {
namespace {

void Take(gpr_log_func_args* line) {
  static LimitedLog& log = *new LimitedLog;  // leaked: gRPC's threads may speak while the process ends
  const std::string_view file = line->file;
  log.Log(line->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarning : LogLevel::kDebug, "grpc",
          {{"at", file.substr(file.rfind('/') + 1)}, {"line", line->line}, {"says", line->message}});
}

}  // namespace

void TakeOverGrpcLog() { gpr_set_log_function(Take); }

}  // namespace tributary::rpc
