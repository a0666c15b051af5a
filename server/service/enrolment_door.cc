#include "server/service/enrolment_door.h"

#include <utility>

#include "common/base/logging.h"

namespace tributary::service {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);  // for an enrolment under way when the window closes

}  // namespace

absl::Status EnrolmentDoor::Claim(const identity::HostPort& address) {
  TRB_ASSIGN_OR_RETURN(const auto socket, SocketListener::Bind(address));
  MutexLock lock(&mu_);
  address_ = socket->endpoint();
  return absl::OkStatus();
}

absl::Status EnrolmentDoor::Update() {
  TRB_ASSIGN_OR_RETURN(const bool wanted, identities_.EnrolmentWanted());
  std::unique_ptr<Door> closing;
  {
    MutexLock lock(&mu_);
    if (closed_ || wanted == (door_ != nullptr)) return absl::OkStatus();
    if (wanted) {
      TRB_ASSIGN_OR_RETURN(door_, Door::Open(rpc::Listener::kEnrolment, address_, credentials_, {&service_}));
      door_->Serve();
      Log(LogLevel::kInfo, "enrolment_open", {{"port", address_.port}});
      return absl::OkStatus();
    }
    closing = std::move(door_);
    closing->StopAccepting();  // the port is free before anyone may open it again
  }
  closing->Close(kPatience);
  Log(LogLevel::kInfo, "enrolment_closed");
  return absl::OkStatus();
}

void EnrolmentDoor::Close() {
  std::unique_ptr<Door> closing;
  {
    MutexLock lock(&mu_);
    closed_ = true;
    closing = std::move(door_);
  }
  if (closing != nullptr) closing->Close(kPatience);
}

identity::HostPort EnrolmentDoor::address() const {
  MutexLock lock(&mu_);
  return address_;
}

bool EnrolmentDoor::IsOpen() const {
  MutexLock lock(&mu_);
  return door_ != nullptr;
}

}  // namespace tributary::service
