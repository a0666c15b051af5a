// A training step asks for no memory after the first, and a training client holds what it must and no more. A program
// of its own: it stands in for the C library's allocator and counts.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "common/nn/engine.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/models.h"

namespace {
std::atomic<long> requests{0};    // of whatever function, operator new and mmap too
std::atomic<long> live_bytes{0};  // on the heap, as the allocator rounds them
void* Count(void* p) {
  ++requests;
  if (p != nullptr) live_bytes += static_cast<long>(malloc_usable_size(p));
  return p;
}
void Release(void* p) {
  if (p != nullptr) live_bytes -= static_cast<long>(malloc_usable_size(p));
}
}  // namespace

extern "C" {
// glibc's own names for what stands below.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t n) noexcept { return Count(__libc_malloc(n)); }
void* calloc(size_t n, size_t size) noexcept { return Count(__libc_calloc(n, size)); }
void* realloc(void* p, size_t n) noexcept {
  Release(p);
  return Count(__libc_realloc(p, n));
}
void* memalign(size_t alignment, size_t n) noexcept { return Count(__libc_memalign(alignment, n)); }
void* aligned_alloc(size_t alignment, size_t n) noexcept { return Count(__libc_memalign(alignment, n)); }
int posix_memalign(void** p, size_t alignment, size_t n) noexcept {
  *p = Count(__libc_memalign(alignment, n));
  return *p == nullptr ? ENOMEM : 0;
}
void free(void* p) noexcept {
  Release(p);
  __libc_free(p);
}
void* mmap(void* at, size_t n, int protection, int flags, int file, off_t offset) noexcept {
  ++requests;
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, n, protection, flags, file, offset));
}
}  // extern "C"

