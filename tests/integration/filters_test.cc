// The filters (section 7 of the specification) as a client and an operator see them.
#include <brotli/decode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// --- decoders: empty result when the bytes are no complete stream

std::string gunzip(const std::string& bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return {};
  std::string text;
  char buffer[65536];
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof(buffer);
    result = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer, sizeof(buffer) - stream.avail_out);
  }
  const bool whole = result == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  return whole ? text : "";
}

std::string unbrotli(const std::string& bytes) {
  std::string text(16 * 1024 * 1024, '\0');
  std::size_t size = text.size();
  if (BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()),
                              &size, reinterpret_cast<std::uint8_t*>(text.data())) !=
      BROTLI_DECODER_RESULT_SUCCESS) {
    return {};
  }
  text.resize(size);
  return text;
}

std::string unzstd(const std::string& bytes) {
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::string text, buffer(65536, '\0');
  std::size_t left = 1;
  for (bool progress = true; progress && !(left == 0 && in.pos == in.size);) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    const std::size_t before = in.pos;
    left = ZSTD_decompressStream(stream, &out, &in);
    if (ZSTD_isError(left)) break;
    text.append(buffer, 0, out.pos);
    progress = in.pos != before || out.pos > 0;
  }
  ZSTD_freeDStream(stream);
  return left == 0 && in.pos == in.size ? text : "";
}

std::string decoded(const Response& response) {
  const std::string coding = response.header("Content-Encoding");
  if (coding == "gzip") return gunzip(response.body);
  if (coding == "br") return unbrotli(response.body);
  if (coding == "zstd") return unzstd(response.body);
  return response.body;
}

std::string prose(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i)
    text += "The " + std::to_string(i) + "th sentence differs a little. ";
  text.resize(size);
  return text;
}

std::string typed(std::string_view type, const std::string& body,
                  std::string_view field_lines = "") {
  return ok(body, "Content-Type: " + std::string(type) + "\r\n" + std::string(field_lines));
}

// --- request id

TEST(RequestId, IsBelievedFromATrustedPeerR7_1) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const std::string uuid = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
  struct Case {
    const char* path;
    std::string id;
    bool believed;
  };
  const std::vector<Case> cases = {{"/1", "abc-123._:/+=XYZ", true},
                                   {"/2", std::string(128, 'i'), true},
                                   {"/3", std::string(129, 'i'), false},
                                   {"/4", "with space", false},
                                   {"/5", "semi;colon", false},
                                   {"/6", "quote\"", false},
                                   {"/7", "", false},
                                   {"/8", "<script>", false},
                                   {"/9", "caf\xc3\xa9", false}};
  for (const auto& [path, id, believed] : cases) {
    SCOPED_TRACE(id);
    const Response response = get(gateway.port(), path, "X-Request-ID: " + id + "\r\n");
    const std::string used = response.header("X-Request-ID");
    EXPECT_EQ(response.count("X-Request-ID"), 1u);
    if (believed) {
      EXPECT_EQ(used, id);
    } else {
      EXPECT_THAT(used, MatchesRegex(uuid));
    }
    const Message seen = upstream.wait_for_request(path);
    EXPECT_EQ(seen.header("X-Request-ID"), used);
    EXPECT_EQ(seen.count("X-Request-ID"), 1u);
    EXPECT_EQ(gateway.wait_for_path(path).value("request_id", ""), used);
  }
}

TEST(RequestId, IsNewForEveryRequestAndReplacesTheUpstreamsR7_1) {
  Upstream upstream(ok("x", "X-Request-ID: upstream\r\n"));
  Gateway gateway(proxy_to(upstream, "trusted_proxies: []"));
  std::set<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    const Response response = get(gateway.port(), "/", "X-Request-ID: spoofed\r\n");
    EXPECT_EQ(response.count("X-Request-ID"), 1u);
    ids.insert(response.header("X-Request-ID"));
  }
  EXPECT_EQ(ids.size(), 20u);
  EXPECT_EQ(ids.count("spoofed") + ids.count("upstream"), 0u);
}

