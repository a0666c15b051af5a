#include "client/session/daemon.h"

#include <functional>
#include <thread>
#include <utility>

#include "client/identity/identity.h"
#include "client/session/authority_follower.h"
#include "client/session/certificate_renewal.h"
#include "client/session/grpc_link.h"
#include "client/session/session_loop.h"
#include "client/session/task_intake.h"
#include "client/session/uploader.h"
#include "common/base/error_report.h"
#include "common/base/logging.h"
#include "common/base/memory_limit.h"
#include "common/nn/engine.h"
#include "common/rpc/clock_steps.h"

namespace tributary::session {
namespace {

constexpr char kSettingsFix[] = "write it again (docs/reference/config.md), or join again";

}  // namespace

Daemon::Daemon(Options options)
    : options_(std::move(options)),
      credentials_(crypto::CredentialDirectory(client::PkiDirectory(options_.directory))) {}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Create(Options options) {
  std::unique_ptr<Daemon> d(new Daemon(std::move(options)));
  const std::string& directory = d->options_.directory;
  TRB_RETURN_IF_ERROR(nn::CheckEngine());
  TRB_RETURN_IF_ERROR(d->OpenIdentity());
  TRB_ASSIGN_OR_RETURN(d->lock_, DirectoryLock::Acquire(directory));
  TRB_RETURN_IF_ERROR(SweepTemporaries(directory));
  absl::StatusOr<ClientSettings> settings = LoadClientSettings(directory + "/client.toml");
  if (absl::IsNotFound(settings.status())) return WithFix(settings.status(), kSettingsFix);
  TRB_RETURN_IF_ERROR(settings.status());
  d->settings_ = *std::move(settings);
  absl::StatusOr<policy::Policy> policy = policy::LoadPolicy(directory + "/policy.toml");
  if (!policy.ok() && !absl::IsNotFound(policy.status())) return policy.status();
  if (policy.ok()) d->policy_ = *std::move(policy);
  TRB_RETURN_IF_ERROR(d->OpenStores());
  TRB_ASSIGN_OR_RETURN(d->link_, MakeGrpcLink(d->identity_.main_endpoint, client::PkiDirectory(directory)));
  return d;
}

absl::Status Daemon::OpenIdentity() {
  TRB_ASSIGN_OR_RETURN(identity_, client::LoadIdentity(options_.directory));
  TRB_ASSIGN_OR_RETURN(const crypto::Credential credential, credentials_.Load());
  trust_ = std::make_unique<crypto::CurrentTrust>(credential.trust);
  return CheckNotExpired(credential.certificate, options_.clock->Now());
}

absl::Status Daemon::OpenStores() {
  TRB_ASSIGN_OR_RETURN(ledger_, ClientLedger::Open(options_.directory));
  TRB_ASSIGN_OR_RETURN(outbox_, Outbox::Open(options_.directory, ledger_.get()));
  TRB_ASSIGN_OR_RETURN(cache_, ModelCache::Open(options_.directory));
  data_ = DataHolder::Load(settings_, policy_);
  if (!data_->status().ok()) Log(LogLevel::kError, "data_cannot_be_read", {{"why", data_->status().ToString()}});
  for (const std::string& warning : data_->report().warnings) Log(LogLevel::kWarning, "data", {{"what", warning}});
  TRB_ASSIGN_OR_RETURN(board_, TaskBoard::Create(ledger_.get(), options_.clock));
  return absl::OkStatus();
}

// When the data cannot be read, hello says what it said last: the client is then invited and declines with the reason,
// which the operator sees.
absl::StatusOr<v1::DatasetFacts> Daemon::Facts() {
  v1::DatasetFacts facts = data_->facts();
  if (facts.examples() > 0) {
    TRB_RETURN_IF_ERROR(ledger_->SaveFacts(facts.SerializeAsString()));
  } else {
    TRB_ASSIGN_OR_RETURN(const std::string last, ledger_->LastFacts());
    if (!facts.ParseFromString(last)) return absl::DataLossError("client.db: the facts of the data cannot be read");
  }
  data_->SetTold(facts);
  return facts;
}

absl::StatusOr<Signer> Daemon::CurrentSigner() {
  TRB_ASSIGN_OR_RETURN(crypto::Credential credential, credentials_.Load());
  return Signer{std::move(credential.key), std::move(credential.certificate)};
}

std::string Daemon::ClockFault() {
  const absl::StatusOr<Signer> signer = CurrentSigner();
  return signer.ok() ? session::ClockFault(signer->certificate, options_.clock->Now()) : "";
}

absl::Status Daemon::Run(std::stop_token stop) {
  const Clock* const clock = options_.clock;
  const rpc::ClockWatch clock_watch(clock);
  const SignerSource signer = [this] { return CurrentSigner(); };
  const int threads = policy_.threads > 0 ? policy_.threads : nn::DefaultThreads();
  TaskIntake intake({ledger_.get(), data_.get(), &policy_, trust_.get(), clock, threads, MemoryLimitBytes()});
  CertificateRenewal renewal(options_.directory, identity_.main_endpoint, clock);
  AuthorityFollower authorities(options_.directory, trust_.get(), &renewal, clock);
  std::function<void()> announce;  // set before the trainer runs
  Trainer trainer({.board = board_.get(),
                   .link = link_.get(),
                   .cache = cache_.get(),
                   .data = data_.get(),
                   .outbox = outbox_.get(),
                   .trust = trust_.get(),
                   .clock = clock,
                   .signer = signer,
                   .threads = threads,
                   .announce = [&announce] { announce(); }});
  Uploader uploader({board_.get(), link_.get(), ledger_.get(), outbox_.get(), clock, signer});
  SessionLoop::Parts parts;
  parts.link = link_.get();
  parts.board = board_.get();
  parts.intake = &intake;
  parts.ledger = ledger_.get();
  parts.clock = clock;
  parts.renewal = &renewal;
  parts.authorities = &authorities;
  parts.facts = [this] { return Facts(); };
  parts.clock_fault = [this] { return ClockFault(); };
  parts.version = TRIBUTARY_VERSION;
  parts.identity = identity_;
  parts.engine = nn::EngineName();
  parts.jitter_seed = std::hash<std::string>{}(identity_.id);
  parts.on_open = [this](const v1::Welcome& welcome) {
    if (options_.on_open) options_.on_open(welcome, identity_);
  };
  SessionLoop loop(std::move(parts));
  announce = [&loop] { loop.Reannounce(); };
  const std::stop_callback stop_work(stop, [this] { board_->Stop(); });
  std::thread training([&trainer] { trainer.Run(); }), uploading([&uploader] { uploader.Run(); });
  const absl::Status status = loop.Run(stop);
  board_->Stop();
  training.join();
  uploading.join();
  return status;
}

}  // namespace tributary::session
