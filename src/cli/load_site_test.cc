// The misbehaving site of load_test.cc. Beast on one thread of its own; content under a mutex.
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/load_test_site.h"

namespace afloat::cli::test {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace json = boost::json;
namespace {

constexpr auto await = asio::as_tuple(asio::use_awaitable);

struct Page {
  std::string space, title;
  std::vector<std::string> bodies;  ///< version n at n - 1
};
struct File {
  std::string page, name, bytes;
};
struct Reply {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::string extra;  ///< header lines
};

std::string parameter(std::string_view query, std::string_view name) {
  for (const auto& pair : split(query, '&'))
    if (pair.starts_with(std::string(name) + "=")) return url_decode(pair.substr(name.size() + 1), true).value_or("");
  return {};
}

Reply html(std::string body) {
  return {200, "text/html; charset=utf-8", "<!doctype html><html><body>" + body + "</body></html>", {}};
}
Reply object(const json::object& o) { return {200, "application/json", json::serialize(o), {}}; }
Reply error(int status, std::string_view message) {
  return {status, "application/json", json::serialize(json::object{{"statusCode", status}, {"message", message}}), {}};
}

}  // namespace

struct MisbehavingSite::Impl {
  asio::io_context context{1};
  std::vector<asio::ip::tcp::acceptor> acceptors;
  std::thread thread;
  mutable std::mutex mutex;
  std::map<std::string, Page> pages;
  std::map<std::string, File> files;
  std::set<std::string> spaces{"READ"}, touched;
  std::multimap<std::string, Fault> armed;
  std::map<std::string, int> stale;  ///< page -> node that lags
  int sequence = 1000;

  json::object page_json(const std::string& id, int node, int version) const {
    const Page& page = pages.at(id);
    const auto lags = stale.find(id);
    const int newest = static_cast<int>(page.bodies.size()) - (lags != stale.end() && lags->second == node ? 1 : 0);
    if (version == 0) version = newest;
    return {{"id", id},
            {"type", "page"},
            {"title", page.title},
            {"version", {{"number", version}}},
            {"body", {{"storage", {{"value", page.bodies.at(static_cast<std::size_t>(version) - 1)}}}}}};
  }

  static std::string kind_of(const std::string& method, const std::string& path) {
    if (path == "/") return "home";
    if (path.starts_with("/pages/")) return "view";
    if (path.starts_with("/download/")) return "download";
    if (path == "/rest/api/search") return "search";
    if (path.ends_with("/label")) return "labels";
    if (path.ends_with("/child/page")) return "children";
    if (path.ends_with("/history")) return "history";
    if (path.ends_with("/child/attachment")) return method == "POST" ? "upload" : "list";
    if (path == "/rest/api/content") return method == "POST" ? "create" : "list";
    return method == "PUT" ? "edit" : "edit_read";
  }

  Reply content_reply(int node, const std::string& method, const std::string& rest, const std::string& query,
                      const std::string& body) {
    const auto slash = rest.find('/');
    const auto id = rest.substr(0, slash);
    const auto tail = slash == std::string::npos ? std::string() : rest.substr(slash);
    if (!pages.contains(id)) return error(404, "There is no page " + id + ".");
    if (tail == "/history") return object({{"lastUpdated", {{"number", pages[id].bodies.size()}}}});
    if (tail == "/label" || tail == "/child/page") return object({{"results", json::array()}, {"size", 0}});
    if (tail == "/child/attachment" && method == "POST") {
      const auto begin = body.find("\r\n\r\n") + 4, end = body.rfind("\r\n--");
      const auto name_at = body.find("filename=\"") + 10;
      const auto att = fmt::format("att{}", ++sequence);
      files[att] = {id, body.substr(name_at, body.find('"', name_at) - name_at), body.substr(begin, end - begin)};
      return object(
          {{"results", json::array{json::object{
                           {"id", att}, {"title", files[att].name}, {"_links", {{"download", "/download/" + att}}}}}}});
    }
    if (tail == "/child/attachment") {
      json::array results;
      for (const auto& [att, file] : files)
        if (file.page == id && file.name == parameter(query, "filename"))
          results.push_back(json::object{{"id", att}, {"title", file.name}, {"version", {{"number", 1}}}});
      return object({{"results", std::move(results)}});
    }
    if (method == "GET") {
      const auto version = parse_int(parameter(query, "version")).value_or(0);
      if (version > static_cast<std::int64_t>(pages[id].bodies.size())) return error(404, "no such version");
      return object(page_json(id, node, static_cast<int>(version)));
    }
    const auto put = json::parse(body).as_object();
    if (int_or(put.at("version").as_object(), "number") != static_cast<std::int64_t>(pages[id].bodies.size()) + 1)
      return error(409, "wrong version");
    pages[id].bodies.push_back(string_or(put.at("body").at("storage").as_object(), "value"));
    return object(page_json(id, node, 0));
  }

