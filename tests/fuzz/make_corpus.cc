// Writes what the fuzzers start from, with the encoders that the programs use: `fuzz_make_corpus DIR` makes
// DIR/TARGET/NAME. What fuzzers found is added by hand beside it.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "client/policy/policy.h"
#include "client/session/client_settings.h"
#include "common/base/bytes.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/certificate_request.h"
#include "common/crypto/digest.h"
#include "common/crypto/invitation.h"
#include "common/learning/model_file.h"
#include "common/nn/model_description.h"
#include "common/update/update_codec.h"
#include "server/ledger/backup_archive.h"
#include "server/service/settings.h"
#include "tests/common/data/sample_files.h"
#include "tests/common/learning/tiny_plan.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wire_samples.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::fuzz {
namespace {

constexpr std::string_view kBetween = "\n=====\n";

std::string root;

void Write(const std::string& target, const std::string& name, std::string_view bytes) {
  std::filesystem::create_directories(root + "/" + target);
  std::ofstream(root + "/" + target + "/" + name, std::ios::binary)
      .write(bytes.data(), static_cast<long>(bytes.size()));
}

void WriteMessage(const std::string& target, int which, const std::string& name, const google::protobuf::Message& m) {
  Write(target, name, std::string(1, static_cast<char>(which)) + m.SerializePartialAsString());
}

// One that fits, for each of the types, in the order of the target's Messages().
void WriteFitting(const std::string& target, const std::vector<const google::protobuf::Message*>& types) {
  for (size_t i = 0; i < types.size(); ++i) {
    const auto* type = types[i]->GetDescriptor();
    WriteMessage(target, static_cast<int>(i), type->name(), *testing::FittingMessage(type));
  }
}

v1::UpdateRecord Record() {
  v1::UpdateRecord r;
  const std::string digest(64, 'a');
  r.set_federation("f-1");
  r.set_run_id("r-1");
  r.set_round(1);
  r.set_task_id(digest);
  r.set_client_id("c-1");
  r.set_certificate_sha256(digest);
  r.set_base_model_sha256(digest);
  r.set_plan_sha256(digest);
  r.set_update_sha256(digest);
  r.set_encoding("float32");
  r.set_length(40);
  r.set_examples(10);
  return r;
}

v1::UpdateMetrics Metrics() {
  v1::UpdateMetrics m;
  m.set_train_loss(0.5);
  m.set_validation_accuracy(0.9);
  m.set_steps(10);
  m.set_engine("0.1.0/avx2/float32");
  m.set_update_norm(1.5);
  return m;
}

void Messages() {
  const std::string up = "message_to_coordinator", down = "message_to_client", by = "operator_request";
  WriteFitting(up, {&v1::ClientMessage::default_instance(), &v1::DownloadModelRequest::default_instance(),
                    &v1::BeginUploadRequest::default_instance(), &v1::UploadChunk::default_instance(),
                    &v1::RenewRequest::default_instance(), &v1::EnrolRequest::default_instance()});
  v1::ClientMessage client;
  client.mutable_hello()->CopyFrom(*testing::FittingMessage(v1::Hello::descriptor()));
  WriteMessage(up, 0, "hello", client);
  client.mutable_answer()->CopyFrom(*testing::FittingMessage(v1::TaskAnswer::descriptor()));
  WriteMessage(up, 0, "answer", client);
  v1::BeginUploadRequest begin;
  *begin.mutable_record() = Record();
  begin.set_signature("signature");
  begin.set_metrics(Metrics().SerializeAsString());
  begin.mutable_record()->set_metrics_sha256(crypto::Sha256Hex(begin.metrics()));
  WriteMessage(up, 2, "begin", begin);

  WriteFitting(down, {&v1::CoordinatorMessage::default_instance(), &v1::ModelChunk::default_instance(),
                      &v1::BeginUploadResponse::default_instance(), &v1::UploadUpdateResponse::default_instance()});
  v1::CoordinatorMessage task;
  task.mutable_task()->CopyFrom(*testing::FittingMessage(v1::TrainTask::descriptor()));
  const v1::RunPlan plan = testing::TinyPlan();
  task.mutable_task()->set_plan(plan.SerializeAsString());
  task.mutable_task()->set_plan_sha256(crypto::Sha256Hex(task.task().plan()));
  task.mutable_task()->set_base_model_bytes(4 * testing::kTinyParameters);
  task.mutable_task()->set_encoding("float32");
  WriteMessage(down, 0, "task", task);
  task.mutable_welcome()->CopyFrom(*testing::FittingMessage(v1::Welcome::descriptor()));
  WriteMessage(down, 0, "welcome", task);
  v1::BeginUploadResponse receipt;
  receipt.mutable_receipt()->CopyFrom(*testing::FittingMessage(v1::Receipt::descriptor()));
  *receipt.mutable_receipt()->mutable_record() = Record();
  WriteMessage(down, 2, "receipt", receipt);

  v1::StartRunRequest start;
  start.set_request_id("request");
  *start.mutable_plan() = plan;
  WriteMessage(by, 0, "start", start);
  v1::InviteRequest invite;
  invite.set_name("hospital-a");
  (*invite.mutable_labels())["region"] = "eu";
  WriteMessage(by, 1, "invite", invite);
  v1::ModelPart part;
  part.mutable_header()->CopyFrom(*testing::FittingMessage(v1::ModelHeader::descriptor()));
  *part.mutable_header()->mutable_model() = plan.model();
  WriteMessage(by, 2, "part", part);
  for (const char* preset : {"keras-cnn", "fedavg-cnn"}) {
    WriteMessage(by, 8, preset, *nn::ModelDescription::Preset(preset));
  }

  WriteMessage("signed_record", 0, "record", Record());
  WriteMessage("signed_record", 1, "metrics", Metrics());
  WriteMessage("signed_record", 2, "receipt", receipt.receipt());
}

void UpdateBytes() {
  const std::vector<float> values = {0, 0.5f, -1, 1e-20f, 1048575.0f};
  Write("update_bytes", "five", std::string("\x05\0\x02", 3) + update::EncodeParameters(values));
  Write("update_bytes", "none", std::string(3, '\0'));
}

crypto::CertificateTerms Terms(crypto::CertificateUse use) {
  crypto::CertificateTerms terms;
  terms.use = use;
  terms.common_name = "fuzz";
  terms.serial = "fuzz";
  terms.not_before = absl::FromUnixSeconds(1'600'000'000);
  terms.not_after = absl::FromUnixSeconds(4'000'000'000);
  return terms;
}

void Certificates() {
  const crypto::PrivateKey key = crypto::PrivateKey::Generate().value();
  const crypto::Certificate ca = crypto::SelfSign(key, Terms(crypto::CertificateUse::kAuthority)).value();
  crypto::CertificateTerms peer = Terms(crypto::CertificateUse::kPeer);
  peer.uris = {"spiffe://f-1/client/c-1"};
  const crypto::Certificate leaf = crypto::Issue({ca, key}, key.public_key(), peer).value();
  Write("certificate", "ca.pem", ca.pem());
  Write("certificate", "leaf.pem", leaf.pem());
  Write("certificate", "leaf.der", leaf.ToDer());
  Write("certificate", "request.pem", crypto::MakeRequestPem(key).value());

  crypto::Invitation invitation;
  invitation.main_endpoint = "localhost:7443";
  invitation.enrol_endpoint = "localhost:7444";
  invitation.ca_certificate_pem = ca.pem();
  invitation.token_id = "0123456789abcdef";
  invitation.secret = std::string(32, 's');
  invitation.expires = absl::FromUnixSeconds(2'000'000'000);
  const std::string text = crypto::EncodeInvitation(invitation).value();
  Write("invitation", "text", text);
  const std::string payload = *Base64UrlDecode(text.substr(5));
  Write("invitation", "payload", std::string_view(payload).substr(0, payload.size() - 4));
}

void Data() {
  using namespace data;  // NOLINT
  const std::string images = IdxImages(3, 4, 4), labels = IdxLabels({1, 2, 3});
  Write("idx", "plain", images + std::string(kBetween) + labels);
  Write("idx", "gzip", Gzip(images) + std::string(kBetween) + Gzip(labels));
  const std::vector<uint8_t> pixels(256, 100);
  for (const size_t channels : {1, 3, 4}) {
    const Image image{4, 4, channels, {pixels.begin(), pixels.begin() + static_cast<long>(16 * channels)}};
    Write("png", "channels-" + std::to_string(channels), Png(image));
    Write("jpeg", "channels-" + std::to_string(channels), Jpeg(image));
  }
  Write("png", "deep", Png({2, 2, 3, {pixels.begin(), pixels.begin() + 12}}, 16));
  const std::string png = Png({4, 4, 1, {pixels.begin(), pixels.begin() + 16}});
  Write("image_folder", "classes",
        "cat/1.png:" + png + std::string(kBetween) + "dog/1.png:" + png + std::string(kBetween) + "dog/2.png:no image");
  Write("image_folder", "prefixes", "cat.1.png:" + png + std::string(kBetween) + "dog.1.png:" + png);
  Write("csv", "classes", "a,b,label\n1,2,cat\n3,4,dog\n");
  Write("csv", "numbers", "a;b;y\n1;2;0\n\"3\";4;1\r\n");
  Write("csv", "bare", "1,2,0\n3,4.5,1\n-1e3,4,0\n");
  const std::string x = Npy("<f4", "(2, 2)", BytesOf<float>({1, 2, 3, 4})),
                    y = Npy("<i8", "(2,)", BytesOf<int64_t>({0, 1}));
  Write("npz", "stored", Zip({{"x.npy", x}, {"y.npy", y}}, false));
  Write("npz", "deflated", Zip({{"x_train.npy", x}, {"y_train.npy", y}}, true));
  Write("npz", "array", x);
}

void Files() {
  const v1::RunPlan plan = testing::TinyPlan();
  const std::vector<float> parameters(testing::kTinyParameters, 0.25f);
  Write("model_file", "tiny", learning::EncodeModelFile(plan.model(), parameters, {{"run", "r-1"}}).value());
  Write("run_file", "preset",
        "name = \"digits\"\nrounds = 20\nmodel = { preset = \"keras-cnn\" }\ntrain = { epochs = 1, batch_size = 32, "
        "optimizer = \"adam\", learning_rate = 0.001, validation_split = 0.1 }\nround = { clients = 10, min_clients = "
        "3, deadline = \"10m\", where = { region = \"eu\" } }\nevaluate = { data = \"synthetic\" }\nstop = { metric = "
        "\"test_accuracy\", target = 0.99 }\n\n=====\ntrain.epochs=2");
  Write("run_file", "layers",
        "classes = [\"cat\", \"dog\"]\nkeep_updates = \"round\"\n[model]\ninput = [8, 8, 1]\nloss = "
        "\"sparse_categorical_crossentropy\"\ninput_mean = 0.5\nlayers = [\n{ conv2d = { filters = 4, kernel = [3, 3], "
        "padding = \"same\" } },\n{ max_pool2d = { pool = 2 } },\n{ dropout = { rate = 0.5 } },\n{ flatten = {} },\n{ "
        "dense = { units = 2, activation = \"softmax\" } },\n]\n");
  Write("settings", "policy", "p" + policy::FormatPolicy(policy::Policy()));
  session::ClientSettings settings;
  settings.data = "/srv/data";
  settings.part = "1/3";
  Write("settings", "client", "s" + session::FormatClientSettings(settings));
  Write("settings", "coordinator",
        "clisten = \"0.0.0.0:7443\"\nadvertise = \"[::1]:7443\"\nthreads = 2\nlog_level = \"debug\"\n[limits]\nuploads "
        "= 1\n"
        "bytes_a_day = 1000\n");
  Write("settings", "federation",
        "f{\"id\": \"f-1\", \"host\": \"localhost\", \"listen\": \"0.0.0.0:1\", \"enrol_listen\": \"0.0.0.0:2\", "
        "\"advertise\": \"\", \"created_unix_ms\": 1}");
  Write("settings", "endpoints", "e{\"main\": \"127.0.0.1:1\", \"enrol\": \"[::1]:2\"}");
  Write("text", "words", "Z\xC3\xBCrich \x1b[2J \xff \xE2\x80\xAE");
  Write("text", "base64", "AAECAw");
}

void Backup() {
  const testing::TempDir dir;
  const std::string file = dir.File("backup");
  {
    const auto writer = ledger::ArchiveWriter::Create(file).value();
    TRB_CHECK(writer->AddFile("ledger.db", dir.Write("content", "hello"), 0600).ok());
    TRB_CHECK(writer->AddLink("pki/current", "1").ok());
    TRB_CHECK(writer->Finish().ok());
  }
  std::ifstream in(file, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  Write("backup_archive", "whole", "0" + bytes);  // '0' is even: as it is
  Write("backup_archive", "without-digest", "1" + bytes.substr(0, bytes.size() - 32));
}

}  // namespace
}  // namespace tributary::fuzz

int main(int argc, char** argv) {
  using namespace tributary::fuzz;  // NOLINT
  if (argc != 2) return std::fprintf(stderr, "usage: fuzz_make_corpus DIR\n"), 2;
  root = argv[1];
  Messages();
  UpdateBytes();
  Certificates();
  Data();
  Files();
  Backup();
  return 0;
}
