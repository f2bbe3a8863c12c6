# What every target is built with. Presets choose the build type and sanitizers.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

add_library(afloat_options INTERFACE)
# The separate-compilation macros must be on every target; adapters/asio/impl.cc and
# adapters/http/beast_impl.cc hold the one compiled copy.
target_compile_definitions(afloat_options INTERFACE BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                           BOOST_ASIO_NO_DEPRECATED BOOST_ALL_NO_LIB)
# file-prefix-map: paths in debug info are relative, so a release tree elsewhere in the clone hits ccache.
# The second map takes the build folder's name out, so build/release and build/bundle share their objects too.
target_compile_options(afloat_options INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
                       -ffile-prefix-map=${CMAKE_BINARY_DIR}=./build -fno-omit-frame-pointer)
target_include_directories(afloat_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_options(afloat_options INTERFACE -fuse-ld=lld)
target_link_libraries(afloat_options INTERFACE Threads::Threads)

add_library(afloat_warnings INTERFACE)
target_compile_options(afloat_warnings INTERFACE -Wall -Wextra -Werror=unused-result -Werror=return-type
                       -Wno-missing-field-initializers)

set(AFLOAT_SANITIZE "" CACHE STRING "address,undefined or thread")
if(AFLOAT_SANITIZE)
  # The check of an object's type (vptr) opens a pipe to look at memory: without a free file handle, which a test
  # brings about, it reports every object.
  target_compile_options(afloat_options INTERFACE -fsanitize=${AFLOAT_SANITIZE} -fno-sanitize-recover=all -fno-sanitize=vptr)
  target_link_options(afloat_options INTERFACE -fsanitize=${AFLOAT_SANITIZE})
endif()

# afloat_library(folder DEPENDS ...): all .cc of src/<folder> but *_test.cc; target afloat_<folder>.
function(afloat_library folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  if(folder STREQUAL "server")
    file(GLOB sources CONFIGURE_DEPENDS src/server/*.cc src/server/rest/*.cc src/server/pages/*.cc)
  else()
    file(GLOB sources CONFIGURE_DEPENDS src/${folder}/*.cc)
  endif()
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(sources)
    add_library(afloat_${name} STATIC ${sources})
    target_link_libraries(afloat_${name} PUBLIC afloat_options ${ARG_DEPENDS} PRIVATE afloat_warnings)
  else()
    add_library(afloat_${name} INTERFACE)
    target_link_libraries(afloat_${name} INTERFACE afloat_options ${ARG_DEPENDS})
  endif()
endfunction()

# The version stamp's object: generated, so that only it is compiled anew for another stamp. A program without a fault
# profile is linked with fault_none.cc, so that no release has code of a fault.
function(afloat_stamp target version profile)
  set(faults fault_none)
  if(NOT profile STREQUAL "none")
    set(faults fault_profiles)
    set(profiles ${CMAKE_SOURCE_DIR}/src/faults/fault_profiles.cc)
    file(STRINGS ${profiles} known REGEX "^ +{Profile::[a-z_0-9]+, \"${profile}\"},$")
    if(NOT known)
      message(FATAL_ERROR "There is no fault profile ${profile}; ${profiles} lists those there are.")
    endif()
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:afloat_${faults}>)
  set(AFLOAT_STAMP_VERSION ${version})
  set(AFLOAT_STAMP_PROFILE ${profile})
  configure_file(${CMAKE_SOURCE_DIR}/cmake/version_stamp.cc.in ${CMAKE_BINARY_DIR}/stamp/${target}/version_stamp.cc @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/stamp/${target}/version_stamp.cc)
endfunction()

# An object that several programs are linked with.
function(afloat_object name source)
  add_library(afloat_${name} OBJECT ${CMAKE_SOURCE_DIR}/${source})
  target_link_libraries(afloat_${name} PRIVATE afloat_cli afloat_warnings)
endfunction()

# The program once more, from the same objects, as another version or with a fault profile: one link of a second.
function(afloat_variant name version profile)
  add_executable(${name} $<TARGET_OBJECTS:afloat_main>)
  target_link_libraries(${name} PRIVATE afloat_cli afloat_warnings)
  target_link_options(${name} PRIVATE -Wl,--strip-all)
  afloat_stamp(${name} ${version} ${profile})
endfunction()

function(afloat_program name)
  file(STRINGS ${CMAKE_SOURCE_DIR}/VERSION version LIMIT_COUNT 1)
  if(AFLOAT_VERSION)
    set(version ${AFLOAT_VERSION})
  endif()
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/VERSION)
  add_executable(${name} $<TARGET_OBJECTS:afloat_main>)
  target_link_libraries(${name} PRIVATE afloat_cli afloat_warnings)
  afloat_stamp(${name} ${version} ${AFLOAT_FAULT_PROFILE})
endfunction()
