// Every small way to damage a file: cut short at every length, each byte changed. Nothing may crash, hang or read out
// of bounds (the address sanitizer runs this too); whatever still loads is a whole data set.
#include <functional>

#include "common/data/image_codec.h"
#include "common/data/load.h"
#include "tests/common/data/sample_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::data {
namespace {

using testing::TempDir;

void ForEachDamage(const std::string& good, const std::function<void(const std::string&)>& check) {
  for (size_t length = 0; length < good.size(); ++length) check(good.substr(0, length));
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      check(bad);
    }
  }
}

void ExpectWhole(const Dataset& data) {
  const size_t values = data.count * data.example_size();
  EXPECT_TRUE(data.pixels.size() == values || data.features.size() == values);
  EXPECT_EQ(data.labels.size(), data.count);
  for (const int32_t label : data.labels) EXPECT_TRUE(label >= 0 && static_cast<size_t>(label) < data.num_classes);
}

void ExpectLoadSurvives(const std::string& file_name, const std::string& good, const TempDir& dir) {
  const LoadOptions options = {.max_bytes = 1 << 20};
  ASSERT_OK(LoadData(dir.Write(file_name, good), options));
  ForEachDamage(good, [&](const std::string& bad) {
    const absl::StatusOr<LoadResult> result = LoadData(dir.Write(file_name, bad), options);
    if (result.ok()) ExpectWhole(result->dataset);
  });
}

TEST(DamageTest, IdxImages) {
  const TempDir dir;
  dir.Write("labels-idx1-ubyte", IdxLabels({0, 1, 2}));
  ExpectLoadSurvives("images-idx3-ubyte", IdxImages(3, 2, 2), dir);
}

TEST(DamageTest, IdxGzip) {
  const TempDir dir;
  dir.Write("labels-idx1-ubyte", IdxLabels({0, 1, 2}));
  ExpectLoadSurvives("images-idx3-ubyte.gz", Gzip(IdxImages(3, 2, 2)), dir);
}

TEST(DamageTest, IdxLabels) {
  const TempDir dir;
  const std::string images = dir.Write("images-idx3-ubyte", IdxImages(3, 2, 2));
  ForEachDamage(IdxLabels({0, 1, 2}), [&](const std::string& bad) {
    dir.Write("labels-idx1-ubyte", bad);
    const absl::StatusOr<LoadResult> result = LoadData(images, {});
    if (result.ok()) ExpectWhole(result->dataset);
  });
}

TEST(DamageTest, Csv) {
  const TempDir dir;
  ExpectLoadSurvives("d.csv", "x,\"y\",label\n1.5,-2e3,cat\n3,\"4\",\"d\"\"og\"\n", dir);
}

TEST(DamageTest, Npz) {
  for (const bool deflate : {false, true}) {
    const TempDir dir;
    const std::string x = Npy("|u1", "(2, 1, 2)", BytesOf<uint8_t>({1, 2, 3, 4}));
    const std::string y = Npy("<i8", "(2,)", BytesOf<int64_t>({1, 0}));
    ExpectLoadSurvives("d.npz", Zip({{"x.npy", x}, {"y.npy", y}}, deflate), dir);
  }
}

TEST(DamageTest, Npy) {
  // Without the checksum of a zip around it.
  const TempDir dir;
  const std::string y = Npy("<i8", "(2,)", BytesOf<int64_t>({1, 0}));
  ForEachDamage(Npy("<f4", "(2, 2)", BytesOf<float>({1, 2, 3, 4})), [&](const std::string& bad) {
    const std::string path = dir.Write("d.npz", Zip({{"x.npy", bad}, {"y.npy", y}}, false));
    const absl::StatusOr<LoadResult> result = LoadData(path, {.max_bytes = 1 << 20});
    if (result.ok()) ExpectWhole(result->dataset);
  });
}

void ExpectDecodeSurvives(const std::string& good) {
  ASSERT_OK(DecodeImage(good, 0));
  ForEachDamage(good, [](const std::string& bad) {
    for (const size_t channels : {0, 1, 3}) {
      const absl::StatusOr<Image> image = DecodeImage(bad, channels);
      EXPECT_TRUE(!image.ok() || image->pixels.size() == image->height * image->width * image->channels);
    }
  });
}

TEST(DamageTest, Png) {
  std::vector<uint8_t> pixels(5 * 4 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37);
  ExpectDecodeSurvives(Png({5, 4, 3, pixels}));
}

TEST(DamageTest, Jpeg) {
  std::vector<uint8_t> pixels(8 * 8 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37);
  ExpectDecodeSurvives(Jpeg({8, 8, 3, pixels}));
}

}  // namespace
}  // namespace tributary::data
