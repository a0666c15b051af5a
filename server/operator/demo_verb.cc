#include <CLI/CLI.hpp>
#include <memory>

#include "server/operator/demo.h"
#include "server/operator/verbs.h"

namespace tributary::op {

void AddDemoVerb(CLI::App* app, Registry* r) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* v = r->Verb(app, "demo",
                        "A coordinator and clients as real processes on this machine, over mutual TLS, in a throw-away "
                        "directory; leaves the trained model here and nothing running",
                        "tributary demo");
  v->add_option("--data", options->data, "Images instead of the built-in digits, e.g. a folder with MNIST's files");
  v->add_option("--clients", options->clients, "How many clients")->check(CLI::Range(1, 50));
  v->add_option("--rounds", options->rounds, "How many rounds")->check(CLI::Range(1, 1000));
  v->add_option("--to", options->model_path, "Where the trained model goes");
  v->callback([options, r] {
    options->program_directory = r->program_directory;
    r->action = [options, r] { return RunDemo(*options, r->context); };
  });
}

}  // namespace tributary::op
