// The command line `tributary`: parses, runs one verb, says how it went.
#ifndef TRIBUTARY_SERVER_OPERATOR_CLI_H_
#define TRIBUTARY_SERVER_OPERATOR_CLI_H_

#include <string>
#include <vector>

#include "server/operator/context.h"

namespace tributary::op {

// `args` without the program's name. Returns the exit code (common/base/error_report.h). Reads no environment and no
// globals: what main knows comes in `context`.
int RunCommandLine(const std::vector<std::string>& args, const std::string& program_directory, Context* context);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_CLI_H_
