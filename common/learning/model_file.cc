#include "common/learning/model_file.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/files.h"
#include "common/base/proto_json.h"
#include "common/crypto/digest.h"
#include "common/update/update_codec.h"
#include "tributary/v1/model.pb.h"

namespace tributary::learning {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "tributary/model/v1";
constexpr char kFormatKey[] = "format", kModelKey[] = "model", kDigestKey[] = "parameters_sha256";
constexpr char kMetadata[] = "__metadata__";
constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;

absl::Status Bad(const std::string& why) { return absl::InvalidArgumentError(absl::StrCat("not a model file: ", why)); }

// Parses JSON, refusing a name that comes twice in one object: which of two would count is anybody's guess.
absl::StatusOr<Json> ParseStrictJson(std::string_view text) {
  std::vector<std::set<std::string>> names;  // of the objects that are open
  std::string twice;
  const Json::parser_callback_t note = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key && !names.back().insert(value.get<std::string>()).second) {
      twice = value.get<std::string>();
    }
    return true;
  };
  Json json = Json::parse(text.begin(), text.end(), note, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return Bad("its header is not a JSON object");
  if (!twice.empty()) return Bad(absl::StrCat("its header names \"", EscapeForLog(twice, 64), "\" twice"));
  return json;
}

// Where one tensor lies: its bytes are [begin, end) of the data after the header.
struct Placed {
  uint64_t begin = 0, end = 0;
};

absl::StatusOr<std::vector<uint64_t>> ReadNumbers(const Json& json) {
  if (!json.is_array()) return absl::InvalidArgumentError("a list of whole numbers is missing");
  std::vector<uint64_t> numbers;
  for (const Json& n : json) {
    if (!n.is_number_unsigned()) return absl::InvalidArgumentError("a number is not a whole number of at least 0");
    numbers.push_back(n.get<uint64_t>());
  }
  return numbers;
}

absl::StatusOr<Placed> ReadTensor(const Json& entry, const nn::ParameterArray& array, uint64_t data_bytes) {
  const auto bad = [&array](std::string_view why) {
    return Bad(absl::StrCat("tensor ", array.name, ": ", std::string(why)));
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    return bad("needs dtype, shape and data_offsets");
  }
  if (entry["dtype"] != "F32") return bad("dtype is not F32");
  const auto shape = ReadNumbers(entry["shape"]), offsets = ReadNumbers(entry["data_offsets"]);
  if (!shape.ok() || !std::equal(shape->begin(), shape->end(), array.shape.begin(), array.shape.end())) {
    return bad("its shape is not the model's");
  }
  if (!offsets.ok() || offsets->size() != 2) return bad("data_offsets is not [begin, end]");
  const Placed placed{(*offsets)[0], (*offsets)[1]};
  if (placed.begin > placed.end || placed.end > data_bytes) return bad("it lies outside the file");
  if (placed.end - placed.begin != array.size * sizeof(float)) return bad("its length does not fit its shape");
  return placed;
}

// Every byte of the data belongs to exactly one tensor.
absl::Status CheckTiling(std::vector<Placed> placed, uint64_t data_bytes) {
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  uint64_t end = 0;
  for (const Placed& p : placed) {
    if (p.begin < end) return Bad("two tensors overlap");
    if (p.begin > end) return Bad(absl::StrCat("bytes ", end, " to ", p.begin, " of the data belong to no tensor"));
    end = p.end;
  }
  return end == data_bytes ? absl::OkStatus() : Bad("there are bytes after the last tensor");
}

absl::Status ReadMetadata(const Json& header, ModelFile* file) {
  const auto found = header.find(kMetadata);
  if (found == header.end() || !found->is_object()) return Bad("it has no metadata; was it written by this program?");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return Bad("its metadata are not all text");
    file->metadata[key] = value.get<std::string>();
  }
  if (file->metadata[kFormatKey] != kFormat) {
    return Bad(absl::StrCat("its format is \"", EscapeForLog(file->metadata[kFormatKey], 64), "\", not ", kFormat));
  }
  file->description_json = std::move(file->metadata[kModelKey]);
  file->metadata.erase(kFormatKey);
  file->metadata.erase(kModelKey);
  return absl::OkStatus();
}

