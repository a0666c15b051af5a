// Whether a hello is one that this coordinator can work with. Pure functions.
#ifndef TRIBUTARY_SERVER_SERVICE_HELLO_CHECKS_H_
#define TRIBUTARY_SERVER_SERVICE_HELLO_CHECKS_H_

#include "common/base/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::service {

// FAILED_PRECONDITION: the protocol versions are too far apart (says which end to upgrade). INVALID_ARGUMENT: a field
// is missing, too long or out of range.
absl::Status CheckHello(const v1::Hello& hello);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_HELLO_CHECKS_H_
