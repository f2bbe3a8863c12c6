#include "adapters/http/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <mutex>
#include <vector>

#include "adapters/asio/runtime.h"
#include "adapters/http/token.h"
#include "base/text.h"

namespace afloat::http {
namespace {

constexpr std::size_t max_answer_bytes = 64 * 1024 * 1024;
constexpr std::size_t max_idle_handles = 16;

struct Answer {
  Response response;
  std::string body;
  bool too_large = false;
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& answer = *static_cast<Answer*>(user);
  if (answer.body.size() + size * count > max_answer_bytes) {
    answer.too_large = true;
    return 0;
  }
  answer.body.append(data, size * count);
  return size * count;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& answer = *static_cast<Answer*>(user);
  const std::string_view line = trim(std::string_view(data, size * count));
  if (line.starts_with("HTTP/")) {
    answer.response.headers = {};  // a 100 Continue may come first
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    answer.response.headers.add(std::string(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1))));
  }
  return size * count;
}

Error transfer_error(CURL* handle, CURLcode code, const char* detail, const ClientRequest& request, const std::string& ca_file,
                     bool too_large) {
  const std::string where =
      request.unix_socket.empty() ? request.url : fmt::format("{} (socket {})", request.url, request.unix_socket);
  const std::string_view why = *detail ? std::string_view(detail) : std::string_view(curl_easy_strerror(code));
  if (too_large) {
    return Error(ErrorKind::resource_exhausted, fmt::format("The answer of {} is larger than 64 MiB.", where));
  }
  curl_off_t connected = 0;
  long sent = 0;
  curl_easy_getinfo(handle, CURLINFO_PRETRANSFER_TIME_T, &connected);
  curl_easy_getinfo(handle, CURLINFO_REQUEST_SIZE, &sent);
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Error(ErrorKind::invalid_argument, fmt::format("{} is no address to send to: {}.", where, why));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return Error(ErrorKind::unavailable, fmt::format("No connection to {}: {}.", where, why));
    case CURLE_PEER_FAILED_VERIFICATION:
      return Error(ErrorKind::unavailable,
                   fmt::format("No connection to {}: its certificate is not trusted: {}. It must name this host, be valid now, and "
                               "come from {}.", where, why,
                               ca_file.empty() ? "an authority that this system trusts (or name its own authority's file)"
                                               : "an authority in " + ca_file));
    case CURLE_SSL_CACERT_BADFILE:
      return Error(ErrorKind::failed_precondition,
                   fmt::format("The file of trusted authorities {} can't be used ({}): it must have certificates in PEM form, and "
                               "this user must be able to read it.", ca_file, why));
    default:
      break;
  }
  if (connected == 0 && sent == 0) {
    return Error(ErrorKind::unavailable, fmt::format("No connection to {}: {}.", where, why));
  }
  return Error(ErrorKind::deadline_exceeded,
               fmt::format("No answer from {} to {}: {}. It may have been carried out.", where, request.method, why));
}

}  // namespace

struct Client::Handles {
  std::mutex mutex;
  std::vector<CURL*> idle;
  std::string ca_file;

  ~Handles() {
    for (CURL* handle : idle) curl_easy_cleanup(handle);
  }
  CURL* take() {
    {
      std::scoped_lock lock(mutex);
      if (!idle.empty()) {
        CURL* handle = idle.back();
        idle.pop_back();
        return handle;
      }
    }
    return curl_easy_init();
  }
  void give_back(CURL* handle) {
    curl_easy_reset(handle);  // keeps its connections
    {
      std::scoped_lock lock(mutex);
      if (idle.size() < max_idle_handles) {
        idle.push_back(handle);
        return;
      }
    }
    curl_easy_cleanup(handle);
  }
  Result<Response> perform(const ClientRequest& request, std::chrono::milliseconds timeout);
};

Result<Response> Client::Handles::perform(const ClientRequest& request, std::chrono::milliseconds timeout) {
  if (timeout.count() <= 0) {
    return fail(ErrorKind::unavailable, fmt::format("No time left to send {} {}.", request.method, request.url));
  }
  std::string token;
  if (!request.token_file.empty()) {
    auto tokens = read_tokens(request.token_file);
    if (!tokens) return fail(ErrorKind::failed_precondition, tokens.error().message());
    token = std::move(tokens->front());
  }
  CURL* handle = take();
  if (!handle) return fail(ErrorKind::internal, "libcurl could not make a handle (out of memory).");
  Answer answer;
  char detail[CURL_ERROR_SIZE] = {};
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : request.headers.all()) {
    headers = curl_slist_append(headers, fmt::format("{}: {}", name, value).c_str());
  }
  if (!token.empty()) headers = curl_slist_append(headers, ("Authorization: Bearer " + token).c_str());
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!ca_file.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, ca_file.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);  // the system's would count as well
    curl_easy_setopt(handle, CURLOPT_CA_CACHE_TIMEOUT, 60L);  // a day by default, for which a new authority is unknown
  }
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::min<std::int64_t>(timeout.count(), 10'000)));
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &answer);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  if (!request.unix_socket.empty()) curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
  if (!request.user.empty()) {
    curl_easy_setopt(handle, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(handle, CURLOPT_USERNAME, request.user.c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, request.password.c_str());
  }
  if (request.method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else if (request.method != "GET") {
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }

  const CURLcode code = curl_easy_perform(handle);
  Result<Response> result = [&]() -> Result<Response> {
    if (code != CURLE_OK) {
      return std::unexpected(transfer_error(handle, code, detail, request, ca_file, answer.too_large));
    }
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    answer.response.status = static_cast<int>(status);
    answer.response.body = std::make_shared<const std::string>(std::move(answer.body));
    return std::move(answer.response);
  }();
  curl_slist_free_all(headers);
  give_back(handle);
  return result;
}

namespace {
/// Once per process, before the first handle: curl_global_init is not safe to race.
void init_curl() {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
}
}  // namespace

Client::Client(int threads)
    : own_pool_(std::make_unique<boost::asio::thread_pool>(static_cast<std::size_t>(threads))),
      pool_(*own_pool_),
      handles_(std::make_shared<Handles>()) {
  init_curl();
}

Client::Client(boost::asio::thread_pool& pool) : pool_(pool), handles_(std::make_shared<Handles>()) { init_curl(); }

Client::~Client() {
  if (own_pool_) own_pool_->join();
}

void Client::trust(std::string ca_file) { handles_->ca_file = std::move(ca_file); }

Result<Response> Client::send_blocking(ClientRequest request, std::chrono::milliseconds timeout) {
  return handles_->perform(request, timeout);
}

Task<Response> Client::send(ClientRequest request, Deadline deadline) {
  // Shared: when the awaiting coroutine is destroyed, the thread still has something to write into.
  struct Job {
    ClientRequest request;
    Result<Response> result = fail(ErrorKind::internal, "the request was not sent");
  };
  auto job = std::make_shared<Job>();
  job->request = std::move(request);
  auto done = co_await offload(pool_, [job, handles = handles_, deadline] {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    job->result = handles->perform(job->request, left);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return std::move(job->result);
}

}  // namespace afloat::http