TEST(ResponseTime, IsGivenAlsoOnLocalRepliesR7_1) {
  Upstream upstream([](UpstreamExchange& exchange) {
    std::this_thread::sleep_for(100ms);
    exchange.send(ok("x"));
  });
  Gateway gateway(proxy_to(upstream));
  const std::string time = get(gateway.port(), "/").header("X-Response-Time");
  EXPECT_THAT(time, MatchesRegex("[0-9]+\\.[0-9]{3}ms"));
  EXPECT_GE(std::stod(time), 100.0);
  EXPECT_LE(std::stod(time), 10'000.0);
  EXPECT_THAT(get(gateway.port(), "/health/live").header("X-Response-Time"),
              MatchesRegex("[0-9]+\\.[0-9]{3}ms"));
}

// --- security headers

TEST(SecurityHeaders, AreAddedWhereTheUpstreamSetNoneR7_2) {
  Upstream upstream(ok("x", "X-Frame-Options: DENY\r\nX-Powered-By: PHP/5\r\nServer: app\r\n"));
  Gateway gateway(proxy_to(upstream));
  const Response response = get(gateway.port(), "/");
  EXPECT_EQ(response.header("X-Frame-Options"), "DENY");
  EXPECT_EQ(response.header("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(response.header("Referrer-Policy"), "strict-origin-when-cross-origin");
  EXPECT_EQ(response.header("Permissions-Policy"), "geolocation=(), microphone=(), camera=()");
  EXPECT_FALSE(response.has("Strict-Transport-Security")) << "only over TLS";
  EXPECT_FALSE(response.has("Content-Security-Policy")) << "only when configured";
  EXPECT_FALSE(response.has("X-Powered-By"));
  EXPECT_EQ(response.header("Server"), "app");
}

TEST(SecurityHeaders, ArePerAppR7_2) {
  Upstream upstream(ok("x", "Server: app\r\nX-Powered-By: x\r\n"));
  const std::string targets = "upstream: {targets: [\"" + upstream.url() + "\"]}";
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\nsecurity_headers: {frame_options: DENY}\napps:\n"
      "  - {name: a, path: /a, " +
      targets +
      "}\n"
      "  - {name: b, path: /b, security_headers: {content_security_policy: \"default-src 'self'\", "
      "server: \"\", referrer_policy: \"\", strict_transport_security: max-age=9}, " +
      targets +
      "}\n"
      "  - {name: c, path: /c, security_headers: {enabled: false}, " +
      targets +
      "}\n"
      "  - {name: d, path: /d, security_headers: {server: tyaprover, remove_powered_by: false}, " +
      targets + "}\n");
  const Response a = get(gateway.port(), "/a"), b = get(gateway.port(), "/b"),
                 c = get(gateway.port(), "/c"), d = get(gateway.port(), "/d");
  EXPECT_EQ(a.header("X-Frame-Options"), "DENY");
  EXPECT_EQ(b.header("X-Frame-Options"), "DENY") << "the top is every app's default (R2.1)";
  EXPECT_EQ(b.header("Content-Security-Policy"), "default-src 'self'");
  EXPECT_FALSE(b.has("Server"));
  EXPECT_FALSE(b.has("Referrer-Policy"));
  EXPECT_FALSE(b.has("Strict-Transport-Security"));
  EXPECT_FALSE(c.has("X-Frame-Options"));
  EXPECT_FALSE(c.has("X-Content-Type-Options"));
  EXPECT_EQ(d.header("Server"), "tyaprover");
  EXPECT_EQ(d.count("Server"), 1u);
  EXPECT_EQ(d.header("X-Powered-By"), "x");
}

// --- compression

TEST(Compression, NegotiationR7_3) {
  const std::string text = prose(20'000);
  Upstream upstream(typed("text/plain", text));
  Gateway gateway(proxy_to(upstream));
  struct Case {
    const char* accept;
    const char* coding;  // "" = identity
  };
  const std::vector<Case> cases = {
      {"gzip", "gzip"},
      {"br", "br"},
      {"zstd", "zstd"},
      {"GZIP", "gzip"},
      {"x-gzip", "gzip"},
      {"gzip, br, zstd", "zstd"},
      {"gzip, br", "br"},
      {"gzip, deflate, br", "br"},
      {"gzip;q=1.0, br;q=0.5", "gzip"},
      {"br;q=0.5, zstd;q=0.4, gzip;q=0.9", "gzip"},
      {"zstd;q=0, br;q=0, gzip", "gzip"},
      {"*", "zstd"},
      {"*;q=0.5, gzip", "gzip"},
      {"gzip;q=0, *", "zstd"},
      {"zstd;q=0, *", "br"},
      {"identity", ""},
      {"deflate", ""},
      {"compress, snappy", ""},
      {"gzip;q=0", ""},
      {"*;q=0", ""},
      {"gzip;q=0.000", ""},
      {"identity;q=1, gzip;q=0.5", ""},
      {"identity;q=0, gzip;q=0.1", "gzip"},
      {"identity;q=0.5, gzip", "gzip"},
      {" gzip ; q=0.8 , br ; q=0.9 ", "br"},
      {"gzip;q=1.001", ""},  // no qvalue (9110 §12.4.2): the element is not understood
      {"", ""},
  };
  for (const auto& [accept, coding] : cases) {
    SCOPED_TRACE(accept);
    const Response response = get(gateway.port(), "/", "Accept-Encoding: "s + accept + "\r\n");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.header("Content-Encoding"), coding);
    EXPECT_TRUE(response.complete);
    EXPECT_TRUE(decoded(response) == text) << "the body does not decode to the original";
    EXPECT_THAT(response.header("Vary"), HasSubstr("Accept-Encoding"))
        << "also on the identity variant";
    if (*coding) {
      EXPECT_LT(response.body.size(), text.size() / 2);
      EXPECT_FALSE(response.has("Accept-Ranges"));
    }
  }
  const Response none = get(gateway.port(), "/");
  EXPECT_FALSE(none.has("Content-Encoding")) << "no Accept-Encoding, no coding";
  EXPECT_EQ(none.header("Content-Length"), std::to_string(text.size()));
}

TEST(Compression, OnlyWhatGainsFromItR7_3) {
  const std::string text = prose(5000);
  struct Case {
    const char* what;
    std::string answer;
    bool compressed;
  };
  const std::vector<Case> cases = {
      {"text/html", typed("text/html; charset=utf-8", text), true},
      {"capital letters", typed("Text/HTML", text), true},
      {"text/css", typed("text/css", text), true},
      {"JSON", typed("application/json", text), true},
      {"+json", typed("application/problem+json", text), true},
      {"XML", typed("application/xml", text), true},
      {"+xml", typed("application/atom+xml", text), true},
      {"JavaScript", typed("application/javascript", text), true},
      {"JavaScript", typed("text/javascript", text), true},
      {"SVG", typed("image/svg+xml", text), true},
      {"WASM", typed("application/wasm", text), true},
      {"TrueType", typed("font/ttf", text), true},
      {"woff2 is compressed already", typed("font/woff2", text), false},
      {"PNG", typed("image/png", text), false},
      {"zip", typed("application/zip", text), false},
      {"unknown bytes", typed("application/octet-stream", text), false},
      {"video", typed("video/mp4", text), false},
      {"no type", ok(text), false},
      {"at the threshold", typed("text/plain", prose(1024)), true},
      {"below the threshold", typed("text/plain", prose(1023)), false},
      {"encoded by the upstream", typed("text/plain", text, "Content-Encoding: gzip\r\n"), false},
      {"no-transform", typed("text/plain", text, "Cache-Control: public, no-transform\r\n"), false},
      {"Content-Range",
       "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes "
       "0-4999/9999\r\nContent-Length: 5000\r\n\r\n" +
           text,
       false},
      {"length unknown",
       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: "
       "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
       true},
      {"an error page",
       "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n" + text, true},
      {"until close",
       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + text, true},
  };
  Upstream upstream([&](UpstreamExchange& exchange) {
    const auto& answer = cases.at(std::stoul(exchange.request.target().substr(1))).answer;
    exchange.send(answer);
    if (answer.find("Connection: close") != std::string::npos) exchange.close();
  });
  Gateway gateway(proxy_to(upstream));
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].what);
    const Response response =
        get(gateway.port(), "/" + std::to_string(i), "Accept-Encoding: br, gzip\r\n");
    const std::string original = cases[i].answer.substr(cases[i].answer.find("\r\n\r\n") + 4);
    EXPECT_TRUE(response.complete);
    if (cases[i].compressed) {
      EXPECT_EQ(response.header("Content-Encoding"), "br");
      EXPECT_TRUE(decoded(response) == (original.starts_with("3\r\n") ? "abc" : original));
    } else {
      EXPECT_THAT(response.header("Content-Encoding"), AnyOf("", "gzip"));
      EXPECT_TRUE(response.body == original) << "the bytes must be the upstream's";
      EXPECT_EQ(response.header("Content-Length"), std::to_string(original.size()));
    }
  }
}

