#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <cctype>
#include <set>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/load_checks.h"
#include "cli/load_engine.h"

/// What must be there before the load begins. Nothing here is measured; the first thing that is not as it
/// must be ends the load with a message, since a load on a half-prepared site proves nothing.
namespace afloat::cli {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

Error unexpected(std::string_view what, const std::string& failure) {
  return Error(ErrorKind::unavailable, fmt::format("The load could not {}: {}.", what, failure));
}

std::string basic(std::string_view user, std::string_view password) {
  return fmt::format("Authorization: Basic {}\r\nX-Atlassian-Token: no-check\r\n",
                     to_base64(fmt::format("{}:{}", user, password)));
}

/// The value of the first HTML attribute `value` or `content` behind the word "csrf".
std::string csrf_token(std::string_view html) {
  for (auto at = html.find("csrf"); at != std::string_view::npos; at = html.find("csrf", at + 1)) {
    const auto tag = html.substr(at, html.find('>', at) - at);
    for (const std::string_view name : {"value=\"", "content=\""}) {
      const auto from = tag.find(name);
      if (from == std::string_view::npos) continue;
      const auto value = tag.substr(from + name.size());
      if (const auto token = value.substr(0, value.find('"')); !token.empty()) return std::string(token);
    }
  }
  return {};
}

}  // namespace

struct ForEach {
  std::size_t next = 0, count = 0, running = 0;
  std::function<Task<void>(std::size_t)> work;
  Result<void> outcome;
  std::unique_ptr<asio::steady_timer> finished;
};

Async<void> Load::for_each_worker(std::shared_ptr<ForEach> shared) {
  while (shared->next < shared->count && shared->outcome) {
    auto done = co_await shared->work(shared->next++);
    if (!done) shared->outcome = done;
  }
  if (--shared->running == 0) shared->finished->cancel();
}

/// Four at a time: sign-in costs the site a password hash each.
Task<void> Load::for_each(std::size_t count, std::function<Task<void>(std::size_t)> work) {
  auto shared = std::make_shared<ForEach>();
  shared->count = count;
  shared->work = std::move(work);
  shared->finished = std::make_unique<asio::steady_timer>(context_, SteadyTime::max());
  shared->running = 4;
  for (int i = 0; i < 4; ++i)
    asio::co_spawn(context_, for_each_worker(shared), [](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
    });
  while (shared->running > 0) co_await shared->finished->async_wait(asio::as_tuple(asio::use_awaitable));
  co_return shared->outcome;
}

Task<void> Load::make_space() {
  const auto& key = options_.write_space;
  const auto found = co_await pool_.exchange(
      request_bytes(pool_.address(), "GET", "/rest/api/space/" + url_encode(key), admin_headers_), soon());
  if (found.status == 200) co_return Result<void>{};
  if (found.status != 404)
    co_return std::unexpected(unexpected("look for space " + key, check_answer(found, "application/json")));
  const json::object body{{"key", key}, {"name", "Load " + key}};
  const auto made = co_await pool_.exchange(request_bytes(pool_.address(), "POST", "/rest/api/space", admin_headers_,
                                                          "application/json", json::serialize(body)),
                                            soon());
  if (made.status == 200 || made.status == 201) co_return Result<void>{};
  co_return std::unexpected(unexpected("make space " + key, check_answer(made, "application/json")));
}

Task<void> Load::make_user(std::size_t index) {
  User& user = users_[index];
  const json::object body{{"userName", user.name},
                          {"fullName", fmt::format("Load user {}", index + 1)},
                          {"email", user.name + "@load.example"},
                          {"password", user.password},
                          {"notifyViaEmail", false}};
  const auto made = co_await pool_.exchange(request_bytes(pool_.address(), "POST", "/rest/api/admin/user",
                                                          admin_headers_, "application/json", json::serialize(body)),
                                            soon());
  if (made.failure.empty() && made.status >= 200 && made.status < 300) co_return Result<void>{};
  co_return std::unexpected(
      unexpected("make user " + user.name + " as administrator", check_answer(made, "application/json")));
}

