#include "tests/integration/support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace tyaprover::test {
namespace {

constexpr std::size_t kRecordedBytes = 16 * 1024 * 1024;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}
[[noreturn]] void fail_errno(const std::string& what) {
  fail(what + ": " + std::strerror(errno));
}

Millis left_until(TimePoint end) {
  const auto left = std::chrono::ceil<Millis>(end - std::chrono::steady_clock::now());
  return std::max(left, Millis(0));
}

void make_nonblocking(int descriptor) {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

bool poll_one(int descriptor, short events, Millis deadline) {
  const TimePoint end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    pollfd entry{descriptor, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left_until(end).count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool equal_names(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string joined(const Fields& fields, std::string_view name) {
  std::string values;
  bool found = false;
  for (const auto& [field, value] : fields) {
    if (!equal_names(field, name)) continue;
    if (found) values += ", ";
    values += value;
    found = true;
  }
  return values;
}

// Takes bytes from a socket through a buffer until a message's parts are complete.
class Reader {
 public:
  Reader(const Socket& socket, std::string& buffer, TimePoint end,
         const std::function<void(std::string_view)>& record = {})
      : socket_(socket), buffer_(buffer), end_(end), record_(record) {}

  bool timed_out() const { return timed_out_; }
  bool ended() const { return ended_; }

  // More bytes into the buffer; false at the end of the stream or the deadline.
  bool fill() {
    const auto bytes = socket_.receive(left_until(end_));
    if (!bytes) {
      timed_out_ = true;
      return false;
    }
    if (bytes->empty()) {
      ended_ = true;
      return false;
    }
    if (record_) record_(*bytes);
    buffer_ += *bytes;
    return true;
  }

  std::optional<std::string> take_through(std::string_view text) {
    std::size_t from = 0;
    for (;;) {
      const auto at = buffer_.find(text, from);
      if (at != std::string::npos) return take(at + text.size());
      from = buffer_.size() < text.size() ? 0 : buffer_.size() - text.size() + 1;
      if (!fill()) return std::nullopt;
    }
  }

  // Up to this many bytes are moved to `into`; true if all of them came.
  bool take_bytes(std::uint64_t count, std::string& into) {
    while (count > 0) {
      const std::size_t now =
          static_cast<std::size_t>(std::min<std::uint64_t>(count, buffer_.size()));
      into.append(buffer_, 0, now);
      buffer_.erase(0, now);
      count -= now;
      if (count > 0 && !fill()) return false;
    }
    return true;
  }

  void take_all(std::string& into) {
    do {
      into += buffer_;
      buffer_.clear();
    } while (fill());
  }

  bool take_chunked(Message& message) {
    for (;;) {
      const auto line = take_through("\r\n");
      if (!line) return false;
      std::uint64_t size = 0;
      const auto parsed = std::from_chars(line->data(), line->data() + line->size(), size, 16);
      if (parsed.ec != std::errc{}) return false;
      if (size == 0) break;
      ++message.chunks;
      if (!take_bytes(size, message.body)) return false;
      std::string crlf;
      if (!take_bytes(2, crlf) || crlf != "\r\n") return false;
    }
    std::string lines;
    for (;;) {
      const auto line = take_through("\r\n");
      if (!line) return false;
      if (*line == "\r\n") break;
      lines += *line;
    }
    message.trailers = parse_fields(lines);
    return true;
  }

 private:
  std::string take(std::size_t count) {
    std::string taken = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return taken;
  }

  const Socket& socket_;
  std::string& buffer_;
  TimePoint end_;
  std::function<void(std::string_view)> record_;
  bool timed_out_ = false;
  bool ended_ = false;
};

void split_head(std::string head, Message& message) {
  message.head = std::move(head);
  message.has_head = true;
  const auto end = message.head.find("\r\n");
  message.start_line = message.head.substr(0, end);
  message.fields = parse_fields(std::string_view(message.head).substr(end + 2));
}

bool is_chunked(const Message& message) {
  const std::string codings = message.header("Transfer-Encoding");
  const auto comma = codings.rfind(',');
  return equal_names(trim(comma == std::string::npos ? codings : codings.substr(comma + 1)),
                     "chunked");
}

std::optional<std::uint64_t> content_length(const Message& message) {
  const std::string text = message.header("Content-Length");
  std::uint64_t length = 0;
  if (text.empty() ||
      std::from_chars(text.data(), text.data() + text.size(), length).ec != std::errc{}) {
    return std::nullopt;
  }
  return length;
}

int status_of(const Message& message) {
  int status = 0;
  const auto space = message.start_line.find(' ');
  if (space == std::string::npos) return 0;
  const char* text = message.start_line.data();
  std::from_chars(text + space + 1, text + message.start_line.size(), status);
  return status;
}

sockaddr_in loopback(std::uint16_t port, const char* address = "127.0.0.1") {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &result.sin_addr);
  return result;
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un result{};
  result.sun_family = AF_UNIX;
  if (path.size() >= sizeof(result.sun_path)) fail("socket path too long: " + path);
  std::memcpy(result.sun_path, path.data(), path.size());
  return result;
}

std::size_t status_number(pid_t pid, std::string_view key) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/status");
  const auto at = text.find("\n" + std::string(key) + ":");
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + key.size() + 2, nullptr, 10);
}

}  // namespace

