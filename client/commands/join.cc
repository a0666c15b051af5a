#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands/commands.h"
#include "client/commands/data_summary.h"
#include "client/identity/identity.h"
#include "client/policy/policy.h"
#include "client/session/client_settings.h"
#include "client/session/daemon.h"
#include "client/session/data_holder.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/text.h"
#include "common/crypto/invitation.h"

namespace tributary::commands {
namespace {

constexpr size_t kMaxInvitationBytes = 16 * 1024;
constexpr char kExample[] =
    "What leaves this machine: counts and class names of the data when connecting, weight deltas and metrics after\n"
    "training. `tributary-client uploads` lists all of it. The data themselves never do.\n\n"
    "Example:\n  tributary-client join --dir ~/tributary --data /srv/images < invitation.txt";

constexpr char kNewInvitation[] = "carry it over again in full, or ask the operator for a new one";

struct JoinFlags {
  std::string directory, invitation_file, shape;
  session::ClientSettings settings;
  int threads = 0;
  bool yes = false;
  bool replace = false;
};

absl::StatusOr<std::string> ReadInvitation(const JoinFlags& flags, Console* console) {
  if (!flags.invitation_file.empty()) return ReadFile(flags.invitation_file, kMaxInvitationBytes);
  if (console->in_is_terminal) console->err << "Paste the invitation and press Enter: " << std::flush;
  std::string line;
  while (absl::StripAsciiWhitespace(line).empty() && std::getline(console->in, line)) {
  }
  if (absl::StripAsciiWhitespace(line).empty())
    return WithFix(absl::InvalidArgumentError("no invitation on standard input"),
                   "pipe it in, or name its file with --invitation-file");
  return line.substr(0, kMaxInvitationBytes);
}

absl::StatusOr<session::ClientSettings> Settings(const JoinFlags& flags) {
  session::ClientSettings settings = flags.settings;
  const bool is_file = settings.data != "synthetic" && !absl::StartsWith(settings.data, "synthetic:");
  if (is_file) {
    std::error_code error;
    settings.data = std::filesystem::absolute(settings.data, error).lexically_normal().string();
    if (error) return ErrnoToStatus(error.value(), flags.settings.data);
    if (!IsUtf8(settings.data))
      return WithFix(absl::InvalidArgumentError("--data: the path is not UTF-8, and client.toml can hold nothing else"),
                     "rename it, or name a symbolic link to it");
  }
  for (const absl::string_view side : absl::StrSplit(flags.shape, 'x', absl::SkipEmpty())) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(side, &value)) return absl::InvalidArgumentError("--shape: must be HEIGHTxWIDTHxCHANNELS");
    settings.shape.push_back(value);
  }
  // The file's own reader knows every rule.
  return session::ParseClientSettings(session::FormatClientSettings(settings), "join");
}

// Without a terminal there is nobody to ask: a script said what it wanted.
absl::Status Confirm(const JoinFlags& flags, Console* console) {
  if (flags.yes) return absl::OkStatus();
  std::ifstream terminal;
  if (!console->in_is_terminal) terminal.open("/dev/tty");
  if (!console->in_is_terminal && !terminal) return absl::OkStatus();
  console->err << "Join with this data and this policy? [y/N] " << std::flush;
  std::string answer;
  std::getline(console->in_is_terminal ? console->in : terminal, answer);
  if (absl::StartsWithIgnoreCase(absl::StripAsciiWhitespace(answer), "y")) return absl::OkStatus();
  return absl::CancelledError("not joined: nothing was sent");
}

absl::Status WriteSettings(const JoinFlags& flags, const session::ClientSettings& settings,
                           const policy::Policy& policy) {
  TRB_RETURN_IF_ERROR(
      WriteFileDurably(flags.directory + "/client.toml", session::FormatClientSettings(settings), 0600));
  const std::string path = flags.directory + "/policy.toml";
  return FileExists(path) ? absl::OkStatus() : WriteFileDurably(path, policy::FormatPolicy(policy), 0600);
}

absl::StatusOr<policy::Policy> PolicyOf(const JoinFlags& flags) {
  const std::string path = flags.directory + "/policy.toml";
  if (FileExists(path)) return policy::LoadPolicy(path);
  policy::Policy policy;
  policy.threads = flags.threads;
  return policy;
}

