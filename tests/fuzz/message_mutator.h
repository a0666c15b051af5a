// Inputs of the message targets: one byte that says which message, then the message. Mutated half the time as bytes,
// half the time field by field, so that what comes out is a message with something wrong in it and gets past the
// parser.
#ifndef TRIBUTARY_TESTS_FUZZ_MESSAGE_MUTATOR_H_
#define TRIBUTARY_TESTS_FUZZ_MESSAGE_MUTATOR_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace tributary::fuzz {

// The target's messages, in the order of the first byte. Every message target defines it.
const std::vector<const google::protobuf::Message*>& Messages();

// Null when the input is none of them.
std::unique_ptr<google::protobuf::Message> ParseInput(std::string_view input);

// What LLVMFuzzerCustomMutator does.
size_t MutateInput(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace tributary::fuzz

#endif  // TRIBUTARY_TESTS_FUZZ_MESSAGE_MUTATOR_H_
