// Who may call what: one table, deny by default. A method that is not in it can be called by nobody; a test walks all
// methods of all services and fails when one is missing.
#ifndef TRIBUTARY_SERVER_IDENTITY_PERMISSIONS_H_
#define TRIBUTARY_SERVER_IDENTITY_PERMISSIONS_H_

#include <string_view>

#include "absl/types/span.h"
#include "common/rpc/listener.h"

namespace tributary::identity {

enum class Caller {
  kStranger,  // showed no certificate
  kClient,
  kOperator,
};

struct Permission {
  rpc::Listener listener;
  std::string_view method;  // "/tributary.v1.FederationService/OpenSession", as gRPC spells it
  Caller caller;
};

absl::Span<const Permission> Permissions();
bool IsAllowed(rpc::Listener listener, std::string_view method, Caller caller);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_PERMISSIONS_H_
