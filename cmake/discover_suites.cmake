# Writes a ctest file with one test for each suite of a GoogleTest binary: a process for each case would cost more than
# most cases do.
#
#   cmake -D EXECUTABLE=... -D OUTPUT=... -D LABEL=... -P discover_suites.cmake
execute_process(COMMAND ${EXECUTABLE} --gtest_list_tests OUTPUT_VARIABLE listed RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${EXECUTABLE} does not list its tests: ${failed}")
endif()
string(REGEX MATCHALL "(^|\n)[^ \n][^ \n]*\\." suites "${listed}")
set(text "")
foreach(suite ${suites})
  string(REGEX REPLACE "^\n?(.*)\\.$" "\\1" suite "${suite}")
  if(suite MATCHES "^DISABLED_")
    continue()
  endif()
  string(APPEND text "add_test([==[${suite}]==] [==[${EXECUTABLE}]==] [==[--gtest_filter=${suite}.*]==])\n"
                     "set_tests_properties([==[${suite}]==] PROPERTIES LABELS ${LABEL} TIMEOUT 300)\n")
endforeach()
if(NOT text)
  message(FATAL_ERROR "${EXECUTABLE} has no tests")
endif()
file(WRITE ${OUTPUT} "${text}")
