#include "support/lone_node.h"

#include <fmt/format.h>

#include <stdexcept>

namespace afloat::test {

LoneNode::LoneNode(std::string database) : ports_(local::PortBlock::take().value()), database_(std::move(database)) {
  if (bundles().program.empty()) throw std::runtime_error("set AFLOAT_PROGRAM, or run this with ./run test");
  for (const auto& path : {home(), folder() + "/data"})
    if (auto made = local::make_folders(path); !made) throw std::runtime_error(made.error().message());
  write_config();
}

void LoneNode::write_config(const std::string& more, const std::string& of_node) {
  const auto text = fmt::format(
      "database = \"{}\"\nshared_home = \"{}\"\n{}\n[[node]]\nname = \"{}\"\nport = {}\ndata = \"{}/data\"\n{}", database_,
      shared_home.empty() ? home() : shared_home, more, name, port(), folder(), of_node);
  auto written = local::write_file(config(), text, 0600);
  if (!written) ADD_FAILURE() << written.error().message();
}

void LoneNode::start(std::vector<std::string> before) {
  local::ProcessOptions run;
  run.argv = std::move(before);
  for (const auto& word : {bundles().program, std::string("serve"), std::string("--config"), config(), std::string("--node"), name})
    run.argv.push_back(word);
  if (set_up) run.env = {{"AFLOAT_ADMIN_PASSWORD", password}};
  run.log = folder() + "/log";
  ASSERT_TRUE(local::write_file(run.log, ""));
  auto process = local::Process::start(run);
  ASSERT_TRUE(process) << process.error().message();
  process_ = std::move(*process);
}

bool LoneNode::wait_ready(std::chrono::milliseconds limit) {
  http::Client client(1);
  http::ClientRequest request;
  request.method = "GET";
  request.url = url() + "/health/ready";
  bool ready = false;
  eventually(limit, [&] {
    auto answer = client.send_blocking(request, std::chrono::seconds(2));
    ready = answer && answer->status == 200;
    return ready || !process_.running();
  });
  return ready;
}

int LoneNode::wait_end(std::chrono::milliseconds limit) { return process_.wait(limit).value_or(-1); }

std::string LoneNode::log() const { return local::read_file(folder() + "/log").value_or(""); }

local::CommandOutput LoneNode::afloat(std::vector<std::string> args) {
  local::ProcessOptions run;
  run.argv = std::move(args);
  run.argv.insert(run.argv.begin(), bundles().program);
  run.env = {{"AFLOAT_USER", "admin"}, {"AFLOAT_PASSWORD", password}, {"AFLOAT_SITE", url()}};
  auto done = local::run_command(run, std::chrono::seconds(30));
  if (done) return *done;
  ADD_FAILURE() << done.error().message();
  return {-1, ""};
}

}  // namespace afloat::test
