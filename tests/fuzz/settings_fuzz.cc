// coordinator.toml, policy.toml and client.toml, and the JSON beside them. What a policy or a client's settings say is
// what their file says when it is written again.
#include "client/policy/policy.h"
#include "client/session/client_settings.h"
#include "server/identity/federation.h"
#include "server/service/endpoints_file.h"
#include "server/service/settings.h"
#include "tests/fuzz/fuzz.h"

// The first byte says which file.
FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  if (input.empty()) return;
  const std::string_view text = input.substr(1);
  switch (input[0]) {
    case 'c': {
      fuzz::Scratch().Write("coordinator.toml", text);
      (void)service::ReadSettings(fuzz::Scratch().path(), {"f-1", "localhost", "127.0.0.1:0", "127.0.0.1:0", "", 0});
      return;
    }
    case 'p': {
      const auto policy = policy::ParsePolicy(text, "policy.toml");
      if (policy.ok()) fuzz::Require(policy::ParsePolicy(policy::FormatPolicy(*policy), "again").ok());
      return;
    }
    case 's': {
      const auto settings = session::ParseClientSettings(text, "client.toml");
      if (settings.ok())
        fuzz::Require(session::ParseClientSettings(session::FormatClientSettings(*settings), "again").ok());
      return;
    }
    case 'f':
      fuzz::Scratch().Write("federation.json", text);
      (void)identity::LoadFederation(fuzz::Scratch().path());
      return;
    case 'e':
      fuzz::Scratch().Write("endpoints.json", text);
      (void)service::ReadEndpoints(fuzz::Scratch().path());
      return;
    default:
      return;
  }
}