  Reply reply(int node, const std::string& method, const std::string& path, const std::string& query,
              const std::string& body) {
    constexpr std::string_view content = "/rest/api/content/";
    if (path == "/") return html("<h1>Home</h1><meta name=\"csrf\" content=\"abc123\">");
    if (path == "/login")
      return {303, "text/html", "", "Location: /\r\nSet-Cookie: afloat_session=s1; Path=/; HttpOnly\r\n"};
    if (path == "/rest/api/admin/user") return object({});
    if (path == "/rest/api/search")
      return object({{"results", json::array{json::object{{"title", "x"}}}}, {"totalSize", 1}});
    if (path == "/rest/api/space") return spaces.insert(string_or(json::parse(body).as_object(), "key")), object({});
    if (path.starts_with("/rest/api/space/"))
      return spaces.contains(path.substr(16)) ? object({}) : error(404, "no such space");
    if (path.starts_with("/pages/")) {
      const auto page = pages.find(path.substr(7));
      if (page == pages.end()) return error(404, "no such page");
      return html("<h1>" + page->second.title + "</h1>" + page->second.bodies.back());
    }
    if (path.starts_with("/download/")) {
      const auto file = files.find(path.substr(10));
      if (file == files.end()) return error(404, "no such file");
      return {200, "application/octet-stream", file->second.bytes, {}};
    }
    if (path == "/rest/api/content" && method == "POST") {
      const auto post = json::parse(body).as_object();
      const auto id = std::to_string(++sequence);
      pages[id] = {string_or(post.at("space").as_object(), "key"),
                   string_or(post, "title"),
                   {string_or(post.at("body").at("storage").as_object(), "value")}};
      return object(page_json(id, node, 0));
    }
    if (path == "/rest/api/content") {
      json::array results;
      auto skip = parse_int(parameter(query, "start")).value_or(0),
           take = parse_int(parameter(query, "limit")).value_or(25);
      for (const auto& [id, page] : pages) {
        if (page.space != parameter(query, "spaceKey") || skip-- > 0) continue;
        if (take-- <= 0) break;
        results.push_back(json::object{{"id", id}, {"title", page.title}});
      }
      return object({{"results", std::move(results)}});
    }
    if (path.starts_with(content)) return content_reply(node, method, path.substr(content.size()), query, body);
    return error(404, "no such address");
  }

  std::optional<Fault> take_fault(const std::string& kind) {
    const auto found = armed.find(kind);
    if (found == armed.end()) return std::nullopt;
    const auto fault = found->second;
    armed.erase(found);
    return fault;
  }

