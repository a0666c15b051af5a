// The way down of one streaming call: messages wait here, one is written at a time, then comes the end. Bounded in
// messages and in bytes: a peer that does not read cannot make it grow.
//
// Threads: none of its own: it is a member of the call's reactor, whose lock guards it.
// Life: gRPC frees the call's context when the call is done; OnDone forgets it.
#ifndef TRIBUTARY_SERVER_SERVICE_OUTGOING_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_OUTGOING_STREAM_H_

#include <grpcpp/server_context.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "common/base/status.h"
#include "common/rpc/status_codes.h"

namespace tributary::service {

// Reactor: grpc::ServerBidiReactor or grpc::ServerWriteReactor of these messages.
template <class Reactor, class Message>
class OutgoingStream {
 public:
  struct Limits {
    size_t messages, bytes;  // that wait; a message larger than `bytes` goes when nothing waits before it
    bool held = false;       // nothing goes out before Open
  };

  OutgoingStream(Reactor* reactor, grpc::CallbackServerContext* context, const Limits& limits)
      : reactor_(*reactor), limits_(limits), context_(context), open_(!limits.held) {}

  bool ending() const { return ending_; }  // no more messages are taken
  bool done() const { return done_; }      // gRPC has let go of the call

  // What was sent before waits behind this one.
  void Open(Message first) {
    open_ = true;
    bytes_ += first.ByteSizeLong();
    queue_.push_front(std::move(first));
    Pump();
  }

  // False: no room, the message is not taken. True also when the stream is ending: nobody will read it.
  [[nodiscard]] bool Send(Message message) {
    if (ending_) return true;
    if (!HasRoomFor(message)) return false;
    Push(std::move(message));
    return true;
  }

  // Makes room by dropping what it `replaces`, else the oldest.
  template <class Replaces>
  void SendNewest(Message message, const Replaces& replaces) {
    if (ending_) return;
    while (!HasRoomFor(message)) {
      const auto it = std::find_if(queue_.begin(), queue_.end(), replaces);
      Drop(it == queue_.end() ? queue_.begin() : it);
    }
    Push(std::move(message));
  }

  // Ends the call with this status: at once, or after what is queued has gone out. The first reason stands, and what
  // was queued before it.
  void End(const absl::Status& status, bool flush) {
    if (ending_) return;
    final_ = status;
    ending_ = true;
    if (!flush || !open_) Clear();
    Pump();
  }

  // Cuts the connection of a peer that does not even take the end.
  void TryCancel() {
    if (context_ != nullptr) context_->TryCancel();
  }

  void OnWriteDone(bool ok) {
    writing_ = false;
    if (!ok) {
      Clear();
      if (!ending_) final_ = absl::UnavailableError("the stream broke");
      ending_ = true;
    }
    Pump();
  }

  void OnDone() {
    context_ = nullptr;
    Clear();
    finished_ = ending_ = done_ = true;
  }

 private:
  bool HasRoomFor(const Message& message) const {
    return queue_.empty() || (queue_.size() < limits_.messages && bytes_ + message.ByteSizeLong() <= limits_.bytes);
  }

  void Push(Message message) {
    bytes_ += message.ByteSizeLong();
    queue_.push_back(std::move(message));
    Pump();
  }

  void Drop(typename std::deque<Message>::iterator it) {
    bytes_ -= it->ByteSizeLong();
    queue_.erase(it);
  }

  void Clear() {
    queue_.clear();
    bytes_ = 0;
  }

  void Pump() {
    if (writing_ || finished_) return;
    if (!queue_.empty() && open_) {
      bytes_ -= queue_.front().ByteSizeLong();
      outgoing_ = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
      reactor_.StartWrite(&outgoing_);
    } else if (ending_) {
      finished_ = true;
      reactor_.Finish(rpc::ToGrpc(final_));
    }
  }

  Reactor& reactor_;
  const Limits limits_;
  grpc::CallbackServerContext* context_;  // null once done
  std::deque<Message> queue_;
  size_t bytes_ = 0;  // of the queue
  Message outgoing_;  // gRPC's while a write is under way
  bool open_;
  bool writing_ = false;
  bool ending_ = false;
  bool finished_ = false;  // Finish was called
  bool done_ = false;
  absl::Status final_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_OUTGOING_STREAM_H_