absl::Status ReadTensors(const Json& header, std::string_view data, const nn::ModelDescription& model,
                         ModelFile* file) {
  const std::vector<nn::ParameterArray> arrays = model.parameter_arrays();
  if (header.size() != arrays.size() + 1) {
    return Bad(absl::StrCat("it has ", header.size() - 1, " tensors, its model ", arrays.size()));
  }
  file->parameters.resize(model.parameter_count());
  std::vector<Placed> placed;
  for (const nn::ParameterArray& array : arrays) {
    const auto entry = header.find(array.name);
    if (entry == header.end()) return Bad(absl::StrCat("tensor ", array.name, " is missing"));
    TRB_ASSIGN_OR_RETURN(const Placed at, ReadTensor(*entry, array, data.size()));
    placed.push_back(at);
    std::memcpy(&file->parameters[array.offset], data.data() + at.begin, array.size * sizeof(float));
  }
  TRB_RETURN_IF_ERROR(CheckTiling(std::move(placed), data.size()));
  const auto finite = [](float v) { return std::isfinite(v); };
  return std::all_of(file->parameters.begin(), file->parameters.end(), finite) ? absl::OkStatus()
                                                                               : Bad("a value is not finite");
}

absl::Status CheckDigest(ModelFile* file) {
  const auto digest = file->metadata.find(kDigestKey);
  if (digest == file->metadata.end()) return Bad("it names no digest of its parameters");
  if (digest->second != crypto::Sha256Hex(update::EncodeParameters(file->parameters))) {
    return Bad("its parameters do not have the digest that it names");
  }
  return absl::OkStatus();
}

Json TensorHeader(const nn::ModelDescription& model) {
  Json header = Json::object();
  for (const nn::ParameterArray& array : model.parameter_arrays()) {
    header[array.name] = {
        {"dtype", "F32"},
        {"shape", array.shape},
        {"data_offsets", {array.offset * sizeof(float), (array.offset + array.size) * sizeof(float)}}};
  }
  return header;
}

}  // namespace

absl::Status ModelFile::ParseDescription(v1::ModelDescription* proto) const {
  const auto status = google::protobuf::util::JsonStringToMessage(description_json, proto);
  return status.ok() ? absl::OkStatus() : Bad(absl::StrCat("its model description: ", status.ToString()));
}

absl::StatusOr<nn::ModelDescription> ModelFile::Model() const {
  v1::ModelDescription proto;
  TRB_RETURN_IF_ERROR(ParseDescription(&proto));
  return nn::ModelDescription::FromProto(proto);
}

absl::StatusOr<std::string> EncodeModelFile(const v1::ModelDescription& proto, std::span<const float> parameters,
                                            const std::map<std::string, std::string>& metadata) {
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(proto));
  if (parameters.size() != model.parameter_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model takes ", model.parameter_count(), " parameters, got ", parameters.size()));
  }
  const std::string data = update::EncodeParameters(parameters);
  Json header = TensorHeader(model);
  Json& texts = header[kMetadata] = metadata;
  texts[kModelKey] = ProtoToJson(proto, {.all_primitives = false});
  texts[kFormatKey] = kFormat;
  texts[kDigestKey] = crypto::Sha256Hex(data);
  std::string text = header.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data start aligned
  if (text.size() > kMaxHeaderBytes) return absl::InvalidArgumentError("the metadata are too long");
  std::string bytes;
  bytes.reserve(kLengthBytes + text.size() + data.size());
  AppendLe64(&bytes, text.size());
  return bytes.append(text).append(data);
}

absl::StatusOr<ModelFile> DecodeModelFile(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) return Bad("it is shorter than 8 bytes");
  const uint64_t header_bytes = LoadLe64(bytes.data());
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - kLengthBytes) {
    return Bad(absl::StrCat("its header would be ", header_bytes, " bytes long"));
  }
  TRB_ASSIGN_OR_RETURN(const Json header, ParseStrictJson(bytes.substr(kLengthBytes, header_bytes)));
  ModelFile file;
  TRB_RETURN_IF_ERROR(ReadMetadata(header, &file));
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, file.Model());
  TRB_RETURN_IF_ERROR(ReadTensors(header, bytes.substr(kLengthBytes + header_bytes), model, &file));
  TRB_RETURN_IF_ERROR(CheckDigest(&file));
  return file;
}

absl::Status WriteModelFile(const std::string& path, const v1::ModelDescription& model,
                            std::span<const float> parameters, const std::map<std::string, std::string>& metadata) {
  TRB_ASSIGN_OR_RETURN(const std::string bytes, EncodeModelFile(model, parameters, metadata));
  return WriteFileDurably(path, bytes);
}

absl::StatusOr<ModelFile> ReadModelFile(const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const std::string bytes,
                       ReadFile(path, kLengthBytes + kMaxHeaderBytes + update::kMaxModelBytes));
  absl::StatusOr<ModelFile> file = DecodeModelFile(bytes);
  if (!file.ok()) return Annotate(file.status(), path);
  return file;
}

}  // namespace tributary::learning
