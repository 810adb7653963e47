// Verbs for tests of the running program: start the gateway, script its upstream, speak raw bytes
// to it.
//
// Everything is RAII: a destructor ends what its object started and nothing else. Every wait has a
// deadline; the default is generous because the same tests run under sanitizers on busy machines,
// and it costs nothing when the condition comes true early. Failed set-up throws
// std::runtime_error, which gtest reports.
//
//   Upstream upstream(ok("hello"));
//   Gateway gateway(proxy_to(upstream));
//   RawClient client(gateway.port());
//   client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//   EXPECT_EQ(client.read_response().status, 200);
//   EXPECT_EQ(upstream.requests().at(0).header("Via"), "1.1 tyaprover");
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace tyaprover::test {

using namespace std::chrono_literals;
using namespace std::string_literals;
using Json = nlohmann::json;
using Millis = std::chrono::milliseconds;
using TimePoint = std::chrono::steady_clock::time_point;

// How long a test waits for what normally takes milliseconds.
inline constexpr Millis kDeadline = 15s;

// Sanitizers multiply memory and time; tests that measure either say what they change because of
// it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// True as soon as the condition holds, false when it still does not at the deadline.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition, Millis deadline = kDeadline);

// What a script waits at until it is opened. Thread-safe.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  // False when it is still shut at the deadline.
  bool pass(Millis deadline = 4 * kDeadline) {
    std::unique_lock lock(mutex_);
    return opened_.wait_for(lock, deadline, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// A directory that is removed with everything in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  // Writes a file and returns its path.
  std::string write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

std::string read_file(const std::string& path);

// --- processes

struct ProcessOptions {
  std::vector<std::string> arguments;  // [0] is the program, found through PATH
  // Set on top of PATH and the sanitizers' options; nothing else is inherited, so that a PORT or
  // NODE_ENV in the developer's shell cannot change a test.
  std::map<std::string, std::string> environment;
  std::map<int, int> descriptors;  // number in the child → ours
  std::string directory;           // working directory; empty = ours
};

// A child process whose output is collected. It dies with us, and with its object.
class Process {
 public:
  explicit Process(ProcessOptions options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // The exit code, or 128 + the signal that ended it; nothing if it still runs at the deadline.
  std::optional<int> wait_for_exit(Millis deadline = kDeadline);
  bool running();
  // Nothing more can come: the process and all who share its pipes have closed them.
  bool output_ended() const { return open_pipes_ == 0; }
  // What it has printed so far.
  std::string out() const;
  std::string err() const;
  std::vector<std::string> out_lines() const;  // complete lines only
  std::size_t out_line_count() const;

 private:
  struct Collected {
    mutable std::mutex mutex;
    std::string bytes;
  };
  void collect(int descriptor, Collected& into);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  std::atomic<bool> ended_{false};  // a grandchild that still holds the pipes must not keep us
  std::atomic<int> open_pipes_{2};
  Collected out_, err_;
  std::thread out_reader_, err_reader_;
};

// The program under test: what TYAPROVER_BINARY in the environment names, else what this build
// made.
std::string tyaprover_binary();

struct CommandResult {
  int exit_code = -1;
  std::string out, err;
};
// Runs to the end. Throws when it has not ended at the deadline.
CommandResult run_command(ProcessOptions options, Millis deadline = 60s);
// The same for `tyaprover ARGUMENTS…`.
CommandResult tyaprover_command(std::vector<std::string> arguments,
                                std::map<std::string, std::string> environment = {});

// --- sockets

// A stream socket. Non-blocking inside; every operation takes a deadline.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), reset_seen_(other.reset_seen_) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  static Socket connect_tcp(std::uint16_t port, const std::string& address = "127.0.0.1");
  static Socket connect_unix(const std::string& path);
  // Bound to 127.0.0.1 and a port of the kernel's choice, listening.
  static Socket listen_tcp(int backlog = 1024);
  static Socket listen_unix(const std::string& path);

  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  std::uint16_t local_port() const;
  // All bytes went to the kernel. False when the peer is gone or the deadline passed.
  bool send(std::string_view bytes, Millis deadline = kDeadline) const;
  // As many bytes as the kernel takes at once; 0 when its buffer is full, nothing when the peer is
  // gone.
  std::optional<std::size_t> send_some(std::string_view bytes) const;
  // Up to `limit` bytes; empty at the end of the stream (or a reset); nothing at the deadline.
  std::optional<std::string> receive(Millis deadline = kDeadline, std::size_t limit = 65536) const;
  // Into the caller's buffer: bytes read, 0 at the end, -1 at the deadline.
  std::ptrdiff_t receive_into(std::span<char> buffer, Millis deadline = kDeadline) const;
  bool wait_readable(Millis deadline) const;
  // The stream ended with RST instead of FIN.
  bool was_reset() const { return reset_seen_; }
  void shutdown_write() const;
  void shutdown_both() const;
  void close();
  // Closes with RST instead of FIN.
  void reset();

 private:
  int descriptor_ = -1;
  mutable bool reset_seen_ = false;
};

// A port that was free a moment ago, for programs that cannot tell which port the kernel gave them.
std::uint16_t unused_port();

// --- messages

using Fields = std::vector<std::pair<std::string, std::string>>;

// A message as it was on the wire, read leniently: the tests judge, not the reader.
struct Message {
  std::string start_line;
  Fields fields;
  std::string head;  // raw, with its last empty line
  std::string body;  // without chunk framing
  Fields trailers;
  std::size_t chunks = 0;
  bool has_head = false;
  bool complete = false;  // head and body ended as the framing promised
  // Values in order, joined with ", "; empty when absent.
  std::string header(std::string_view name) const;
  bool has(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  std::string trailer(std::string_view name) const;
  std::string method() const;
  std::string target() const;
};

struct Response : Message {
  int status = 0;                // 0: no head came
  std::vector<Message> interim;  // 1xx before it
  bool timed_out = false;        // the deadline passed before it was complete
  Json json() const { return Json::parse(body, nullptr, false); }
  std::string reason() const;  // the `reason` of a problem+json body; empty if it is none
};

// For messages of failed assertions: control and non-ASCII bytes as escapes.
std::string escaped(std::string_view bytes);
// Splits "a: b" lines as RFC 9112 does, without judging them.
Fields parse_fields(std::string_view lines);

// --- the client

// One connection that says exactly what it is told to.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(Socket::connect_tcp(port)) {}
  explicit RawClient(Socket socket) : socket_(std::move(socket)) {}

  // False when the peer closed before it took everything, which is a legitimate answer to bad
  // bytes.
  bool send(std::string_view bytes, Millis deadline = kDeadline) {
    return socket_.send(bytes, deadline);
  }
  // A few bytes at a time, until done, the peer closes or an answer comes.
  void send_slowly(std::string_view bytes, Millis pause, std::size_t step = 1);
  // The next response with its body. `to_head`: it answers a HEAD, so there is no body.
  Response read_response(Millis deadline = kDeadline, bool to_head = false);
  // Only its head; the body's bytes stay to be read with read_body or receive.
  Response read_head(Millis deadline = kDeadline);
  void read_body(Response& response, Millis deadline = kDeadline, bool to_head = false);
  // Reads until `text` was seen; false at the end of the stream or the deadline.
  bool read_until(std::string_view text, Millis deadline = kDeadline);
  // Everything up to the end of the stream or the deadline.
  std::string read_to_end(Millis deadline = kDeadline);
  // True when the peer closes (FIN or RST) before the deadline without another byte.
  [[nodiscard]] bool expect_close(Millis deadline = kDeadline);
  // True when nothing at all happens on the connection for this long.
  [[nodiscard]] bool stays_silent(Millis duration);
  void finish_sending() { socket_.shutdown_write(); }
  void close() { socket_.close(); }
  void reset() { socket_.reset(); }
  Socket& socket() { return socket_; }
  std::string& unread() { return buffer_; }

 private:
  Socket socket_;
  std::string buffer_;
};

// Sends one request on its own connection and reads the answer.
Response fetch(std::uint16_t port, std::string_view request, Millis deadline = kDeadline);
// "GET target HTTP/1.1" with Host: a, Connection: close and these field lines ("X: 1\r\n").
Response get(std::uint16_t port, std::string_view target, std::string_view field_lines = "");

// --- the upstream

// A 200 with this body and its length.
std::string ok(std::string_view body, std::string_view field_lines = "");

// One request as the upstream's script sees it, and the means to answer it. Confined to its
// connection's thread.
class UpstreamExchange {
 public:
  Message request;             // the head; read_body() adds the body
  std::size_t connection = 0;  // counted from 0 in the order of accept
  std::size_t index = 0;       // of this request on its connection

  // False if the peer closed before the body was complete.
  bool read_body(Millis deadline = kDeadline);
  bool send(std::string_view bytes, Millis deadline = kDeadline);
  // Raw bytes after the head, without framing (tunnels); empty at the end, nothing at the deadline.
  std::optional<std::string> receive(Millis deadline = kDeadline);
  // True when the peer closes before the deadline; bytes that still come are thrown away.
  bool wait_for_close(Millis deadline = kDeadline);
  // After the script returns the connection closes (FIN).
  void close() { closing_ = true; }
  void reset();
  Socket& socket() { return socket_; }

 private:
  friend class Upstream;
  UpstreamExchange(Socket& socket, std::string& buffer,
                   std::function<void(std::string_view)> record,
                   std::function<void(const Message&)> body_ended)
      : socket_(socket),
        buffer_(buffer),
        record_(std::move(record)),
        body_ended_(std::move(body_ended)) {}
  Socket& socket_;
  std::string& buffer_;
  std::function<void(std::string_view)> record_;
  std::function<void(const Message&)> body_ended_;
  bool body_read_ = false;
  bool closing_ = false;
};

// A scriptable server: records every byte it gets and answers with given bytes or by a script.
// Thread-safe. The script runs on the connection's own thread once per request head. If it leaves
// the body unread, the body is read after it.
class Upstream {
 public:
  using Script = std::function<void(UpstreamExchange&)>;

  // Reads each request to its end, then answers with these bytes.
  explicit Upstream(std::string answer = ok("ok"));
  explicit Upstream(Script script);
  // On a socket that already listens.
  Upstream(Script script, Socket listener);
  ~Upstream();
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Everything received, in order of arrival over all connections (the first 16 MiB).
  std::string bytes() const;
  std::size_t byte_count() const;
  // Requests whose head was complete, in order; `complete` tells whether the body was too. A
  // request stands here before it is answered.
  std::vector<Message> requests() const;
  std::size_t request_count() const;
  std::size_t connection_count() const;  // ever accepted
  std::size_t open_connections() const;
  // The request with this target, once it has come and ended; a Message without head at the
  // deadline.
  Message wait_for_request(std::string_view target, Millis deadline = kDeadline) const;

 private:
  struct Seen {
    Message request;
    bool ended = false;  // its body was read or will never be
  };
  struct Connection {
    Socket socket;
    std::thread thread;
    bool open = true;
  };
  void accept_loop();
  void serve(Connection& connection, std::size_t number);

  Script script_;
  Socket listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::string bytes_;
  std::size_t byte_count_ = 0;
  std::vector<Seen> requests_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::thread accept_thread_;
};

// A port on which connects neither succeed nor fail: its queue of connections is full.
class BlackHole {
 public:
  BlackHole();
  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  Socket listener_;
  std::uint16_t port_ = 0;
  std::vector<Socket> fillers_;
};

// Debian's nginx in the foreground with this server block's content, in its own directory.
class Nginx {
 public:
  // `root_files`: name → content below the document root.
  explicit Nginx(const std::string& server_block,
                 const std::map<std::string, std::string>& root_files = {});
  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Its access log: one line per request, "connection-number request-number request-line".
  std::string access_log() const { return read_file(directory_.path() + "/access.log"); }

 private:
  TempDir directory_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

// --- the gateway

struct GatewayOptions {
  std::string yaml;                    // run -c FILE, when not empty
  std::vector<std::string> arguments;  // after `run -c FILE`, or alone
  std::map<std::string, std::string> environment;
  std::map<int, int> descriptors;
};

// The program under test. The constructor returns once the start banner has been printed.
class Gateway {
 public:
  explicit Gateway(const std::string& yaml)
      : Gateway(
            GatewayOptions{.yaml = yaml, .arguments = {}, .environment = {}, .descriptors = {}}) {}
  explicit Gateway(GatewayOptions options);

  // Of the first TCP listener in the banner.
  std::uint16_t port() const;
  const Json& banner() const { return banner_; }
  Process& process() { return process_; }

  // Access log lines so far (stdout after the banner). A line that is no JSON object is one of type
  // string.
  std::vector<Json> access_log() const;
  // The first line for which this holds; null at the deadline.
  Json wait_for_access(const std::function<bool(const Json&)>& holds,
                       Millis deadline = kDeadline) const;
  Json wait_for_path(std::string_view path, Millis deadline = kDeadline) const;
  std::string log() const { return process_.err(); }

  std::size_t resident_bytes() const;
  std::size_t thread_count() const;
  std::size_t descriptor_count() const;
  void signal(int number) const { process_.signal(number); }
  std::optional<int> wait_for_exit(Millis deadline = kDeadline) {
    return process_.wait_for_exit(deadline);
  }

 private:
  static ProcessOptions command(const GatewayOptions& options, const TempDir& directory);
  TempDir directory_;
  Process process_;
  Json banner_;
};

// One worker on a kernel port, one app for every host; `settings` are further top-level YAML lines.
std::string proxy_to(const std::vector<std::string>& targets, std::string_view settings = "");
std::string proxy_to(const Upstream& upstream, std::string_view settings = "");

// The value of a sample of a metrics page (`name{labels}`), as it stands there; empty if it has
// none.
std::string sample_text(const std::string& page, const std::string& series);

}  // namespace tyaprover::test
