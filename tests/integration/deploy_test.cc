// What stands in deploy/, checked as far as it can be without the systems it is for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;

const std::string kDeploy = TYAPROVER_SOURCE_DIR "/deploy/";

CommandResult run(std::vector<std::string> arguments) {
  return run_command({.arguments = std::move(arguments),
                      .environment = {},
                      .descriptors = {},
                      .directory = kDeploy + "prometheus"});
}

TEST(DeployPrometheus, ConfigurationIsValid) {
  const CommandResult result = run({"promtool", "check", "config", "prometheus.yml"});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

TEST(DeployPrometheus, RulesDoWhatTheirTestsSay) {
  const CommandResult check = run({"promtool", "check", "rules", "tyaprover.rules.yml"});
  EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
  const CommandResult test = run({"promtool", "test", "rules", "tyaprover.rules.test.yml"});
  EXPECT_EQ(test.exit_code, 0) << test.out << test.err;
}

TEST(DeployKubernetes, ManifestsFitTheProgramAndEachOther) {
  const std::string script = TYAPROVER_SOURCE_DIR "/tests/deploy/check_manifests.py";
  const CommandResult result = run({"/usr/bin/python3", script, tyaprover_binary(), kDeploy});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr(" manifests checked"));
}

TEST(DeploySystemd, TheUnitIsConfinedAsFarAsItCanBe) {
  const CommandResult result = run({"systemd-analyze", "security", "--offline=true",
                                    "--threshold=20", "../systemd/tyaprover.service"});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

// The queries of the dashboard and of the rules name metrics that the running program has.
class DeployGrafana : public ::testing::Test {
 protected:
  CommandResult check(const std::string& page) {
    const std::string script = TYAPROVER_SOURCE_DIR "/tests/deploy/check_queries.py";
    return run({"/usr/bin/python3", script, directory_.write("page", page),
                kDeploy + "grafana/tyaprover.json", kDeploy + "prometheus/tyaprover.rules.yml"});
  }

  TempDir directory_;
};

TEST_F(DeployGrafana, EveryQueryUsesMetricsThatExist) {
  Upstream upstream([](UpstreamExchange& e) {
    e.send("HTTP/1.1 " + e.request.target().substr(1) + " X\r\nContent-Length: 0\r\n\r\n");
  });
  // More statuses than series make the counter of dropped series appear.
  Gateway gateway(proxy_to(upstream,
                           "metrics: {max_series: 10}\nhealth_check: {enabled: true, path: /200}\n"
                           "concurrency: {max_in_flight: 100}"));
  for (int status = 200; status < 212; ++status) get(gateway.port(), "/" + std::to_string(status));
  std::string page = get(gateway.port(), "/metrics").body;
  // This one cannot be provoked from outside: the gateway's own collectors do not fail.
  page += "tyaprover_metrics_collect_errors_total{collector=\"x\"} 1\n";
  const CommandResult result = check(page);
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr(" queries checked"));
}

TEST_F(DeployGrafana, AMetricThatIsNotThereIsNoticed) {
  const CommandResult result = check("http_requests_total 1\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("no metric http_connections_active"));
}

}  // namespace
}  // namespace tyaprover::test
