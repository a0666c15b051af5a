#include "common/rpc/credentials.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/rpc/limits.h"
#include "common/rpc/peer_check.h"

namespace tributary::rpc {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::StaticDataCertificateProvider;
using grpc::experimental::TlsChannelCredentialsOptions;
using grpc::experimental::TlsServerCredentialsOptions;

// gRPC's watcher logs and waits when a file is missing or wrong; a person should hear of it at once.
absl::StatusOr<std::shared_ptr<FileWatcherCertificateProvider>> Watch(const crypto::CredentialDirectory& directory,
                                                                      unsigned refresh_seconds) {
  TRB_RETURN_IF_ERROR(directory.Load().status());
  return std::make_shared<FileWatcherCertificateProvider>(directory.key_path(), directory.certificate_path(),
                                                          directory.ca_path(), refresh_seconds);
}

// Before the reason, in what gRPC passes on of a check that failed.
constexpr char kOther[] = "the server is another: ", kOutOfDate[] = "the server is out of date: ";

// Asks `judge` about the certificate that the peer has proved to own; null: it showed none that can be read.
class PeerVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  using Judge = std::function<grpc::Status(const ShownByServer* shown)>;
  explicit PeerVerifier(Judge judge) : judge_(std::move(judge)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    const auto& peer = request->c_request()->peer_info;
    const auto shown = crypto::Certificate::FromPem(peer.peer_cert == nullptr ? "" : peer.peer_cert);
    if (shown.ok()) {
      const ShownByServer all(*shown, Rest(peer.peer_cert_full_chain));
      *sync_status = judge_(&all);
    } else {
      *sync_status = judge_(nullptr);
    }
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  // What comes after the first of the chain; nothing when it is too long or cannot be read: nobody needs it as a rule.
  static std::vector<crypto::Certificate> Rest(const char* chain) {
    constexpr size_t kMostBytes = 8 * crypto::kMaxCertificatePemBytes, kMostShown = 4;
    const std::string_view pem = chain == nullptr ? "" : chain;
    if (pem.size() > kMostBytes) return {};
    auto all = crypto::Certificate::AllFromPem(pem, kMostShown);
    if (!all.ok() || all->empty()) return {};
    all->erase(all->begin());
    return *std::move(all);
  }

  const Judge judge_;
};

grpc::Status Refusal(const absl::Status& why) {
  const auto message = why.message();
  const char* kind = absl::IsFailedPrecondition(why) ? kOutOfDate : kOther;
  return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                      absl::StrCat(kind, absl::string_view(message.data(), message.size())));
}

std::shared_ptr<grpc::experimental::CertificateVerifier> VerifyServer(const crypto::TrustList& trust, Listener listener,
                                                                      const std::string& endpoint) {
  std::string host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return PeerVerifier::Create<PeerVerifier>([trust, listener, host](const ShownByServer* shown) {
    const absl::Status good = shown == nullptr
                                  ? absl::PermissionDeniedError("it showed no certificate that can be read")
                                  : CheckServer(*shown, trust, listener, host, Clock::System().Now());
    return good.ok() ? grpc::Status::OK : Refusal(good);
  });
}

std::shared_ptr<grpc::experimental::CertificateVerifier> VerifyMember(std::shared_ptr<const crypto::CurrentTrust> trust,
                                                                      OnHandshakeRefused on_refused) {
  return PeerVerifier::Create<PeerVerifier>([trust, on_refused](const ShownByServer* shown) {
    const absl::Status good = shown == nullptr
                                  ? absl::PermissionDeniedError("it showed no certificate that can be read")
                                  : CheckMember(shown->certificate, *trust->Get());
    if (good.ok()) return grpc::Status::OK;
    if (on_refused) on_refused({std::string(good.message()), shown == nullptr ? "" : shown->certificate.sha256()});
    return Refusal(good);
  });
}

absl::Status CheckEndpoint(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == endpoint.size() ||
      endpoint.find_first_not_of("0123456789", colon + 1) != std::string::npos ||
      endpoint.find_first_of("/ \t\n%") != std::string::npos)
    return absl::InvalidArgumentError(absl::StrCat("an endpoint is HOST:PORT, not \"", endpoint, "\""));
  return absl::OkStatus();
}