absl::Status CheckNotJoined(const JoinFlags& flags) {
  TRB_RETURN_IF_ERROR(rpc::CheckNoAuthority(client::PkiDirectory(flags.directory)));
  if (flags.replace || !client::LoadIdentity(flags.directory).ok()) return absl::OkStatus();
  return WithFix(absl::AlreadyExistsError(absl::StrCat(flags.directory, " has joined a federation already")),
                 "use another --dir; to bring an expired client back, take an invitation made with `tributary client "
                 "invite NAME --replace` and add --replace");
}

absl::Status Join(const JoinFlags& flags, Console* console) {
  TRB_RETURN_IF_ERROR(CheckNotJoined(flags));
  TRB_ASSIGN_OR_RETURN(const session::ClientSettings settings, Settings(flags));
  TRB_ASSIGN_OR_RETURN(const policy::Policy policy, PolicyOf(flags));
  TRB_ASSIGN_OR_RETURN(const std::string invitation, ReadInvitation(flags, console));
  TRB_RETURN_IF_ERROR(WithFix(crypto::ParseInvitation(invitation).status(), kNewInvitation));
  const std::unique_ptr<session::DataHolder> data = session::DataHolder::Load(settings, policy);
  TRB_RETURN_IF_ERROR(data->status());
  console->out << DataSummary(settings, *data) << "\nPolicy     " << flags.directory << "/policy.toml\n\n"
               << policy::FormatPolicy(policy) << "\n"
               << std::flush;
  TRB_RETURN_IF_ERROR(Confirm(flags, console));
  TRB_RETURN_IF_ERROR(MakeDirectories(flags.directory, 0700));
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<DirectoryLock> lock, DirectoryLock::Acquire(flags.directory));
  TRB_RETURN_IF_ERROR(WriteSettings(flags, settings, policy));
  // A client that expired or was replaced keeps its history, outbox and policy; only its identity is new.
  TRB_ASSIGN_OR_RETURN(const rpc::LocalIdentity identity, (flags.replace ? client::JoinAgain : client::Join)(
                                                              invitation, flags.directory, Clock::System()));
  console->out << "Joined as " << identity.name << " (" << identity.id << ").\nNext: tributary-client run --dir "
               << flags.directory << "\n"
               << std::flush;
  return absl::OkStatus();
}

}  // namespace

void AddJoin(CLI::App* app, Console* console, Verb* chosen) {
  CLI::App* verb = app->add_subcommand("join", "Join a federation with the data of this machine");
  auto flags = std::make_shared<JoinFlags>();
  session::ClientSettings& s = flags->settings;
  verb->add_option("--dir", flags->directory, "directory to keep key, certificate, policy and ledger in")->required();
  verb->add_option("--data", s.data, "the data: a path, or \"synthetic\" for built-in digits")->required();
  verb->add_option("--format", s.format, "idx|images|csv|npz|synthetic; guessed from the path by default");
  verb->add_option("--shape", flags->shape,
                   "HEIGHTxWIDTHxCHANNELS to which a folder of images is resized; what a run asks for by default");
  verb->add_option("--label-column", s.label_column, "the label's column of a CSV file, by name or index");
  verb->add_flag("--regression", s.regression, "labels are numbers to predict");
  verb->add_option("--part", s.part, "I/K: one share of the data, for demonstrations and tests");
  verb->add_option("--partition", s.partition, "iid|shards:S|dirichlet:A: how shares are cut")->capture_default_str();
  verb->add_option("--seed", s.seed, "of the cut")->capture_default_str();
  verb->add_option("--threads", flags->threads, "threads that training may use (policy.toml); 0 = all")
      ->check(CLI::Range(0, 4096));
  verb->add_option("--invitation-file", flags->invitation_file, "file with the invitation; standard input by default");
  verb->add_flag("--replace", flags->replace, "take the place of this directory's old identity");
  verb->add_flag("--yes", flags->yes, "do not ask");
  verb->footer(kExample);
  verb->callback([=] { *chosen = [=] { return Join(*flags, console); }; });
}

}  // namespace tributary::commands
