#include "adapters/http/session.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/text.h"

namespace afloat::http {

namespace bhttp = boost::beast::http;

Request request_from(const bhttp::request<bhttp::string_body>& message, std::string remote) {
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  const std::string_view target = request.target;
  const auto mark = target.find('?');
  request.path = url_decode(target.substr(0, mark), false).value_or(std::string(target.substr(0, mark)));
  if (mark != std::string_view::npos) {
    for (const auto& pair : split(target.substr(mark + 1), '&')) {
      if (pair.empty()) continue;
      const auto equals = pair.find('=');
      auto name = url_decode(std::string_view(pair).substr(0, equals), true);
      auto value = equals == std::string::npos ? std::optional<std::string>("")
                                               : url_decode(std::string_view(pair).substr(equals + 1), true);
      if (name && value) request.query.emplace_back(std::move(*name), std::move(*value));
    }
  }
  for (const auto& field : message) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.remote = std::move(remote);
  return request;
}

bool not_http(boost::system::error_code error) {
  return error.category() == make_error_code(bhttp::error::bad_method).category() &&
         error != bhttp::error::end_of_stream && error != bhttp::error::partial_message;
}

bhttp::response<bhttp::string_body> refusal(int status, const ServerLimits& limits, const std::string& too_slow) {
  std::string text;
  switch (status) {
    case 413:
      text = fmt::format("The request's body is larger than the {} that this site accepts.", human_bytes(limits.body_bytes));
      break;
    case 431: text = "The request's header is too large."; break;
    case 408:
      text = too_slow.empty() ? "The request did not arrive in time."
                              : fmt::format("The request's body came too slowly: {}.", too_slow);
      break;
    default: text = "The request is not well-formed HTTP.";
  }
  const Response response = error_response(Error(ErrorKind::invalid_argument, std::move(text)), status);
  bhttp::response<bhttp::string_body> message(static_cast<bhttp::status>(status), 11);
  message.set(bhttp::field::content_type, "application/json");
  message.body() = *response.body;
  message.keep_alive(false);
  message.prepare_payload();
  return message;
}

std::int64_t not_yet_taken(int socket) {
  int bytes = 0;
  return ::ioctl(socket, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void ReadLimit::begin() {
  state_->late = false;
  state_->too_slow.clear();
  state_->progress.reset();
  state_->moved = nullptr;
  state_->stream.expires_never();
}

void ReadLimit::within(std::chrono::milliseconds time) {
  begin();
  timer_.expires_after(time);
  timer_.async_wait([state = state_, turn = ++state_->turn](boost::system::error_code error) {
    // It may have run out in the moment in which the read ended; then it is another read's turn.
    if (error || state->turn != turn) return;
    state->late = true;
    state->stream.cancel();
  });
}

void ReadLimit::at_pace(BodyPace pace, std::function<std::int64_t()> moved) {
  begin();
  state_->progress.emplace(pace, std::chrono::steady_clock::now());
  state_->moved = std::move(moved);
  look(timer_, state_, ++state_->turn);
}

void ReadLimit::look(boost::asio::steady_timer& timer, std::shared_ptr<State> state, std::uint64_t turn) {
  timer.expires_at(state->progress->next_look(std::chrono::steady_clock::now()));
  // The timer is there as long as it is our turn: end() comes before it goes.
  timer.async_wait([&timer, state, turn](boost::system::error_code error) {
    if (error || state->turn != turn) return;
    if (auto slow = state->progress->judge(state->moved(), std::chrono::steady_clock::now())) {
      state->late = true;
      state->too_slow = std::move(*slow);
      state->stream.cancel();
      return;
    }
    look(timer, state, turn);
  });
}

void ReadLimit::end() {
  ++state_->turn;
  state_->moved = nullptr;
  timer_.cancel();
}

}  // namespace afloat::http
