#include "server/identity/federation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"

namespace tributary::identity {
namespace {

constexpr uint64_t kMaxFileBytes = 16384;

std::string PathIn(const std::string& directory) { return directory + "/federation.json"; }

// Splits into host and port text; empty host when `text` is not of the form.
std::pair<std::string, std::string> Split(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {};
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return {};  // an IPv6 address without brackets: where its port begins cannot be told
  }
  return {std::move(host), text.substr(colon + 1)};
}

}  // namespace

absl::StatusOr<Federation> LoadFederation(const std::string& directory) {
  const std::string path = PathIn(directory);
  auto text = ReadFile(path, kMaxFileBytes);
  if (absl::IsNotFound(text.status()))
    return WithFix(absl::NotFoundError(absl::StrCat(directory, " holds no federation: ", path, " is not there")),
                   absl::StrCat("run `tributary-coordinator init --dir ", directory, " --name HOST` first"));
  TRB_RETURN_IF_ERROR(text.status());
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  Federation out;
  const std::pair<const char*, std::string*> fields[] = {{"id", &out.id},
                                                         {"host", &out.host},
                                                         {"listen", &out.listen},
                                                         {"enrol_listen", &out.enrol_listen},
                                                         {"advertise", &out.advertise}};
  for (const auto& [key, value] : fields) {
    const auto* found = json.is_object() && json.contains(key) ? json[key].get_ptr<const std::string*>() : nullptr;
    if (found == nullptr) return absl::InvalidArgumentError(absl::StrCat(path, ": no text \"", key, "\""));
    *value = *found;
  }
  if (!json.contains("created_unix_ms") || !json["created_unix_ms"].is_number_integer())
    return absl::InvalidArgumentError(absl::StrCat(path, ": no number \"created_unix_ms\""));
  out.created_unix_ms = json["created_unix_ms"].get<int64_t>();
  return out;
}

absl::Status StoreFederation(const std::string& directory, const Federation& federation) {
  const nlohmann::ordered_json json = {{"id", federation.id},
                                       {"host", federation.host},
                                       {"listen", federation.listen},
                                       {"enrol_listen", federation.enrol_listen},
                                       {"advertise", federation.advertise},
                                       {"created_unix_ms", federation.created_unix_ms}};
  return WriteFileDurably(PathIn(directory), json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                          0600);
}

absl::StatusOr<HostPort> ParseHostPort(const std::string& text) {
  HostPort out;
  std::string port;
  std::tie(out.host, port) = Split(text);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (out.host.empty() || !digits || !absl::SimpleAtoi(port, &out.port) || out.port > 65535)
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not HOST:PORT (or [ADDRESS]:PORT for IPv6)"));
  return out;
}

std::string JoinHostPort(const std::string& host, int port) {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

std::vector<std::string> ServerNames(const Federation& federation) {
  std::vector<std::string> out = {federation.host};
  if (const auto advertised = ParseHostPort(federation.advertise); advertised.ok()) out.push_back(advertised->host);
  for (const char* local : {"localhost", "127.0.0.1", "::1"}) out.push_back(local);
  std::vector<std::string> unique;
  for (auto& name : out)
    if (std::find(unique.begin(), unique.end(), name) == unique.end()) unique.push_back(std::move(name));
  return unique;
}

}  // namespace tributary::identity
