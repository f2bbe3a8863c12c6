#include "server/node_facts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "adapters/files/archive.h"
#include "base/hash.h"
#include "base/text.h"
#include "version/manifest.h"

namespace afloat::server {

namespace fs = std::filesystem;

namespace {

constexpr auto read_again_after = std::chrono::hours(1);  // damage on a disk changes no time stamp
constexpr std::size_t most_named = 5;
constexpr std::string_view marker_suffix = ".seen";

/// Size and times tell of every change that went through the file system.
std::string stamp_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return "missing";
  return fmt::format("{} {} {}.{} {}.{}", found.st_ino, found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
                     found.st_ctim.tv_sec, found.st_ctim.tv_nsec);
}

/// Where this program's bundle is unpacked. Asked once: a link to it may be switched while we run.
std::string own_bundle() {
  std::error_code error;
  const auto program = fs::read_symlink("/proc/self/exe", error);
  return error ? "" : program.parent_path().parent_path().string();
}

/// The unified control group's limit on processes; -1: none.
std::int64_t group_process_limit() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::")) continue;
    std::ifstream limit("/sys/fs/cgroup" + line.substr(3) + "/pids.max");
    std::string text;
    if (limit >> text)
      if (const auto number = parse_int(text)) return *number;
  }
  return -1;
}

}  // namespace

rollout::Disk disk_of(const std::string& folder) {
  rollout::Disk disk;
  struct statvfs found{};
  if (::statvfs(folder.c_str(), &found) != 0) {
    disk.problem = std::strerror(errno);
    return disk;
  }
  disk.free_bytes = static_cast<std::int64_t>(found.f_bavail) * static_cast<std::int64_t>(found.f_frsize);
  disk.total_bytes = static_cast<std::int64_t>(found.f_blocks) * static_cast<std::int64_t>(found.f_frsize);
  if ((found.f_flag & ST_RDONLY) != 0) disk.problem = "it is mounted read-only";
  return disk;
}

std::map<std::string, std::string> digests_of_settings(const SiteConfig& site) {
  std::string keys;
  for (const auto& key : site.trusted_keys) keys += minisign::shown_id(key.id) + " ";
  const std::map<std::string, std::string> values = {
      {"site_name", site.site_name},
      {"base_url", site.base_url},
      {"shared_home", site.shared_home},
      {"edition", site.edition},
      {"catalogue", site.catalogue},
      {"trusted_keys", keys},
      {"log_level", site.log_level},
      {"max_body_bytes", std::to_string(site.max_body_bytes)},
      {"header_timeout_ms", std::to_string(site.header_timeout_ms)},
      {"request_timeout_ms", std::to_string(site.request_timeout_ms)},
      {"idle_timeout_ms", std::to_string(site.idle_timeout_ms)},
      {"drain_timeout_ms", std::to_string(site.drain_timeout_ms)},
      {"drain_linger_ms", std::to_string(site.drain_linger_ms)},
      {"write_connections", std::to_string(site.write_connections)},
  };
  std::map<std::string, std::string> digests;
  for (const auto& [key, value] : values) digests[key] = sha256_hex(value).substr(0, 12);
  return digests;
}

NodeFactsReader::NodeFactsReader(const SiteConfig& site, const NodeConfig& node, const Findings& findings,
                                 std::shared_ptr<http::TlsIdentity> tls)
    : site_(site), node_(node), findings_(findings), tls_(std::move(tls)), bundle_(own_bundle()) {}

rollout::NodeFacts NodeFactsReader::read(std::int64_t database_ms) {
  rollout::NodeFacts facts;
  read_limits(&facts);
  facts.data = disk_of(node_.data);
  facts.shared_home = disk_of(site_.shared_home);
  if (facts.shared_home.problem.empty()) read_shared_home(&facts, database_ms);
  facts.settings = digests_of_settings(site_);
  facts.tls = tls_ != nullptr;
  if (tls_) facts.certificate_end_ms = tls_->end_ms();
  for (const auto& found : findings_.all())
    facts.findings.push_back(
        {.check = found.check, .message = found.message, .count = found.count, .last_ms = found.last_ms});
  if (looked_)
    facts.release = read_release();
  else
    facts.release.problem = "it has just started and has not looked yet";
  looked_ = true;
  return facts;
}

void NodeFactsReader::read_limits(rollout::NodeFacts* facts) const {
  std::error_code error;
  std::int64_t open = 0;
  for (fs::directory_iterator files("/proc/self/fd", error), end; !error && files != end; files.increment(error))
    ++open;
  if (!error) facts->open_files = open;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) facts->open_files_limit = static_cast<std::int64_t>(limit.rlim_cur);
  if (::getrlimit(RLIMIT_NPROC, &limit) == 0) {
    facts->process_limit = limit.rlim_cur == RLIM_INFINITY ? 0 : static_cast<std::int64_t>(limit.rlim_cur);
    const auto group = group_process_limit();
    if (group >= 0 && (facts->process_limit == 0 || group < facts->process_limit)) facts->process_limit = group;
  }
}

void NodeFactsReader::read_shared_home(rollout::NodeFacts* facts, std::int64_t database_ms) const {
  const auto folder = site_.shared_home + "/nodes";
  std::error_code error;
  fs::create_directory(folder, error);
  // In place, and always as long: a reader on another host sees the old number or the new one, whole.
  const auto text = fmt::format("{:020}\n", database_ms);
  const auto path = folder + "/" + node_.name + std::string(marker_suffix);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    facts->shared_home.problem = std::strerror(errno);
    return;
  }
  const auto written = ::pwrite(file, text.data(), text.size(), 0);
  if (written != static_cast<ssize_t>(text.size()))
    facts->shared_home.problem = std::strerror(written < 0 ? errno : ENOSPC);
  if (::close(file) != 0 && facts->shared_home.problem.empty()) facts->shared_home.problem = std::strerror(errno);
  if (!facts->shared_home.problem.empty()) return;
  facts->marker = std::string(trim(text));
  for (fs::directory_iterator files(folder, error), end; !error && files != end; files.increment(error)) {
    const auto name = files->path().filename().string();
    if (!name.ends_with(marker_suffix)) continue;
    std::ifstream marker(files->path());
    std::string number;
    if (marker >> number) facts->markers[name.substr(0, name.size() - marker_suffix.size())] = number;
  }
}

rollout::ReleaseFiles NodeFactsReader::read_release() {
  rollout::ReleaseFiles release;
  auto text = files::read_file(bundle_ + "/manifest.json");
  if (!text) return release;
  release.in_bundle = true;
  const auto manifest = version::parse_manifest(*text);
  if (!manifest) {
    release.problem = manifest.error().message();
    return release;
  }
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [path, digest] : manifest->files) {
    auto& seen = seen_[path];
    const auto stamp = stamp_of(bundle_ + "/" + path);
    if (stamp != seen.stamp || now - seen.at > read_again_after)
      seen = {stamp, files::sha256_of_file(bundle_ + "/" + path).value_or("") == digest, now};
    if (seen.intact || release.changed.size() > most_named) continue;
    release.changed.push_back(release.changed.size() == most_named ? "and more" : path);
  }
  return release;
}

}  // namespace afloat::server
