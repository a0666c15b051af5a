#include "server/operator/operator_directory.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/rpc/enrolment_client.h"

namespace tributary::op {
namespace {

absl::StatusOr<std::string> MainEndpoint(const std::string& dir) {
  const std::string path = dir + "/endpoints.json";
  const absl::StatusOr<std::string> text = ReadFile(path, 64 * 1024);
  if (absl::IsNotFound(text.status())) {
    return WithFix(absl::UnavailableError(absl::StrCat(dir, ": the coordinator has not run yet")),
                   absl::StrCat("start it: tributary-coordinator run --dir ", dir));
  }
  TRB_RETURN_IF_ERROR(text.status());
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  const auto main = json.is_object() ? json.find("main") : json.end();
  if (!json.is_object() || main == json.end() || !main->is_string())
    return absl::DataLossError(absl::StrCat(path, ": no address of the main port in it"));
  return main->get<std::string>();
}

}  // namespace

std::string JoinedRoot(const std::string& dir) { return dir + "/pki"; }

absl::StatusOr<OperatorAccess> FindOperatorAccess(const std::string& dir) {
  const absl::StatusOr<rpc::LocalIdentity> joined = rpc::LoadLocalIdentity(JoinedRoot(dir));
  if (joined.ok()) {
    if (joined->role != "operator")
      return absl::PermissionDeniedError(absl::StrCat(dir, " holds the identity of a client, not of an operator"));
    return OperatorAccess{joined->main_endpoint, JoinedRoot(dir), /*joined=*/true};
  }
  if (!absl::IsNotFound(joined.status())) return joined.status();  // another user's, say
  const std::string local = dir + "/pki/operator";
  if (!FileExists(local)) {
    return WithFix(absl::NotFoundError(absl::StrCat(dir, ": no federation is here, and no operator's identity")),
                   absl::StrCat("make one with `tributary-coordinator init --dir ", dir,
                                " --name HOST`, or join one with `tributary join --dir ", dir, "`"));
  }
  TRB_ASSIGN_OR_RETURN(const std::string endpoint, MainEndpoint(dir));
  return OperatorAccess{endpoint, local, /*joined=*/false};
}

}  // namespace tributary::op