TEST(Compression, BodilessResponsesStayBodilessR7_3) {
  Upstream upstream([](UpstreamExchange& exchange) {
    if (exchange.request.target() == "/304")
      exchange.send("HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\nETag: \"a\"\r\n\r\n");
    if (exchange.request.target() == "/204")
      exchange.send("HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n");
    if (exchange.request.target() == "/head")
      exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  for (const auto* path : {"/304", "/204", "/head"}) {
    const bool head = path == "/head"s;
    client.send((head ? "HEAD "s : "GET "s) + path +
                " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    const Response response = client.read_response(kDeadline, head);
    EXPECT_THAT(response.status, AnyOf(200, 204, 304));
    EXPECT_TRUE(client.stays_silent(20ms)) << path << ": " << escaped(client.unread());
  }
}

TEST(Compression, TagsAreWeakenedAndStillMatchR7_3) {
  const std::string text = prose(5000);
  Upstream upstream([&](UpstreamExchange& exchange) {
    // As origins do: compares If-None-Match with its own tag, strongly or weakly spelled.
    const std::string asked = exchange.request.header("If-None-Match");
    if (asked.find("\"v1\"") != std::string::npos)
      return (void)exchange.send("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
    exchange.send(typed("text/plain", text, "ETag: \"v1\"\r\nAccept-Ranges: bytes\r\n"));
  });
  Gateway gateway(proxy_to(upstream));
  EXPECT_EQ(get(gateway.port(), "/").header("ETag"), "\"v1\"");
  const Response encoded = get(gateway.port(), "/", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(encoded.header("ETag"), "W/\"v1\"");
  EXPECT_FALSE(encoded.has("Content-Length"));
  EXPECT_FALSE(encoded.has("Accept-Ranges"));
  const Response again =
      get(gateway.port(), "/again", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"v1\"\r\n");
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
}

TEST(Compression, AWeakTagStaysAsItIsR7_3) {
  Upstream upstream(typed("text/plain", prose(5000), "ETag: W/\"v2\"\r\nVary: Origin\r\n"));
  Gateway gateway(proxy_to(upstream));
  const Response encoded = get(gateway.port(), "/", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(encoded.header("ETag"), "W/\"v2\"");
  EXPECT_THAT(encoded.header("Vary"), HasSubstr("Origin"));
  EXPECT_THAT(encoded.header("Vary"), HasSubstr("Accept-Encoding"));
}

TEST(Compression, LargeBodiesInEveryCodingR7_3) {
  const std::string text = prose(8'000'000);
  Upstream upstream(typed("application/json", text));
  Gateway gateway(proxy_to(upstream));
  for (const auto* coding : {"gzip", "br", "zstd"}) {
    SCOPED_TRACE(coding);
    const Response response = get(gateway.port(), "/", "Accept-Encoding: "s + coding + "\r\n");
    EXPECT_EQ(response.header("Content-Encoding"), coding);
    EXPECT_TRUE(response.complete);
    EXPECT_TRUE(decoded(response) == text);
  }
}

TEST(Compression, DataThatWaitsGoesOutR7_3) {
  std::atomic<int> pieces_seen{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    pieces_seen = 0;
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
      exchange.send("5\r\nline" + std::to_string(i) + "\r\n");
      (void)wait_until([&] { return pieces_seen > i; });
    }
    exchange.send("0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
  ASSERT_EQ(client.read_head().header("Content-Encoding"), "gzip");

  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
  std::string text;
  for (int i = 0; i < 3; ++i) {
    const TimePoint start = std::chrono::steady_clock::now();
    const std::string line = "line" + std::to_string(i);
    while (text.find(line) == std::string::npos) {
      ASSERT_TRUE(client.read_until("\r\n")) << "the piece is held back";  // a chunk's size
      // Reads the chunk through its own socket buffer: sizes are small, so one chunk is one flush.
      std::string& unread = client.unread();
      if (unread.size() < 3) {
        const auto more = client.socket().receive();
        ASSERT_TRUE(more && !more->empty());
        unread += *more;
      }
      const auto end = unread.rfind("\r\n");
      ASSERT_NE(end, std::string::npos);
      std::string chunk = unread.substr(0, end);
      unread.erase(0, end + 2);
      char buffer[4096];
      stream.next_in = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_in = static_cast<uInt>(chunk.size());
      stream.next_out = reinterpret_cast<Bytef*>(buffer);
      stream.avail_out = sizeof(buffer);
      const int result = inflate(&stream, Z_SYNC_FLUSH);
      ASSERT_TRUE(result == Z_OK || result == Z_BUF_ERROR) << result;
      text.append(buffer, sizeof(buffer) - stream.avail_out);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, kSanitized ? 2s : 500ms)
        << "flushes after 50 ms";
    pieces_seen = i + 1;
  }
  inflateEnd(&stream);
  EXPECT_EQ(text, "line0line1line2");
}

TEST(Compression, ServerSentEventsAreNeverHeldBackR7_3) {
  std::atomic<bool> seen{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
        "chunked\r\n\r\nd\r\ndata: first\n\n\r\n");
    (void)wait_until([&] { return seen.load(); });
    exchange.send("0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
  const Response head = client.read_head();
  EXPECT_EQ(head.status, 200);
  if (!head.has("Content-Encoding")) {
    EXPECT_TRUE(client.read_until("data: first\n\n"));
  } else {
    EXPECT_TRUE(client.read_until("\r\n")) << "compressed events must be flushed one by one";
  }
  seen = true;
}

TEST(Compression, CanBeConfiguredPerApp) {
  Upstream upstream(typed("text/plain", prose(5000)));
  const std::string targets = "upstream: {targets: [\"" + upstream.url() + "\"]}";
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\ncompression: {encodings: [gzip, br]}\napps:\n"
      "  - {name: a, path: /a, " +
      targets +
      "}\n"
      "  - {name: off, path: /off, compression: {enabled: false}, " +
      targets +
      "}\n"
      "  - {name: high, path: /high, compression: {threshold: 8KiB}, " +
      targets + "}\n");
  const auto coding = [&](const char* path) {
    return get(gateway.port(), path, "Accept-Encoding: zstd, br, gzip\r\n")
        .header("Content-Encoding");
  };
  EXPECT_EQ(coding("/a"), "gzip") << "the configured order decides at equal q, zstd is not offered";
  EXPECT_EQ(coding("/off"), "");
  EXPECT_EQ(coding("/high"), "");
}

// --- access log

TEST(AccessLog, HasTheFieldsOfR7_4) {
  Upstream upstream(ok("hello"));
  Gateway gateway(proxy_to(upstream));
  const Response response = fetch(
      gateway.port(),
      "POST /log/me?q=1&r=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: tester/1\r\nReferer: "
      "http://r/\r\nContent-Length: 7\r\nConnection: close\r\n\r\nseven b");
  ASSERT_EQ(response.status, 200);
  const Json line = gateway.wait_for_path("/log/me");
  ASSERT_TRUE(line.is_object());
  SCOPED_TRACE(line.dump());
  EXPECT_THAT(line["time"].get<std::string>(),
              MatchesRegex("20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"));
  EXPECT_EQ(line["level"], "info");
  EXPECT_TRUE(line.contains("msg"));
  EXPECT_EQ(line["request_id"], response.header("X-Request-ID"));
  EXPECT_EQ(line["method"], "POST");
  EXPECT_EQ(line["path"], "/log/me");
  EXPECT_EQ(line["query"], "q=1&r=2");
  EXPECT_EQ(line["host"], "shop.example");
  EXPECT_EQ(line["app"], "app");
  EXPECT_TRUE(line.contains("route"));
  EXPECT_EQ(line["status"], 200);
  EXPECT_GE(line["duration_ms"].get<double>(), 0.0);
  EXPECT_GE(line["duration_ms"].get<double>(), line["upstream_duration_ms"].get<double>());
  EXPECT_THAT(line["upstream"].get<std::string>(),
              HasSubstr("127.0.0.1:" + std::to_string(upstream.port())));
  EXPECT_EQ(line["upstream_tries"], 1);
  EXPECT_GE(line["bytes_in"].get<int>(), 7);
  EXPECT_GE(line["bytes_out"].get<int>(), 5);
  EXPECT_EQ(line["client"], "127.0.0.1");
  EXPECT_EQ(line["user_agent"], "tester/1");
  EXPECT_EQ(line["referer"], "http://r/");
  EXPECT_EQ(line["protocol"], "HTTP/1.1");
}

TEST(AccessLog, HasExactlyOneLinePerParsedRequestR7) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.read_body();
    if (exchange.request.target() == "/reset") return exchange.reset();
    if (exchange.request.target() == "/truncated") {
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
      return exchange.close();
    }
    exchange.send(ok("x"));
  });
  Gateway gateway(proxy_to(upstream, "limits: {body: 1KiB}\ntimeouts: {request_body: 300ms}"));
  EXPECT_EQ(get(gateway.port(), "/good").status, 200);
  EXPECT_EQ(get(gateway.port(), "/reset").status, 502);
  (void)get(gateway.port(), "/truncated");
  EXPECT_EQ(fetch(gateway.port(), "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n")
                .status,
            413);
  EXPECT_EQ(
      fetch(gateway.port(), "POST /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nx")
          .status,
      408);
  EXPECT_EQ(
      fetch(gateway.port(), "GET /expectation HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n").status,
      417);
  EXPECT_EQ(fetch(gateway.port(),
                  "GET /badchunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
                .status,
            400);
  EXPECT_EQ(get(gateway.port(), "/health/live").status, 200);
  EXPECT_EQ(get(gateway.port(), "/last").status, 200);
  ASSERT_TRUE(gateway.wait_for_path("/last").is_object());
  std::map<std::string, std::vector<std::pair<int, std::string>>> lines;
  ASSERT_TRUE(wait_until([&] {
    lines.clear();
    for (const auto& line : gateway.access_log())
      lines[line.value("path", "")].emplace_back(line.value("status", 0), line.value("reason", ""));
    return lines.size() >= 8;
  }));
  const auto expect_one = [&](const char* path, int status, const char* reason) {
    ASSERT_EQ(lines[path].size(), 1u) << path;
    EXPECT_EQ(lines[path][0].first, status) << path;
    EXPECT_EQ(lines[path][0].second, reason) << path;
  };
  expect_one("/good", 200, "");
  expect_one("/reset", 502, "upstream_reset");
  expect_one("/large", 413, "body_too_large");
  expect_one("/stalled", 408, "request_timeout");
  expect_one("/badchunk", 400, "bad_request");
  ASSERT_EQ(lines["/truncated"].size(), 1u);
  EXPECT_EQ(lines["/truncated"][0].second, "upstream_reset");
  EXPECT_EQ(lines["/expectation"].size(), 1u);
  EXPECT_EQ(lines["/health/live"].size(), 0u) << "R8.3: health is left out at level info";
}

TEST(AccessLog, StaysOneLineWithHostileBytesR7_4) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const std::vector<std::string> hostile = {"\xff\xfe",
                                            "a\tb",
                                            "quote\" back\\slash",
                                            "{\"fake\":1}",
                                            "\xc3\x28",
                                            "\xed\xa0\x80",
                                            "\xf4\x90\x80\x80",
                                            "\xe2\x80\xa8 line separator",
                                            "\xc3\xa9 good",
                                            std::string(4000, '"'),
                                            "${jndi:ldap://x}",
                                            "%0d%0a{\"x\":1}"};
  for (std::size_t i = 0; i < hostile.size(); ++i) {
    SCOPED_TRACE(escaped(hostile[i]));
    const std::string path = "/hostile/" + std::to_string(i);
    EXPECT_EQ(get(gateway.port(), path + "?q=\"},{\"x\":\"",
                  "User-Agent: " + hostile[i] + "\r\nReferer: " + hostile[i] + "\r\n")
                  .status,
              200);
    const Json line = gateway.wait_for_path(path);
    ASSERT_TRUE(line.is_object());
    EXPECT_EQ(line["query"], "q=\"},{\"x\":\"");
    EXPECT_NE(line["user_agent"], "");
  }
  EXPECT_EQ(gateway.access_log().size(), hostile.size());
  for (const auto& line : gateway.access_log()) EXPECT_TRUE(line.is_object()) << line;
  const std::string raw = gateway.process().out();
  EXPECT_TRUE(std::none_of(raw.begin(), raw.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\n';
  }));
}

TEST(AccessLog, GoesToAFileThatSigusr1ReopensR7_4) {
  TempDir directory;
  const std::string path = directory.path() + "/access.log";
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "access_log: {output: \"" + path + "\"}"));
  ASSERT_EQ(get(gateway.port(), "/before").status, 200);
  ASSERT_TRUE(wait_until([&] { return read_file(path).find("/before") != std::string::npos; }));
  std::filesystem::rename(path, path + ".1");
  gateway.signal(SIGUSR1);
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(path); }));
  ASSERT_EQ(get(gateway.port(), "/after").status, 200);
  EXPECT_TRUE(wait_until([&] { return read_file(path).find("/after") != std::string::npos; }));
  EXPECT_EQ(read_file(path + ".1").find("/after"), std::string::npos);
  EXPECT_TRUE(gateway.access_log().empty()) << "nothing on stdout";
}

