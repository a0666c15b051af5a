// NPZ: the archive, and the arrays in it.
#include "common/data/load.h"
#include "common/data/npy.h"
#include "tests/fuzz/fuzz.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto array = data::ParseNpy(input);
  if (array.ok() && array->elements() > 0) (void)array->At(array->elements() - 1);
  data::LoadOptions options;
  options.format = data::Format::kNpz;
  options.max_bytes = 16 << 20;
  const auto loaded = data::LoadData(fuzz::Scratch().Write("data.npz", input), options);
  if (!loaded.ok()) return;
  const data::Dataset& d = loaded->dataset;
  fuzz::Require(d.features.size() + d.pixels.size() == d.count * d.example_size());
}
