#include "common/base/command_line.h"

#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "common/base/error_report.h"

namespace tributary {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    app_.set_version_flag("--version", "1.2.3");
    app_.add_option("--number", number_, "A number");
  }
  std::optional<int> Parse(const std::vector<std::string>& arguments) {
    return ParseCommandLine(&app_, arguments, {out_, err_, AsksForJson(arguments)});
  }
  CLI::App app_{"Does nothing.", "nothing"};
  int number_ = 0;
  std::ostringstream out_, err_;
};

TEST_F(CommandLineTest, GoodArgumentsAreTakenInTheirOrder) {
  EXPECT_EQ(Parse({"--number", "7"}), std::nullopt);
  EXPECT_EQ(number_, 7);
  EXPECT_THAT(out_.str() + err_.str(), IsEmpty());
}

TEST_F(CommandLineTest, HelpAndVersionAreAnswersNotErrors) {
  EXPECT_EQ(Parse({"--help"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("--number"));
  out_.str("");
  EXPECT_EQ(Parse({"--version"}), kExitOk);
  EXPECT_EQ(out_.str(), "1.2.3\n");
  EXPECT_THAT(err_.str(), IsEmpty());
}

TEST_F(CommandLineTest, EveryOtherEndIsUsageWithCauseAndFix) {
  for (const std::vector<std::string>& bad :
       {std::vector<std::string>{"--numbre", "7"}, {"--number", "seven"}, {"--number"}, {"7"}}) {
    err_.str("");
    EXPECT_EQ(Parse(bad), kExitUsage);
    EXPECT_THAT(err_.str(), StartsWith("error: "));
    EXPECT_THAT(err_.str(), HasSubstr("\nfix: see --help"));
  }
  EXPECT_THAT(out_.str(), IsEmpty());
}

TEST_F(CommandLineTest, AFaultBesideAWishForJsonIsToldInJson) {
  std::string format;
  app_.add_option("-o,--output", format, "A format");
  EXPECT_EQ(Parse({"-o", "json", "--numbre"}), kExitUsage);
  EXPECT_THAT(err_.str(), StartsWith("{\"error\":"));
  for (const std::vector<std::string>& yes :
       {std::vector<std::string>{"x", "-o", "json"}, {"--output", "json"}, {"--output=json"}, {"-ojson"}}) {
    EXPECT_TRUE(AsksForJson(yes)) << yes.back();
  }
  for (const std::vector<std::string>& no :
       {std::vector<std::string>{"json"}, {"-o", "table"}, {"--dir", "json"}, {"-o"}, {}}) {
    EXPECT_FALSE(AsksForJson(no));
  }
}

}  // namespace
}  // namespace tributary