TEST(AccessLog, FormatsAndRedactionR7_4) {
  Upstream upstream(ok("hello"));
  {
    Gateway gateway(proxy_to(upstream, "access_log: {query: false}"));
    ASSERT_EQ(get(gateway.port(), "/secret?token=hunter2").status, 200);
    EXPECT_EQ(gateway.wait_for_path("/secret")["query"], "***");
    EXPECT_EQ(gateway.process().out().find("hunter2"), std::string::npos);
  }
  const auto first_line = [&](const char* format) {
    Gateway gateway(proxy_to(upstream, "access_log: {format: "s + format + "}"));
    EXPECT_EQ(get(gateway.port(), "/clf?x", "User-Agent: u\r\nReferer: r\r\n").status, 200);
    EXPECT_TRUE(wait_until([&] { return gateway.process().out_line_count() >= 2; }));
    return gateway.process().out_lines().at(1);
  };
  EXPECT_THAT(
      first_line("clf"),
      MatchesRegex("127\\.0\\.0\\.1 - - \\[[^]]+\\] \"GET /clf\\?x HTTP/1\\.1\" 200 [0-9]+"));
  EXPECT_THAT(
      first_line("combined"),
      MatchesRegex(
          "127\\.0\\.0\\.1 - - \\[[^]]+\\] \"GET /clf\\?x HTTP/1\\.1\" 200 [0-9]+ \"r\" \"u\""));
}

