#include "server/service/endpoints_file.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"

namespace tributary::service {
namespace {

constexpr uint64_t kMaxFileBytes = 4096;

std::string PathIn(const std::string& directory) { return directory + "/endpoints.json"; }

std::string Dialable(const identity::HostPort& bound) {
  if (bound.host == "0.0.0.0") return identity::JoinHostPort("127.0.0.1", bound.port);
  if (bound.host == "::") return identity::JoinHostPort("::1", bound.port);
  return identity::JoinHostPort(bound.host, bound.port);
}

absl::StatusOr<identity::HostPort> Member(const nlohmann::json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("no text '", key, "'"));
  }
  return identity::ParseHostPort(json[key].get<std::string>());
}

}  // namespace

absl::StatusOr<EndpointsFile> ReadEndpoints(const std::string& directory) {
  const std::string path = PathIn(directory);
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto main = Member(json, "main"), enrol = Member(json, "enrol");
  for (const auto* member : {&main, &enrol}) {
    if (!member->ok()) return WithFix(Annotate(member->status(), path), "remove the file to have new ports chosen");
  }
  return EndpointsFile{*main, *enrol};
}

absl::Status WriteEndpoints(const std::string& directory, const EndpointsFile& endpoints) {
  nlohmann::ordered_json json;
  json["main"] = Dialable(endpoints.main);
  json["enrol"] = Dialable(endpoints.enrol);
  return WriteFileDurably(PathIn(directory), json.dump(2) + "\n");
}

}  // namespace tributary::service
