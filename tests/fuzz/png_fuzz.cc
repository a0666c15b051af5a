// PNG, in each way that it is asked for.
#include "common/data/image_codec.h"
#include "tests/fuzz/fuzz.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  for (const size_t channels : {0, 1, 3}) {
    const auto image = data::DecodePng(input, channels);
    if (!image.ok()) continue;
    fuzz::Require(image->height * image->width <= data::kMaxImagePixels);
    fuzz::Require(image->pixels.size() == image->height * image->width * image->channels);
    fuzz::Require(channels == 0 || image->channels == channels);
  }
}
