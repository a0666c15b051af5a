// The one check of every message that arrives, before anything of it is used.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_WIRE_CHECK_H_
#define TRIBUTARY_COMMON_WIRE_CHECK_H_

#include "common/base/status.h"

namespace google::protobuf {
class Message;
}

namespace tributary::wire {

// OK when every field fits its rule (rules.h), those of messages inside it too. INVALID_ARGUMENT names the first field
// that does not, e.g. "hello.dataset.classes[3]: 1 to 255 bytes of text without control characters". INTERNAL: the
// message has no rules; it is not to be used.
//
// Fields that this version does not know are passed over, but not for nothing: a sender may bring at most
// kMostUnknownBytes of them, and who keeps or hashes a message keeps what it knows of it only (DiscardUnknownFields).
absl::Status Check(const google::protobuf::Message& message);

inline constexpr size_t kMostUnknownBytes = 4096;

}  // namespace tributary::wire

#endif  // TRIBUTARY_COMMON_WIRE_CHECK_H_
