// What the coordinator and the process of its enrolment port (enrolment_front.h) say to each other: one datagram a
// message over a socket pair that the child inherits. A socket without a name: nobody else can reach it, and its end is
// how each side learns that the other is gone.
//
//   child -> coordinator   id (8 bytes) | length of the address (2) | address | EnrolRequest
//   coordinator -> child   id (8 bytes) | code (4) | length of the message (2) | message | EnrolResponse
//   id 0 downwards: accept no more, finish, end.                           integers little-endian
//
// The child talks to strangers, so the coordinator believes nothing it sends: sizes are checked, and it is asked to be
// killed (INVALID_ARGUMENT) at the first message that is not one.
// Threads: pure functions, but for Send and Receive, which any thread may call.
#ifndef TRIBUTARY_SERVER_SERVICE_ENROLMENT_RELAY_H_
#define TRIBUTARY_SERVER_SERVICE_ENROLMENT_RELAY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "tributary/v1/enrolment.pb.h"

namespace tributary::service {

// Calls that may be under way at once; more are told to come back.
inline constexpr size_t kRelayedAtOnce = 32;
// Of the child.
inline constexpr int kRelayFd = 3, kListeningFd = 4;

struct RelayedRequest {
  uint64_t id = 0;
  std::string address;  // of the stranger, for the audit
  v1::EnrolRequest request;
};
struct RelayedAnswer {
  uint64_t id = 0;  // 0: end
  absl::Status status;
  v1::EnrolResponse response;
};

std::string EncodeRelayed(const RelayedRequest& request);
std::string EncodeRelayed(const RelayedAnswer& answer);
absl::StatusOr<RelayedRequest> DecodeRelayedRequest(std::string_view bytes);
absl::StatusOr<RelayedAnswer> DecodeRelayedAnswer(std::string_view bytes);

// UNAVAILABLE: the other side is gone, or does not read.
absl::Status SendRelayed(int fd, std::string_view bytes);
// The next message; empty: the other side is gone. Blocks.
std::string ReceiveRelayed(int fd);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENROLMENT_RELAY_H_
