// The upstream of all proxies in a comparison: /1m answers with 1 MiB, everything else with 1 KiB.
#include "bench/epoll_server.h"

int main() {
  const auto response = [](std::size_t size) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nDate: Thu, 01 Jan 1970 "
           "00:00:00 GMT\r\n"
           "Content-Length: " +
           std::to_string(size) + "\r\n\r\n" + std::string(size, 'x');
  };
  static const std::string small = response(1024);
  static const std::string large = response(1024 * 1024);
  tyaprover::bench::EpollServer([](std::string_view head) -> std::string_view {
    return head.find(" /1m ") != std::string_view::npos ? large : small;
  }).run();
}
