// IDX: a file of images and a file of labels, plain or gzip.
#include "common/data/load.h"
#include "tests/fuzz/fuzz.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto [images, labels] = fuzz::Halves(input, fuzz::kBetween);
  const std::string path = fuzz::Scratch().Write("images-idx3-ubyte", images);
  fuzz::Scratch().Write("labels-idx1-ubyte", labels);
  data::LoadOptions options;
  options.format = data::Format::kIdx;
  options.max_bytes = 16 << 20;
  const auto loaded = data::LoadData(path, options);
  if (!loaded.ok()) return;
  const data::Dataset& d = loaded->dataset;
  fuzz::Require(d.pixels.size() == d.count * d.example_size() && d.labels.size() == d.count);
}
