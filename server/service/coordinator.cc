#include "server/service/coordinator.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/limited_log.h"
#include "common/base/logging.h"
#include "server/identity/ca.h"
#include "server/identity/certificate_renewal.h"
#include "server/identity/federation.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/ledger_store.h"
#include "server/service/authority_intake.h"
#include "server/service/door.h"
#include "server/service/endpoints_file.h"
#include "server/service/enrolment_door.h"
#include "server/service/federation_service.h"
#include "server/service/housekeeping.h"
#include "server/service/operator_service.h"
#include "server/service/settings.h"

namespace tributary::service {
namespace {

constexpr int kWorkers = 12;        // calls that wait for the disk at once
constexpr int kSessionWorkers = 8;  // clients whose messages are handled at once
constexpr uint64_t kComeBackMs = 2000;
constexpr int kMostAuditsWaiting = 64;
constexpr char kKeysFix[] =
    "a backup holds no private keys unless it was made --with-keys: put pki/ca/ca.key and pki/receipt/receipt.key back "
    "(0600)";

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

uint64_t DescriptorLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

// As many clients as the system lets this process have.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string ToText(const identity::HostPort& address) { return identity::JoinHostPort(address.host, address.port); }

// Port 0 means: the one of the last run, if there was one.
identity::HostPort Remembered(identity::HostPort wanted, int port_before) {
  if (wanted.port == 0) wanted.port = port_before;
  return wanted;
}

// What a program on this host dials must be a name that the server's certificate carries.
identity::HostPort Certified(identity::HostPort bound, const identity::Federation& federation) {
  const std::vector<std::string> names = identity::ServerNames(federation);
  const bool wildcard = bound.host == "0.0.0.0" || bound.host == "::";
  if (!wildcard && std::find(names.begin(), names.end(), bound.host) == names.end()) bound.host = federation.host;
  return bound;
}

}  // namespace

// Members in the order of building; destroyed in reverse.
struct Coordinator::Impl {
  explicit Impl(Options o) : options(std::move(o)) {}

  absl::Status OpenDirectory();
  absl::Status OpenConnections();
  absl::Status OpenIdentities();
  absl::Status OpenRuns();
  void BuildServices();
  absl::Status OpenDoors();
  identity::Endpoints Advertised() const;
  v1::Status Facts() const;
  absl::Status Reload();
  void AuditStranger(const std::string& action, const std::string& address, const std::string& certificate_sha256,
                     const std::string& reason);
  void EndAuthority(const std::string& id);
  void OnEnded(identity::Role role, const std::string& id, const std::string& reason);
  absl::Status AuditOwn(const std::string& action);
  void Stop();

