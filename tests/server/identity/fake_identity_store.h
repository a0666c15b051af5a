// IdentityStore in memory. Passes the same suite as the SQLite one (identity_store_test.cc).
#ifndef TRIBUTARY_TESTS_SERVER_IDENTITY_FAKE_IDENTITY_STORE_H_
#define TRIBUTARY_TESTS_SERVER_IDENTITY_FAKE_IDENTITY_STORE_H_

#include <memory>

#include "server/identity/identity_store.h"

namespace tributary::testing {

std::unique_ptr<identity::IdentityStore> MakeFakeIdentityStore();

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_IDENTITY_FAKE_IDENTITY_STORE_H_
