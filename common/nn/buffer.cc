#include "common/nn/buffer.h"

namespace tributary::nn {
namespace {

// Here and not in the class: g++ 12 with the undefined-behaviour sanitizer loses a thread_local member between files.
thread_local MemoryMeter* current_meter = nullptr;

}  // namespace

MemoryMeter::MemoryMeter() { current_meter = this; }
MemoryMeter::~MemoryMeter() { current_meter = nullptr; }
MemoryMeter* MemoryMeter::current() { return current_meter; }

}  // namespace tributary::nn
