#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/load_checks.h"
#include "cli/load_engine.h"

/// What users do. Each action knows what its request must get, from what this process wrote before.
namespace afloat::cli {
namespace json = boost::json;
using std::chrono::steady_clock;
namespace {

/// The outcome of a write is unknown when it went out and no answer says that it was refused.
bool may_have_happened(const Answer& answer) {
  return answer.sent && (!answer.failure.empty() || answer.status == 200 || answer.status >= 500);
}

}  // namespace

std::string Load::page_body(std::string_view marker, int number) {
  static constexpr auto words = std::to_array<std::string_view>(
      {"harbour", "keel", "tide",   "ballast", "anchor", "rudder",  "current", "lantern", "chart", "sounding",
       "mooring", "sail", "beacon", "drift",   "hull",   "compass", "pilot",   "channel", "buoy",  "log"});
  std::string body = fmt::format("<h2>Sounding {}</h2><p>{}</p>", number, marker_text(marker, number));
  for (std::size_t paragraph = 2 + random(4); paragraph > 0; --paragraph) {
    body += "<p>";
    for (std::size_t i = 20 + random(40); i > 0; --i) {
      body += words[random(words.size())];
      body += i > 1 ? ' ' : '.';
    }
    body += "</p>";
  }
  return body;
}

Async<std::string> Load::view(Due due) {
  if (!own_.empty() && random(4) == 0) {  // every fourth view is of a page whose content this process knows
    const OwnPage& page = own_[random(own_.size())];
    const int least = page.acknowledged;
    co_return co_await request("view", due, message(any_user(), "GET", "/pages/" + page.id),
                               [&page, least](const Answer& answer) {
                                 auto failure = check_html(answer);
                                 return failure.empty() ? check_marker(answer.body, page.marker, least) : failure;
                               });
  }
  const ReadPage& page = pages_[random(pages_.size())];
  co_return co_await request(
      "view", due, message(any_user(), "GET", "/pages/" + page.id), [&page](const Answer& answer) {
        auto failure = check_html(answer);
        if (failure.empty() && answer.body.find(plain_word(page.title)) == std::string::npos)
          failure = fmt::format("content: page {} does not show its title \"{}\"", page.id, page.title);
        return failure;
      });
}

Async<std::string> Load::home(Due due) {
  co_return co_await request("home", due, message(any_user(), "GET", "/"), check_html);
}

Async<std::string> Load::create(Due due, std::size_t user) {
  OwnPage page;
  page.owner = user;
  page.marker = fmt::format("afl{}p{}", run_, ++page_sequence_);
  page.title = fmt::format("{} load page {}", page.marker, page_sequence_);
  const std::string body = page_body(page.marker, 1);
  const json::object content{{"type", "page"},
                             {"title", page.title},
                             {"space", {{"key", options_.write_space}}},
                             {"body", {{"storage", {{"value", body}, {"representation", "storage"}}}}}};
  WriteRecord write{0, WriteTarget::page, Certainty::acknowledged, "", "", 1, sha256_hex(body), page.title, page.marker,
                    ""};
  bool unknown = false;
  auto failure = co_await request(
      "create", due, message(users_[user], "POST", "/rest/api/content", "application/json", json::serialize(content)),
      [&](const Answer& answer) {
        write.at_ms = unix_ms(answer.ended_at);
        unknown = may_have_happened(answer);
        return check_page(answer, 1, page.title, page.id);
      });
  write.id = page.id;
  write.certainty = failure.empty() ? Certainty::acknowledged : Certainty::unknown;
  if (failure.empty()) own_.push_back(std::move(page));
  if (failure.empty() || unknown) acknowledge(write);
  co_return failure;
}

Load::OwnPage* Load::free_page() {
  for (int attempt = 0; attempt < 20; ++attempt)
    if (auto& page = own_[random(own_.size())]; !page.busy) return &page;
  for (auto& page : own_)
    if (!page.busy) return &page;
  return nullptr;
}

Async<std::string> Load::edit(Due due) {
  OwnPage* page = free_page();
  if (!page) {  // every page is being edited: a new one keeps the number of requests and the share of writes
    auto failure = co_await view(due);
    co_return failure.empty() ? co_await create({steady_clock::now(), due.counts}, random(users_.size())) : failure;
  }
  page->busy = true;
  const User& user = users_[page->owner];
  const auto target = "/rest/api/content/" + page->id;
  auto failure = co_await request(
      "edit_read", due, message(user, "GET", target + "?expand=version,body.storage"), [page](const Answer& answer) {
        std::string id;
        if (page->uncertain && check_page(answer, page->version + 1, page->title, id).empty()) {
          ++page->version;  // the edit without an answer was carried out
          page->uncertain = false;
          return std::string();
        }
        auto failure = check_page(answer, page->version, page->title, id);
        return failure.empty() ? check_marker(answer.body, page->marker, page->acknowledged) : failure;
      });
  if (!failure.empty()) {
    page->busy = false;
    co_return failure;
  }
  const int number = ++page->written;
  const int version = page->version + 1;
  const std::string body = page_body(page->marker, number);
  const json::object content{{"id", page->id},
                             {"type", "page"},
                             {"title", page->title},
                             {"version", {{"number", version}}},
                             {"body", {{"storage", {{"value", body}, {"representation", "storage"}}}}}};
  WriteRecord write{
      0, WriteTarget::page, Certainty::acknowledged, page->id, "", version, sha256_hex(body), page->title, page->marker,
      ""};
  bool unknown = false;
  failure = co_await request("edit", {steady_clock::now(), due.counts},
                             message(user, "PUT", target, "application/json", json::serialize(content)),
                             [&](const Answer& answer) {
                               write.at_ms = unix_ms(answer.ended_at);
                               unknown = may_have_happened(answer);
                               std::string id;
                               return check_page(answer, version, page->title, id);
                             });
  if (failure.empty()) {
    page->version = version;
    page->acknowledged = number;
    page->uncertain = false;
    acknowledge(write);
  } else if (unknown) {
    page->uncertain = true;
    write.certainty = Certainty::unknown;
    acknowledge(write);
  }
  page->busy = false;
  co_return failure;
}

Async<std::string> Load::upload(Due due) {
  const OwnPage& page = own_[random(own_.size())];
  const std::string name = fmt::format("{}-{}.bin", run_, ++file_sequence_);
  std::string bytes(2048 + random(14 * 1024), '\0');
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const auto value = random_();
    std::copy_n(reinterpret_cast<const char*>(&value), 8, bytes.data() + i);
  }
  const auto boundary = "----afloat" + run_;
  const std::string body = fmt::format(
      "--{0}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{1}\"\r\nContent-Type: "
      "application/octet-stream\r\n\r\n{2}\r\n--{0}--\r\n",
      boundary, name, bytes);
  WriteRecord write{0, WriteTarget::attachment, Certainty::acknowledged, "", page.id, 1, sha256_hex(bytes), name, "",
                    ""};
  bool unknown = false;
  auto failure =
      co_await request("upload", due,
                       message(users_[page.owner], "POST", "/rest/api/content/" + page.id + "/child/attachment",
                               "multipart/form-data; boundary=" + boundary, body),
                       [&](const Answer& answer) -> std::string {
                         write.at_ms = unix_ms(answer.ended_at);
                         unknown = may_have_happened(answer);
                         json::object o;
                         if (auto failure = check_json(answer, o); !failure.empty()) return failure;
                         const auto* results = array_at(o, "results");
                         if (!results || results->size() != 1 || !results->front().is_object())
                           return "content: the answer does not name the attachment";
                         const auto& attachment = results->front().get_object();
                         write.id = string_or(attachment, "id");
                         if (const auto* links = object_at(attachment, "_links"))
                           write.link = string_or(*links, "download");
                         if (write.id.empty() || write.link.empty())
                           return "content: an attachment without id or download link";
                         if (string_or(attachment, "title") != name)
                           return fmt::format("content: the attachment is called \"{}\" instead of {}",
                                              string_or(attachment, "title"), name);
                         return {};
                       });
  write.certainty = failure.empty() ? Certainty::acknowledged : Certainty::unknown;
  if (failure.empty()) files_.push_back({write.link, write.digest});
  if (failure.empty() || unknown) acknowledge(write);
  co_return failure;
}

