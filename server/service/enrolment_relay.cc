#include "server/service/enrolment_relay.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>

#include "common/base/bytes.h"
#include "common/rpc/limits.h"

namespace tributary::service {
namespace {

constexpr size_t kMaxTextBytes = 1024;
constexpr size_t kMaxBytes = 2 * rpc::kMaxEnrolmentMessageBytes + kMaxTextBytes + 64;

void AppendText(std::string* out, std::string_view text) {
  text = text.substr(0, kMaxTextBytes);
  AppendLe16(out, static_cast<uint16_t>(text.size()));
  out->append(text);
}

absl::Status NoMessage() { return absl::InvalidArgumentError("this is no message of the enrolment relay"); }

// Cuts `size` bytes off the front.
absl::StatusOr<std::string_view> Take(std::string_view* rest, size_t size) {
  if (rest->size() < size) return NoMessage();
  const std::string_view piece = rest->substr(0, size);
  rest->remove_prefix(size);
  return piece;
}

absl::StatusOr<std::string_view> TakeText(std::string_view* rest) {
  TRB_ASSIGN_OR_RETURN(const std::string_view length, Take(rest, 2));
  const size_t size = LoadLe16(length.data());
  if (size > kMaxTextBytes) return NoMessage();
  return Take(rest, size);
}

template <class Message>
absl::Status Parse(std::string_view bytes, Message* message) {
  if (bytes.size() > static_cast<size_t>(rpc::kMaxEnrolmentMessageBytes)) return NoMessage();
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ? absl::OkStatus() : NoMessage();
}

}  // namespace

std::string EncodeRelayed(const RelayedRequest& request) {
  std::string out;
  AppendLe64(&out, request.id);
  AppendText(&out, request.address);
  return out + request.request.SerializeAsString();
}

std::string EncodeRelayed(const RelayedAnswer& answer) {
  std::string out;
  AppendLe64(&out, answer.id);
  AppendLe32(&out, static_cast<uint32_t>(answer.status.code()));
  const auto message = answer.status.message();
  AppendText(&out, std::string_view(message.data(), message.size()));
  return out + answer.response.SerializeAsString();
}

absl::StatusOr<RelayedRequest> DecodeRelayedRequest(std::string_view bytes) {
  RelayedRequest out;
  TRB_ASSIGN_OR_RETURN(const std::string_view id, Take(&bytes, 8));
  out.id = LoadLe64(id.data());
  TRB_ASSIGN_OR_RETURN(const std::string_view address, TakeText(&bytes));
  out.address = EscapeForLog(address, 64);
  TRB_RETURN_IF_ERROR(Parse(bytes, &out.request));
  if (out.id == 0) return NoMessage();
  return out;
}

absl::StatusOr<RelayedAnswer> DecodeRelayedAnswer(std::string_view bytes) {
  RelayedAnswer out;
  TRB_ASSIGN_OR_RETURN(const std::string_view id, Take(&bytes, 8));
  out.id = LoadLe64(id.data());
  TRB_ASSIGN_OR_RETURN(const std::string_view code, Take(&bytes, 4));
  const uint32_t number = LoadLe32(code.data());
  if (number > static_cast<uint32_t>(absl::StatusCode::kUnauthenticated)) return NoMessage();
  TRB_ASSIGN_OR_RETURN(const std::string_view message, TakeText(&bytes));
  out.status = absl::Status(static_cast<absl::StatusCode>(number), absl::string_view(message.data(), message.size()));
  TRB_RETURN_IF_ERROR(Parse(bytes, &out.response));
  return out;
}

absl::Status SendRelayed(int fd, std::string_view bytes) {
  while (send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return absl::UnavailableError("the other side of the enrolment relay does not listen");
  }
  return absl::OkStatus();
}

std::string ReceiveRelayed(int fd) {
  std::string bytes(kMaxBytes, '\0');
  ssize_t n = 0;
  while ((n = recv(fd, bytes.data(), bytes.size(), 0)) < 0 && errno == EINTR) {
  }
  bytes.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return bytes;
}

}  // namespace tributary::service
