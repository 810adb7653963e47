# Varnish's own rules, less a lifetime and a grace of its own for answers: they reuse more than the standard lets it.
# What is stale is kept for validation instead.
vcl 4.1;

backend origin {
  .host = "127.0.0.1";
  .port = "8000";
}

sub vcl_backend_response {
  set beresp.grace = 0s;
  set beresp.keep = 10m;
}
