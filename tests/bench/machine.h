// What a benchmark says of where it ran: figures are worth what their machine and build are worth.
#ifndef TRIBUTARY_TESTS_BENCH_MACHINE_H_
#define TRIBUTARY_TESTS_BENCH_MACHINE_H_

#include <map>
#include <string>

namespace tributary::bench {

// cpu, cores, load (of the last minute), engine, engine_bf16 (where there is one), compiler, flags.
std::map<std::string, std::string> DescribeMachine();
// One line each, to stderr, with a loud warning before them in a build whose figures mean nothing.
void PrintMachine();

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_MACHINE_H_
