// An upstream for the chaos tests: a process of its own, so that it can be killed and stopped.
//
//   chaos_upstream NAME [PORT]      prints "port N" and serves until it is killed
//
// GET /control/MODE changes how it answers everything else:
//   ok      200 with its name
//   error   500
//   cut     half of a 200's body, then a reset
//   slow    ok after 300 ms
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/integration/support.h"

namespace {

using namespace std::chrono_literals;
using tyaprover::test::Socket;
using tyaprover::test::Upstream;
using tyaprover::test::UpstreamExchange;

Socket listen_on(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 1024) != 0) {
    std::perror("chaos_upstream: cannot listen");
    std::_Exit(1);
  }
  return Socket(fd);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "upstream";
  Socket listener =
      listen_on(static_cast<std::uint16_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0));
  std::printf("port %u\n", listener.local_port());
  std::fflush(stdout);

  enum class Mode { ok, error, cut, slow };
  std::atomic<Mode> mode{Mode::ok};
  const auto answer = [&](UpstreamExchange& exchange) {
    constexpr std::string_view kControl = "/control/";
    exchange.read_body();
    std::string reply = tyaprover::test::ok(name);
    const std::string target = exchange.request.target();
    if (target.starts_with(kControl)) {
      const std::string wanted = target.substr(kControl.size());
      mode = wanted == "error"  ? Mode::error
             : wanted == "cut"  ? Mode::cut
             : wanted == "slow" ? Mode::slow
                                : Mode::ok;
      exchange.send(reply);
      return;
    }
    switch (mode.load()) {
      case Mode::ok:
        break;
      case Mode::error:
        reply = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";
        break;
      case Mode::cut:
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + std::string(500, 'x'));
        exchange.reset();
        return;
      case Mode::slow:
        std::this_thread::sleep_for(300ms);
        break;
    }
    exchange.send(reply);
  };
  const Upstream upstream(answer, std::move(listener));
  for (;;) ::pause();
}
