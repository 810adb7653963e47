// The upstream of all proxies in a comparison: /1m answers with 1 MiB, /64k with 64 KiB, everything
// else with 1 KiB. What it sends may be cached for a day.
#include <ctime>
#include <string>
#include <string_view>

#include "bench/epoll_server.h"

int main() {
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&now));
  const auto response = [&](std::size_t size) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nDate: " +
           std::string(date) +
           "\r\nCache-Control: max-age=86400\r\nContent-Length: " + std::to_string(size) +
           "\r\n\r\n" + std::string(size, 'x');
  };
  static const std::string small = response(1024);
  static const std::string middle = response(std::size_t{64} * 1024);
  static const std::string large = response(std::size_t{1024} * 1024);
  tyaprover::bench::EpollServer([](std::string_view head) -> std::string_view {
    if (head.find(" /1m ") != std::string_view::npos) return large;
    if (head.find(" /64k ") != std::string_view::npos) return middle;
    return small;
  }).run();
}