/// Every other user signs in with the form and keeps a session; the rest send their password each time.
Task<void> Load::sign_in(std::size_t index) {
  User& user = users_[index];
  user.headers = basic(user.name, user.password);
  if (index % 2 == 0) {
    const auto form = fmt::format("user={0}&password={1}&next=%2F&os_username={0}&os_password={1}",
                                  url_encode(user.name), url_encode(user.password));
    const auto answer = co_await pool_.exchange(
        request_bytes(pool_.address(), "POST", "/login", {}, "application/x-www-form-urlencoded", form), soon());
    const auto cookie = answer.set_cookie.substr(0, answer.set_cookie.find(';'));
    if (!answer.failure.empty() || answer.status >= 400 || !cookie.starts_with("afloat_session="))
      co_return std::unexpected(unexpected(
          "sign in as " + user.name, answer.failure.empty()
                                         ? fmt::format("status {} without an afloat_session cookie", answer.status)
                                         : answer.failure));
    user.headers = fmt::format("Cookie: {}\r\nX-Atlassian-Token: no-check\r\n", cookie);
  }
  const auto home = co_await pool_.exchange(message(user, "GET", "/"), soon());
  if (auto failure = check_html(home); !failure.empty())
    co_return std::unexpected(unexpected("see the home page as " + user.name, failure));
  if (index % 2 == 0)
    if (const auto token = csrf_token(home.body); !token.empty())
      user.headers += fmt::format("X-Csrf-Token: {}\r\n", token);
  co_return Result<void>{};
}

Task<void> Load::find_pages() {
  constexpr std::size_t limit = 100;
  for (std::size_t start = 0;; start += limit) {
    const auto target = fmt::format("/rest/api/content?spaceKey={}&type=page&limit={}&start={}",
                                    url_encode(options_.space), limit, start);
    const auto answer = co_await pool_.exchange(request_bytes(pool_.address(), "GET", target, admin_headers_), soon());
    json::object o;
    auto failure = check_json(answer, o);
    const auto* results = array_at(o, "results");
    if (failure.empty() && !results) failure = "a list without results";
    if (!failure.empty()) co_return std::unexpected(unexpected("list the pages of space " + options_.space, failure));
    for (const auto& entry : *results)
      if (entry.is_object())
        pages_.push_back({string_or(entry.get_object(), "id"), string_or(entry.get_object(), "title")});
    if (results->size() < limit) break;
  }
  if (pages_.empty())
    co_return std::unexpected(unexpected("find a page to read in space " + options_.space,
                                         "it has none; import some first, or name another space with --space"));
  co_return Result<void>{};
}

/// Words out of titles, kept when the search finds something for them (it knows no stop words, for instance).
Task<void> Load::find_words() {
  std::set<std::string> candidates;
  for (int i = 0; i < 400 && candidates.size() < 40; ++i) {
    auto word = to_lower(plain_word(pages_[random(pages_.size())].title));
    if (word.size() >= 4 && std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isalpha(c); }))
      candidates.insert(std::move(word));
  }
  std::string failure = "no title has a word of four letters or more";
  for (const auto& word : candidates) {
    const auto cql = url_encode(fmt::format("text ~ \"{}\"", word));
    const auto answer =
        co_await pool_.exchange(message(users_[0], "GET", "/rest/api/search?limit=10&cql=" + cql), soon());
    auto why = check_list(answer, 1);
    if (why.empty())
      words_.push_back(word);
    else
      failure = std::move(why);
    if (words_.size() == 20) break;
  }
  if (words_.empty()) co_return std::unexpected(unexpected("find a word that the search knows", failure));
  co_return Result<void>{};
}

Task<void> Load::first_content() {
  const Due due{std::chrono::steady_clock::now(), false};
  const std::size_t count = std::max<std::size_t>(users_.size(), 20);
  auto made = co_await for_each(count, [this, due](std::size_t i) -> Task<void> {
    return [](Load* self, Due due, std::size_t user) -> Task<void> {
      due.at = std::chrono::steady_clock::now();
      auto failure = co_await self->create(due, user);
      if (!failure.empty()) co_return std::unexpected(unexpected("write a first page", failure));
      co_return Result<void>{};
    }(this, due, i % users_.size());
  });
  if (!made) co_return made;
  for (int i = 0; i < 10; ++i) {
    auto failure = co_await upload({std::chrono::steady_clock::now(), false});
    if (!failure.empty()) co_return std::unexpected(unexpected("upload a first file", failure));
  }
  co_return Result<void>{};
}

Task<void> Load::prepare() {
  if (auto resolved = pool_.resolve(); !resolved) co_return resolved;
  started_ = std::chrono::steady_clock::now();
  started_unix_ms_ =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  admin_headers_ = basic(options_.admin_user, options_.admin_password);
  for (int i = 0; i < std::max(options_.users, 1); ++i)
    users_.push_back({fmt::format("load-{}-{}", run_, i + 1), "load-" + run_ + "-" + std::to_string(random_()), {}});
  if (auto done = co_await find_pages(); !done) co_return done;
  if (auto done = co_await make_space(); !done) co_return done;
  if (auto done = co_await for_each(users_.size(), [this](std::size_t i) { return make_user(i); }); !done)
    co_return done;
  if (auto done = co_await for_each(users_.size(), [this](std::size_t i) { return sign_in(i); }); !done) co_return done;
  if (auto done = co_await find_words(); !done) co_return done;
  co_return co_await first_content();
}

}  // namespace afloat::cli
