// Runs the operator's command line in this process, against a coordinator that answers what the test put in.
#ifndef TRIBUTARY_TESTS_SERVER_OPERATOR_CLI_FIXTURE_H_
#define TRIBUTARY_TESTS_SERVER_OPERATOR_CLI_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "server/operator/cli.h"
#include "tests/server/operator/fake_api.h"

namespace tributary::op {

class CommandLineTest : public ::testing::Test {
 protected:
  // The exit code; the answer is in out(), the rest in err().
  int Run(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    Context context{out_, err_};
    context.dir = "somewhere";
    context.connect = [this](const std::string&) -> absl::StatusOr<std::unique_ptr<OperatorApi>> {
      return std::make_unique<FakeApi>(&coordinator_);
    };
    return RunCommandLine(args, "/nowhere", &context);
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  FakeCoordinator coordinator_;

 private:
  std::ostringstream out_, err_;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_TESTS_SERVER_OPERATOR_CLI_FIXTURE_H_
