// Sizes and times of the wire (docs/protocol.md). Both ends use the same.
#ifndef TRIBUTARY_COMMON_RPC_LIMITS_H_
#define TRIBUTARY_COMMON_RPC_LIMITS_H_

namespace tributary::rpc {

inline constexpr unsigned kProtocolVersion = 1;
// Data bytes of one chunk, both ways.
inline constexpr int kChunkBytes = 256 * 1024;
// Largest message that the main port takes, that it sends (a run's rounds are one document), and on the enrolment port.
inline constexpr int kMaxMessageBytes = 1024 * 1024;
inline constexpr int kMaxDocumentBytes = 64 * 1024 * 1024;
inline constexpr int kMaxEnrolmentMessageBytes = 16 * 1024;
// Calls at once on one connection of the main port.
inline constexpr int kMaxStreams = 64;
// A silent peer gets a ping after the first and is given up after both: noticed within 30 s.
inline constexpr int kKeepaliveTimeMs = 20'000;
inline constexpr int kKeepaliveTimeoutMs = 8'000;
inline constexpr int kDeadPeerMs = kKeepaliveTimeMs + kKeepaliveTimeoutMs;
// What a client waits for a connection, and the longest that a server waits for a stranger's handshake.
inline constexpr int kHandshakeTimeoutMs = 10'000, kServerHandshakeTimeoutMs = 3'000;

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_LIMITS_H_