TEST(AccessLog, SamplesOnlySuccessesR7_4) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send(exchange.request.target() == "/bad"
                      ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                      : ok("x"));
  });
  Gateway gateway(proxy_to(upstream, "access_log: {sample: 0.0}"));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get(gateway.port(), "/good").status, 200);
  EXPECT_EQ(get(gateway.port(), "/bad").status, 404);
  EXPECT_TRUE(gateway.wait_for_path("/bad").is_object());
  EXPECT_EQ(gateway.access_log().size(), 1u);
}

TEST(AccessLog, NeverMakesRequestsWaitR7_4) {
  // A pipe that nobody reads: the log's destination blocks for ever.
  TempDir directory;
  const std::string path = directory.path() + "/stuck.log";
  ASSERT_EQ(
      run_command(
          {.arguments = {"mkfifo", path}, .environment = {}, .descriptors = {}, .directory = {}})
          .exit_code,
      0);
  Process reader({.arguments = {"sh", "-c", "exec sleep 1000 < '" + path + "'"},
                  .environment = {},
                  .descriptors = {},
                  .directory = {}});
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "access_log: {output: \"" + path + "\", buffer: 64KiB}"));
  RawClient client(gateway.port());
  const std::string request = "GET /" + std::string(1000, 'p') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  for (int i = 0; i < 500; ++i) {
    client.send(request);
    ASSERT_EQ(client.read_response().status, 200) << i;
  }
}

}  // namespace
}  // namespace tyaprover::test