bool wait_until(const std::function<bool()>& condition, Millis deadline) {
  const TimePoint end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return condition();
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tyaprover-test-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) fail_errno("mkdtemp");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::write(std::string_view name, std::string_view content) const {
  const std::filesystem::path file = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream stream(file, std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!stream.flush()) fail("cannot write " + file.string());
  return file.string();
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// --- processes

Process::Process(ProcessOptions options) {
  std::vector<std::string> environment;
  for (const char* name :
       {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "TMPDIR"}) {
    const char* value = std::getenv(name);
    if (value && !options.environment.contains(name))
      environment.push_back(std::string(name) + "=" + value);
  }
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (auto& argument : options.arguments) argv.push_back(argument.data());
  for (auto& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  // Copies above the numbers the child wants, so that one dup2 cannot overwrite another's source.
  std::vector<std::pair<int, int>> moves;
  for (const auto& [wanted, ours] : options.descriptors) {
    moves.emplace_back(wanted, ::fcntl(ours, F_DUPFD_CLOEXEC, 100));
  }
  int out_pipe[2], err_pipe[2];
  if (::pipe2(out_pipe, O_CLOEXEC) != 0 || ::pipe2(err_pipe, O_CLOEXEC) != 0) fail_errno("pipe2");
  const int devnull = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t parent = ::getpid();

  pid_ = ::fork();
  if (pid_ < 0) fail_errno("fork");
  if (pid_ == 0) {  // only async-signal-safe calls from here: other threads' locks may be held
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::dup2(devnull, 0);
    ::dup2(out_pipe[1], 1);
    ::dup2(err_pipe[1], 2);
    for (const auto& [wanted, copy] : moves) ::dup2(copy, wanted);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) ::_exit(127);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(out_pipe[1]);
  ::close(err_pipe[1]);
  ::close(devnull);
  for (const auto& [wanted, copy] : moves) ::close(copy);
  out_reader_ = std::thread([this, descriptor = out_pipe[0]] { collect(descriptor, out_); });
  err_reader_ = std::thread([this, descriptor = err_pipe[0]] { collect(descriptor, err_); });
}

Process::~Process() {
  if (running()) {
    ::kill(pid_, SIGKILL);
    (void)wait_for_exit(60s);
  }
  ended_ = true;
  out_reader_.join();
  err_reader_.join();
}

void Process::collect(int descriptor, Collected& into) {
  char buffer[65536];
  for (;;) {
    const bool last = ended_;
    if (!poll_one(descriptor, POLLIN, last ? 0ms : 50ms)) {
      if (last) break;
      continue;
    }
    const ssize_t count = ::read(descriptor, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    const std::lock_guard lock(into.mutex);
    into.bytes.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(descriptor);
  --open_pipes_;
}

void Process::signal(int number) const {
  if (!exit_code_) ::kill(pid_, number);
}

bool Process::running() {
  if (exit_code_) return false;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == pid_)
    exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return !exit_code_;
}

std::optional<int> Process::wait_for_exit(Millis deadline) {
  (void)wait_until([this] { return !running(); }, deadline);
  return exit_code_;
}

std::string Process::out() const {
  const std::lock_guard lock(out_.mutex);
  return out_.bytes;
}

std::string Process::err() const {
  const std::lock_guard lock(err_.mutex);
  return err_.bytes;
}

std::vector<std::string> Process::out_lines() const {
  const std::string text = out();
  std::vector<std::string> lines;
  for (std::size_t from = 0;;) {
    const auto end = text.find('\n', from);
    if (end == std::string::npos) return lines;
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
}

std::size_t Process::out_line_count() const {
  const std::lock_guard lock(out_.mutex);
  return static_cast<std::size_t>(std::count(out_.bytes.begin(), out_.bytes.end(), '\n'));
}

std::string tyaprover_binary() {
  const char* chosen = std::getenv("TYAPROVER_BINARY");
  return chosen ? chosen : TYAPROVER_BINARY;
}

CommandResult run_command(ProcessOptions options, Millis deadline) {
  const std::string name = options.arguments.empty() ? "" : options.arguments[0];
  CommandResult result;
  {
    Process process(std::move(options));
    const auto code = process.wait_for_exit(deadline);
    if (!code) fail(name + " did not end in time; it printed: " + process.out() + process.err());
    result.exit_code = *code;
    (void)wait_until([&] { return process.output_ended(); }, 2s);
    result.out = process.out();
    result.err = process.err();
  }
  return result;
}

CommandResult tyaprover_command(std::vector<std::string> arguments,
                                std::map<std::string, std::string> environment) {
  arguments.insert(arguments.begin(), tyaprover_binary());
  return run_command({.arguments = std::move(arguments),
                      .environment = std::move(environment),
                      .descriptors = {},
                      .directory = {}});
}

// --- sockets

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    reset_seen_ = other.reset_seen_;
  }
  return *this;
}

Socket Socket::connect_tcp(std::uint16_t port, const std::string& address) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = loopback(port, address.c_str());
  if (::connect(socket.descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    fail_errno("connect to port " + std::to_string(port));
  }
  const int on = 1;
  ::setsockopt(socket.descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  make_nonblocking(socket.descriptor_);
  return socket;
}

Socket Socket::connect_unix(const std::string& path) {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un to = unix_address(path);
  if (::connect(socket.descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    fail_errno("connect to " + path);
  }
  make_nonblocking(socket.descriptor_);
  return socket;
}

Socket Socket::listen_tcp(int backlog) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in at = loopback(0);
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 ||
      ::listen(socket.descriptor_, backlog) != 0) {
    fail_errno("listen on 127.0.0.1");
  }
  return socket;
}

Socket Socket::listen_unix(const std::string& path) {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un at = unix_address(path);
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 ||
      ::listen(socket.descriptor_, 1024) != 0) {
    fail_errno("listen on " + path);
  }
  return socket;
}

std::uint16_t Socket::local_port() const {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  if (::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
}

std::optional<std::size_t> Socket::send_some(std::string_view bytes) const {
  const ssize_t count =
      ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  return std::nullopt;
}

bool Socket::send(std::string_view bytes, Millis deadline) const {
  const TimePoint end = std::chrono::steady_clock::now() + deadline;
  while (!bytes.empty()) {
    const auto count = send_some(bytes);
    if (!count) return false;
    bytes.remove_prefix(*count);
    if (*count == 0 && !poll_one(descriptor_, POLLOUT, left_until(end))) return false;
  }
  return true;
}

std::ptrdiff_t Socket::receive_into(std::span<char> buffer, Millis deadline) const {
  const TimePoint end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    const ssize_t count = ::recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count >= 0) return count;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
      if (!poll_one(descriptor_, POLLIN, left_until(end))) return -1;
      continue;
    }
    reset_seen_ = errno == ECONNRESET;
    return 0;
  }
}

