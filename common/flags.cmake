# What every target of ours is compiled with. Explicit FMAs only (-ffp-contract=off) and no fast math: the same bits
# from both compilers, and a NaN check that the optimiser may not delete.
add_library(tributary_flags INTERFACE)
target_compile_options(tributary_flags INTERFACE
  -Wall -Wextra -Wshadow -Werror -ffp-contract=off -fvisibility-inlines-hidden
  $<$<CONFIG:Release>:-O3>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
target_compile_definitions(tributary_flags INTERFACE TRIBUTARY_VERSION="${PROJECT_VERSION}")
