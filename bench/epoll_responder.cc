// The yardstick for local replies: a bare epoll loop that answers every request with "OK".
#include "bench/epoll_server.h"

int main() {
  static constexpr std::string_view kResponse =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nDate: Thu, 01 Jan 1970 "
      "00:00:00 GMT\r\n"
      "Server: epoll\r\n\r\nOK";
  tyaprover::bench::EpollServer([](std::string_view) { return kResponse; }).run();
}