// The default flow control lets one stream buffer megabytes: thirty uploads cost 355 MiB, this 49 MiB at the same speed
// on the machines measured.
template <class Arguments>
void SetFlowControl(Arguments set_int) {
  set_int("grpc.http2.bdp_probe", 0);
  set_int(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kChunkBytes);
  set_int(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  set_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  set_int(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set_int(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

grpc::ChannelArguments ChannelOptions() {
  grpc::ChannelArguments arguments;
  SetFlowControl([&arguments](const char* key, int value) { arguments.SetInt(key, value); });
  arguments.SetCompressionAlgorithm(GRPC_COMPRESS_NONE);
  arguments.SetMaxReceiveMessageSize(kMaxDocumentBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  // Channels with equal arguments would share one connection, and with it the certificate it was opened with.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Proxies of the environment would see only TLS, but answer in the coordinator's place.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // When to try again is the caller's to decide: it knows what the coordinator said about coming back.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kHandshakeTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10'000);
  return arguments;
}

std::shared_ptr<grpc::Channel> Open(const std::string& endpoint, const TlsChannelCredentialsOptions& options) {
  return grpc::CreateCustomChannel("dns:///" + endpoint, grpc::experimental::TlsCredentials(options), ChannelOptions());
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    Listener listener, const crypto::CredentialDirectory& directory, unsigned refresh_seconds,
    OnHandshakeRefused on_refused, std::shared_ptr<const crypto::CurrentTrust> trust) {
  TRB_ASSIGN_OR_RETURN(auto provider, Watch(directory, refresh_seconds));
  TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (listener == Listener::kMain) {
    TRB_ASSIGN_OR_RETURN(const crypto::Credential own, directory.Load());
    if (trust == nullptr) trust = std::make_shared<const crypto::CurrentTrust>(own.trust);
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);  // VerifyMember does
    options.set_certificate_verifier(VerifyMember(std::move(trust), std::move(on_refused)));
  } else {
    options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

void ApplyServerOptions(Listener listener, grpc::ServerBuilder* builder) {
  SetFlowControl([builder](const char* key, int value) { builder->AddChannelArgument(key, value); });
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveTimeMs / 2);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kServerHandshakeTimeoutMs);
  // Two coordinators on one port would each get half of the connections.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  const bool main = listener == Listener::kMain;
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, main ? kMaxStreams : kMaxStreams / 8);
  builder->SetMaxReceiveMessageSize(main ? kMaxMessageBytes : kMaxEnrolmentMessageBytes);
  builder->SetMaxSendMessageSize(main ? kMaxDocumentBytes : kMaxEnrolmentMessageBytes);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& endpoint,
                                                           const crypto::CredentialDirectory& directory,
                                                           unsigned refresh_seconds) {
  TRB_RETURN_IF_ERROR(CheckEndpoint(endpoint));
  TRB_ASSIGN_OR_RETURN(auto provider, Watch(directory, refresh_seconds));
  TRB_ASSIGN_OR_RETURN(const crypto::Credential own, directory.Load());
  TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);  // VerifyServer does
  options.set_certificate_verifier(VerifyServer(own.trust, Listener::kMain, endpoint));
  options.set_certificate_provider(provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  return Open(endpoint, options);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenEnrolmentChannel(const std::string& endpoint,
                                                                    const std::string& ca_certificate_pem) {
  TRB_RETURN_IF_ERROR(CheckEndpoint(endpoint));
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate ca, crypto::Certificate::FromPem(ca_certificate_pem));
  TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);  // VerifyServer does
  options.set_certificate_verifier(VerifyServer(ca, Listener::kEnrolment, endpoint));
  options.set_certificate_provider(std::make_shared<StaticDataCertificateProvider>(ca_certificate_pem));
  options.watch_root_certs();
  return Open(endpoint, options);
}

absl::Status WrongServer(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return absl::OkStatus();
  const absl::string_view message = status.message();
  for (const char* kind : {kOther, kOutOfDate}) {
    const size_t at = message.find(kind);
    if (at == absl::string_view::npos) continue;
    const absl::string_view what = message.substr(at);
    return kind == kOther ? absl::PermissionDeniedError(what) : absl::FailedPreconditionError(what);
  }
  return absl::OkStatus();
}

}  // namespace tributary::rpc
