// The sockets of one listening port, from accept to hang-up: which are strangers' still, who is behind the others, and
// how many anyone may hold. A socket is *pending* until a call on it was let in. Only pending sockets are counted by
// address, so a hospital behind one address and thousands of clients are not locked out; afterwards the identity
// counts.
//
//   accept -> pending --Known--> known --hang-up--> gone
//                |                 |
//                +-----Refused-----+--> time for the answer to get out, then it is cut
//                +--overdue, or too many bytes--> cut          known, and sends bytes that become nothing --> cut
//
// A handshake costs milliseconds, so an address whose pending ones come to nothing again and again has fewer of them
// (bad_endings.h): in the end ten a second, while turning one away costs some microseconds. One comes to nothing when
// it ends before a call, or its call was refused for its own fault; not when we had no time for it.
//
// gRPC owns the descriptor that it was handed and closes it when it likes; what is kept here is a duplicate, so that a
// cut (shutdown) can never hit another file that got the same number. Each socket costs two descriptors.
//
// Threads: every method is safe from any thread and does not block. The clock is borrowed and outlives this.
#ifndef TRIBUTARY_SERVER_SERVICE_CONNECTIONS_H_
#define TRIBUTARY_SERVER_SERVICE_CONNECTIONS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/service/bad_endings.h"

namespace tributary::service {

class Connections {
 public:
  struct Limits {
    size_t in_all = 20'000;
    // Of pending ones. One address beyond its share is refused; when the list is full a newcomer takes the place of the
    // oldest of the address that has most.
    size_t pending = 1024;
    size_t pending_per_address = 256;  // IPv6: per /64; one less for each that came to nothing, until it is forgiven
    // Faster where many are known, behind a proxy or a network's one address: twice as fast by a hundred of them.
    absl::Duration forgiven_each = absl::Milliseconds(100);
    // Of one client or operator: its oldest is cut for a newer one.
    size_t per_identity = 32;
    // From accept to the first call.
    absl::Duration handshake = absl::Seconds(3);
    // From the first call until it is let in: waiting for a worker is not the peer's fault.
    absl::Duration admission = absl::Seconds(30);
    // What a pending socket may send: gRPC 1.51 keeps unfinished HTTP/2 headers of any length.
    uint64_t pending_bytes = 4 << 20;
    // What the known ones of one identity may send together while nothing of it arrives as a call or a message, for the
    // same reason. A client has some streams of which a window, or a message in the making, waits here unread: 5 MB at
    // most. Beyond it all of them are cut, and so are new ones until the ban is over.
    uint64_t unheard_bytes = 16 << 20;
    absl::Duration ban = absl::Seconds(10);
  };
  struct Counts {
    size_t pending = 0, known = 0;
    uint64_t refused = 0, cut = 0;  // since the start
  };

  // RESOURCE_EXHAUSTED when the system gives no epoll.
  static absl::StatusOr<std::unique_ptr<Connections>> Create(const Limits& limits, const Clock* clock);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // What strangers are counted by: an IPv4 address, or the /64 of an IPv6 address, for a stranger owns all of it.
  // `peer` as for Add; the result is a key, not for people.
  static std::string SiteOf(const std::string& peer);

  // `limits`, with no more sockets than this process may have open beside its files.
  static Limits Fit(Limits limits, uint64_t descriptors);
  void SetLimits(const Limits& limits) TRB_EXCLUDES(mu_);

  // ---- for the accepting thread
  // Takes note of an accepted socket; `peer` is "ADDRESS:PORT" as rpc::PeerAddress spells it. Not OK: close it.
  absl::Status Add(int fd, const std::string& peer) TRB_EXCLUDES(mu_);
  // Readable when Sweep has something to do at once.
  int hangups() const { return epoll_.get(); }
  // How soon to call Sweep again when nothing was readable.
  absl::Duration SweepAgainIn() TRB_EXCLUDES(mu_);
  // Lets go of sockets that were closed, cuts those whose time is over.
  void Sweep() TRB_EXCLUDES(mu_);

  // ---- for the gate; a peer that is not here (any more) is fine
  void Asked(const std::string& peer) TRB_EXCLUDES(mu_);  // a call has come, and waits to be judged
  void Heard(const std::string& peer) TRB_EXCLUDES(mu_);  // a message has come whole
  void Known(const std::string& peer, const std::string& identity) TRB_EXCLUDES(mu_);
  void Refused(const std::string& peer) TRB_EXCLUDES(mu_);
  // It asked for what it may not have: a pending one ends as Refused, a known one goes on.
  void Blamed(const std::string& peer) TRB_EXCLUDES(mu_);
  // All that this identity holds, as Refused.
  void EndIdentity(const std::string& identity) TRB_EXCLUDES(mu_);

