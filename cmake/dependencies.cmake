# Every third-party library, found once, all from the system's packages (tools/install_packages lists them).
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)  # headers only: Asio, Beast (src/net), JSON (src/base)
find_package(fmt 9 REQUIRED)
find_package(spdlog REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
if(MILLRACE_TESTS)
  find_package(GTest REQUIRED)
endif()
# Only the programs need these.
find_package(CLI11 REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)  # headers only: the packaged library is built with exceptions
find_package(CURL REQUIRED)

# The MLX engine's library: of MLX_ROOT, or fetched (tools/fetch_mlx pins its version). It promises no stable interface between versions.
if(MILLRACE_MLX)
  if(NOT MLX_ROOT)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/fetch_mlx OUTPUT_VARIABLE MLX_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE
                    COMMAND_ERROR_IS_FATAL ANY)
  endif()
  find_package(MLX 0.32.4 EXACT CONFIG REQUIRED PATHS ${MLX_ROOT} NO_DEFAULT_PATH)
endif()
