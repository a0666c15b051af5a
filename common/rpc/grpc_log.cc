#include "common/rpc/grpc_log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <atomic>
#include <string>
#include <string_view>

#include "common/base/limited_log.h"

namespace tributary::rpc {
namespace {

std::atomic<LogLevel> error_level = LogLevel::kWarning;

void Take(gpr_log_func_args* line) {
  static LimitedLog& log = *new LimitedLog;  // leaked: gRPC's threads may speak while the process ends
  const std::string_view file = line->file;
  log.Log(line->severity == GPR_LOG_SEVERITY_ERROR ? error_level.load() : LogLevel::kDebug, "grpc",
          {{"at", file.substr(file.rfind('/') + 1)}, {"line", line->line}, {"says", line->message}});
}

// Mostly of strings that are not UTF-8, which any enrolled peer can send.
void TakeOfProtobuf(google::protobuf::LogLevel level, const char* file, int line, const std::string& message) {
  static LimitedLog& log = *new LimitedLog;
  log.Log(level >= google::protobuf::LOGLEVEL_FATAL ? LogLevel::kError : LogLevel::kDebug, "protobuf",
          {{"at", file}, {"line", line}, {"says", message}});
}

}  // namespace

void TakeOverGrpcLog(LogLevel errors) {
  error_level = errors;
  gpr_set_log_function(Take);
  google::protobuf::SetLogHandler(TakeOfProtobuf);
}

}  // namespace tributary::rpc