std::optional<std::string> Socket::receive(Millis deadline, std::size_t limit) const {
  std::string bytes(limit, '\0');
  const std::ptrdiff_t count = receive_into(bytes, deadline);
  if (count < 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

bool Socket::wait_readable(Millis deadline) const {
  return poll_one(descriptor_, POLLIN, deadline);
}
void Socket::shutdown_write() const {
  ::shutdown(descriptor_, SHUT_WR);
}
void Socket::shutdown_both() const {
  ::shutdown(descriptor_, SHUT_RDWR);
}

void Socket::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void Socket::reset() {
  const linger at_once{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

std::uint16_t unused_port() {
  return Socket::listen_tcp(1).local_port();
}

// --- messages

std::string Message::header(std::string_view name) const {
  return joined(fields, name);
}
std::string Message::trailer(std::string_view name) const {
  return joined(trailers, name);
}
bool Message::has(std::string_view name) const {
  return count(name) > 0;
}

std::size_t Message::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(),
                    [&](const auto& field) { return equal_names(field.first, name); }));
}

std::string Message::method() const {
  return start_line.substr(0, start_line.find(' '));
}

std::string Message::target() const {
  const auto first = start_line.find(' ');
  if (first == std::string::npos) return {};
  const auto second = start_line.find(' ', first + 1);
  return start_line.substr(first + 1, second - first - 1);
}

std::string Response::reason() const {
  const Json problem = json();
  return problem.is_object() ? problem.value("reason", "") : "";
}

std::string escaped(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 400)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r') {
      text += "\\r";
    } else if (c == '\n') {
      text += "\\n";
    } else if (byte < 0x20 || byte >= 0x7f) {
      char hex[8];
      std::snprintf(hex, sizeof(hex), "\\x%02x", byte);
      text += hex;
    } else {
      text += c;
    }
  }
  return bytes.size() > 400 ? text + "… (" + std::to_string(bytes.size()) + " bytes)" : text;
}