  asio::awaitable<void> serve(asio::ip::tcp::socket socket, int node) {
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer;
    for (;;) {
      bhttp::request<bhttp::string_body> request;
      const auto [error_read, size] = co_await bhttp::async_read(stream, buffer, request, await);
      if (error_read) co_return;
      const std::string method(request.method_string()), target(request.target());
      const auto mark = target.find('?');
      const auto path = target.substr(0, mark), query = mark == std::string::npos ? "" : target.substr(mark + 1);
      Reply answer;
      std::optional<Fault> fault;
      {
        std::lock_guard lock(mutex);
        fault = take_fault(kind_of(method, path));
        if (fault == Fault::close) co_return;
        if (fault == Fault::answer_500)
          answer = error(500, "planted");
        else if (fault == Fault::answer_404)
          answer = error(404, "planted");
        else if (fault == Fault::redirect)
          answer = {302, "text/html", "", "Location: /login\r\n"};
        else
          answer = reply(node, method, path, query, request.body());
        if (fault == Fault::wrong_body) answer.body = "<html>something else</html>";
      }
      if (fault == Fault::commit_then_close) co_return;
      auto bytes =
          fmt::format("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Afloat-Node: n{}\r\n{}\r\n{}",
                      answer.status, answer.type, answer.body.size(), node + 1, answer.extra, answer.body);
      if (fault == Fault::truncate) bytes.resize(bytes.size() - answer.body.size() / 2);
      co_await asio::async_write(stream, asio::buffer(bytes), await);
      if (fault == Fault::truncate || fault == Fault::answer_then_close) co_return;
    }
  }

  asio::awaitable<void> accept(std::size_t node) {
    for (;;) {
      auto [error_accept, socket] = co_await acceptors[node].async_accept(await);
      if (error_accept) co_return;
      asio::co_spawn(context, serve(std::move(socket), static_cast<int>(node)), asio::detached);
    }
  }

  /// A page of the load with at least `versions` versions that no fault has used yet.
  std::string pick(std::size_t least, std::size_t most) {
    for (const auto& [id, page] : pages)
      if (page.space != "READ" && page.bodies.size() >= least && page.bodies.size() <= most &&
          touched.insert(id).second)
        return id;
    return {};
  }
};

MisbehavingSite::MisbehavingSite(int nodes) : impl_(std::make_unique<Impl>()) {
  for (int i = 0; i < 150; ++i)
    impl_->pages[std::to_string(i + 1)] = {"READ", fmt::format("Chapter {} about harbours", i + 1), {"<p>text</p>"}};
  for (int i = 0; i < nodes; ++i)
    impl_->acceptors.emplace_back(impl_->context, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  for (std::size_t i = 0; i < impl_->acceptors.size(); ++i)
    asio::co_spawn(impl_->context, impl_->accept(i), asio::detached);
  impl_->thread = std::thread([this] { impl_->context.run(); });
}

MisbehavingSite::~MisbehavingSite() {
  impl_->context.stop();
  impl_->thread.join();
}

std::string MisbehavingSite::url(int node) const {
  return fmt::format("http://127.0.0.1:{}", impl_->acceptors[static_cast<std::size_t>(node)].local_endpoint().port());
}

void MisbehavingSite::arm(const std::string& kind, Fault fault) {
  std::lock_guard lock(impl_->mutex);
  impl_->armed.emplace(kind, fault);
}
std::size_t MisbehavingSite::armed() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->armed.size();
}

std::string MisbehavingSite::lose_page() {
  std::lock_guard lock(impl_->mutex);
  for (const auto& [id, file] : impl_->files) impl_->touched.insert(file.page);  // exactly one write is to be lost
  const auto id = impl_->pick(1, 1);
  impl_->pages.erase(id);
  for (const auto& [file_id, file] : impl_->files) impl_->touched.erase(file.page);
  return id;
}
std::string MisbehavingSite::change_version() {
  std::lock_guard lock(impl_->mutex);
  const auto id = impl_->pick(2, 1000);
  if (!id.empty()) impl_->pages[id].bodies[0] += "<p>not what was written</p>";
  return id;
}
std::string MisbehavingSite::duplicate_page() {
  std::lock_guard lock(impl_->mutex);
  const auto id = impl_->pick(1, 1000);
  if (!id.empty()) impl_->pages[std::to_string(++impl_->sequence)] = impl_->pages[id];
  return id;
}
std::string MisbehavingSite::make_stale(int node) {
  std::lock_guard lock(impl_->mutex);
  const auto id = impl_->pick(2, 1000);
  if (!id.empty()) impl_->stale[id] = node;
  return id;
}
std::string MisbehavingSite::lose_file() {
  std::lock_guard lock(impl_->mutex);
  if (impl_->files.empty()) return {};
  const auto id = impl_->files.begin()->first;
  impl_->files.erase(id);
  return id;
}

}  // namespace afloat::cli::test