  const Options options;
  std::unique_ptr<DirectoryLock> lock;
  identity::Federation federation;
  Settings settings;
  int64_t started_unix_ms = 0;
  std::unique_ptr<storage::Database> database;
  std::unique_ptr<storage::BlobStore> blobs;
  std::unique_ptr<identity::IdentityStore> identity_store;
  std::unique_ptr<identity::CertificateAuthority> authority;
  std::unique_ptr<identity::CertificateRenewal> renewal;
  std::unique_ptr<ledger::LedgerStore> store;
  std::unique_ptr<AuthorityIntake> authorities;
  LiveCalls live;
  std::unique_ptr<Connections> connections;  // of the main port
  std::unique_ptr<identity::IdentityService> identities;
  std::unique_ptr<SessionRegistry> sessions;
  std::unique_ptr<rounds::RunManager> runs;
  std::unique_ptr<UploadStore> uploads;
  std::unique_ptr<UpdateIntake> intake;
  std::unique_ptr<ModelSnapshots> models;
  WorkerPool workers{kWorkers};
  OrderedWorkers session_workers{kSessionWorkers};
  std::unique_ptr<ClientQuotas> quotas;
  std::unique_ptr<Gate> main_gate;
  std::unique_ptr<FederationService> federation_service;
  std::unique_ptr<OperatorService> operator_service;
  std::unique_ptr<EnrolmentDoor> enrolment_door;
  std::unique_ptr<Door> main_door;
  identity::HostPort main_address;  // set once, when the door opens
  std::unique_ptr<Housekeeping> housekeeping;
  LimitedLog refused_log;
  std::atomic<int> audits_waiting = 0;
  bool stopped = false;
};

absl::Status Coordinator::Impl::OpenDirectory() {
  TRB_ASSIGN_OR_RETURN(federation, identity::LoadFederation(options.directory));
  TRB_ASSIGN_OR_RETURN(settings, ReadSettings(options.directory, federation));
  SetLogLevel(LevelOf(settings.log_level));
  TRB_ASSIGN_OR_RETURN(lock, DirectoryLock::Acquire(options.directory));
  TRB_RETURN_IF_ERROR(SweepTemporaries(options.directory, {"blobs", "partial"}));
  TRB_ASSIGN_OR_RETURN(database, ledger::OpenLedger(options.directory));
  TRB_ASSIGN_OR_RETURN(blobs, storage::BlobStore::Open(options.directory));
  started_unix_ms = options.clock->NowUnixMillis();
  return OpenConnections();
}

absl::Status Coordinator::Impl::OpenConnections() {
  RaiseDescriptorLimit();
  TRB_ASSIGN_OR_RETURN(connections,
                       Connections::Create(Connections::Fit(settings.connections, DescriptorLimit()), options.clock));
  return absl::OkStatus();
}

absl::Status Coordinator::Impl::OpenIdentities() {
  crypto::SecureRandom& random = crypto::SecureRandom::System();
  identity_store = ledger::MakeIdentityLedger(*database);
  auto loaded = identity::CertificateAuthority::Load(options.directory, federation.id, *options.clock, random);
  if (absl::IsNotFound(loaded.status())) return WithFix(loaded.status(), kKeysFix);
  TRB_ASSIGN_OR_RETURN(authority, std::move(loaded));
  renewal = std::make_unique<identity::CertificateRenewal>(options.directory, federation, *authority, *identity_store,
                                                           *options.clock);
  TRB_RETURN_IF_ERROR(renewal->Tick());
  const absl::Status certified = identity::RenewReceiptCertificate(options.directory, *authority);
  if (absl::IsNotFound(certified)) return WithFix(certified, kKeysFix);
  TRB_RETURN_IF_ERROR(certified);
  TRB_ASSIGN_OR_RETURN(const crypto::Issuer receipts, identity::LoadReceiptSigner(options.directory));
  ledger::Signer signer{federation.id, receipts.certificate.pem(), authority->certificate().pem(),
                        [key = receipts.key](std::string_view message) { return key.Sign(message); }};
  ledger::LedgerStore::Options remembers{database.get(), blobs.get(), std::move(signer)};
  remembers.clock = options.clock;
  TRB_ASSIGN_OR_RETURN(store, ledger::LedgerStore::Create(std::move(remembers)));
  AuthorityIntake::Options taken;
  taken.directory = options.directory;
  taken.authority = authority.get();
  taken.identities = identity_store.get();
  taken.ledger = store.get();
  taken.clock = options.clock;
  taken.end = [this](const std::string& id) { EndAuthority(id); };
  taken.announce = [this] {
    if (federation_service != nullptr) federation_service->AnnounceAuthorities();
  };
  authorities = std::make_unique<AuthorityIntake>(std::move(taken));
  TRB_RETURN_IF_ERROR(authorities->TakeIn());

  identity::IdentityService::Options who;
  who.store = identity_store.get();
  who.authority = authority.get();
  who.clock = options.clock;
  who.random = &random;
  who.federation = federation.id;
  who.endpoints = [this] { return Advertised(); };
  who.audit = [this](const v1::AuditEntry& entry) { return store->AddAudit(entry); };
  who.on_ended = [this](identity::Role role, const std::string& id, const std::string& reason) {
    OnEnded(role, id, reason);
  };
  identities = std::make_unique<identity::IdentityService>(std::move(who));
  return absl::OkStatus();
}

absl::Status Coordinator::Impl::OpenRuns() {
  const auto enrolled = [this]() -> absl::StatusOr<std::vector<rounds::Candidate>> {
    TRB_ASSIGN_OR_RETURN(const auto active, identities->ActiveClients());
    std::vector<rounds::Candidate> candidates;
    for (const identity::Subject& s : active) candidates.push_back({s.id, s.name, s.labels, s.dataset, false});
    return candidates;
  };
  sessions = std::make_unique<SessionRegistry>(enrolled, options.clock);
  rounds::RunManager::Options how;
  how.store = store.get();
  how.dispatcher = sessions.get();
  how.blobs = blobs.get();
  how.clock = options.clock;
  how.federation = federation.id;
  how.threads = settings.threads > 0 ? settings.threads : std::max(1u, std::thread::hardware_concurrency());
  TRB_ASSIGN_OR_RETURN(runs, rounds::RunManager::Create(how));
  TRB_ASSIGN_OR_RETURN(uploads, UploadStore::Open(options.directory));
  UpdateIntake::Options in{identities.get(), runs.get(),    store.get(),  blobs.get(),
                           uploads.get(),    options.clock, federation.id};
  intake = std::make_unique<UpdateIntake>(std::move(in));
  models = std::make_unique<ModelSnapshots>(blobs.get());
  return absl::OkStatus();
}

void Coordinator::Impl::BuildServices() {
  quotas = std::make_unique<ClientQuotas>(settings.limits, options.clock);
  main_gate = std::make_unique<Gate>(
      Gate::Parts{rpc::Listener::kMain, identities.get(), &live, &workers, connections.get(), quotas.get()});
  FederationService::Options peers;
  peers.gate = main_gate.get();
  peers.session_workers = &session_workers;
  peers.sessions = sessions.get();
  peers.identities = identities.get();
  peers.runs = runs.get();
  peers.intake = intake.get();
  peers.models = models.get();
  peers.quotas = quotas.get();
  peers.clock = options.clock;
  peers.federation = federation.id;
  peers.heartbeat = options.heartbeat;
  peers.upload_silence = options.upload_silence;
  federation_service = std::make_unique<FederationService>(std::move(peers));
  OperatorService::Options people;
  people.gate = main_gate.get();
  people.identities = identities.get();
  people.runs = runs.get();
  people.store = store.get();
  people.blobs = blobs.get();
  people.sessions = sessions.get();
  people.models = models.get();
  people.clock = options.clock;
  people.federation = federation.id;
  people.facts = [this] { return Facts(); };
  people.on_invited = [this] {
    const absl::Status opened = enrolment_door->Update();
    if (!opened.ok()) Log(LogLevel::kError, "enrolment_port_failed", {{"reason", opened.ToString()}});
  };
  operator_service = std::make_unique<OperatorService>(std::move(people));
  EnrolmentDoor::Options strangers;
  strangers.wanted = [this] { return identities->EnrolmentWanted(); };
  strangers.identities = identities.get();
  strangers.workers = &workers;
  strangers.program = options.program;
  strangers.credentials = identity::EnrolCredentialDirectory(options.directory).root();
  enrolment_door = std::make_unique<EnrolmentDoor>(std::move(strangers));
}

absl::Status Coordinator::Impl::OpenDoors() {
  auto before = ReadEndpoints(options.directory);
  if (absl::IsNotFound(before.status())) before = EndpointsFile();
  TRB_RETURN_IF_ERROR(before.status());
  TRB_RETURN_IF_ERROR(enrolment_door->Claim(Remembered(settings.enrol_listen, before->enrol.port)));
  Housekeeping::Options care;
  care.directory = options.directory;
  care.clock = options.clock;
  care.tick = options.tick;
  care.silence = 3 * options.heartbeat;
  care.renewal = renewal.get();
  care.enrolment = enrolment_door.get();
  care.sessions = sessions.get();
  care.quotas = quotas.get();
  care.live = &live;
  care.slots = &federation_service->slots();
  care.uploads = uploads.get();
  care.store = store.get();
  housekeeping = std::make_unique<Housekeeping>(std::move(care));
  TRB_RETURN_IF_ERROR(runs->Resume());
  TRB_RETURN_IF_ERROR(sessions->CountEnrolled());
  // Bound and written down before anyone is served: an invitation names the port.
  TRB_ASSIGN_OR_RETURN(auto listener, SocketListener::Bind(Remembered(settings.listen, before->main.port)));
  Door::Parts main{rpc::Listener::kMain,
                   identity::ServerCredentialDirectory(options.directory),
                   {federation_service.get(), operator_service.get()},
                   connections.get(),
                   nullptr,
                   authorities->trust()};
  main.on_refused = [this](const rpc::HandshakeRefusal& refusal) {
    refused_log.Log(LogLevel::kWarning, "handshake_refused",
                    {{"certificate", refusal.certificate_sha256}, {"reason", refusal.reason}});
    AuditStranger("connect", "", refusal.certificate_sha256, refusal.reason);
  };
  TRB_ASSIGN_OR_RETURN(main_door, Door::Open(std::move(listener), std::move(main)));
  main_address = main_door->address();
  TRB_RETURN_IF_ERROR(WriteEndpoints(
      options.directory, {Certified(main_address, federation), Certified(enrolment_door->address(), federation)}));
  TRB_RETURN_IF_ERROR(enrolment_door->Update());
  main_door->Serve();
  housekeeping->TickSeldom();
  housekeeping->Start();
  return absl::OkStatus();
}

identity::Endpoints Coordinator::Impl::Advertised() const {
  const identity::HostPort& name = settings.advertise;
  return {identity::JoinHostPort(name.host, name.port != 0 ? name.port : main_address.port),
          identity::JoinHostPort(name.host, enrolment_door->address().port)};
}

v1::Status Coordinator::Impl::Facts() const {
  v1::Status facts;
  facts.set_version(TRIBUTARY_VERSION);
  facts.set_federation(federation.id);
  const identity::Endpoints advertised = Advertised();
  facts.set_main_endpoint(advertised.main);
  facts.set_enrol_endpoint(enrolment_door->IsOpen() ? advertised.enrol : "closed");
  facts.set_started_unix_ms(started_unix_ms);
  const auto credential = identity::ServerCredentialDirectory(options.directory).Load();
  if (credential.ok()) {
    facts.set_server_certificate_not_after_unix_ms(absl::ToUnixMillis(credential->certificate.not_after()));
  }
  return facts;
}

// On a worker, because it writes; what strangers may add to the audit is the ledger's to limit, and how much of it may
// wait, ours.
void Coordinator::Impl::AuditStranger(const std::string& action, const std::string& address,
                                      const std::string& certificate_sha256, const std::string& reason) {
  if (audits_waiting >= kMostAuditsWaiting) return;
  ++audits_waiting;
  v1::AuditEntry entry;
  entry.set_time_unix_ms(options.clock->NowUnixMillis());
  entry.set_actor(address.empty() ? "stranger" : "stranger/" + address);
  entry.set_action(action);
  entry.set_subject(certificate_sha256);
  entry.set_outcome("refused: " + reason);
  const bool posted = workers.Post([this, entry] {
    --audits_waiting;
    const absl::Status added = store->AddAudit(entry);
    if (!added.ok()) Log(LogLevel::kError, "audit_failed", {{"reason", added.ToString()}});
  });
  if (!posted) --audits_waiting;
}

absl::Status Coordinator::Impl::Reload() {
  TRB_ASSIGN_OR_RETURN(Settings fresh, ReadSettings(options.directory, federation));
  TRB_RETURN_IF_ERROR(authorities->TakeIn());
  SetLogLevel(LevelOf(fresh.log_level));
  connections->SetLimits(Connections::Fit(fresh.connections, DescriptorLimit()));
  federation_service->SetLimits(fresh.limits);
  housekeeping->RenewNow();
  return absl::OkStatus();
}

// A client or operator whose certificate is of an authority that was retired.
void Coordinator::Impl::EndAuthority(const std::string& id) {
  live.CutIdentity(id, absl::UnauthenticatedError("the authority of this certificate was retired"));
  if (connections != nullptr) connections->EndIdentity(id);
}

void Coordinator::Impl::OnEnded(identity::Role role, const std::string& id, const std::string& reason) {
  live.CutIdentity(id, absl::PermissionDeniedError("this identity was revoked or replaced"));
  connections->EndIdentity(id);
  if (role == identity::Role::kClient) runs->ClientRevoked(id, reason);
}

void Coordinator::Impl::Stop() {
  if (std::exchange(stopped, true)) return;
  if (housekeeping != nullptr) housekeeping->Stop();
  if (enrolment_door != nullptr) enrolment_door->Close();
  if (main_door != nullptr) {
    main_door->StopAccepting();
    v1::Pace pace;
    pace.set_retry_after_ms(kComeBackMs);
    pace.set_reason("shutting_down");
    sessions->EndAll(pace);
    live.CutAll(absl::UnavailableError("shutting_down"));  // transfers resume by offset, watchers come back
    main_door->Close(options.patience);
  }
  session_workers.Stop();
  workers.Stop();
  if (runs != nullptr) runs->Shutdown();
  if (store == nullptr) return;
  absl::Status told = store->TellLeftOut();
  if (told.ok() && main_door != nullptr) told = AuditOwn("coordinator.stop");
  if (!told.ok()) Log(LogLevel::kError, "audit_failed", {{"reason", told.ToString()}});
}

// What this process did by itself.
absl::Status Coordinator::Impl::AuditOwn(const std::string& action) {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(options.clock->NowUnixMillis());
  entry.set_actor("coordinator");
  entry.set_action(action);
  entry.set_subject(TRIBUTARY_VERSION);
  entry.set_outcome("ok");
  return store->AddAudit(entry);
}

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Coordinator::~Coordinator() { Stop(); }

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(Options options) {
  // gRPC's mutexes are Abseil's, and Debian's keep a graph of who waits for whom: a tenth of the time of thousands of
  // idle sessions.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Stops what was begun when a later step fails.
  std::unique_ptr<Coordinator> coordinator(new Coordinator(std::make_unique<Impl>(std::move(options))));
  Impl& impl = *coordinator->impl_;
  TRB_RETURN_IF_ERROR(impl.OpenDirectory());
  TRB_RETURN_IF_ERROR(impl.OpenIdentities());
  TRB_RETURN_IF_ERROR(impl.OpenRuns());
  impl.BuildServices();
  TRB_RETURN_IF_ERROR(impl.OpenDoors());
  TRB_RETURN_IF_ERROR(impl.AuditOwn("coordinator.start"));
  Log(LogLevel::kInfo, "coordinator_started",
      {{"federation", impl.federation.id}, {"main", ToText(impl.main_address)}});
  return coordinator;
}

std::string Coordinator::MainEndpoint() const { return ToText(impl_->main_address); }

std::string Coordinator::EnrolEndpoint() const {
  return impl_->enrolment_door->IsOpen() ? ToText(impl_->enrolment_door->address()) : "closed";
}

absl::Status Coordinator::Reload() { return impl_->Reload(); }

void Coordinator::Stop() { impl_->Stop(); }

}  // namespace tributary::service