Fields parse_fields(std::string_view lines) {
  Fields fields;
  while (!lines.empty()) {
    const auto end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 2);
    if (line.empty()) continue;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) {
      fields.emplace_back(std::string(line), "");
    } else {
      fields.emplace_back(std::string(line.substr(0, colon)),
                          std::string(trim(line.substr(colon + 1))));
    }
  }
  return fields;
}

// --- the client

void RawClient::send_slowly(std::string_view bytes, Millis pause, std::size_t step) {
  while (!bytes.empty()) {
    if (!socket_.send(bytes.substr(0, step))) return;
    bytes.remove_prefix(std::min(step, bytes.size()));
    if (socket_.wait_readable(pause)) return;
  }
}

Response RawClient::read_head(Millis deadline) {
  Reader reader(socket_, buffer_, std::chrono::steady_clock::now() + deadline);
  Response response;
  for (;;) {
    auto head = reader.take_through("\r\n\r\n");
    if (!head) {
      response.timed_out = reader.timed_out();
      return response;
    }
    Message message;
    split_head(std::move(*head), message);
    const int status = status_of(message);
    if (status >= 100 && status < 200 && status != 101) {
      response.interim.push_back(std::move(message));
      continue;
    }
    static_cast<Message&>(response) = std::move(message);
    response.status = status;
    return response;
  }
}

void RawClient::read_body(Response& response, Millis deadline, bool to_head) {
  Reader reader(socket_, buffer_, std::chrono::steady_clock::now() + deadline);
  const int status = response.status;
  if (!response.has_head) return;
  if (to_head || status == 101 || status == 204 || status == 304) {
    response.complete = true;
  } else if (is_chunked(response)) {
    response.complete = reader.take_chunked(response);
  } else if (const auto length = content_length(response)) {
    response.complete = reader.take_bytes(*length, response.body);
  } else {
    reader.take_all(response.body);
    response.complete = reader.ended();
  }
  response.timed_out = reader.timed_out();
}

Response RawClient::read_response(Millis deadline, bool to_head) {
  const TimePoint end = std::chrono::steady_clock::now() + deadline;
  Response response = read_head(deadline);
  read_body(response, left_until(end), to_head);
  return response;
}

