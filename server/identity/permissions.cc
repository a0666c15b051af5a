#include "server/identity/permissions.h"

#include <algorithm>

namespace tributary::identity {
namespace {

using enum rpc::Listener;
using enum Caller;

constexpr Permission kPermissions[] = {
    {kEnrolment, "/tributary.v1.EnrolmentService/Enrol", kStranger},

    {kMain, "/tributary.v1.FederationService/OpenSession", kClient},
    {kMain, "/tributary.v1.FederationService/DownloadModel", kClient},
    {kMain, "/tributary.v1.FederationService/BeginUpload", kClient},
    {kMain, "/tributary.v1.FederationService/UploadUpdate", kClient},
    {kMain, "/tributary.v1.FederationService/Renew", kClient},
    // An operator on another machine renews like a client does.
    {kMain, "/tributary.v1.FederationService/Renew", kOperator},
    {kMain, "/tributary.v1.FederationService/ReportTrust", kClient},
    {kMain, "/tributary.v1.FederationService/ReportTrust", kOperator},

    {kMain, "/tributary.v1.OperatorService/GetStatus", kOperator},
    {kMain, "/tributary.v1.OperatorService/StartRun", kOperator},
    {kMain, "/tributary.v1.OperatorService/ListRuns", kOperator},
    {kMain, "/tributary.v1.OperatorService/GetRun", kOperator},
    {kMain, "/tributary.v1.OperatorService/StopRun", kOperator},
    {kMain, "/tributary.v1.OperatorService/WatchRun", kOperator},
    {kMain, "/tributary.v1.OperatorService/Invite", kOperator},
    {kMain, "/tributary.v1.OperatorService/ListClients", kOperator},
    {kMain, "/tributary.v1.OperatorService/GetClient", kOperator},
    {kMain, "/tributary.v1.OperatorService/RevokeClient", kOperator},
    {kMain, "/tributary.v1.OperatorService/ExportModel", kOperator},
    {kMain, "/tributary.v1.OperatorService/PutModel", kOperator},
    {kMain, "/tributary.v1.OperatorService/VerifyHistory", kOperator},
    {kMain, "/tributary.v1.OperatorService/ExportHistory", kOperator},
    {kMain, "/tributary.v1.OperatorService/ReplayHistory", kOperator},
    {kMain, "/tributary.v1.OperatorService/ListAudit", kOperator},
};

}  // namespace

absl::Span<const Permission> Permissions() { return kPermissions; }

bool IsAllowed(rpc::Listener listener, std::string_view method, Caller caller) {
  return std::any_of(std::begin(kPermissions), std::end(kPermissions), [&](const Permission& permission) {
    return permission.listener == listener && permission.method == method && permission.caller == caller;
  });
}

}  // namespace tributary::identity
