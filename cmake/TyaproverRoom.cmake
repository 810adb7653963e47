# How a folder of tyaprover/ becomes a library, its tests and its benchmarks.

include(GNUInstallDirs)

# Flags of every target of ours.
add_library(tyaprover_flags INTERFACE)
target_include_directories(tyaprover_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(tyaprover_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wno-missing-field-initializers
  # GCC 12 warns of overlapping copies inside std::string where there are none (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<BOOL:${TYAPROVER_WERROR}>:-Werror>)
target_compile_definitions(tyaprover_flags INTERFACE TYAPROVER_VERSION="${PROJECT_VERSION}")
if(TYAPROVER_SANITIZE)
  target_compile_options(tyaprover_flags INTERFACE
    -fsanitize=${TYAPROVER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    # clang 14 cannot emit this check for coroutines: "Cannot represent a difference across sections".
    $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>
    # g++ 12 lets UBSan's test for null use the flags of the addition that makes a thread-local's address, which the
    # linker may replace by an instruction that sets none. What is accessed at null is ASan's to find.
    $<$<CXX_COMPILER_ID:GNU>:-fno-sanitize=null>
    # TSan does not see fences. Asio's stand beside locks that it sees, so gcc's warning about them says nothing here.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(tyaprover_flags INTERFACE -fsanitize=${TYAPROVER_SANITIZE})
endif()
if(TYAPROVER_FUZZ)
  # Counts the branches of the rooms too: without it libFuzzer sees only the target's own few lines.
  target_compile_options(tyaprover_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(TYAPROVER_GATEWAY)
  include(TyaproverFindLibraries)

  # One name each, so that a room's dependencies read at a glance.
  # Asio is used header-only, epoll backend, without Boost.System's library.
  add_library(tyaprover_asio INTERFACE)
  target_compile_definitions(tyaprover_asio INTERFACE
    BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_ERROR_CODE_HEADER_ONLY)
  target_link_libraries(tyaprover_asio INTERFACE Threads::Threads)

  add_library(tyaprover_compression INTERFACE)
  target_link_libraries(tyaprover_compression INTERFACE
    PkgConfig::ZLIB PkgConfig::BROTLIENC PkgConfig::BROTLIDEC PkgConfig::ZSTD PkgConfig::ISAL)
  add_library(tyaprover_yaml INTERFACE)
  target_link_libraries(tyaprover_yaml INTERFACE PkgConfig::YAML_CPP)
  add_library(tyaprover_log INTERFACE)
  target_link_libraries(tyaprover_log INTERFACE PkgConfig::SPDLOG)

  find_package(CLI11 REQUIRED)
  add_library(tyaprover_commandline INTERFACE)
  target_link_libraries(tyaprover_commandline INTERFACE CLI11::CLI11)
  # Debian installs nlohmann-json as headers only.
  find_package(nlohmann_json REQUIRED)
endif()

if(TYAPROVER_TESTS)
  include(GoogleTest)
  find_package(GTest REQUIRED)
endif()
if(TYAPROVER_BENCH)
  find_package(benchmark REQUIRED)
  # Counts calls of operator new, in the programs that ask.
  add_library(bench_allocations STATIC ${PROJECT_SOURCE_DIR}/bench/allocations.cc)
  target_link_libraries(bench_allocations PUBLIC benchmark::benchmark PRIVATE tyaprover_flags)
endif()

# tyaprover_room(NAME LINK libraries…): tyaprover/NAME/*.cc → tyaprover_NAME (alias tyaprover::NAME);
# *_test.cc → NAME_test, registered with label "unit"; *_bench.cc → NAME_bench.
function(tyaprover_room name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  set(dir ${PROJECT_SOURCE_DIR}/tyaprover/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cc)
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(NOT sources)
    file(WRITE ${PROJECT_BINARY_DIR}/empty_${name}.cc "")
    set(sources ${PROJECT_BINARY_DIR}/empty_${name}.cc)
  endif()

  add_library(tyaprover_${name} STATIC ${sources})
  add_library(tyaprover::${name} ALIAS tyaprover_${name})
  set_target_properties(tyaprover_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(tyaprover_${name} PUBLIC cxx_std_20)
  target_link_libraries(tyaprover_${name} PUBLIC ${ARG_LINK} PRIVATE $<BUILD_INTERFACE:tyaprover_flags>)
  target_include_directories(tyaprover_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_property(GLOBAL APPEND PROPERTY TYAPROVER_ROOMS ${name})
  set_property(GLOBAL PROPERTY TYAPROVER_LINKS_OF_${name} ${ARG_LINK})

  if(TYAPROVER_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE tyaprover_${name} tyaprover_flags GTest::gmock GTest::gtest_main)
    # Where tests find their golden files and the documents they check.
    target_compile_definitions(${name}_test PRIVATE TYAPROVER_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}." PROPERTIES LABELS unit TIMEOUT 120 DISCOVERY_TIMEOUT 60)
  endif()
  if(TYAPROVER_BENCH AND benches)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE tyaprover_${name} tyaprover_flags bench_allocations benchmark::benchmark_main)
  endif()
endfunction()

# tyaprover_program(NAME ROOM): the executable NAME from tyaprover/ROOM/main.cc.
function(tyaprover_program name room)
  if(EXISTS ${PROJECT_SOURCE_DIR}/tyaprover/${room}/main.cc)
    add_executable(${name} ${PROJECT_SOURCE_DIR}/tyaprover/${room}/main.cc)
    target_link_libraries(${name} PRIVATE tyaprover_${room} tyaprover_flags)
  endif()
endfunction()
