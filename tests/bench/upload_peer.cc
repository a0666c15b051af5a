// What an upload costs at least: the same bytes over a bare gRPC stream with mutual TLS (and over plain TLS), hashed at
// both ends, written, synced and renamed into the same kind of files. Beside it round_bench sets the whole of ours.
// Usage: upload_peer --dir COORDINATOR_DIR --crowd FILE --to EMPTY_DIR [--bytes N] [--streams N] [--plain]
//   One upload a member of the crowd, `streams` at once, over connections that stand before the clock starts. Prints
//   {"uploads", "bytes", "seconds", "mb_s"}. The server is a process of its own.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "common/rpc/limits.h"
#include "tests/support/crowd/members.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::bench {
namespace {

struct Options {
  std::string dir, crowd, to;
  uint64_t bytes = 6'653'480;
  size_t streams = 8;
  bool plain = false;
};

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "upload_peer: %s\n", why.c_str());
  std::exit(1);
}

// Writes, hashes, syncs, renames, syncs the folder.
class Sink {
 public:
  Sink(const std::string& to, const std::string& name) : folder_(to), path_(absl::StrCat(to, "/", name, ".part")) {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd_ < 0) Die("cannot write " + path_);
  }
  void Take(std::string_view data) {
    hasher_.Update(data);
    if (write(fd_, data.data(), data.size()) != static_cast<ssize_t>(data.size())) Die("short write");
  }
  std::string Finish() {
    if (fsync(fd_) != 0 || close(fd_) != 0) Die("cannot sync");
    const std::string digest = hasher_.FinishHex();
    if (rename(path_.c_str(), absl::StrCat(folder_, "/", path_.substr(folder_.size() + 1), ".", digest).c_str()) != 0)
      Die("cannot rename");
    if (!SyncDirectory(folder_).ok()) Die("cannot sync the folder");
    return digest;
  }

 private:
  const std::string folder_, path_;
  int fd_;
  crypto::Sha256Hasher hasher_;
};

class BareService final : public v1::FederationService::Service {
 public:
  explicit BareService(std::string to) : to_(std::move(to)) {}
  grpc::Status UploadUpdate(grpc::ServerContext*, grpc::ServerReader<v1::UploadChunk>* reader,
                            v1::UploadUpdateResponse* response) override {
    v1::UploadChunk chunk;
    if (!reader->Read(&chunk)) return grpc::Status::CANCELLED;
    Sink sink(to_, chunk.upload_id());
    do sink.Take(chunk.data());
    while (reader->Read(&chunk));
    response->mutable_not_needed()->set_code(sink.Finish());
    return grpc::Status::OK;
  }

 private:
  const std::string to_;
};

template <class Builder>
void Limits(Builder set) {
  set("grpc.http2.bdp_probe", 0);
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, rpc::kChunkBytes);
}

std::string MustRead(const std::string& path) {
  auto text = ReadFile(path);
  if (!text.ok()) Die(text.status().ToString());
  return *text;
}

// The port goes up the pipe; then until killed.
[[noreturn]] void ServeGrpc(const Options& o, int ready) {
  const std::string pki = o.dir + "/pki/server/current/";
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = MustRead(pki + "ca.pem");
  tls.pem_key_cert_pairs.push_back({MustRead(pki + "key.pem"), MustRead(pki + "certificate.pem")});
  BareService service(o.to);
  int port = 0;
  grpc::ServerBuilder builder;
  Limits([&](const char* key, int value) { builder.AddChannelArgument(key, value); });
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr || write(ready, &port, sizeof port) != sizeof port) Die("cannot serve");
  server->Wait();
  std::exit(0);
}

[[noreturn]] void ServePlain(const Options& o, int ready) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  const std::string pki = o.dir + "/pki/server/current/";
  SSL_CTX_use_certificate_chain_file(context, (pki + "certificate.pem").c_str());
  SSL_CTX_use_PrivateKey_file(context, (pki + "key.pem").c_str(), SSL_FILETYPE_PEM);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 512) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    Die("cannot listen");
  const int port = ntohs(address.sin_port);
  if (write(ready, &port, sizeof port) != sizeof port) Die("cannot serve");
  for (int n = 0;; ++n) {
    const int fd = accept(listener, nullptr, nullptr);
    std::thread([&o, context, fd, n] {
      SSL* ssl = SSL_new(context);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) != 1) Die("handshake");
      Sink sink(o.to, absl::StrCat("plain-", n));
      std::vector<char> buffer(rpc::kChunkBytes);
      for (uint64_t got = 0; got < o.bytes;) {
        const int count = SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
        if (count <= 0) Die("read");
        sink.Take({buffer.data(), static_cast<size_t>(count)});
        got += static_cast<uint64_t>(count);
      }
      const std::string digest = sink.Finish();
      SSL_write(ssl, digest.data(), static_cast<int>(digest.size()));
      SSL_free(ssl);
      close(fd);
    }).detach();
  }
}