bool RawClient::read_until(std::string_view text, Millis deadline) {
  return Reader(socket_, buffer_, std::chrono::steady_clock::now() + deadline)
      .take_through(text)
      .has_value();
}

std::string RawClient::read_to_end(Millis deadline) {
  std::string bytes;
  Reader(socket_, buffer_, std::chrono::steady_clock::now() + deadline).take_all(bytes);
  return bytes;
}

bool RawClient::expect_close(Millis deadline) {
  if (!buffer_.empty()) return false;
  const auto bytes = socket_.receive(deadline);
  if (bytes && !bytes->empty()) buffer_ += *bytes;
  return bytes && bytes->empty();
}

bool RawClient::stays_silent(Millis duration) {
  return buffer_.empty() && !socket_.wait_readable(duration);
}

Response fetch(std::uint16_t port, std::string_view request, Millis deadline) {
  RawClient client(port);
  client.send(request);
  return client.read_response(deadline, request.starts_with("HEAD "));
}

Response get(std::uint16_t port, std::string_view target, std::string_view field_lines) {
  return fetch(port, "GET " + std::string(target) +
                         " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" +
                         std::string(field_lines) + "\r\n");
}

// --- the upstream

std::string ok(std::string_view body, std::string_view field_lines) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(field_lines) + "\r\n" + std::string(body);
}

bool UpstreamExchange::read_body(Millis deadline) {
  if (body_read_) return request.complete;
  body_read_ = true;
  Reader reader(socket_, buffer_, std::chrono::steady_clock::now() + deadline, record_);
  if (is_chunked(request)) {
    request.complete = reader.take_chunked(request);
  } else {
    request.complete = reader.take_bytes(content_length(request).value_or(0), request.body);
  }
  body_ended_(request);
  return request.complete;
}

bool UpstreamExchange::send(std::string_view bytes, Millis deadline) {
  return socket_.send(bytes, deadline);
}

std::optional<std::string> UpstreamExchange::receive(Millis deadline) {
  if (!buffer_.empty()) return std::exchange(buffer_, {});
  auto bytes = socket_.receive(deadline);
  if (bytes) record_(*bytes);
  return bytes;
}

bool UpstreamExchange::wait_for_close(Millis deadline) {
  const TimePoint end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    const auto bytes = receive(left_until(end));
    if (!bytes) return false;
    if (bytes->empty()) return true;
  }
}

