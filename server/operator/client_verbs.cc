#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/text.h"
#include "common/base/toml_reader.h"
#include "server/operator/documents.h"
#include "server/operator/request_id.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

struct InviteArguments {
  std::string name, expires = "24h", role;
  std::vector<std::string> labels;
  bool replace = false;
};

absl::StatusOr<v1::InviteRequest> ToRequest(const InviteArguments& a) {
  v1::InviteRequest request;
  request.set_name(a.name);
  request.set_role(a.role);
  request.set_replace(a.replace);
  request.set_request_id(NewRequestId());
  TRB_ASSIGN_OR_RETURN(const absl::Duration expires, ParseDuration(a.expires));
  request.set_expires_in_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(expires)));
  if (request.expires_in_ms() == 0) return absl::InvalidArgumentError("--expires must be more than nothing, e.g. 24h");
  for (const std::string& label : a.labels) {
    const size_t equals = label.find('=');
    if (equals == 0 || equals == std::string::npos)
      return absl::InvalidArgumentError(absl::StrCat("--label ", label, ": expected key=value"));
    (*request.mutable_labels())[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return request;
}

absl::Status Invite(const InviteArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const v1::InviteRequest request, ToRequest(a));
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const v1::Invitation invitation, api->Invite(request));
  // The bare token, so that it can be piped; what a person should know goes beside it.
  c->err << "invitation for " << a.role << " " << EscapeForTerminal(invitation.name()) << ", good once and until "
         << When(invitation.expires_unix_ms()) << " UTC; whoever has it can join under this name\n";
  return c->Print(Answer{&invitation, {&invitation}, invitation.invitation() + "\n"});
}

absl::Status List(Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const v1::ClientList list, api->ListClients());
  Answer answer{&list, {}, ClientListTable(list)};
  for (const auto& client : list.clients()) answer.rows.push_back(&client);
  return c->Print(answer);
}

absl::Status Show(const std::string& name, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const v1::ClientDocument document, api->GetClient(name));
  return c->Print(Answer{&document, {&document.client()}, ClientTable(document)});
}

absl::Status Revoke(const std::string& name, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  v1::RevokeClientRequest request;
  request.set_name(name);
  request.set_request_id(NewRequestId());
  TRB_ASSIGN_OR_RETURN(const v1::ClientDocument document, api->RevokeClient(request));
  return c->Print(Answer{&document, {&document.client()}, ClientTable(document)});
}

void AddInvite(CLI::App* noun, Registry* r, const std::string& role) {
  auto a = std::make_shared<InviteArguments>();
  a->role = role;
  CLI::App* v = r->Verb(noun, "invite", absl::StrCat("Make an invitation for one ", role, "; it is good once"),
                        absl::StrCat("tributary ", role, " invite ", role == "client" ? "hospital-a" : "ann"));
  v->add_option("NAME", a->name, "a-z, 0-9, '.', '_', '-'; at most 63")->required();
  v->add_option("--expires", a->expires, "How long it may be used, e.g. 24h");
  if (role == "client") {
    v->add_option("--label", a->labels, "key=value for round.where; may be repeated")->allow_extra_args(false);
    v->add_flag("--replace", a->replace, "Bring an enrolled name back under its old id; revokes its certificates");
  }
  v->callback([a, r] { r->action = [a, r] { return Invite(*a, r->context); }; });
}

void AddOnName(CLI::App* noun, Registry* r, const char* name, const char* description, const char* example,
               absl::Status (*verb)(const std::string&, Context*)) {
  auto client = std::make_shared<std::string>();
  CLI::App* v = r->Verb(noun, name, description, example);
  v->add_option("NAME", *client, "The client's name")->required();
  v->callback([client, r, verb] { r->action = [client, r, verb] { return verb(*client, r->context); }; });
}

}  // namespace

void AddClientVerbs(CLI::App* app, Registry* r) {
  CLI::App* clients = r->Verb(app, "client", "Data holders", "tributary client list");
  clients->require_subcommand(1);
  AddInvite(clients, r, "client");
  CLI::App* list = r->Verb(clients, "list", "All clients: state, examples, last seen", "tributary client list -o json");
  list->callback([r] { r->action = [r] { return List(r->context); }; });
  AddOnName(clients, r, "show", "One client", "tributary client show hospital-a", Show);
  AddOnName(clients, r, "revoke", "Shut a client out at once", "tributary client revoke hospital-a", Revoke);
  CLI::App* operators = r->Verb(app, "operator", "Operators", "tributary operator invite ann");
  operators->require_subcommand(1);
  AddInvite(operators, r, "operator");
}

}  // namespace tributary::op
