// An event loop that says hello and ends: the rooms that need libraries of other makers.
#include <cstdio>

#include "tyaprover/filters/pipeline.h"
#include "tyaprover/filters/request_id.h"
#include "tyaprover/http/worker.h"

int main() {
  tyaprover::http::Worker worker(0);
  tyaprover::filters::Pipeline<tyaprover::filters::RequestId> pipeline(
      tyaprover::filters::RequestId{});
  const tyaprover::filters::Pipeline<tyaprover::filters::RequestId>::PipelineExchange exchange(
      worker);
  worker.post([&] {
    std::printf("hello %d\n", exchange.response.status);
    worker.stop();
  });
  worker.run();
  return 0;
}
