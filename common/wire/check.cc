#include "common/wire/check.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/names.h"
#include "common/base/text.h"
#include "common/wire/rules.h"

namespace tributary::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

struct Bound {
  const FieldDescriptor* field;
  Rule rule;
};
struct BoundRules {
  std::vector<Bound> fields;
  absl::Status (*whole)(const google::protobuf::Message&) = nullptr;
};
using Table = std::unordered_map<const Descriptor*, BoundRules>;

const Table& BoundTable() {
  // Leaked on purpose, as the rules are.
  static const Table* table = [] {
    auto* bound = new Table;
    for (const MessageRules& rules : AllRules()) {
      BoundRules& mine = (*bound)[rules.type()];
      mine.whole = rules.whole;
      for (const FieldRule& f : rules.fields) {
        const FieldDescriptor* field = rules.type()->FindFieldByName(std::string(f.field));
        TRB_CHECK(field != nullptr);
        mine.fields.push_back({field, f.rule});
      }
    }
    return bound;
  }();
  return *table;
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool Within(size_t size, const Rule& rule) { return size >= rule.least && size <= rule.most; }

bool TextFits(const std::string& text, const Rule& rule) {
  if (text.empty() && rule.may_be_empty) return true;
  switch (rule.kind) {
    case Rule::Kind::kText:
      return Within(text.size(), rule) && IsUtf8(text) && !HasControl(text);
    case Rule::Kind::kWords:
      return text.size() <= rule.most && IsUtf8(text);
    case Rule::Kind::kName:
      return IsValidName(text);
    case Rule::Kind::kDigest:
      return IsHexDigest(text);
    case Rule::Kind::kBytes:
      return Within(text.size(), rule);
    default:
      return false;
  }
}

bool RealFits(double value, const Rule& rule) {
  return rule.kind == Rule::Kind::kReal && std::isfinite(value) && value >= rule.low && value <= rule.high;
}

bool WholeFits(uint64_t value, const Rule& rule) {
  return rule.kind == Rule::Kind::kWhole && value >= rule.least && value <= rule.most;
}

bool SignedFits(int64_t value, const Rule& rule) { return value >= 0 && WholeFits(static_cast<uint64_t>(value), rule); }

bool EnumFits(int value, const FieldDescriptor& field, const Rule& rule) {
  return rule.kind == Rule::Kind::kKnown && value != 0 && field.enum_type()->FindValueByNumber(value) != nullptr;
}

// Walks one message. `path_` names where it is; it is spelled out only when something does not fit.
class Checker {
 public:
  absl::Status CheckMessage(const google::protobuf::Message& message) {
    const auto found = BoundTable().find(message.GetDescriptor());
    if (found == BoundTable().end()) {
      return absl::InternalError(absl::StrCat("no rules for ", message.GetDescriptor()->full_name()));
    }
    TRB_RETURN_IF_ERROR(CountUnknown(message));
    for (const Bound& bound : found->second.fields) TRB_RETURN_IF_ERROR(CheckField(message, bound));
    return found->second.whole == nullptr ? absl::OkStatus() : Located(found->second.whole(message));
  }

 private:
  struct Step {
    const FieldDescriptor* field;
    int index;  // -1: not repeated
  };

  absl::Status CountUnknown(const google::protobuf::Message& message) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    if (unknown.empty()) return absl::OkStatus();
    std::string bytes;
    unknown.SerializeToString(&bytes);
    unknown_bytes_ += bytes.size();
    if (unknown_bytes_ <= kMostUnknownBytes) return absl::OkStatus();
    return Located(
        absl::InvalidArgumentError(absl::StrCat("more than ", kMostUnknownBytes, " bytes of unknown fields")));
  }

  absl::Status CheckField(const google::protobuf::Message& message, const Bound& bound) {
    if (bound.rule.kind == Rule::Kind::kElsewhere) return absl::OkStatus();
    const Reflection& r = *message.GetReflection();
    const FieldDescriptor& field = *bound.field;
    if (!field.is_repeated()) {
      if (field.has_presence() && !r.HasField(message, &field)) return CheckAbsent(bound);
      return CheckOne(message, bound, -1);
    }
    const int count = r.FieldSize(message, &field);
    if (static_cast<size_t>(count) > bound.rule.count) return Unfit({&field, -1}, Describe(bound.rule, true));
    for (int i = 0; i < count; ++i) TRB_RETURN_IF_ERROR(CheckOne(message, bound, i));
    return absl::OkStatus();
  }

  // A oneof's member that is not the one set, an `optional` that is not there, a message that is missing.
  absl::Status CheckAbsent(const Bound& bound) {
    const bool required = bound.rule.kind == Rule::Kind::kMessage && !bound.rule.may_be_empty;
    return required ? Unfit({bound.field, -1}, "is missing") : absl::OkStatus();
  }

  absl::Status CheckOne(const google::protobuf::Message& message, const Bound& bound, int index) {
    const Step step{bound.field, index};
    if (bound.rule.kind == Rule::Kind::kMessage) {
      path_.push_back(step);
      const Reflection& r = *message.GetReflection();
      TRB_RETURN_IF_ERROR(CheckMessage(index < 0 ? r.GetMessage(message, bound.field)
                                                 : r.GetRepeatedMessage(message, bound.field, index)));
      path_.pop_back();
      return absl::OkStatus();
    }
    if (bound.rule.kind == Rule::Kind::kAnything || Fits(message, bound, index)) return absl::OkStatus();
    return Unfit(step, Describe(bound.rule, false));
  }

  static bool Fits(const google::protobuf::Message& m, const Bound& bound, int i) {
    const Reflection& r = *m.GetReflection();
    const FieldDescriptor* f = bound.field;
    std::string scratch;
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return TextFits(i < 0 ? r.GetStringReference(m, f, &scratch) : r.GetRepeatedStringReference(m, f, i, &scratch),
                        bound.rule);
      case FieldDescriptor::CPPTYPE_UINT64:
        return WholeFits(i < 0 ? r.GetUInt64(m, f) : r.GetRepeatedUInt64(m, f, i), bound.rule);
      case FieldDescriptor::CPPTYPE_UINT32:
        return WholeFits(i < 0 ? r.GetUInt32(m, f) : r.GetRepeatedUInt32(m, f, i), bound.rule);
      case FieldDescriptor::CPPTYPE_INT64:
        return SignedFits(i < 0 ? r.GetInt64(m, f) : r.GetRepeatedInt64(m, f, i), bound.rule);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return RealFits(i < 0 ? r.GetDouble(m, f) : r.GetRepeatedDouble(m, f, i), bound.rule);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return RealFits(i < 0 ? r.GetFloat(m, f) : r.GetRepeatedFloat(m, f, i), bound.rule);
      case FieldDescriptor::CPPTYPE_ENUM:
        return EnumFits(i < 0 ? r.GetEnumValue(m, f) : r.GetRepeatedEnumValue(m, f, i), *f, bound.rule);
      default:
        return false;  // no rule says what these may hold
    }
  }

  absl::Status Unfit(const Step& step, std::string_view what) {
    path_.push_back(step);
    return Located(absl::InvalidArgumentError(absl::string_view(what.data(), what.size())));
  }

  absl::Status Located(const absl::Status& fault) const {
    if (fault.ok() || path_.empty()) return fault;
    std::string where;
    for (const Step& step : path_) {
      absl::StrAppend(&where, where.empty() ? "" : ".", step.field->name(),
                      step.index < 0 ? "" : absl::StrCat("[", step.index, "]"));
    }
    return absl::Status(fault.code(), absl::StrCat(where, ": ", fault.message()));
  }

  std::vector<Step> path_;
  size_t unknown_bytes_ = 0;
};

}  // namespace

absl::Status Check(const google::protobuf::Message& message) { return Checker().CheckMessage(message); }

}  // namespace tributary::wire
