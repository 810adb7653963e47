// A circuit breaker around a Boost.Asio coroutine: an operation that takes too long is cancelled,
// and after three of them callers are answered at once.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "tyaprover/awaitable/call.h"

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace resilience = tyaprover::resilience;

namespace {

// A service that does not answer.
asio::awaitable<std::string> ask() {
  asio::steady_timer never(co_await asio::this_coro::executor,
                           asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::use_awaitable);
  co_return "an answer";
}

asio::awaitable<void> ask_repeatedly(resilience::CircuitBreaker& breaker) {
  for (int i = 0; i < 4; ++i) {
    const auto answer = co_await tyaprover::awaitable::execute(breaker, [] { return ask(); });
    std::printf("%s\n", answer ? answer->c_str() : describe(answer.error()).c_str());
  }
}

}  // namespace

int main() {
  resilience::CircuitBreaker breaker({.name = "service", .failure_threshold = 3, .timeout = 20ms});
  asio::io_context context;
  asio::co_spawn(context, ask_repeatedly(breaker), asio::detached);
  context.run();  // ends, because nothing was left waiting
}
