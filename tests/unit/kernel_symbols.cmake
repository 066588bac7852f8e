# Fails if an object file compiled for one instruction set defines a symbol that the linker may take
# for another's: weak ones outside its own namespace.
# Usage: cmake -DNM=nm -DISA=avx2 "-DOBJECTS=a.o;b.o" -P kernel_symbols.cmake
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only --demangle ${object} OUTPUT_VARIABLE symbols
                  RESULT_VARIABLE failed)
  if(failed OR NOT symbols MATCHES "mlff::${ISA}::")
    message(FATAL_ERROR "${NM} finds no kernels in ${object}")
  endif()
  string(REPLACE ";" "," symbols "${symbols}")
  string(REPLACE "\n" ";" lines "${symbols}")
  foreach(line IN LISTS lines)
    # Types V, W and u are shared between object files; DW.ref belongs to the C++ run time.
    if(line MATCHES "^[0-9a-f]* +[VWu] (.*)$"
       AND NOT CMAKE_MATCH_1 MATCHES "mlff::${ISA}::|^DW\\.ref\\.")
      message(SEND_ERROR "${object} shares with other object files: ${line}")
    endif()
  endforeach()
endforeach()
