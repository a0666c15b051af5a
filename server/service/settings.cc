#include "server/service/settings.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/toml_reader.h"

namespace tributary::service {
namespace {

constexpr uint64_t kMaxFileBytes = 64 * 1024;

std::string PathIn(const std::string& directory) { return directory + "/coordinator.toml"; }

identity::HostPort Address(TomlTable* root, const char* key, const std::string& default_value) {
  const std::string text = root->String(key, default_value);
  const auto parsed = identity::ParseHostPort(text);
  if (parsed.ok()) return *parsed;
  root->Fault(key, std::string(parsed.status().message()));
  return {};
}

Connections::Limits ConnectionLimits(TomlTable* root) {
  Connections::Limits limits;
  const auto count = [root](const char* key, size_t* value, int64_t most) {
    *value = static_cast<size_t>(root->Int(key, static_cast<int64_t>(*value), 1, most));
  };
  count("max_connections", &limits.in_all, 1'000'000);
  count("max_pending_connections", &limits.pending, 100'000);
  count("max_pending_per_address", &limits.pending_per_address, 100'000);
  count("max_connections_per_client", &limits.per_identity, 1000);
  return limits;
}

std::string DefaultAdvertise(const identity::Federation& federation) {
  return federation.advertise.empty() ? identity::JoinHostPort(federation.host, 0) : federation.advertise;
}

ClientQuotas::Limits ReadLimits(TomlTable table) {
  constexpr int64_t kMostOften = 1'000'000, kMostAtOnce = 1024, kMostFactor = 1'000'000;
  const auto whole = [&table](const char* key, int default_value, int64_t most) {
    return static_cast<int>(table.Int(key, default_value, 0, most));
  };
  ClientQuotas::Limits l;
  l.sessions_a_minute = whole("sessions_a_minute", l.sessions_a_minute, kMostOften);
  l.calls_a_second = whole("calls_a_second", l.calls_a_second, kMostOften);
  l.messages_a_second = whole("messages_a_second", l.messages_a_second, kMostOften);
  l.uploads = whole("uploads", l.uploads, kMostAtOnce);
  l.downloads = whole("downloads", l.downloads, kMostAtOnce);
  l.transfer_factor = whole("transfer_factor", l.transfer_factor, kMostFactor);
  l.bytes_a_day = static_cast<uint64_t>(table.Int("bytes_a_day", 0, 0, INT64_MAX));
  table.RejectUnknownKeys();
  return l;
}

}  // namespace

absl::StatusOr<Settings> ReadSettings(const std::string& directory, const identity::Federation& federation) {
  const std::string path = PathIn(directory);
  auto text = ReadFile(path, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) text = std::string();
  TRB_RETURN_IF_ERROR(text.status());
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<TomlReader> reader, TomlReader::Parse(*text, path));
  TomlTable root = reader->Root();
  Settings settings;
  settings.listen = Address(&root, "listen", federation.listen);
  settings.enrol_listen = Address(&root, "enrol_listen", federation.enrol_listen);
  settings.advertise = Address(&root, "advertise", DefaultAdvertise(federation));
  settings.threads = static_cast<int>(root.Int("threads", 0, 0, 1024));
  settings.log_level = root.String("log_level", "info");
  const std::string& level = settings.log_level;
  if (level != "debug" && level != "info" && level != "warning" && level != "error") {
    root.Fault("log_level", "is debug, info, warning or error");
  }
  settings.connections = ConnectionLimits(&root);
  settings.limits = ReadLimits(root.Table("limits"));
  root.RejectUnknownKeys();
  TRB_RETURN_IF_ERROR(WithFix(reader->Faults(), absl::StrCat("mend ", path)));
  return settings;
}

absl::Status WriteSettings(const std::string& directory, const identity::Federation& federation) {
  const std::string text = absl::StrCat(
      "# Settings of tributary-coordinator; read when it starts.\n\n"
      "# Where to listen, ADDR:PORT. Port 0: chosen at the first run and kept in endpoints.json.\n"
      "listen = \"",
      federation.listen, "\"        # enrolled clients and operators (mutual TLS)\nenrol_listen = \"",
      federation.enrol_listen,
      "\"  # open only while an invitation waits\n\n"
      "# What invitations call this coordinator, HOST:PORT. The server's certificate names the HOST given to init.\n"
      "# Port 0: the port listened on.\n"
      "advertise = \"",
      DefaultAdvertise(federation),
      "\"\n\n"
      "# threads = 0         # of aggregation and evaluation; 0: one a core\n"
      "# What follows is read again on SIGHUP.\n"
      "# log_level = \"info\"  # debug, info, warning, error\n"
      "# max_connections = 20000           # of the main port; each costs two open files\n"
      "# max_pending_connections = 1024    # of strangers: sockets on which no call was let in yet\n"
      "# max_pending_per_address = 256     # of these, from one address\n"
      "# max_connections_per_client = 32   # beyond it the oldest is cut\n\n"
      "# What one client may do; 0: no limit. These are the defaults.\n"
      "# [limits]\n"
      "# sessions_a_minute = 120  # opened\n"
      "# calls_a_second = 50\n"
      "# messages_a_second = 20   # within a session\n"
      "# uploads = 2              # at once\n"
      "# downloads = 4            # at once\n"
      "# transfer_factor = 8      # a task's bytes, each way, in sizes of its update or model (16 MiB always pass)\n"
      "# bytes_a_day = 0          # both ways\n");
  return WriteFileDurably(PathIn(directory), text);
}

}  // namespace tributary::service
