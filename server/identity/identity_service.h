// Who is who: invitations, enrolment, renewal, revocation, and the one choke point that every RPC passes. Free of gRPC.
//
// Threads: every method is safe from any thread. The listeners are called on the caller's thread, after the transaction
// and outside all locks.
// Ownership: everything in Options is borrowed and must outlive the service.
#ifndef TRIBUTARY_SERVER_IDENTITY_IDENTITY_SERVICE_H_
#define TRIBUTARY_SERVER_IDENTITY_IDENTITY_SERVICE_H_

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/token_buckets.h"
#include "common/crypto/secure_random.h"
#include "common/rpc/listener.h"
#include "server/identity/ca.h"
#include "server/identity/identity_store.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::identity {

// Who calls, as TLS and the store say.
struct Principal {
  enum class Role { kStranger, kClient, kOperator };
  Role role = Role::kStranger;
  std::string id, name;            // a stranger has no id; its name is its address, where that is known
  std::string certificate_sha256;  // shown in this call

  bool is_client() const { return role == Role::kClient; }
  bool is_operator() const { return role == Role::kOperator; }
  // "client/NAME", "operator/NAME", "stranger/ADDRESS" or "stranger", as the audit spells actors.
  std::string Actor() const;
};

// Where peers find the coordinator, for invitations.
struct Endpoints {
  std::string main, enrol;  // HOST:PORT as advertised
};

class IdentityService {
 public:
  struct Options {
    IdentityStore* store = nullptr;
    const CertificateAuthority* authority = nullptr;
    const Clock* clock = &Clock::System();
    crypto::SecureRandom* random = &crypto::SecureRandom::System();
    std::string federation;  // id
    std::function<Endpoints()> endpoints;
    // Sequence 0. Of an action that was done it is called inside IdentityStore::Together: when it fails, the action has
    // not happened.
    std::function<absl::Status(const v1::AuditEntry&)> audit;
    // Live streams of this client or operator must end now, and a client's tasks be dropped: revoked or replaced.
    std::function<void(Role role, const std::string& id, const std::string& reason)> on_ended;
    absl::Duration default_invitation_life = absl::Hours(24);
    absl::Duration max_invitation_life = absl::Hours(24 * 30);
    // Of new certificates for one identity: each is remembered for ever.
    TokenBuckets::Rate renewals = {.burst = 16, .one_each = absl::Minutes(30)};
  };
  explicit IdentityService(Options options);
  IdentityService(const IdentityService&) = delete;
  IdentityService& operator=(const IdentityService&) = delete;

  // ---- the choke point: call it first in every RPC, with the PEM that TLS verified (empty: none shown).
  //   UNAUTHENTICATED    no certificate, unknown, expired, superseded or revoked; the caller's identity is gone
  //   PERMISSION_DENIED  known, but this role may not call this method on this listener
  // The first use of a renewed certificate ends its predecessors here. A refusal leaves its row in the audit, which is
  // what `address` is for.
  absl::StatusOr<Principal> Authorize(rpc::Listener listener, std::string_view method,
                                      std::string_view peer_certificate_pem, const std::string& address = "");

  // ---- operators
  // INVALID_ARGUMENT lists every bad field; ALREADY_EXISTS says how to bring the name back. The same request_id with
  // the same name returns the same invitation while this process lives.
  absl::StatusOr<v1::Invitation> Invite(const v1::InviteRequest& request, const Principal& by);
  // NOT_FOUND. A second time is OK.
  absl::StatusOr<v1::Client> RevokeClient(const std::string& name, const Principal& by);
  absl::Status RevokeOperator(const std::string& name, const Principal& by);
  // Clients with state invited, revoked, or online/offline as `online` says of the id.
  absl::StatusOr<std::vector<v1::Client>> ListClients(const std::function<bool(const std::string& id)>& online);
  absl::StatusOr<v1::Client> GetClient(const std::string& name,
                                       const std::function<bool(const std::string& id)>& online);
  // Active clients, with labels and dataset facts: what selection draws from.
  absl::StatusOr<std::vector<Subject>> ActiveClients();

  // ---- strangers
  // PERMISSION_DENIED with the same text whatever is wrong; the reason goes to the audit. FAILED_PRECONDITION: versions
  // too far apart. `address` is for the audit only.
  absl::StatusOr<v1::EnrolResponse> Enrol(const v1::EnrolRequest& request, const std::string& address);
  // Whether the enrolment port should be open now. Changes with Invite, Enrol, Authorize (first use), Revoke and time.
  absl::StatusOr<bool> EnrolmentWanted();

  // ---- enrolled peers
  // INVALID_ARGUMENT: the request is malformed. UNAUTHENTICATED: no longer active (checked again in the transaction).
  // RESOURCE_EXHAUSTED: too often.
  absl::StatusOr<v1::RenewResponse> Renew(const v1::RenewRequest& request, const Principal& by);
  // Also which authorities the client trusts.
  absl::Status RecordHello(const std::string& client_id, const v1::Hello& hello);
  absl::Status RecordTrust(const Principal& by, const v1::TrustReport& report);
  // What peers are told of the authorities, the retired ones too. `clients` is how many may want to renew.
  v1::AuthorityList TellAuthorities(uint64_t clients) const;
  absl::Status RecordSeen(const std::string& client_id);
  // A row of the audit for what `by` asked and was refused; the refusal stands whether the row could be written or not.
  // `why` may hold a peer's words: it is escaped.
  void AuditRefusal(const Principal& by, std::string_view action, const std::string& subject,
                    const absl::Status& why) const;
  // Its name, or the id itself when there is no such client.
  std::string NameOfClient(const std::string& client_id);
  // The certificate a client signed with, whatever its state: NOT_FOUND unless it was issued to this client.
  absl::StatusOr<CertificateRow> SigningCertificate(const std::string& client_id, const std::string& sha256);

 private:
  struct Enrolled {
    CertificateRow certificate;
    std::string name;
  };
  // PERMISSION_DENIED carries the reason for the audit; `subject` becomes the name once the token is known.
  absl::StatusOr<Enrolled> TryEnrol(const v1::EnrolRequest& request, const Principal& by, std::string* subject);
  absl::StatusOr<v1::Invitation> MakeInvitation(const v1::InviteRequest& request, const Principal& by);
  absl::StatusOr<Subject> Revoke(Role role, const std::string& name, const Principal& by);
  // Authorize without its row in the audit. `who` becomes what is known of the caller, also when it is refused.
  absl::StatusOr<Principal> Judge(rpc::Listener listener, std::string_view method,
                                  std::string_view peer_certificate_pem, Principal* who);
  absl::Status Audit(const Principal& by, std::string_view action, const std::string& subject,
                     std::string_view outcome) const;

  // Why the store says no, where it is for the authority's sake.
  absl::Status Explained(const absl::Status& refusal, const Known& known, const crypto::Certificate& shown) const;
  // Tells whom it concerns that the identity is over.
  void Ended(Role role, const std::string& id, const std::string& reason) const;

  const Options options_;
  TokenBuckets renewals_;  // locks itself; by identity
  Mutex mu_;
  // Answers to invite requests by request id, oldest first: a retry gets the same one.
  std::deque<std::pair<std::string, v1::Invitation>> answered_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_IDENTITY_SERVICE_H_
