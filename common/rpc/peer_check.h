// Whether the certificate that the other end of a TLS connection shows is one to talk to, and if not, why, in words for
// whoever can mend it. An authority of the federation signs every certificate directly, makes each for one use, and
// says in its own URI (spiffe://<federation>) whose they are; so this is all there is to check beside the possession of
// the key, which TLS has proved by then. gRPC only ever says "handshake failed". Threads: pure functions.
#ifndef TRIBUTARY_COMMON_RPC_PEER_CHECK_H_
#define TRIBUTARY_COMMON_RPC_PEER_CHECK_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/trust_list.h"
#include "common/rpc/listener.h"

namespace tributary::rpc {

// What a server shows: its certificate and those after it. Cross certificates among them pass the word of an authority
// that the client trusts on to the one that issued the server's, so that a client that was away can follow.
struct ShownByServer {
  ShownByServer(crypto::Certificate only) : certificate(std::move(only)) {}  // NOLINT(google-explicit-constructor)
  ShownByServer(crypto::Certificate first, std::vector<crypto::Certificate> rest)
      : certificate(std::move(first)), chain(std::move(rest)) {}
  crypto::Certificate certificate;
  std::vector<crypto::Certificate> chain;
};

// What a client asks of the server behind `listener` that it dialled as `host` (a DNS name or an address): signed by
// one of `trust` (or vouched for, see above), for a server, spiffe://<federation>/coordinator on the main port and
// .../enrol on the enrolment port, naming the host, in date by this machine's clock `now`.
//   PERMISSION_DENIED    it is another server: no waiting will help
//   FAILED_PRECONDITION  the right server, but out of date by this clock: one of the two clocks is wrong, or it was not
//                        renewed; the message names the difference
absl::Status CheckServer(const ShownByServer& shown, const crypto::TrustList& trust, Listener listener,
                         const std::string& host, absl::Time now);

// What the main port asks of a peer before it reads a byte of HTTP/2: signed by one of `trust`, for a peer,
// spiffe://<federation>/ client/... or .../operator/.... Whether it is known, in date and its owner active is the
// gate's to judge, which can tell the peer. PERMISSION_DENIED.
absl::Status CheckMember(const crypto::Certificate& shown, const crypto::TrustList& trust);

// spiffe://<federation> of the CA's certificate; empty when it has none.
std::string FederationUri(const crypto::Certificate& ca);

// "2026-05-01T12:00:00Z", for the texts of refusals.
std::string DateText(absl::Time time);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_PEER_CHECK_H_
