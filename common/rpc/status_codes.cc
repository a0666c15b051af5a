#include "common/rpc/status_codes.h"

#include <grpcpp/support/status.h>

#include <string>

#include "common/base/bytes.h"

namespace tributary::rpc {
namespace {

constexpr size_t kMaxMessageBytes = 1000;

bool IsPlain(char c) { return (c >= ' ' && c != 0x7f) || c == '\n' || (c & 0x80) != 0; }

// Lines and UTF-8 stay as they are: several faults are listed one a line.
std::string Printable(std::string_view message) {
  std::string out;
  for (const char c : message.substr(0, kMaxMessageBytes))
    out += IsPlain(c) ? std::string(1, c) : EscapeForLog(std::string_view(&c, 1));
  return out;
}

// Codes whose messages speak of the inside of the coordinator.
bool IsInternal(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kDataLoss ||
         code == absl::StatusCode::kUnknown;
}

bool IsKnown(int code) { return code >= 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated); }

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (IsInternal(status.code())) return grpc::Status(code, "the coordinator failed; its log says why");
  const auto message = status.message();
  return grpc::Status(code, Printable(std::string_view(message.data(), message.size())));
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = static_cast<int>(status.error_code());
  return absl::Status(IsKnown(code) ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                      Printable(status.error_message()));
}

}  // namespace tributary::rpc