Async<std::string> Load::download(Due due) {
  const File file = files_[random(files_.size())];
  co_return co_await request("download", due, message(any_user(), "GET", file.link), [&file](const Answer& answer) {
    auto failure = check_answer(answer, "application/octet-stream");
    if (failure.empty() && sha256_hex(answer.body) != file.digest)
      failure = fmt::format("content: {} is not the file that was uploaded", file.link);
    return failure;
  });
}

Async<std::string> Load::search(Due due) {
  const auto cql = url_encode(fmt::format("text ~ \"{}\"", words_[random(words_.size())]));
  co_return co_await request("search", due, message(any_user(), "GET", "/rest/api/search?limit=10&cql=" + cql),
                             [](const Answer& answer) { return check_list(answer, 1); });
}

Async<std::string> Load::small_read(Kind kind, Due due) {
  if (kind == Kind::history) {
    const OwnPage& page = own_[random(own_.size())];
    const int least = page.version;
    co_return co_await request("history", due, message(any_user(), "GET", "/rest/api/content/" + page.id + "/history"),
                               [least](const Answer& answer) -> std::string {
                                 json::object o;
                                 if (auto failure = check_json(answer, o); !failure.empty()) return failure;
                                 const auto* last = object_at(o, "lastUpdated");
                                 const auto number = last ? int_or(*last, "number", -1) : -1;
                                 if (number >= least) return {};
                                 return fmt::format("content: last version {} although {} was acknowledged", number,
                                                    least);
                               });
  }
  const bool labels = kind == Kind::labels;
  const auto target =
      "/rest/api/content/" + pages_[random(pages_.size())].id + (labels ? "/label" : "/child/page?limit=25");
  co_return co_await request(labels ? "labels" : "children", due, message(any_user(), "GET", target),
                             [](const Answer& answer) { return check_list(answer, 0); });
}

}  // namespace afloat::cli
