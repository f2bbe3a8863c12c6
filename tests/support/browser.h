#pragma once
#include <map>
#include <string>

#include "base/text.h"
#include "support/support.h"

namespace afloat::test {

/// A person at a browser: signs in by form, and sends the session's cookie from then on.
class Browser {
 public:
  Browser(const std::string& base, const std::string& user, const std::string& password) : client_(base) {
    const auto answer = post("/login", "user=" + user + "&password=" + url_encode(password) + "&next=%2F");
    EXPECT_EQ(answer.status, 303) << *answer.body;
    const std::string cookie(answer.headers.get("Set-Cookie"));
    cookie_ = cookie.substr(0, cookie.find(';'));
    EXPECT_FALSE(cookie_.empty());
  }
  http::Response get(const std::string& path) { return client_.send("GET", path, "", {{"Cookie", cookie_}}); }
  http::Response post(const std::string& path, const std::string& form) {
    return client_.send("POST", path, form,
                        {{"Cookie", cookie_}, {"Content-Type", "application/x-www-form-urlencoded"}});
  }
  http::Response send(const std::string& method, const std::string& path, const std::string& body,
                      std::map<std::string, std::string> headers) {
    headers["Cookie"] = cookie_;
    return client_.send(method, path, body, std::move(headers));
  }
  /// The value of the form's hidden field.
  std::string field(const std::string& path, const std::string& name) {
    const auto page = get(path);
    EXPECT_EQ(page.status, 200) << path;
    const auto at = page.body->find("name=\"" + name + "\"");
    const auto value = at == std::string::npos ? at : page.body->find("value=\"", at);
    if (value == std::string::npos) {
      ADD_FAILURE() << path << " has no field " << name;
      return {};
    }
    return page.body->substr(value + 7, page.body->find('"', value + 7) - value - 7);
  }

 private:
  HttpClient client_;
  std::string cookie_;
};

}  // namespace afloat::test
