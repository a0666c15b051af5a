// crowd enrol --dir DIR --clients N --to FILE [--prefix c]     while no coordinator runs in DIR
// crowd run FILE --endpoint HOST:PORT [...]                    until its stdin closes; events on stdout (crowd.h)
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "CLI/CLI.hpp"
#include "common/base/logging.h"
#include "tests/support/crowd/crowd.h"
#include "tests/support/crowd/members.h"

namespace tributary::crowd {
namespace {

int Failed(const absl::Status& status) {
  std::fprintf(stderr, "crowd: %s\n", status.ToString().c_str());
  return 1;
}

int Enrol(const std::string& directory, const std::string& prefix, size_t clients, const std::string& to) {
  const auto members = EnrolAll(directory, prefix, clients);
  if (!members.ok()) return Failed(members.status());
  const absl::Status stored = StoreMembers(to, *members);
  return stored.ok() ? 0 : Failed(stored);
}

bool StdinClosed() {
  pollfd in = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  char byte;
  return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int RunCrowd(const std::string& file, const Options& options) {
  const auto members = LoadMembers(file);
  if (!members.ok()) return Failed(members.status());
  return Run(*members, options, StdinClosed, stdout) ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("A crowd of light clients, for tests");
  app.require_subcommand(1);
  std::string directory, prefix = "c", file;
  size_t clients = 10;
  CLI::App* enrol = app.add_subcommand("enrol");
  enrol->add_option("--dir", directory)->required();
  enrol->add_option("--clients", clients);
  enrol->add_option("--prefix", prefix);
  enrol->add_option("--to", file)->required();
  Options options;
  CLI::App* run = app.add_subcommand("run");
  run->add_option("file", file)->required();
  run->add_option("--endpoint", options.endpoint)->required();
  run->add_option("--parameters", options.parameters);
  run->add_option("--uploads", options.uploads);
  run->add_option("--examples", options.data.examples);
  run->add_option("--shape", options.data.shape);
  run->add_option("--faults", options.faults);
  run->add_option("--seed", options.seed);
  run->add_flag("--downloads", options.downloads);
  CLI11_PARSE(app, argc, argv);
  SetLogLevel(LogLevel::kWarning);
  return enrol->parsed() ? Enrol(directory, prefix, clients, file) : RunCrowd(file, options);
}

}  // namespace
}  // namespace tributary::crowd

int main(int argc, char** argv) { return tributary::crowd::Main(argc, argv); }
