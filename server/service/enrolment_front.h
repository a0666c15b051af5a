// The process of the enrolment port: the only one that reads a byte of what strangers send before they have shown who
// they are. It is this same program, started by exec (enrolment_process.h), with the listening socket and a socket pair
// to the coordinator as its only open files. It has a certificate of its own (spiffe://<federation>/enrol), no CA key
// and no database, little memory, few descriptors and a lower priority; every address has a rate, every connection an
// end. What strangers do to it, even its death, costs the coordinator nothing: it is started again.
// Threads: RunEnrolmentFront from main, before any other thread.
#ifndef TRIBUTARY_SERVER_SERVICE_ENROLMENT_FRONT_H_
#define TRIBUTARY_SERVER_SERVICE_ENROLMENT_FRONT_H_

namespace tributary::service {

// The first argument that makes tributary-coordinator this process; for nobody to type.
inline constexpr char kEnrolmentFrontVerb[] = "enrolment-front";

// `argv`: program, verb, directory of the port's credentials. Serves until the coordinator says so or is gone; returns
// the exit code.
int RunEnrolmentFront(int argc, const char* const* argv);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENROLMENT_FRONT_H_
