#include "common/base/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "common/base/bytes.h"

namespace tributary {
namespace {

spdlog::logger& Logger() {
  // Leaked on purpose: threads of gRPC may log while the process ends.
  static spdlog::logger* logger = [] {
    auto* l = new spdlog::logger("tributary", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    l->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    l->flush_on(spdlog::level::trace);
    return l;
  }();
  return *logger;
}

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

bool NeedsQuotes(std::string_view text) { return text.empty() || text.find_first_of(" =\"\\") != text.npos; }

}  // namespace

void Log(LogLevel level, std::string_view event, std::initializer_list<Field> fields) {
  if (!Logger().should_log(Level(level))) return;
  std::string line(event);
  for (const Field& f : fields) {
    const std::string value = EscapeForLog(f.value, 1000);
    const char* quote = NeedsQuotes(f.value) ? "\"" : "";
    absl::StrAppend(&line, " ", absl::string_view(f.key.data(), f.key.size()), "=", quote, value, quote);
  }
  Logger().log(Level(level), "{}", line);
}

void SetLogLevel(LogLevel level) { Logger().set_level(Level(level)); }

}  // namespace tributary
