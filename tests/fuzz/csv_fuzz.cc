// CSV, read as classes and as regression.
#include "common/data/load.h"
#include "tests/fuzz/fuzz.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const std::string path = fuzz::Scratch().Write("data.csv", input);
  for (const bool regression : {false, true}) {
    data::LoadOptions options;
    options.format = data::Format::kCsv;
    options.regression = regression;
    options.max_bytes = 16 << 20;
    const auto loaded = data::LoadData(path, options);
    if (!loaded.ok()) continue;
    const data::Dataset& d = loaded->dataset;
    fuzz::Require(d.features.size() == d.count * d.example_size());
    fuzz::Require((regression ? d.targets.size() : d.labels.size()) == d.count);
  }
}
