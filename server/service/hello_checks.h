// Whether a hello is one that this coordinator can answer. Its fields are checked with those of every other message
// (common/wire/rules.h). Pure functions.
#ifndef TRIBUTARY_SERVER_SERVICE_HELLO_CHECKS_H_
#define TRIBUTARY_SERVER_SERVICE_HELLO_CHECKS_H_

#include <cstdint>

#include "common/base/status.h"

namespace tributary::service {

// FAILED_PRECONDITION: the protocol versions are too far apart (says which end to upgrade). Asked before anything else:
// the other fields of a version far away may mean something else.
absl::Status CheckProtocolVersion(uint32_t theirs);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_HELLO_CHECKS_H_
