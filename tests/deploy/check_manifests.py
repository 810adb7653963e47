#!/usr/bin/python3
"""Checks deploy/kubernetes and deploy/compose against the program and against themselves.

The configuration in the ConfigMap and every variable that a container gets must be accepted by `tyaprover check`; the
labels, ports and names by which the manifests refer to each other must exist; probes must ask the program's own paths.

    check_manifests.py TYAPROVER DEPLOY_FOLDER
"""

import pathlib
import subprocess
import sys
import tempfile

import yaml

program, deploy = sys.argv[1], pathlib.Path(sys.argv[2])
failures = []


def expect(holds, what):
    if not holds:
        failures.append(what)


def accepted(settings, environment, what):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "tyaprover.yaml"
        file.write_text(settings)
        run = subprocess.run([program, "check", "-c", str(file)], env=environment, capture_output=True, text=True)
        expect(run.returncode == 0, f"{what}: {run.stdout}{run.stderr}")


def load(name):
    return [each for each in yaml.safe_load_all((deploy / name).read_text()) if each]


# ---- Kubernetes

manifests = {each["kind"]: each for name in ["kubernetes/tyaprover.yaml", "kubernetes/service-monitor.yaml"]
             for each in load(name)}
data = manifests["ConfigMap"]["data"]
deployment = manifests["Deployment"]["spec"]
pod = deployment["template"]["spec"]
container = pod["containers"][0]
labels = deployment["template"]["metadata"]["labels"]


def fits(selector, of):
    return all(of.get(key) == value for key, value in selector.items())


environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
for variable in container["env"]:
    source = variable.get("valueFrom", {})
    if "configMapKeyRef" in source:
        expect(source["configMapKeyRef"]["name"] == manifests["ConfigMap"]["metadata"]["name"],
               f"{variable['name']} comes from a ConfigMap that is not there")
        environment[variable["name"]] = data[source["configMapKeyRef"]["key"]]
    elif "secretKeyRef" in source:
        environment[variable["name"]] = "a-secret-of-some-length"
    else:
        environment[variable["name"]] = variable["value"]
accepted(data["tyaprover.yaml"], environment, "the ConfigMap's configuration with the container's environment")
expect(set(data) - {"tyaprover.yaml"} <= set(environment), "a variable of the ConfigMap reaches no container")

mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
items = {each["path"] for volume in pod["volumes"] for each in volume["configMap"]["items"]}
config = pathlib.PurePosixPath(container["args"][container["args"].index("-c") + 1])
expect(str(config.parent) in mounts.values() and config.name in items, f"{config} is mounted by nothing")
expect(fits(deployment["selector"]["matchLabels"], labels), "the Deployment selects other pods")
expect(fits(manifests["Service"]["spec"]["selector"], labels), "the Service selects other pods")
expect(fits(manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], labels), "the budget is for other pods")
expect(fits(manifests["ServiceMonitor"]["spec"]["selector"]["matchLabels"], manifests["Service"]["metadata"]["labels"]),
       "the ServiceMonitor selects another Service")
expect(manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == manifests["Deployment"]["metadata"]["name"],
       "the autoscaler is for another Deployment")
ports = {each["name"] for each in container["ports"]}
expect({each["targetPort"] for each in manifests["Service"]["spec"]["ports"]} <= ports, "the Service's port is not there")
expect({each["port"] for each in manifests["ServiceMonitor"]["spec"]["endpoints"]}
       <= {each["name"] for each in manifests["Service"]["spec"]["ports"]}, "the ServiceMonitor's port is not there")
expect(container["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": "http"}, "the liveness probe")
expect(container["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": "http"}, "the readiness probe")
expect(pod["terminationGracePeriodSeconds"] > 5 + 30, "the grace period is shorter than the shutdown")

# ---- Compose

services = load("compose/compose.yaml")[0]["services"]
accepted("apps: [{name: a, upstream: {targets: [\"http://127.0.0.1:1\"]}}]\n", services["tyaprover"]["environment"],
         "the environment in compose.yaml")
for name, service in services.items():
    for volume in service.get("volumes", []):
        source = deploy / "compose" / volume.split(":")[0]
        expect(source.exists(), f"compose.yaml mounts {source}, which is not there")
    expect(set(service.get("depends_on", [])) <= set(services), f"{name} depends on a service that is not there")
expect((deploy / "compose" / services["tyaprover"]["build"]["context"] /
        services["tyaprover"]["build"]["dockerfile"]).exists(), "compose.yaml builds from a file that is not there")

for failure in failures:
    print(failure)
print(f"{len(manifests) + len(services)} manifests checked")
sys.exit(1 if failures else 0)