namespace tributary::nn {
namespace {

// The compiler may not guess that what it is given is not used.
void* volatile sink;
long RequestsOf(void* (*allocate)()) {
  const long before = requests;
  sink = allocate();
  return requests - before;
}

TEST(AllocationTest, EveryWayToMemoryIsCounted) {
  EXPECT_EQ(1, RequestsOf([] { return std::malloc(100); }));
  EXPECT_EQ(1, RequestsOf([] { return std::calloc(10, 10); }));
  EXPECT_EQ(1, RequestsOf([] { return std::realloc(sink, 1000); }));
  EXPECT_EQ(1, RequestsOf([] { return std::aligned_alloc(64, 128); }));
  EXPECT_EQ(1, RequestsOf([] {
              void* p = nullptr;
              return posix_memalign(&p, 64, 128) == 0 ? p : nullptr;
            }));
  EXPECT_EQ(1, RequestsOf([] { return static_cast<void*>(new int[10]); }));
  EXPECT_EQ(1, RequestsOf([] { return ::operator new(100, std::align_val_t(128)); }));
  EXPECT_EQ(1, RequestsOf([] { return mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }));
}

Batch FirstOf(const Examples& examples, size_t n) {
  Batch batch;
  batch.x = examples.x.data(), batch.n = n, batch.labels = examples.labels.data();
  batch.targets = examples.targets.data();
  return batch;
}

struct Setting {
  bool fused;
  Precision precision;
  int threads;
};

std::vector<Setting> Settings() {
  std::vector<Setting> all;
  for (const bool fused : {false, true}) {
    for (const int threads : {1, 2}) {
      all.push_back({fused, Precision::kFloat32, threads});
      if (HasBf16()) all.push_back({fused, Precision::kBf16, threads});
    }
  }
  return all;
}

// The first step is the largest; then whole batches, parts of one and a smaller one.
long RequestsAfterTheFirstStep(const ModelDescription& model, const Setting& setting) {
  const size_t batch = 12;
  const Examples examples(model, 2 * batch + 5, 1);
  auto network =
      Network::Create(
          model,
          {.max_batch = batch, .threads = setting.threads, .gradients = !setting.fused, .precision = setting.precision})
          .value();
  const float clip = setting.fused ? 0.0f : 1.0f;
  auto adam =
      Optimizer::Create(model, {.kind = OptimizerKind::kAdam, .clip_norm = clip, .threads = setting.threads}).value();
  long after_first = 0;
  for (uint64_t step = 0; step < 4; ++step) {
    const size_t n = step < 2 ? batch : 5;
    if (setting.fused) {
      network->TrainStep(FirstOf(examples, n), {.step = step}, 0.1f, adam.get());
    } else {
      network->ZeroGradients();
      network->TrainBatch(FirstOf(examples, step < 2 ? examples.labels.size() : n), {.step = step});
      adam->Step(network->parameters(), network->gradients(), 0.1f);
    }
    network->EvaluateBatch(FirstOf(examples, n), nullptr);
    if (step == 0) after_first = requests;
  }
  return requests - after_first;
}

TEST(AllocationTest, NoneInATrainingStepAfterTheFirst) {
  std::vector<std::pair<std::string, ModelDescription>> models = {{"keras-cnn", PresetModel("keras-cnn")},
                                                                  {"fedavg-cnn", PresetModel("fedavg-cnn")}};
  for (const NamedModel& named : SmallModels()) models.emplace_back(named.name, Model(named.text));
  for (const auto& [name, model] : models) {
    for (const Setting& setting : Settings()) {
      if (setting.threads > 1 && model.parameter_count() < 100000) continue;  // too small to be cut
      EXPECT_EQ(0, RequestsAfterTheFirstStep(model, setting))
          << name << (setting.fused ? ", fused, " : ", ") << setting.threads << " threads"
          << (setting.precision == Precision::kBf16 ? ", bf16" : "");
    }
  }
}

// --- How much.

// One batch of activations: each layer's values once, with 2 bytes of index where a max pool keeps its choice; their
// gradients where a dense layer takes the batch as a whole, turned around there too. And the convolutions' partial
// gradients, one a chunk of 4 images, with their sum and the turned kernel.
double ActivationBytes(const ModelDescription& model, double batch) {
  double bytes = 0, convolutions = 0;
  for (size_t i = 0; i < model.layers().size(); ++i) {
    const LayerSpec& l = model.layers()[i];
    if (l.kind == LayerKind::kFlatten) continue;
    const bool dense = l.kind == LayerKind::kDense;
    const double values = batch * static_cast<double>(l.out.size());
    const bool meets_dense = dense || i + 1 == model.layers().size() ||
                             model.layers()[i + 1].kind == LayerKind::kFlatten ||
                             model.layers()[i + 1].kind == LayerKind::kDense;
    bytes += values * (4 + (l.kind == LayerKind::kMaxPool2D ? 2 : 0) + (meets_dense ? 4 : 0) + (dense ? 4 : 0));
    if (!dense) convolutions += static_cast<double>(l.kernel_size + l.bias_size);
  }
  return bytes + convolutions * 4 * (std::min(16.0, batch / 4) + 2);
}

// The heap of a client that trains, less what was there before.
double TrainingBytes(const ModelDescription& model, OptimizerKind kind, Precision precision, bool fused) {
  const Examples examples(model, 32, 1);
  const long before = live_bytes;
  auto network = Network::Create(model, {.max_batch = 32, .gradients = !fused, .precision = precision}).value();
  auto optimizer = Optimizer::Create(model, {.kind = kind}).value();
  if (fused) {
    network->TrainStep(FirstOf(examples, 32), {}, 0.1f, optimizer.get());
  } else {
    network->TrainBatch(FirstOf(examples, 32), {});
    optimizer->Step(network->parameters(), network->gradients(), 0.1f);
  }
  return static_cast<double>(live_bytes - before);
}

TEST(MemoryTest, IsTheWeightsTheStateOneBatchAndLittleMore) {
  // One worker's: a panel of B, a tile of a dense layer's panel, a padded image, one spread out, and two of an image's
  // gradient between layers.
  constexpr double kScratch = 640 << 10;
  for (const char* preset : {"keras-cnn", "fedavg-cnn"}) {
    const ModelDescription model = PresetModel(preset);
    const double weights = 4 * static_cast<double>(model.parameter_count());
    const double batch = ActivationBytes(model, 32) + kScratch;
    for (const auto& [kind, copies] : {std::pair{OptimizerKind::kSgd, 1.0}, {OptimizerKind::kAdam, 3.0}}) {
      const double fused = TrainingBytes(model, kind, Precision::kFloat32, true);
      EXPECT_GE(fused, copies * weights) << preset << ": is it counted?";
      EXPECT_LE(fused, copies * weights + batch) << preset;
      EXPECT_LE(TrainingBytes(model, kind, Precision::kFloat32, false), (copies + 1) * weights + batch) << preset;
      if (!HasBf16()) continue;
      EXPECT_LE(TrainingBytes(model, kind, Precision::kBf16, true), (copies + 1) * weights + batch) << preset;
    }
  }
}

}  // namespace
}  // namespace tributary::nn
