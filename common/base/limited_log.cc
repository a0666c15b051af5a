#include "common/base/limited_log.h"

namespace tributary {

bool LimitedLog::Log(LogLevel level, std::string_view event, std::initializer_list<Field> fields) {
  if (!lines_.Take("")) return false;
  tributary::Log(level, event, fields);
  for (const auto& [key, count] : lines_.TakeRefused()) {
    tributary::Log(level, "lines_left_out", {{"event", event}, {"count", count}});
  }
  return true;
}

}  // namespace tributary