void UpstreamExchange::reset() {
  const linger at_once{1, 0};
  ::setsockopt(socket_.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  closing_ = true;
}

Upstream::Upstream(std::string answer)
    : Upstream([answer = std::move(answer)](UpstreamExchange& exchange) {
        if (exchange.read_body()) exchange.send(answer);
      }) {}

Upstream::Upstream(Script script) : Upstream(std::move(script), Socket::listen_tcp()) {}

Upstream::Upstream(Script script, Socket listener)
    : script_(std::move(script)), listener_(std::move(listener)), port_(listener_.local_port()) {
  accept_thread_ = std::thread([this] { accept_loop(); });
}

Upstream::~Upstream() {
  stopping_ = true;
  accept_thread_.join();
  for (auto& connection : connections_) {
    {
      const std::lock_guard lock(mutex_);
      if (connection->open) connection->socket.shutdown_both();
    }
    connection->thread.join();
  }
}

void Upstream::accept_loop() {
  make_nonblocking(listener_.descriptor());
  while (!stopping_) {
    if (!listener_.wait_readable(20ms)) continue;
    const int descriptor =
        ::accept4(listener_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) continue;
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const std::lock_guard lock(mutex_);
    const std::size_t number = connections_.size();
    auto& connection = *connections_.emplace_back(std::make_unique<Connection>());
    connection.socket = Socket(descriptor);
    connection.thread = std::thread([this, &connection, number] { serve(connection, number); });
  }
}

void Upstream::serve(Connection& connection, std::size_t number) {
  std::string buffer;
  const auto record = [this](std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    byte_count_ += bytes.size();
    if (bytes_.size() < kRecordedBytes) bytes_ += bytes;
  };
  for (std::size_t index = 0; !stopping_; ++index) {
    // Idle keep-alive lasts until the peer or our destructor ends it.
    Reader reader(connection.socket, buffer, std::chrono::steady_clock::now() + 10min, record);
    auto head = reader.take_through("\r\n\r\n");
    if (!head) break;
    std::size_t place = 0;
    const auto body_ended = [&](const Message& request) {
      const std::lock_guard lock(mutex_);
      requests_[place] = {request, true};
    };
    UpstreamExchange exchange(connection.socket, buffer, record, body_ended);
    split_head(std::move(*head), exchange.request);
    exchange.connection = number;
    exchange.index = index;
    {
      const std::lock_guard lock(mutex_);
      place = requests_.size();
      requests_.push_back({exchange.request, false});
    }
    script_(exchange);
    if (!exchange.closing_) exchange.read_body();
    const bool goes_on = exchange.request.complete && !exchange.closing_;
    {
      const std::lock_guard lock(mutex_);
      requests_[place].ended = true;
    }
    if (!goes_on) break;
  }
  const std::lock_guard lock(mutex_);
  connection.open = false;
  connection.socket.close();
}

std::string Upstream::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t Upstream::byte_count() const {
  const std::lock_guard lock(mutex_);
  return byte_count_;
}

std::vector<Message> Upstream::requests() const {
  const std::lock_guard lock(mutex_);
  std::vector<Message> requests;
  for (const auto& seen : requests_) requests.push_back(seen.request);
  return requests;
}

std::size_t Upstream::request_count() const {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

std::size_t Upstream::connection_count() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

std::size_t Upstream::open_connections() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                [](const auto& entry) { return entry->open; }));
}

Message Upstream::wait_for_request(std::string_view target, Millis deadline) const {
  Message found;
  (void)wait_until(
      [&] {
        const std::lock_guard lock(mutex_);
        for (const auto& [request, ended] : requests_) {
          if (ended && request.target() == target) {
            found = request;
            return true;
          }
        }
        return false;
      },
      deadline);
  return found;
}

