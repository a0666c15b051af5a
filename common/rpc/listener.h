// The two doors of a coordinator.
#ifndef TRIBUTARY_COMMON_RPC_LISTENER_H_
#define TRIBUTARY_COMMON_RPC_LISTENER_H_

namespace tributary::rpc {

enum class Listener {
  kMain,       // enrolled peers only: mutual TLS
  kEnrolment,  // anybody who has an invitation: TLS that authenticates the server alone
};

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_LISTENER_H_
