#include "server/operator/cli.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <new>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/command_line.h"
#include "common/base/error_report.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

constexpr char kFooter[] =
    "The answer goes to stdout, everything else to stderr.\n"
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 cannot reach, 4 not allowed, 5 timed out, 6 conflict, 130 interrupted.\n"
    "Example: tributary run start digits.toml --dir /srv/federation --watch";

void AddAllVerbs(CLI::App* app, Registry* registry) {
  AddStatusVerbs(app, registry);
  AddRunVerbs(app, registry);
  AddClientVerbs(app, registry);
  AddModelVerbs(app, registry);
  AddHistoryVerbs(app, registry);
  AddSimulateVerb(app, registry);
  AddDemoVerb(app, registry);
}

int Finish(const absl::Status& status, const Context& context) {
  if (!status.ok()) context.err << FormatError(status, context.format == Format::kJson) << std::flush;
  return ExitCodeFor(status);
}

}  // namespace

CLI::App* Registry::Verb(CLI::App* parent, const std::string& name, const std::string& description,
                         const std::string& example) {
  CLI::App* verb = parent->add_subcommand(name, description);
  verb->fallthrough();  // --dir and -o may stand anywhere
  verb->footer(absl::StrCat("Example: ", example));
  return verb;
}

CLI::Validator AtLeastOne() {
  const auto check = [](const std::string& text) {
    uint64_t value = 0;
    return absl::SimpleAtoi(text, &value) && value > 0 ? "" : absl::StrCat("`", text, "` is no whole number from 1 on");
  };
  return CLI::Validator(check, "POSITIVE");
}

int RunCommandLine(const std::vector<std::string>& args, const std::string& program_directory, Context* context) {
  CLI::App app("Tributary: federated training that you can kill, resume and prove.", "tributary");
  Registry registry{context, {}, program_directory};
  std::string format = "table";
  app.add_option("--dir", context->dir, "The coordinator's directory, or one made by join (or TRIBUTARY_DIR)");
  app.add_option("-o,--output", format, "table, json, jsonl or csv")
      ->check(CLI::IsMember({"table", "json", "jsonl", "csv"}));
  app.set_version_flag("--version", std::string("tributary " TRIBUTARY_VERSION));
  app.require_subcommand(1);
  app.footer(kFooter);
  AddAllVerbs(&app, &registry);
  if (const auto code = ParseCommandLine(&app, args, {context->out, context->err, AsksForJson(args)})) return *code;
  const absl::StatusOr<Format> parsed = ParseFormat(format);
  if (!parsed.ok()) return Finish(parsed.status(), *context);
  context->format = *parsed;
  if (!registry.action) return Finish(absl::InvalidArgumentError("no verb given"), *context);
  try {
    return Finish(registry.action(), *context);
  } catch (const std::bad_alloc&) {
    return Finish(absl::ResourceExhaustedError("not enough memory for this"), *context);
  } catch (const std::exception& error) {  // a library's; ours throw none
    return Finish(absl::InternalError(error.what()), *context);
  }
}

}  // namespace tributary::op
