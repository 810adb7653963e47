// The system's implementation of ConfigFiles and of the environment.
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "tyaprover/gateway/config_load.h"

namespace tyaprover::gateway {
namespace {

// Completes "the file …"; people read sentences, not error numbers.
std::string reason_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return "does not exist";
    case EACCES:
    case EPERM:
      return "may not be read by this user";
    case EISDIR:
      return "is a directory";
    case ELOOP:
      return "is a chain of symbolic links without end";
    case EMFILE:
    case ENFILE:
      return "cannot be opened: too many open files";
    default:
      return "cannot be read";
  }
}

class SystemFiles final : public ConfigFiles {
 public:
  Result<std::string, std::string> read(const std::string& path) const override {
    if (path.find('\0') != std::string::npos) return err(reason_of(ENOENT));
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err(reason_of(errno));
    std::string bytes;
    char chunk[16 * 1024];
    int error = 0;
    while (bytes.size() <= kMaxYamlBytes) {
      const ssize_t got = ::read(fd, chunk, sizeof(chunk));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno;
      if (got <= 0) break;
      bytes.append(chunk, static_cast<std::size_t>(got));
    }
    close(fd);
    if (error != 0) return err(reason_of(error));
    return bytes;
  }

  std::vector<std::string> matching(const std::string& pattern) const override {
    std::vector<std::string> paths;
    glob_t found{};
    if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
      paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    globfree(&found);
    std::ranges::sort(paths);
    return paths;
  }
};

}  // namespace

const ConfigFiles& ConfigFiles::system() {
  static const SystemFiles files;
  return files;
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace tyaprover::gateway
