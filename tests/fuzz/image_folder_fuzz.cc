// A folder of images: names that tell the class, contents of any kind. The input is a list of NAME:CONTENT.
#include <filesystem>

#include "common/base/text.h"
#include "common/data/load.h"
#include "tests/fuzz/fuzz.h"

namespace {

// One level of sub-folders at most; nothing that leads out of the folder.
std::string SafeName(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 40)) {
    if (c != '\0' && (c != '/' || out.find('/') == std::string::npos)) out.push_back(c);
  }
  if (out.empty() || out.front() == '/' || out.back() == '/' || out.find("..") != std::string::npos || out[0] == '.' ||
      out.ends_with("/.")) {
    return "x.png";
  }
  return out;
}

}  // namespace

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const std::string folder = fuzz::Scratch().File("folder");
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directories(folder, error);
  for (int i = 0; i < 4 && !input.empty(); ++i) {
    const auto [file, rest] = fuzz::Halves(input, fuzz::kBetween);
    const auto [name, content] = fuzz::Halves(file, ":");
    input = rest;
    const std::string path = "folder/" + SafeName(name);
    if (!std::filesystem::exists(fuzz::Scratch().File(path), error) &&
        !std::filesystem::is_regular_file(std::filesystem::path(fuzz::Scratch().File(path)).parent_path(), error)) {
      fuzz::Scratch().Write(path, content);
    }
  }
  data::LoadOptions options;
  options.format = data::Format::kImages;
  options.height = options.width = 8;
  options.channels = 3;
  options.max_bytes = 16 << 20;
  const auto loaded = data::LoadData(folder, options);
  if (!loaded.ok()) return;
  fuzz::Require(loaded->dataset.pixels.size() == loaded->dataset.count * 8 * 8 * 3);
}