// A block again and again, as the crowd's updates are.
std::string Digest(const std::string& block, uint64_t bytes) {
  crypto::Sha256Hasher hasher;
  for (uint64_t at = 0; at < bytes; at += block.size()) {
    hasher.Update(std::string_view(block).substr(0, std::min<uint64_t>(block.size(), bytes - at)));
  }
  return hasher.FinishHex();
}

class Sender {
 public:
  virtual ~Sender() = default;
  virtual std::string Send(const std::string& id, const std::string& block, uint64_t bytes) = 0;
};

class GrpcSender final : public Sender {
 public:
  GrpcSender(const crowd::Members& all, const crowd::Member& m, int port) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    Limits([&](const char* key, int value) { arguments.SetInt(key, value); });
    channel_ = grpc::CreateCustomChannel(absl::StrCat("localhost:", port),
                                         grpc::SslCredentials({all.ca_pem, m.key_pem, m.certificate_pem}), arguments);
    if (!channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20))) Die("no connection");
    stub_ = v1::FederationService::NewStub(channel_);
  }
  std::string Send(const std::string& id, const std::string& block, uint64_t bytes) override {
    grpc::ClientContext context;
    v1::UploadUpdateResponse response;
    const auto writer = stub_->UploadUpdate(&context, &response);
    v1::UploadChunk chunk;
    chunk.set_upload_id(id);
    for (uint64_t at = 0; at < bytes; at += block.size()) {
      chunk.set_offset(at);
      chunk.set_data(block.data(), std::min<uint64_t>(block.size(), bytes - at));
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    if (!writer->Finish().ok()) Die("upload failed");
    return response.not_needed().code();
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::FederationService::Stub> stub_;
};

class PlainSender final : public Sender {
 public:
  PlainSender(SSL_CTX* context, int port) : ssl_(SSL_new(context)) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("no connection");
    SSL_set_fd(ssl_, fd_);
    if (SSL_connect(ssl_) != 1) Die("handshake");
  }
  ~PlainSender() override {
    SSL_free(ssl_);
    close(fd_);
  }
  std::string Send(const std::string&, const std::string& block, uint64_t bytes) override {
    for (uint64_t at = 0; at < bytes; at += block.size()) {
      SSL_write(ssl_, block.data(), static_cast<int>(std::min<uint64_t>(block.size(), bytes - at)));
    }
    char digest[65] = {};
    if (SSL_read(ssl_, digest, 64) != 64) Die("no answer");
    return digest;
  }

 private:
  SSL* const ssl_;
  int fd_;
};

int Run(const Options& o) {
  int ready[2];
  if (pipe(ready) != 0) Die("pipe");
  const pid_t server = fork();  // before gRPC has any thread
  if (server == 0) o.plain ? ServePlain(o, ready[1]) : ServeGrpc(o, ready[1]);
  int port = 0;
  if (read(ready[0], &port, sizeof port) != sizeof port) Die("the server did not start");
  const auto members = crowd::LoadMembers(o.crowd);
  if (!members.ok()) Die(members.status().ToString());
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  std::vector<std::unique_ptr<Sender>> senders;
  for (const crowd::Member& m : members->members) {
    if (o.plain) {
      senders.push_back(std::make_unique<PlainSender>(context, port));
    } else {
      senders.push_back(std::make_unique<GrpcSender>(*members, m, port));
    }
  }
  std::string block(rpc::kChunkBytes, '\0');
  for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>(i * 31);
  std::atomic<size_t> next{0};
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < o.streams; ++t) {
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < senders.size();) {
        const std::string digest = Digest(block, o.bytes);
        if (senders[i]->Send(absl::StrCat("u", i), block, o.bytes) != digest) Die("another digest");
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("{\"uploads\": %zu, \"bytes\": %llu, \"seconds\": %.3f, \"mb_s\": %.1f}\n", senders.size(),
              static_cast<unsigned long long>(o.bytes), seconds,
              static_cast<double>(senders.size() * o.bytes) / seconds / 1e6);
  senders.clear();
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  tributary::bench::Options o;
  CLI::App app("The least that an upload costs");
  app.add_option("--dir", o.dir)->required();
  app.add_option("--crowd", o.crowd)->required();
  app.add_option("--to", o.to)->required();
  app.add_option("--bytes", o.bytes);
  app.add_option("--streams", o.streams);
  app.add_flag("--plain", o.plain);
  CLI11_PARSE(app, argc, argv);
  return tributary::bench::Run(o);
}
