#include "server/service/enrolment_door.h"

#include <grpcpp/support/status.h>
#include <sys/socket.h>

#include <utility>

#include "common/base/logging.h"
#include "common/rpc/status_codes.h"
#include "server/service/gate.h"

namespace tributary::service {
namespace {

constexpr std::string_view kEnrol = "/tributary.v1.EnrolmentService/Enrol";

}  // namespace

// Nobody listens from here on, in this process and in the other, and the port is free for the next window.
EnrolmentDoor::Window::~Window() {
  if (listener != nullptr) shutdown(listener->fd(), SHUT_RDWR);
  process = nullptr;
}

absl::Status EnrolmentDoor::Claim(const identity::HostPort& address) {
  TRB_ASSIGN_OR_RETURN(const auto socket, SocketListener::Bind(address));
  MutexLock lock(&mu_);
  address_ = socket->endpoint();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<EnrolmentDoor::Window>> EnrolmentDoor::Open(const identity::HostPort& address) const {
  if (options_.program.empty()) return absl::FailedPreconditionError("there is no program for the enrolment port");
  auto window = std::make_unique<Window>();
  TRB_ASSIGN_OR_RETURN(window->listener, SocketListener::Bind(address));
  EnrolmentProcess::Options how;
  how.program = options_.program;
  how.credentials = options_.credentials;
  how.listening_fd = window->listener->fd();
  how.handler = [this](RelayedRequest request, EnrolmentProcess::Answer answer) {
    Serve(std::move(request), std::move(answer));
  };
  how.clock = options_.clock;
  TRB_ASSIGN_OR_RETURN(window->process, EnrolmentProcess::Start(std::move(how)));
  return window;
}

// The choke point of this port: what the process hands on comes from a stranger, whatever it says.
void EnrolmentDoor::Serve(RelayedRequest request, EnrolmentProcess::Answer answer) const {
  const uint64_t id = request.id;
  const bool posted = options_.workers->Post([this, request = std::move(request), answer] {
    RelayedAnswer out{request.id, absl::OkStatus(), {}};
    out.status = options_.identities->Authorize(rpc::Listener::kEnrolment, kEnrol, "").status();
    if (out.status.ok()) {
      auto enrolled = options_.identities->Enrol(request.request, request.address);
      out.status = enrolled.status();
      if (enrolled.ok()) out.response = *std::move(enrolled);
    }
    if (!out.status.ok()) LogFailure(kEnrol, out.status);
    out.status = rpc::FromGrpc(rpc::ToGrpc(out.status));  // without what is for our own log
    answer(std::move(out));
  });
  if (!posted) answer({id, absl::UnavailableError("the coordinator is shutting down"), {}});
}

absl::Status EnrolmentDoor::Update() {
  std::unique_ptr<Window> closing;
  {
    // Asked for under the lock: an answer from before an invitation would close the port that it has just opened.
    MutexLock lock(&mu_);
    TRB_ASSIGN_OR_RETURN(const bool wanted, options_.wanted());
    if (closed_ || wanted == (window_ != nullptr)) return absl::OkStatus();
    if (wanted) {
      TRB_ASSIGN_OR_RETURN(window_, Open(address_));
      Log(LogLevel::kInfo, "enrolment_open", {{"port", address_.port}});
      return absl::OkStatus();
    }
    closing = std::move(window_);
    shutdown(closing->listener->fd(), SHUT_RDWR);  // the port is free before anyone may open it again
  }
  closing = nullptr;
  Log(LogLevel::kInfo, "enrolment_closed");
  return absl::OkStatus();
}

void EnrolmentDoor::Close() {
  std::unique_ptr<Window> closing;
  MutexLock lock(&mu_);
  closed_ = true;
  closing = std::move(window_);
}

identity::HostPort EnrolmentDoor::address() const {
  MutexLock lock(&mu_);
  return address_;
}

bool EnrolmentDoor::IsOpen() const {
  MutexLock lock(&mu_);
  return window_ != nullptr;
}

}  // namespace tributary::service
