// A directory (mode 0700) that lives as long as this object, under TMPDIR or /tmp.
#ifndef TRIBUTARY_TESTS_SUPPORT_TEMP_DIR_H_
#define TRIBUTARY_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>
#include <string_view>

namespace tributary::testing {

class TempDir {
 public:
  TempDir();  // aborts when it cannot be made
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // DIR/name; nothing is made.
  std::string File(std::string_view name) const;
  // Writes DIR/name, with the directories in between, and returns its path.
  std::string Write(std::string_view name, std::string_view contents) const;

 private:
  std::string path_;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SUPPORT_TEMP_DIR_H_
