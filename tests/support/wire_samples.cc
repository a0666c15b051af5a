#include "tests/support/wire_samples.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace tributary::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::Reflection;
using wire::Rule;

std::string FittingText(const Rule& rule) {
  switch (rule.kind) {
    case Rule::Kind::kName:
      return "a-name";
    case Rule::Kind::kDigest:
      return std::string(64, 'a');
    default:
      return std::string(std::max<uint64_t>(rule.least, std::min<uint64_t>(rule.most, 3)), 'x');
  }
}

void Set(Message* m, const FieldDescriptor* f, const std::string& v) {
  const Reflection& r = *m->GetReflection();
  f->is_repeated() ? r.AddString(m, f, v) : r.SetString(m, f, v);
}

void SetWhole(Message* m, const FieldDescriptor* f, uint64_t v) {
  const Reflection& r = *m->GetReflection();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return f->is_repeated() ? r.AddUInt32(m, f, static_cast<uint32_t>(v))
                              : r.SetUInt32(m, f, static_cast<uint32_t>(v));
    case FieldDescriptor::CPPTYPE_UINT64:
      return f->is_repeated() ? r.AddUInt64(m, f, v) : r.SetUInt64(m, f, v);
    case FieldDescriptor::CPPTYPE_INT64:
      return r.SetInt64(m, f, static_cast<int64_t>(v));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.SetBool(m, f, v != 0);
    default:
      TRB_CHECK(false);
  }
}

void SetFitting(Message* m, const FieldDescriptor* f, const Rule& rule) {
  const Reflection& r = *m->GetReflection();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return Set(m, f, FittingText(rule));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r.SetDouble(m, f, std::clamp(1.0, rule.low, rule.high));
    case FieldDescriptor::CPPTYPE_ENUM:
      return r.SetEnumValue(m, f, 1);
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      Message* inner = f->is_repeated() ? r.AddMessage(m, f) : r.MutableMessage(m, f);
      return inner->CopyFrom(*FittingMessage(f->message_type()));
    }
    default:
      return SetWhole(m, f, rule.kind == Rule::Kind::kAnything ? 1 : std::max<uint64_t>(rule.least, 1));
  }
}

// A function that puts `value` where the field's one value was.
Misfit TextMisfit(const FieldDescriptor* f, std::string name, std::string value) {
  return {std::move(name), [f, value = std::move(value)](Message* m) {
            m->GetReflection()->ClearField(m, f);
            Set(m, f, value);
          }};
}

Misfit WholeMisfit(const FieldDescriptor* f, uint64_t value) {
  return {absl::StrCat(value), [f, value](Message* m) {
            m->GetReflection()->ClearField(m, f);
            SetWhole(m, f, value);
          }};
}

void AddTexts(const FieldDescriptor* f, const Rule& rule, std::vector<Misfit>* out) {
  const auto add = [&](const char* name, std::string value) { out->push_back(TextMisfit(f, name, std::move(value))); };
  const std::string fitting = FittingText(rule);
  const bool sized =
      rule.kind == Rule::Kind::kText || rule.kind == Rule::Kind::kWords || rule.kind == Rule::Kind::kBytes;
  if (sized) add("too long", std::string(rule.most + 1, 'x'));
  if (sized && rule.least > 0) add("too short", std::string(rule.least - 1, 'x'));
  if (rule.kind == Rule::Kind::kBytes) return;
  add("no UTF-8", "\xff\xfe");
  if (rule.kind == Rule::Kind::kWords) return;
  add("escape", "\x1b[2J");
  add("newline", "a\nb");
  add("NUL", std::string("a\0b", 3));
  if (rule.kind != Rule::Kind::kName && rule.kind != Rule::Kind::kDigest) return;
  if (!rule.may_be_empty) add("empty", "");
  for (const char* path : {"../../etc/passwd", "/etc/passwd", "a/b", "UPPER", "-x", "a b"}) add(path, path);
  add("one more", fitting + std::string(64, 'a'));
}

void AddWholes(const FieldDescriptor* f, const Rule& rule, std::vector<Misfit>* out) {
  if (rule.least > 0) out->push_back(WholeMisfit(f, rule.least - 1));
  const bool narrow = f->cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
  for (const uint64_t v : {rule.most + 1, uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()}) {
    if (!narrow || v <= std::numeric_limits<uint32_t>::max()) out->push_back(WholeMisfit(f, v));
  }
}

void AddReals(const FieldDescriptor* f, const Rule& rule, std::vector<Misfit>* out) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double v : {std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity, rule.low / 2, -1.0}) {
    out->push_back({absl::StrCat(v), [f, v](Message* m) { m->GetReflection()->SetDouble(m, f, v); }});
  }
}

void AddValues(const FieldDescriptor* f, const Rule& rule, std::vector<Misfit>* out) {
  switch (rule.kind) {
    case Rule::Kind::kWhole:
      return AddWholes(f, rule, out);
    case Rule::Kind::kReal:
      return AddReals(f, rule, out);
    case Rule::Kind::kKnown:
      for (const int v : {0, 99, -1}) {
        out->push_back({absl::StrCat("enum ", v), [f, v](Message* m) { m->GetReflection()->SetEnumValue(m, f, v); }});
      }
      return;
    case Rule::Kind::kMessage:
      if (!f->is_repeated() && !rule.may_be_empty) {
        out->push_back({"missing", [f](Message* m) { m->GetReflection()->ClearField(m, f); }});
      }
      return;
    default:
      return AddTexts(f, rule, out);
  }
}

}  // namespace

const wire::MessageRules* RulesOf(const Descriptor* type) {
  for (const wire::MessageRules& rules : wire::AllRules()) {
    if (rules.type() == type) return &rules;
  }
  return nullptr;
}

std::unique_ptr<Message> FittingMessage(const Descriptor* type) {
  std::unique_ptr<Message> m(MessageFactory::generated_factory()->GetPrototype(type)->New());
  const wire::MessageRules* rules = RulesOf(type);
  TRB_CHECK(rules != nullptr);
  for (const wire::FieldRule& f : rules->fields) {
    if (f.rule.kind == Rule::Kind::kElsewhere) continue;
    SetFitting(m.get(), type->FindFieldByName(std::string(f.field)), f.rule);
  }
  return m;
}

std::vector<Misfit> MisfitsOf(const Descriptor* type, const wire::FieldRule& rule) {
  std::vector<Misfit> out;
  const FieldDescriptor* f = type->FindFieldByName(std::string(rule.field));
  if (rule.rule.kind == Rule::Kind::kElsewhere) return out;
  if (f->is_repeated()) {
    out.push_back({"too many", [f, r = rule.rule](Message* m) {
                     for (size_t i = 0; i < r.count; ++i) SetFitting(m, f, r);
                   }});
  }
  if (rule.rule.kind != Rule::Kind::kAnything) AddValues(f, rule.rule, &out);
  return out;
}

}  // namespace tributary::testing