// A listener with backlog 0 holds one finished connection; once a few were begun, Linux drops
// further SYNs.
BlackHole::BlackHole() : listener_(Socket::listen_tcp(0)), port_(listener_.local_port()) {
  const sockaddr_in to = loopback(port_);
  for (int i = 0; i < 4; ++i) {
    Socket filler(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)::connect(filler.descriptor(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    poll_one(filler.descriptor(), POLLOUT, 50ms);
    fillers_.push_back(std::move(filler));
  }
}

Nginx::Nginx(const std::string& server_block,
             const std::map<std::string, std::string>& root_files) {
  const std::string& dir = directory_.path();
  for (const auto& [name, content] : root_files) directory_.write("root/" + name, content);
  std::filesystem::create_directories(dir + "/root");
  // Another process may take the port between our look and nginx's bind: then try another.
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = unused_port();
    const std::string config = directory_.write(
        "nginx.conf", "daemon off; master_process off; worker_processes 1; pid " + dir +
                          "/nginx.pid; error_log stderr warn;\n"
                          "events { worker_connections 1024; }\n"
                          "http {\n"
                          "  types { text/html html; text/plain txt; text/css css; "
                          "application/json json; image/png png; }\n"
                          "  default_type application/octet-stream;\n"
                          "  log_format counted '$connection $connection_requests $request';\n"
                          "  access_log " +
                          dir +
                          "/access.log counted;\n"
                          "  client_body_temp_path " +
                          dir + "/body; proxy_temp_path " + dir +
                          "/proxy;\n"
                          "  fastcgi_temp_path " +
                          dir + "/fastcgi; uwsgi_temp_path " + dir + "/uwsgi; scgi_temp_path " +
                          dir +
                          "/scgi;\n"
                          "  server { listen 127.0.0.1:" +
                          std::to_string(port_) + "; root " + dir + "/root;\n" + server_block +
                          "\n}\n"
                          "}\n");
    process_ = std::make_unique<Process>(
        ProcessOptions{.arguments = {"/usr/sbin/nginx", "-p", dir, "-e", "stderr", "-c", config},
                       .environment = {},
                       .descriptors = {},
                       .directory = dir});
    const bool decided = wait_until([&] {
      if (!process_->running()) return true;
      try {
        Socket::connect_tcp(port_);
        return true;
      } catch (const std::runtime_error&) {
        return false;
      }
    });
    if (decided && process_->running()) return;
  }
  fail("nginx does not start: " + process_->err());
}

// --- the gateway

ProcessOptions Gateway::command(const GatewayOptions& options, const TempDir& directory) {
  ProcessOptions process{.arguments = {tyaprover_binary()},
                         .environment = options.environment,
                         .descriptors = options.descriptors,
                         .directory = directory.path()};
  if (!options.yaml.empty()) {
    process.arguments.insert(process.arguments.end(),
                             {"run", "-c", directory.write("tyaprover.yaml", options.yaml)});
  }
  process.arguments.insert(process.arguments.end(), options.arguments.begin(),
                           options.arguments.end());
  return process;
}

Gateway::Gateway(GatewayOptions options) : process_(command(options, directory_)) {
  const bool decided =
      wait_until([&] { return process_.out_line_count() > 0 || !process_.running(); }, 30s);
  if (!decided || process_.out_line_count() == 0) {
    const auto code = process_.wait_for_exit(0ms);
    fail("the gateway printed no banner (exit code " +
         (code ? std::to_string(*code) : "none, still running"s) + "): " + process_.err());
  }
  banner_ = Json::parse(process_.out_lines().at(0), nullptr, false);
  if (!banner_.is_object()) fail("the banner is no JSON object: " + process_.out_lines().at(0));
}

std::uint16_t Gateway::port() const {
  for (const auto& listener : banner_.at("listeners")) {
    const std::string url = listener.get<std::string>();
    if (url.starts_with("http://"))
      return static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
  }
  fail("no TCP listener in the banner: " + banner_.dump());
}

std::vector<Json> Gateway::access_log() const {
  std::vector<Json> lines;
  const auto text = process_.out_lines();
  for (std::size_t i = 1; i < text.size(); ++i) {
    Json line = Json::parse(text[i], nullptr, false);
    lines.push_back(line.is_object() ? std::move(line) : Json(text[i]));
  }
  return lines;
}

Json Gateway::wait_for_access(const std::function<bool(const Json&)>& holds,
                              Millis deadline) const {
  Json found;
  (void)wait_until(
      [&] {
        for (auto& line : access_log()) {
          if (line.is_object() && holds(line)) {
            found = std::move(line);
            return true;
          }
        }
        return false;
      },
      deadline);
  return found;
}

Json Gateway::wait_for_path(std::string_view path, Millis deadline) const {
  return wait_for_access([&](const Json& line) { return line.value("path", "") == path; },
                         deadline);
}

std::size_t Gateway::resident_bytes() const {
  return status_number(process_.pid(), "VmRSS") * 1024;
}
std::size_t Gateway::thread_count() const {
  return status_number(process_.pid(), "Threads");
}

std::size_t Gateway::descriptor_count() const {
  std::error_code ignored;
  const std::filesystem::directory_iterator entries(
      "/proc/" + std::to_string(process_.pid()) + "/fd", ignored);
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::string proxy_to(const std::vector<std::string>& targets, std::string_view settings) {
  std::string yaml =
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n  - name: app\n    upstream:\n      "
      "targets:\n";
  for (const auto& target : targets) yaml += "        - \"" + target + "\"\n";
  return yaml + std::string(settings) + "\n";
}

std::string proxy_to(const Upstream& upstream, std::string_view settings) {
  return proxy_to(std::vector{upstream.url()}, settings);
}

std::string sample_text(const std::string& page, const std::string& series) {
  const std::size_t at = page.find("\n" + series + " ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + series.size() + 2;
  return page.substr(begin, page.find('\n', begin) - begin);
}

}  // namespace tyaprover::test
