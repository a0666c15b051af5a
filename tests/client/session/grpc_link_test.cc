// The link on the wire: real gRPC and mutual TLS on loopback, against a scripted service in this process.
#include "client/session/grpc_link.h"

#include <arpa/inet.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/digest.h"
#include "common/rpc/credentials.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

class ScriptedService final : public v1::FederationService::Service {
 public:
  grpc::Status OpenSession(grpc::ServerContext*,
                           grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::ClientMessage>* stream) override {
    v1::ClientMessage hello;
    if (!stream->Read(&hello)) return {grpc::StatusCode::UNAVAILABLE, "no hello"};
    v1::CoordinatorMessage welcome;
    welcome.mutable_welcome()->set_name(hello.hello().version());
    stream->Write(welcome);
    return {grpc::StatusCode::ABORTED, "a newer session"};
  }
  grpc::Status DownloadModel(grpc::ServerContext* context, const v1::DownloadModelRequest* request,
                             grpc::ServerWriter<v1::ModelChunk>* writer) override {
    if (request->task_id() == "for ever") {
      v1::ModelChunk chunk;
      writer->Write(chunk);
      while (!context->IsCancelled()) std::this_thread::yield();
      return grpc::Status::CANCELLED;
    }
    if (request->task_id() == "cut") return {grpc::StatusCode::CANCELLED, "the coordinator stops"};
    return {grpc::StatusCode::NOT_FOUND, "the task is gone"};
  }
  grpc::Status UploadUpdate(grpc::ServerContext* context, grpc::ServerReader<v1::UploadChunk>* reader,
                            v1::UploadUpdateResponse* response) override {
    std::string got;
    for (v1::UploadChunk chunk; reader->Read(&chunk);) {
      while (chunk.upload_id() == "stuck" && !context->IsCancelled()) std::this_thread::yield();
      got += chunk.data();
    }
    response->mutable_rejected()->set_reason(crypto::Sha256Hex(got));
    return grpc::Status::OK;
  }
};

class GrpcLinkTest : public ::testing::Test {
 protected:
  GrpcLinkTest() {
    const crypto::PrivateKey ca_key = crypto::PrivateKey::Generate().value();
    const crypto::Issuer ca{crypto::SelfSign(ca_key, Terms(crypto::CertificateUse::kAuthority)).value(), ca_key};
    Install(ca, crypto::CertificateUse::kServer, dir_.File("server"));
    Install(ca, crypto::CertificateUse::kPeer, dir_.File("client"));
    Serve();
    link_ = MakeGrpcLink(absl::StrCat("localhost:", port_), dir_.File("client")).value();
  }
  ~GrpcLinkTest() override { server_->Shutdown(); }

