// A training step asks for no memory after the first. A program of its own: it counts every operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/models.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* p = std::malloc(size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tributary::nn {
namespace {

TEST(AllocationTest, NoneInATrainingStepAfterTheFirst) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    const Examples examples(model, 9, 1);
    auto network = Network::Create(model, {.max_batch = 4}).value();
    auto optimizer = Optimizer::Create(model, {.kind = OptimizerKind::kAdam, .clip_norm = 1}).value();
    Batch batch;
    batch.x = examples.x.data(), batch.n = 9, batch.labels = examples.labels.data();
    batch.targets = examples.targets.data();
    long after_first = 0;
    for (uint64_t step = 0; step < 3; ++step) {
      network->ZeroGradients();
      network->TrainBatch(batch, {.step = step});
      optimizer->Step(network->parameters(), network->gradients(), 0.1f);
      network->EvaluateBatch(batch, nullptr);
      if (step == 0) after_first = allocations;
    }
    EXPECT_EQ(after_first, allocations) << named.name;
  }
}

}  // namespace
}  // namespace tributary::nn
