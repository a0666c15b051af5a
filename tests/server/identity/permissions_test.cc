#include "server/identity/permissions.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::identity {
namespace {

using rpc::Listener;

// Every method of every service of the package, from the descriptors themselves.
std::set<std::string> AllMethods() {
  std::set<std::string> out;
  for (const auto* file :
       {v1::EnrolRequest::descriptor()->file(), v1::Hello::descriptor()->file(), v1::Run::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s)
      for (int m = 0; m < file->service(s)->method_count(); ++m)
        out.insert(absl::StrCat("/", file->service(s)->full_name(), "/", file->service(s)->method(m)->name()));
  }
  return out;
}

std::string ServiceOf(const std::string& method) { return method.substr(1, method.rfind('/') - 1); }

TEST(PermissionsTest, EveryMethodOfEveryServiceIsInTheTable) {
  const std::set<std::string> methods = AllMethods();
  ASSERT_GE(methods.size(), 20u);
  for (const std::string& method : methods) {
    bool listed = false;
    for (const Permission& permission : Permissions()) listed |= permission.method == method;
    EXPECT_TRUE(listed) << method << " is missing: say in permissions.cc who may call it";
  }
}

TEST(PermissionsTest, TheTableNamesNoMethodThatIsNotThere) {
  const std::set<std::string> methods = AllMethods();
  for (const Permission& permission : Permissions())
    EXPECT_TRUE(methods.count(std::string(permission.method))) << permission.method;
}

TEST(PermissionsTest, AllThatTheTableDoesNotNameIsDenied) {
  for (const std::string& method : AllMethods()) {
    for (const auto listener : {Listener::kMain, Listener::kEnrolment}) {
      EXPECT_EQ(IsAllowed(listener, method, Caller::kStranger),
                listener == Listener::kEnrolment && ServiceOf(method) == "tributary.v1.EnrolmentService")
          << method;
      EXPECT_EQ(IsAllowed(listener, method, Caller::kClient),
                listener == Listener::kMain && ServiceOf(method) == "tributary.v1.FederationService")
          << method;
      EXPECT_EQ(IsAllowed(listener, method, Caller::kOperator),
                listener == Listener::kMain && (ServiceOf(method) == "tributary.v1.OperatorService" ||
                                                method == "/tributary.v1.FederationService/Renew" ||
                                                method == "/tributary.v1.FederationService/ReportTrust"))
          << method;
    }
  }
  for (const auto caller : {Caller::kStranger, Caller::kClient, Caller::kOperator}) {
    EXPECT_FALSE(IsAllowed(Listener::kMain, "/tributary.v1.OperatorService/Unheard", caller));
    EXPECT_FALSE(IsAllowed(Listener::kMain, "", caller));
  }
}

}  // namespace
}  // namespace tributary::identity
