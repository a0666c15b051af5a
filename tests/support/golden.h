// Compares text with a file below tests/golden. To accept a change: run the test with TRIBUTARY_UPDATE_GOLDEN=1, then
// read the difference that git shows.
#ifndef TRIBUTARY_TESTS_SUPPORT_GOLDEN_H_
#define TRIBUTARY_TESTS_SUPPORT_GOLDEN_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "common/base/files.h"

namespace tributary::testing {

// `name` is relative to tests/golden; tests run in the top folder of the source tree.
inline void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = "tests/golden/" + name;
  if (std::getenv("TRIBUTARY_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileDurably(path, text).ok()) << path;
  }
  const absl::StatusOr<std::string> golden = ReadFile(path);
  ASSERT_TRUE(golden.ok()) << golden.status();
  EXPECT_EQ(text, *golden) << path << " differs; TRIBUTARY_UPDATE_GOLDEN=1 accepts";
}

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SUPPORT_GOLDEN_H_
