#include "server/service/hello_checks.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/rpc/limits.h"

namespace tributary::service {
namespace {

constexpr size_t kMaxTextBytes = 64;  // version, engine
constexpr int kMaxHeld = 64;
constexpr int kMaxHeads = 256;
constexpr int kMaxClasses = 65536;
constexpr size_t kMaxClassNameBytes = 255;
constexpr size_t kMaxClassNamesBytes = 64 * 1024;  // all of them: they are kept and shown
constexpr uint64_t kMaxExamples = uint64_t{1} << 40;
constexpr uint64_t kMaxFeatures = uint64_t{1} << 28;  // of one example
constexpr size_t kMaxIdBytes = 128;

bool IsPrintable(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

absl::Status CheckVersion(uint32_t theirs) {
  constexpr uint32_t ours = rpc::kProtocolVersion;
  // A client that is one version ahead still speaks ours; Welcome tells it to.
  if (theirs >= 1 && theirs <= ours + 1) return absl::OkStatus();
  const char* who = theirs > ours ? "upgrade the coordinator" : "upgrade the client";
  return absl::FailedPreconditionError(absl::StrCat("protocol versions too far apart: the client speaks ", theirs,
                                                    ", the coordinator ", ours, "; ", who));
}

absl::Status CheckDataset(const v1::DatasetFacts& d) {
  if (d.examples() > kMaxExamples) return absl::InvalidArgumentError("dataset.examples is out of range");
  if (d.shape_size() != 0 && d.shape_size() != 1 && d.shape_size() != 3) {
    return absl::InvalidArgumentError("dataset.shape is [h, w, c], [features], or empty for images of any size");
  }
  uint64_t features = 1;
  for (const uint32_t extent : d.shape()) {
    if (extent == 0 || extent > kMaxFeatures / features) {
      return absl::InvalidArgumentError("dataset.shape is out of range");
    }
    features *= extent;
  }
  if (d.classes_size() > kMaxClasses || d.num_classes() > kMaxClasses) {
    return absl::InvalidArgumentError(absl::StrCat("at most ", kMaxClasses, " classes"));
  }
  size_t bytes = 0;
  for (const std::string& name : d.classes()) {
    bytes += name.size();
    if (name.empty() || !IsPrintable(name, kMaxClassNameBytes)) {
      return absl::InvalidArgumentError("a class name is empty, too long or not printable");
    }
  }
  if (bytes > kMaxClassNamesBytes) return absl::InvalidArgumentError("the class names are too long together");
  return absl::OkStatus();
}

absl::Status CheckHistory(const v1::Hello& hello) {
  if (hello.held_size() > kMaxHeld) return absl::InvalidArgumentError(absl::StrCat("at most ", kMaxHeld, " tasks"));
  if (hello.heads_size() > kMaxHeads) return absl::InvalidArgumentError(absl::StrCat("at most ", kMaxHeads, " heads"));
  for (const v1::HeldTask& task : hello.held()) {
    if (task.task_id().empty() || !IsPrintable(task.task_id(), kMaxIdBytes)) {
      return absl::InvalidArgumentError("held.task_id is malformed");
    }
    if (!task.update_sha256().empty() && !IsHexDigest(task.update_sha256())) {
      return absl::InvalidArgumentError("held.update_sha256 is not a digest");
    }
  }
  for (const v1::RunHead& head : hello.heads()) {
    if (head.run_id().empty() || !IsPrintable(head.run_id(), kMaxIdBytes) ||
        !IsHexDigest(head.previous_record_sha256())) {
      return absl::InvalidArgumentError("a run head is malformed");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckHello(const v1::Hello& hello) {
  TRB_RETURN_IF_ERROR(CheckVersion(hello.protocol_version()));
  if (!IsPrintable(hello.version(), kMaxTextBytes) || !IsPrintable(hello.engine(), kMaxTextBytes)) {
    return absl::InvalidArgumentError("version and engine have at most 64 printable characters");
  }
  TRB_RETURN_IF_ERROR(CheckDataset(hello.dataset()));
  return CheckHistory(hello);
}

}  // namespace tributary::service
