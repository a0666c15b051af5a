#include "tests/fuzz/message_mutator.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace tributary::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Random = std::minstd_rand;

template <class T>
T Pick(const std::vector<T>& of, Random* random) {
  return of[(*random)() % of.size()];
}

uint64_t Whole(Random* random) {
  const uint64_t any = (uint64_t{(*random)()} << 32) ^ (*random)();
  return Pick<uint64_t>({0,
                         1,
                         2,
                         3,
                         63,
                         64,
                         65,
                         255,
                         256,
                         65535,
                         65536,
                         1u << 20,
                         1u << 28,
                         (1u << 28) + 1,
                         1u << 31,
                         std::numeric_limits<uint32_t>::max(),
                         uint64_t{1} << 40,
                         uint64_t{1} << 62,
                         uint64_t{1} << 63,
                         std::numeric_limits<uint64_t>::max(),
                         any,
                         any % 100},
                        random);
}

double Real(Random* random) {
  using Limits = std::numeric_limits<double>;
  return Pick<double>({0, -0.0, 1, -1, 0.5, 0.999999, 1e-300, 1e300, Limits::max(), Limits::denorm_min(),
                       Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()},
                      random);
}

std::string Text(std::string before, Random* random) {
  switch ((*random)() % 8) {
    case 0:
      return Pick<std::string>({"", "a-name", std::string(64, 'a'), std::string(63, 'b'), "../../x", "\x1b[2J", "\xff",
                                "float32", "fedavg", "run", "best", "a\nb", "r-0123456789ab@best"},
                               random);
    case 1:
      return std::string(Pick<size_t>({64, 65, 128, 129, 255, 256, 1000, 4096, 4097}, random), 'x');
    case 2:
      return before + before;
    default: {
      const size_t room = before.size() + 16;
      const size_t size = before.size();
      before.resize(room);
      before.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(before.data()), size, room));
      return before;
    }
  }
}

void SetScalar(Message* m, const FieldDescriptor* f, Random* random) {
  const Reflection& r = *m->GetReflection();
  const bool many = f->is_repeated();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r.AddString(m, f, Text("", random)) : r.SetString(m, f, Text(r.GetString(*m, f), random));
    case FieldDescriptor::CPPTYPE_UINT32:
      return many ? r.AddUInt32(m, f, static_cast<uint32_t>(Whole(random)))
                  : r.SetUInt32(m, f, static_cast<uint32_t>(Whole(random)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return r.SetUInt64(m, f, Whole(random));
    case FieldDescriptor::CPPTYPE_INT64:
      return r.SetInt64(m, f, static_cast<int64_t>(Whole(random)));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.SetBool(m, f, (*random)() % 2 == 0);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r.SetDouble(m, f, Real(random));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return many ? r.AddFloat(m, f, static_cast<float>(Real(random)))
                  : r.SetFloat(m, f, static_cast<float>(Real(random)));
    case FieldDescriptor::CPPTYPE_ENUM:
      return r.SetEnumValue(m, f, static_cast<int>((*random)() % 6) - 1);
    default:
      return;
  }
}

void Mutate(Message* m, Random* random);

void MutateInner(Message* m, const FieldDescriptor* f, Random* random) {
  const Reflection& r = *m->GetReflection();
  if (!f->is_repeated()) return Mutate(r.MutableMessage(m, f), random);
  const int size = r.FieldSize(*m, f);
  if (size == 0 || (*random)() % 4 == 0) return Mutate(r.AddMessage(m, f), random);
  Mutate(r.MutableRepeatedMessage(m, f, static_cast<int>((*random)() % static_cast<unsigned>(size))), random);
}

void Mutate(Message* m, Random* random) {
  const google::protobuf::Descriptor& type = *m->GetDescriptor();
  if (type.field_count() == 0) return;
  const FieldDescriptor* f = type.field(static_cast<int>((*random)() % static_cast<unsigned>(type.field_count())));
  const Reflection& r = *m->GetReflection();
  if ((*random)() % 8 == 0) return r.ClearField(m, f);
  if (f->is_repeated() && r.FieldSize(*m, f) > 1 && (*random)() % 4 == 0) return r.RemoveLast(m, f);
  f->message_type() != nullptr ? MutateInner(m, f, random) : SetScalar(m, f, random);
}

}  // namespace

std::unique_ptr<Message> ParseInput(std::string_view input) {
  // The parser writes a line for each text that is no UTF-8.
  static const auto quiet = google::protobuf::SetLogHandler(nullptr);
  (void)quiet;
  if (input.empty()) return nullptr;
  const size_t which = static_cast<uint8_t>(input[0]);
  if (which >= Messages().size()) return nullptr;
  std::unique_ptr<Message> message(Messages()[which]->New());
  const bool parsed = message->ParseFromArray(input.data() + 1, static_cast<int>(input.size() - 1));
  return parsed ? std::move(message) : nullptr;
}

size_t MutateInput(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed + 1);
  if (random() % 16 == 0 && size > 0) data[0] = static_cast<uint8_t>(random() % Messages().size());
  const auto message = ParseInput(std::string_view(reinterpret_cast<const char*>(data), size));
  if (message == nullptr || random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (unsigned n = 1 + random() % 3; n > 0; --n) Mutate(message.get(), &random);
  std::string bytes;
  message->AppendPartialToString(&bytes);
  if (bytes.size() + 1 > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(bytes.begin(), bytes.end(), data + 1);
  return bytes.size() + 1;
}

}  // namespace tributary::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return tributary::fuzz::MutateInput(data, size, max_size, seed);
}
