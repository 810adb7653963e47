# cmake --install: the program, and the rooms for find_package(Tyaprover) and pkg-config.

include(CMakePackageConfigHelpers)
get_property(rooms GLOBAL PROPERTY TYAPROVER_ROOMS)
list(REMOVE_ITEM rooms cli)  # the program's own
set(TYAPROVER_INSTALLED_ROOMS ${rooms})
list(JOIN TYAPROVER_INSTALLED_ROOMS " " TYAPROVER_INSTALLED_ROOMS)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tyaprover)
set(third_party)
if(TYAPROVER_GATEWAY)
  set(third_party asio compression yaml log)
  install(TARGETS tyaprover RUNTIME COMPONENT program)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/TyaproverFindLibraries.cmake DESTINATION ${package_dir} COMPONENT toolkit)
endif()

foreach(name ${rooms} ${third_party})
  set_target_properties(tyaprover_${name} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS tyaprover_${name} EXPORT Tyaprover ARCHIVE COMPONENT toolkit)
endforeach()
foreach(room ${rooms})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/tyaprover/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tyaprover
    COMPONENT toolkit FILES_MATCHING PATTERN "*.h" PATTERN "*_testing.h" EXCLUDE PATTERN "test_*.h" EXCLUDE
    PATTERN "*_test_files.h" EXCLUDE)
endforeach()
install(EXPORT Tyaprover FILE TyaproverTargets.cmake NAMESPACE tyaprover:: DESTINATION ${package_dir} COMPONENT toolkit)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/TyaproverConfig.cmake.in
  ${PROJECT_BINARY_DIR}/TyaproverConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TyaproverConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/TyaproverConfig.cmake ${PROJECT_BINARY_DIR}/TyaproverConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT toolkit)

# pkg-config: tyaprover-ROOM.pc, which names the rooms and the libraries below it. The prefix is found from where the
# file lies, so that it may be chosen at the installation.
file(RELATIVE_PATH prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(modules_of_compression "zlib libbrotlienc libbrotlidec libzstd libisal")
set(modules_of_yaml yaml-cpp)
set(modules_of_log spdlog)
foreach(room ${rooms})
  get_property(links GLOBAL PROPERTY TYAPROVER_LINKS_OF_${room})
  set(requires)
  set(definitions)
  set(libraries)
  foreach(link ${links})
    if(link STREQUAL Threads::Threads)
      set(libraries -pthread)
      continue()
    endif()
    string(REGEX REPLACE "^tyaprover_" "" below ${link})
    if(below IN_LIST rooms)
      list(APPEND requires tyaprover-${below})
    elseif(below STREQUAL asio)
      get_target_property(names tyaprover_asio INTERFACE_COMPILE_DEFINITIONS)
      list(TRANSFORM names PREPEND -D)
      list(JOIN names " " definitions)
    else()
      list(APPEND requires ${modules_of_${below}})
    endif()
  endforeach()
  list(JOIN requires " " requires)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/tyaprover.pc.in ${PROJECT_BINARY_DIR}/tyaprover-${room}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/tyaprover-${room}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT toolkit)
endforeach()
