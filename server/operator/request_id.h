// A fresh id for a mutation: sent again with it, the coordinator does the thing once.
#ifndef TRIBUTARY_SERVER_OPERATOR_REQUEST_ID_H_
#define TRIBUTARY_SERVER_OPERATOR_REQUEST_ID_H_

#include <string>

namespace tributary::op {

// 32 random hexadecimal characters.
std::string NewRequestId();

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_REQUEST_ID_H_
