// A running coordinator: everything behind one directory, built in order, stopped in reverse order.
// Threads: Start, Reload, Stop and the destructor from one thread; the rest from any thread.
#ifndef TRIBUTARY_SERVER_SERVICE_COORDINATOR_H_
#define TRIBUTARY_SERVER_SERVICE_COORDINATOR_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"

namespace tributary::service {

class Coordinator {
 public:
  struct Options {
    std::string directory;
    // Path of tributary-coordinator, which the enrolment port's process runs ("/proc/self/exe" for itself). Empty: the
    // enrolment port stays closed.
    std::string program;
    const Clock* clock = &Clock::System();
    // A session that is silent for three of these ends.
    absl::Duration heartbeat = absl::Seconds(5);
    // An upload that brings nothing for so long loses its place.
    absl::Duration upload_silence = absl::Seconds(30);
    // How often sessions, certificates and the enrolment window are looked at.
    absl::Duration tick = absl::Milliseconds(500);
    // How long Stop waits for calls under way. A stop is over within ten seconds.
    absl::Duration patience = absl::Seconds(5);
  };

  // Takes the directory, opens everything, goes on with the active runs, then opens the ports.
  //   NOT_FOUND            no federation there (run init)        DATA_LOSS      damaged database
  //   FAILED_PRECONDITION  another process has the directory, or a newer version made it
  //   ALREADY_EXISTS       a port is in use                      INVALID_ARGUMENT  a fault in the settings
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(Options options);
  ~Coordinator();  // Stop
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // HOST:PORT that are bound; the second is "closed" while no invitation waits.
  std::string MainEndpoint() const;
  std::string EnrolEndpoint() const;

  // Reads coordinator.toml again and takes over its log level and limits, and renews certificates that are due. Not OK:
  // everything stays as it was. (Certificates that were replaced on disk are seen without it.)
  absl::Status Reload();

  // Tells every client when to come back, lets calls under way end, saves elapsed times. Runs stay as they are.
  void Stop();

 private:
  struct Impl;
  explicit Coordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_COORDINATOR_H_
