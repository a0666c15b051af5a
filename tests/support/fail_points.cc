// PassFailPoint as the programs for tests have it.
//
//   TRIBUTARY_FAILPOINT=NAME:ACTION[:K]   at the K-th pass (from 1; without K the first), NAME being WHAT or
//   WHAT:WHERE:
//     abort   the process ends there, as by kill -9        error   the step fails: INTERNAL
//     full    the step fails: RESOURCE_EXHAUSTED           sleep   it takes a second and a half longer
//     power   the process ends there, and with it all that it had not synced (power_loss.cc, which has to be preloaded)
//   TRIBUTARY_FAILPOINT_TRACE=FILE        a line with the name is appended at every pass
//
// WHERE is a path's last part; when that is made of digits that differ from run to run (a digest, an id, a number), the
// nearest folder that has a name of its own.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/fail_point.h"

namespace tributary {
namespace {

struct Wanted {
  std::string name, action;
  int pass = 1;
};

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Wanted ReadWanted() {
  std::vector<std::string> parts = absl::StrSplit(Variable("TRIBUTARY_FAILPOINT"), ':');
  Wanted out;
  if (parts.size() > 2 && absl::SimpleAtoi(parts.back(), &out.pass)) parts.pop_back();
  if (parts.size() < 2) return out;
  out.action = parts.back();
  parts.pop_back();
  out.name = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) absl::StrAppend(&out.name, ":", parts[i]);
  return out;
}

// Of digits only, or with a run of eight hexadecimal ones.
bool IsCounted(std::string_view text) {
  size_t run = 0, digits = 0, longest = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    digits += digit ? 1 : 0;
    run = digit || (c >= 'a' && c <= 'f') ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest >= 8 || digits == text.size() || text.size() <= 2;
}

std::string Where(std::string_view where) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(where), '/', absl::SkipEmpty());
  for (auto part = parts.rbegin(); part != parts.rend(); ++part)
    if (!IsCounted(*part)) return *part;
  return "";
}

std::string NameOf(std::string_view what, std::string_view where) {
  const std::string place = Where(where);
  return place.empty() ? std::string(what) : absl::StrCat(std::string(what), ":", place);
}

void Trace(const std::string& name) {
  static const std::string path = Variable("TRIBUTARY_FAILPOINT_TRACE");
  if (path.empty()) return;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string line = name + "\n";
  if (fd < 0 || write(fd, line.data(), line.size()) < 0) _exit(99);
  close(fd);
}

void LosePower() {
  const auto lose = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "tributary_lose_power"));
  if (lose == nullptr) _exit(97);
  lose();
}

}  // namespace

absl::Status PassFailPoint(std::string_view what, std::string_view where) {
  static const Wanted wanted = ReadWanted();
  static std::atomic<int> passes{0};
  const std::string name = NameOf(what, where);
  Trace(name);
  if (name != wanted.name || ++passes != wanted.pass) return absl::OkStatus();
  if (wanted.action == "abort") kill(getpid(), SIGKILL);
  if (wanted.action == "power") LosePower();
  if (wanted.action == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  if (wanted.action == "error") return absl::InternalError(absl::StrCat("fail point ", name));
  if (wanted.action == "full") return absl::ResourceExhaustedError(absl::StrCat("fail point ", name));
  return absl::OkStatus();
}

}  // namespace tributary
