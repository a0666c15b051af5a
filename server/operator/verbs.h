// Where each noun of the command line puts its verbs. A verb parses nothing by hand: CLI11 fills its arguments, then it
// returns a status, from which the exit code comes.
#ifndef TRIBUTARY_SERVER_OPERATOR_VERBS_H_
#define TRIBUTARY_SERVER_OPERATOR_VERBS_H_

#include <functional>
#include <string>

#include "common/base/status.h"
#include "server/operator/context.h"

namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace tributary::op {

// The verb that the command line asked for, run after parsing is done.
using Action = std::function<absl::Status()>;

// What the registering functions share. Outlives the parsed command line.
struct Registry {
  Context* context;
  Action action;
  // The programs of this build, beside our own: where `demo` finds the daemons.
  std::string program_directory;

  // A verb with its help text; the example is shown below the options.
  CLI::App* Verb(CLI::App* parent, const std::string& name, const std::string& description, const std::string& example);
};

// A whole number from 1 on. (CLI11's own says of a word that it is not between 0 and a number of 309 digits.)
CLI::Validator AtLeastOne();

void AddStatusVerbs(CLI::App* app, Registry* registry);     // status, doctor, join
void AddRunVerbs(CLI::App* app, Registry* registry);        // run start|list|show|watch|stop|metrics
void AddClientVerbs(CLI::App* app, Registry* registry);     // client invite|list|show|revoke, operator invite
void AddModelVerbs(CLI::App* app, Registry* registry);      // model export|eval|predict
void AddHistoryVerbs(CLI::App* app, Registry* registry);    // history verify, audit list, and those of AddProofVerbs
void AddProofVerbs(CLI::App* history, Registry* registry);  // history export|check|replay
void AddSimulateVerb(CLI::App* app, Registry* registry);    // simulate
void AddDemoVerb(CLI::App* app, Registry* registry);        // demo

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_VERBS_H_
