#include "server/setup.h"

#include <fmt/core.h>

#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/identity.h"
#include "server/log.h"
#include "server/pages/common.h"
#include "store/space_store.h"
#include "store/user_store.h"

// The first run: the first account is made by whoever can read the setup code in the shared home.
namespace afloat::server {
namespace {

namespace json = boost::json;

struct Form {
  std::string code, user = "admin", full_name, email, password, again, error;
  bool sample = true;
};

json::object fact(std::string_view name, std::string value, std::string hint = {}) {
  json::object out{{"name", name}, {"value", std::move(value)}, {"has_hint", !hint.empty()}};
  out["hint"] = std::move(hint);
  return out;
}

class Setup {
 public:
  explicit Setup(Context& context) : context_(context) {}

  Async<http::Response> show_form(http::Request request) {
    if (auto done = co_await already(request.deadline)) co_return std::move(*done);
    Form form;
    form.code = request.query_or("code", "");
    co_return co_await page(request, std::move(form), 200);
  }

  Async<http::Response> set_up(http::Request request) {
    if (auto done = co_await already(request.deadline)) co_return std::move(*done);
    auto sent = http::parse_form(request);
    if (!sent) co_return show_error(context_, {}, sent.error());
    Form form;
    form.code = std::string(trim(form_value(*sent, "code")));
    form.user = std::string(trim(form_value(*sent, "user")));
    form.full_name = std::string(trim(form_value(*sent, "full_name")));
    form.email = std::string(trim(form_value(*sent, "email")));
    form.password = form_value(*sent, "password");
    form.again = form_value(*sent, "again");
    form.sample = form_value(*sent, "sample") == "yes";
    auto code = setup_code(context_.config.shared_home);
    if (!code) co_return show_error(context_, {}, code.error());
    if (form.code != *code) {
      // Whoever was quicker has taken the code away.
      if (auto done = co_await already(request.deadline)) co_return std::move(*done);
      form.error = "This is not the setup code. Copy the line in the file that is named below.";
      co_return co_await page(request, std::move(form), 403);
    }
    if (auto fit = store::check_password(form.password); !fit)
      form.error = fit.error().message();
    else if (form.password != form.again)
      form.error = "The two passwords differ; type the same one twice.";
    if (!form.error.empty()) co_return co_await page(request, std::move(form), 400);
    co_return co_await make_first_user(std::move(request), std::move(form));
  }

 private:
  /// The way on when the site has been set up.
  Async<std::optional<http::Response>> already(Deadline deadline) {
    auto set_up = co_await is_set_up(context_, deadline);
    if (!set_up) co_return show_error(context_, {}, set_up.error());
    if (!*set_up) co_return std::nullopt;
    co_return http::redirect("/");
  }

  Async<http::Response> make_first_user(http::Request request, Form form) {
    store::NewUser user;
    user.name = form.user;
    user.full_name = form.full_name.empty() ? form.user : form.full_name;
    user.email = form.email;
    user.administrator = true;
    auto hashed = co_await context_.offload([&] { user.password_hash = hash_password(form.password); });
    if (!hashed) co_return show_error(context_, {}, hashed.error());
    const auto deadline = request.deadline;
    auto made = co_await with_gates<bool>(context_, deadline, [&](Gates gates) {
      return store::create_first_user(context_.database, gates, user, deadline);
    });
    if (!made && made.error().kind() == ErrorKind::invalid_argument) {
      form.error = made.error().message();
      co_return co_await page(request, std::move(form), 400);
    }
    if (!made) co_return show_error(context_, {}, made.error());
    // Somebody was quicker, perhaps this very form, sent twice: whoever has the password gets in.
    context_.set_up = true;
    if (*made) {
      forget_setup_code(context_.config.shared_home);
      log(Level::info, "set_up", {{"administrator", user.name}});
    }
    if (*made && form.sample) co_await make_sample(user.name, deadline);
    auto cookie = co_await context_.auth.sign_in(form.user, form.password, request.remote, deadline);
    if (!cookie) co_return http::redirect("/login");
    auto response = http::redirect(*made && form.sample ? "/spaces/WELCOME" : "/");
    response.headers.add("Set-Cookie", std::move(*cookie));
    co_return response;
  }

  /// The site is of use without it, so what goes wrong is told to the log alone.
  Async<void> make_sample(std::string author, Deadline deadline) {
    auto user = co_await store::find_user(context_.database, author, deadline);
    Result<void> made = user ? Result<void>() : std::unexpected(user.error());
    if (user) made = co_await make_sample_space(context_, user->id, deadline);
    if (!made) log(Level::warning, "sample_space_failed", {{"message", made.error().message()}});
  }

  Async<http::Response> page(const http::Request& request, Form form, int status) {
    auto data = frame(context_, {}, "Set up");
    // Made by the first look, so that it is there to be read.
    if (auto code = setup_code(context_.config.shared_home); !code && form.error.empty())
      form.error = code.error().message();
    data["code_file"] = context_.config.shared_home + "/setup-code";
    data["code"] = form.code;
    data["user"] = form.user;
    data["full_name"] = form.full_name;
    data["email"] = form.email;
    data["sample"] = form.sample;
    data["has_error"] = !form.error.empty();
    data["error"] = form.error;
    data["shortest_password"] = store::shortest_password;
    data["facts"] = co_await facts(request);
    co_return show(context_, "setup", data, status);
  }

  Async<json::array> facts(const http::Request& request) {
    const auto& config = context_.config;
    json::array out;
    const bool trial = context_.database.dialect() == SqlDialect::sqlite;
    if (trial) {
      out.push_back(fact("Database", "a file of this trial (SQLite)",
                         "One node, which can't be clustered or upgraded without a stop. A real site has PostgreSQL."));
    } else {
      auto rows = co_await context_.database.read(
          {"select current_setting('server_version'), current_database(), current_setting('server_encoding')", {}},
          request.deadline);
      out.push_back(rows && !rows->empty()
                        ? fact("Database", fmt::format("PostgreSQL {}, database {}, encoding {}", rows->text(0, 0),
                                                       rows->text(0, 1), rows->text(0, 2)))
                        : fact("Database", "no answer", rows ? "" : rows.error().message()));
      const auto nodes = config.nodes.size();
      out.push_back(config.edition == "data-center"
                        ? fact("Nodes", fmt::format("{} in site.toml", nodes),
                               nodes > 1 ? "" : "With a second one the site can be upgraded while people work.")
                        : fact("Nodes", "one (edition single-node)", "It can't be upgraded without a stop."));
    }
    const std::string host(request.headers.get("Host"));
    const bool here = host.empty() || (config.base_url + "/").contains("://" + host + "/");
    out.push_back(fact("Base URL", config.base_url,
                       here ? ""
                            : fmt::format("You came by {}. Links in answers name the base URL: correct `base_url` in "
                                          "site.toml if people will not type it.",
                                          host)));
    out.push_back(fact("Shared home", config.shared_home));
    out.push_back(fact("Version", fmt::format("Afloat {}, node {}", context_.node.version, context_.node.name)));
    co_return out;
  }

  Context& context_;
};

}  // namespace

void add_setup_routes(http::Router& router, Context& context) {
  auto setup = std::make_shared<Setup>(context);
  router.add("GET", "/setup", [setup](http::Request request) { return setup->show_form(std::move(request)); });
  router.add("POST", "/setup", [setup](http::Request request) { return setup->set_up(std::move(request)); });
}

}  // namespace afloat::server
