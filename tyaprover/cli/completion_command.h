// `tyaprover completion`: scripts that complete commands, options and their values, made from the
// definition of the command line.
//
//   source <(tyaprover completion bash)
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace tyaprover::cli {

// `shell` is bash, zsh or fish; empty for any other.
[[nodiscard]] std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace tyaprover::cli