  // On the port of before, if there was one.
  void Serve() {
    grpc::ServerBuilder builder;
    const crypto::CredentialDirectory server(dir_.File("server"));
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_),
                             rpc::MakeServerCredentials(rpc::Listener::kMain, server).value(), &port_);
    rpc::ApplyServerOptions(rpc::Listener::kMain, &builder);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  // The coordinator's name for this client, or why there is no session.
  absl::StatusOr<std::string> SayHello() {
    TRB_ASSIGN_OR_RETURN(const auto session, link_->OpenSession());
    v1::ClientMessage hello;
    hello.mutable_hello()->set_version("7");
    session->Write(hello);
    TRB_ASSIGN_OR_RETURN(const v1::CoordinatorMessage welcome, session->Read());
    return welcome.welcome().name();
  }

  static crypto::CertificateTerms Terms(crypto::CertificateUse use) {
    crypto::CertificateTerms terms;
    terms.use = use;
    terms.common_name = "test";
    terms.serial = crypto::Sha256(std::to_string(static_cast<int>(use))).substr(0, 16);
    terms.not_before = absl::FromUnixSeconds(1'600'000'000);
    terms.not_after = absl::FromUnixSeconds(4'000'000'000);
    terms.uris = {"spiffe://test"};
    if (use == crypto::CertificateUse::kServer) {
      terms.dns_names = {"localhost"};
      terms.uris = {"spiffe://test/coordinator"};
    }
    if (use == crypto::CertificateUse::kPeer) terms.uris = {"spiffe://test/client/c1"};
    return terms;
  }
  static void Install(const crypto::Issuer& ca, crypto::CertificateUse use, const std::string& directory) {
    const crypto::PrivateKey key = crypto::PrivateKey::Generate().value();
    const crypto::Certificate certificate = crypto::Issue(ca, key.public_key(), Terms(use)).value();
    TRB_CHECK(crypto::CredentialDirectory(directory).Install({key, certificate, ca.certificate}).ok());
  }

  const testing::TempDir dir_;
  ScriptedService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<CoordinatorLink> link_;
};

TEST_F(GrpcLinkTest, ASessionGivesItsMessagesAndThenTheReasonOfItsEnd) {
  ASSERT_OK_AND_ASSIGN(const auto session, link_->OpenSession());
  v1::ClientMessage hello;
  hello.mutable_hello()->set_version("7");
  EXPECT_TRUE(session->Write(hello));
  ASSERT_OK_AND_ASSIGN(const v1::CoordinatorMessage welcome, session->Read());
  EXPECT_EQ("7", welcome.welcome().name());
  EXPECT_THAT(session->Read(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(session->Read(), StatusIs(absl::StatusCode::kAborted));
}

// It would be a connection without a word, which the coordinator holds against the address it comes from.
TEST_F(GrpcLinkTest, AfterAFailureNothingIsTriedUntilSomebodyAsks) {
  server_->Shutdown();
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  const auto comes = [listener](int within_ms) {
    pollfd waits{listener, POLLIN, 0};
    if (poll(&waits, 1, within_ms) != 1) return false;
    close(accept(listener, nullptr, nullptr));
    return true;
  };
  const auto begin_upload = [this] { return link_->BeginUpload({}, {}).status(); };
  const auto session = [this] {
    const absl::Status ended = SayHello().status();
    EXPECT_OK(link_->Reconnect());  // as its owner does
    return ended;
  };
  for (const std::function<absl::Status()>& call : {std::function<absl::Status()>(begin_upload), {session}}) {
    std::thread asks([&call] { EXPECT_THAT(call(), StatusIs(absl::StatusCode::kUnavailable)); });
    EXPECT_TRUE(comes(10'000));
    asks.join();
    EXPECT_FALSE(comes(1'000)) << "of itself";
  }
  close(listener);
}

TEST_F(GrpcLinkTest, AfterAFailureTheNextCallConnectsThoughNoSessionIsOpened) {
  server_->Shutdown();
  EXPECT_THAT(link_->BeginUpload({}, {}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(link_->BeginUpload({}, {}), StatusIs(absl::StatusCode::kUnavailable));
  Serve();
  EXPECT_THAT(link_->BeginUpload({}, {}), StatusIs(absl::StatusCode::kUnimplemented)) << "it is reached";
}

TEST_F(GrpcLinkTest, ACoordinatorThatComesBackIsReachedAtTheNextAttempt) {
  EXPECT_OK(SayHello());
  server_->Shutdown();
  server_ = nullptr;
  for (int attempt = 0; attempt < 3; ++attempt)
    EXPECT_THAT(SayHello(), StatusIs(absl::StatusCode::kUnavailable)) << attempt;
  Serve();
  EXPECT_OK(SayHello());
}

TEST_F(GrpcLinkTest, AnUploadSendsEveryByteFromTheOffset) {
  std::string bytes(1'000'000, 'x');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 % 251);
  v1::UploadTicket ticket;
  ticket.set_offset(12'345);
  ASSERT_OK_AND_ASSIGN(const v1::UploadUpdateResponse response, link_->UploadUpdate(ticket, bytes, std::stop_token()));
  EXPECT_EQ(crypto::Sha256Hex(bytes.substr(12'345)), response.rejected().reason());
}

TEST_F(GrpcLinkTest, AStopEndsADownload) {
  v1::DownloadModelRequest request;
  request.set_task_id("for ever");
  std::stop_source stop;
  const absl::Status ended = link_->DownloadModel(
      request,
      [&stop](const v1::ModelChunk&) {
        stop.request_stop();
        return absl::OkStatus();
      },
      stop.get_token());
  EXPECT_THAT(ended, StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(GrpcLinkTest, WhatTheOtherSideCancelsMayBeTriedAgain) {
  v1::DownloadModelRequest request;
  request.set_task_id("cut");
  const auto sink = [](const v1::ModelChunk&) { return absl::OkStatus(); };
  EXPECT_THAT(link_->DownloadModel(request, sink, std::stop_token()), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(GrpcLinkTest, ATransferThatIsStuckEndsAndMayBeTriedAgain) {
  ASSERT_OK_AND_ASSIGN(const auto hasty, MakeGrpcLink(absl::StrCat("localhost:", port_), dir_.File("client"),
                                                      {.transfer_timeout = absl::Milliseconds(300)}));
  v1::DownloadModelRequest request;
  request.set_task_id("for ever");
  const auto sink = [](const v1::ModelChunk&) { return absl::OkStatus(); };
  EXPECT_THAT(hasty->DownloadModel(request, sink, std::stop_token()), StatusIs(absl::StatusCode::kDeadlineExceeded));
  v1::UploadTicket ticket;
  ticket.set_upload_id("stuck");
  EXPECT_THAT(hasty->UploadUpdate(ticket, "bytes", std::stop_token()), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(GrpcLinkTest, AProbeIsAnsweredAndNobodyThereIsUnavailable) {
  EXPECT_OK(ProbeCoordinator(absl::StrCat("localhost:", port_), dir_.File("client"), absl::Seconds(20)));
  server_->Shutdown();
  EXPECT_THAT(ProbeCoordinator(absl::StrCat("localhost:", port_), dir_.File("client"), absl::Seconds(20)),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace tributary::session
