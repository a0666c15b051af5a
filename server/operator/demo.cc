#include "server/operator/demo.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/error_report.h"
#include "common/learning/model_file.h"
#include "server/operator/child_process.h"
#include "server/operator/interrupt.h"
#include "server/operator/model_source.h"
#include "server/operator/request_id.h"
#include "server/operator/run_file.h"
#include "server/operator/watching.h"

namespace tributary::op {
namespace {

constexpr absl::Duration kReadyTimeout = absl::Seconds(60);

// A directory that goes with this object.
class ScratchDirectory {
 public:
  static absl::StatusOr<std::unique_ptr<ScratchDirectory>> Make() {
    std::error_code error;
    std::string pattern = (std::filesystem::temp_directory_path(error) / "tributary-demo-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return ErrnoToStatus(errno, absl::StrCat("make ", pattern));
    return std::unique_ptr<ScratchDirectory>(new ScratchDirectory(pattern));
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

class Demo {
 public:
  Demo(const DemoOptions& options, Context* context, Interrupt* interrupt, std::string directory)
      : options_(options), context_(*context), interrupt_(*interrupt), directory_(std::move(directory)) {}

  absl::Status Run() {
    TRB_RETURN_IF_ERROR(StartCoordinator());
    TRB_RETURN_IF_ERROR(StartClients());
    TRB_ASSIGN_OR_RETURN(const std::string run, StartRun());
    WatchTarget target{context_.out, context_.out_is_terminal};
    TRB_ASSIGN_OR_RETURN(const v1::RunDocument end, WatchToEnd(run, api_.get(), &interrupt_, &target));
    if (end.run().state() != "completed")
      return absl::UnknownError(absl::StrCat("the run ended as ", end.run().state(), ": ", end.run().reason()));
    return SaveModel(run);
  }

 private:
  std::string Program(const std::string& name) const { return options_.program_directory + "/" + name; }
  std::string CoordinatorDirectory() const { return directory_ + "/coordinator"; }
  std::string Log(const std::string& name) const { return directory_ + "/" + name + ".log"; }

  absl::Status StartCoordinator() {
    Say("a certificate authority and a coordinator, for this demonstration only");
    TRB_RETURN_IF_ERROR(
        ChildProcess::Run({Program("tributary-coordinator"), "init", "--dir", CoordinatorDirectory(), "--name",
                           "localhost", "--listen", "127.0.0.1:0", "--enrol-listen", "127.0.0.1:0"},
                          "", Log("init")));
    TRB_ASSIGN_OR_RETURN(coordinator_,
                         ChildProcess::Start({Program("tributary-coordinator"), "run", "--dir", CoordinatorDirectory()},
                                             "", Log("coordinator")));
    TRB_RETURN_IF_ERROR(Annotate(coordinator_->WaitForLine("ready ", kReadyTimeout).status(), "tributary-coordinator"));
    TRB_ASSIGN_OR_RETURN(api_, context_.connect(CoordinatorDirectory()));
    return interrupt_.status();
  }

  absl::Status StartClients() {
    Say(absl::StrFormat("%d clients, each with its own key and its own share of %s", options_.clients, options_.data));
    for (int k = 1; k <= options_.clients; ++k) TRB_RETURN_IF_ERROR(StartClient(k));
    return absl::OkStatus();
  }

  absl::Status StartClient(int k) {
    TRB_RETURN_IF_ERROR(interrupt_.status());
    const std::string name = absl::StrCat("client-", k), directory = absl::StrCat(directory_, "/", name);
    v1::InviteRequest request;
    request.set_name(name);
    request.set_request_id(NewRequestId());
    TRB_ASSIGN_OR_RETURN(const v1::Invitation invitation, api_->Invite(request));
    TRB_RETURN_IF_ERROR(ChildProcess::Run(
        {Program("tributary-client"), "join", "--dir", directory, "--data", options_.data, "--part",
         absl::StrCat(k, "/", options_.clients), "--partition", "iid", "--seed", "1", "--threads", "1", "--yes"},
        invitation.invitation() + "\n", Log(name)));
    TRB_ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> client,
                         ChildProcess::Start({Program("tributary-client"), "run", "--dir", directory}, "", Log(name)));
    clients_.push_back(std::move(client));
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> StartRun() {
    TRB_ASSIGN_OR_RETURN(
        const RunFile file,
        ParseRunFile(absl::StrFormat("name = \"demo\"\nrounds = %d\nseed = 1\nmodel = { preset = \"keras-cnn\" }\n"
                                     "train = { epochs = 1, batch_size = 32, optimizer = \"adam\" }\n"
                                     "round = { clients = %d, min_clients = %d }\nevaluate = { every = 1 }\n",
                                     options_.rounds, options_.clients, options_.clients),
                     "demo"));
    v1::StartRunRequest request;
    request.set_request_id(NewRequestId());
    *request.mutable_plan() = file.plan;
    request.mutable_plan()->mutable_evaluate()->set_data(options_.data);
    TRB_ASSIGN_OR_RETURN(const v1::RunDocument document, api_->StartRun(request));
    Say("training; only weight deltas leave a client");
    return document.run().id();
  }

  absl::Status SaveModel(const std::string& run) {
    v1::ExportModelRequest request;
    request.set_run(run);
    request.set_round("best");
    TRB_ASSIGN_OR_RETURN(const ExportedModel model, api_->ExportModel(request));
    TRB_ASSIGN_OR_RETURN(const std::vector<float> parameters, ParametersFromBytes(model.parameters));
    TRB_RETURN_IF_ERROR(
        learning::WriteModelFile(options_.model_path, model.header.model(), parameters, ExportMetadata(model.header)));
    v1::VerifyHistoryRequest verify;
    verify.set_run(run);
    verify.set_blobs(true);
    TRB_ASSIGN_OR_RETURN(const v1::HistoryVerification verified, api_->VerifyHistory(verify));
    if (!verified.ok()) return absl::DataLossError(absl::StrCat("history: ", verified.first_fault().what()));
    context_.out << "history verified: " << verified.rounds_checked() << " rounds, " << verified.blobs_checked()
                 << " blobs\nmodel of round " << model.header.round() << " in " << options_.model_path << ", sha256 "
                 << model.header.model_sha256() << "\n"
                 << std::flush;
    return absl::OkStatus();
  }

  void Say(const std::string& what) { context_.err << "demo: " << what << "\n" << std::flush; }

  const DemoOptions& options_;
  Context& context_;
  Interrupt& interrupt_;
  const std::string directory_;
  // Destroyed in reverse order: the connection, then the clients, then the coordinator.
  std::unique_ptr<ChildProcess> coordinator_;
  std::vector<std::unique_ptr<ChildProcess>> clients_;
  std::unique_ptr<OperatorApi> api_;
};

}  // namespace

absl::Status RunDemo(const DemoOptions& options, Context* context) {
  DemoOptions resolved = options;
  std::error_code error;
  // The daemons do not share our current folder's meaning of a relative path once they are configured.
  if (std::filesystem::exists(options.data, error))
    resolved.data = std::filesystem::absolute(options.data, error).string();
  Interrupt interrupt;
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<ScratchDirectory> scratch, ScratchDirectory::Make());
  Demo demo(resolved, context, &interrupt, scratch->path());
  return demo.Run();
}

}  // namespace tributary::op