  Counts counts() TRB_EXCLUDES(mu_);

 private:
  struct Socket {
    int fd;                // the duplicate
    std::string peer;      // ADDRESS:PORT
    std::string address;   // what pending ones are counted by
    std::string identity;  // empty: pending
    bool asked = false;
    bool ending = false;   // refused: nothing lets it live on
    bool blamed = false;   // a call was refused for its own fault
    bool excused = false;  // what came of it is our doing
    absl::Duration until;  // monotonic; infinite: no end is set
    bool heard = true;     // a call or a message came since the last look
    uint64_t bytes = 0;    // received when it was last heard, as of the look after that
    uint64_t unheard = 0;  // received since, as of the last look
  };
  using Sockets = std::map<uint64_t, Socket>;  // by token, oldest first

  Connections(const Limits& limits, const Clock* clock, int epoll, int arrivals)
      : clock_(*clock), epoll_(epoll), arrivals_(arrivals), limits_(limits) {}
  Socket* FindLocked(uint64_t token) TRB_REQUIRES(mu_);
  absl::Status MakeRoomLocked(const std::string& address) TRB_REQUIRES(mu_);
  absl::Status RefuseLocked(const char* why) TRB_REQUIRES(mu_);
  void KnownLocked(uint64_t token, const std::string& identity) TRB_REQUIRES(mu_);
  void EndLocked(uint64_t token) TRB_REQUIRES(mu_);
  void CutLocked(uint64_t token) TRB_REQUIRES(mu_);
  void ForgetLocked(uint64_t token) TRB_REQUIRES(mu_);
  void LeavePendingLocked(uint64_t token, const Socket& socket) TRB_REQUIRES(mu_);
  void LookAtTimedLocked(absl::Duration now) TRB_REQUIRES(mu_);
  void LookAtKnownLocked(uint64_t token) TRB_REQUIRES(mu_);
  absl::Duration ForgivenEachLocked(const std::string& address) const TRB_REQUIRES(mu_);
  void NoteBadEndingsLocked(const Socket& socket, size_t count) TRB_REQUIRES(mu_);
  struct Ban {
    std::string identity, peer;
    uint64_t bytes;
    absl::Duration lasts;
  };
  void BanLocked(Ban ban) TRB_REQUIRES(mu_);
  void SweepLocked() TRB_REQUIRES(mu_);
  std::vector<uint64_t> OfPeerLocked(const std::string& peer) const TRB_REQUIRES(mu_);

  const Clock& clock_;
  const Fd epoll_;
  // Of known sockets: which of them anything came on since it was last asked. Nobody waits for it, so it costs nothing
  // but the asking.
  const Fd arrivals_;
  Mutex mu_;
  Limits limits_ TRB_GUARDED_BY(mu_);
  BadEndings bad_endings_ TRB_GUARDED_BY(mu_);
  uint64_t next_ TRB_GUARDED_BY(mu_) = 1;
  Sockets sockets_ TRB_GUARDED_BY(mu_);
  std::set<uint64_t> timed_ TRB_GUARDED_BY(mu_);  // those that have an end
  std::unordered_multimap<std::string, uint64_t> by_peer_ TRB_GUARDED_BY(mu_);
  std::unordered_map<std::string, std::set<uint64_t>> of_address_ TRB_GUARDED_BY(mu_);  // pending; none is empty
  std::unordered_map<std::string, size_t> known_at_ TRB_GUARDED_BY(mu_);  // address -> how many; none is 0
  std::unordered_map<std::string, std::set<uint64_t>> of_identity_ TRB_GUARDED_BY(mu_);  // none is empty
  std::vector<Ban> untold_ TRB_GUARDED_BY(mu_);  // to be logged without the lock, which all calls need
  std::map<std::string, absl::Duration> banned_ TRB_GUARDED_BY(mu_);  // identity -> until
  // Until then Sweep is wanted often: somebody has used much of what it may send unheard.
  absl::Duration hurry_until_ TRB_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  absl::Duration timed_looked_at_ TRB_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  Counts counts_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_CONNECTIONS_H_
