#include "server/start_checks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::server {

namespace {

constexpr std::string_view undefined_table = "42P01";
constexpr std::string_view no_right = "42501";

std::string_view advice_for(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return "Its disk is full: make room.";
    case EROFS: return "It is mounted read-only: mount it for writing.";
    case EACCES:
    case EPERM: return "Give the user that runs this node the right to write there.";
    case ENOENT:
    case ENOTDIR: return "Make the folder, or correct the path in the configuration.";
    case EMFILE:
    case ENFILE: return "No file handle is left: raise the limit (ulimit -n, LimitNOFILE).";
    default: return "Check that it is mounted.";
  }
}

Result<void> try_to_write(std::string_view key, const std::string& folder) {
  const auto refuse = [&](int code) {
    return fail(ErrorKind::failed_precondition, fmt::format("The folder {} ({}) can't be written: {}. {}", folder, key,
                                                    std::strerror(code), advice_for(code)));
  };
  const auto path = folder + "/.afloat-" + random_hex(6) + ".tmp";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return refuse(errno);
  // A full disk still makes empty files; it shows with the first block.
  const std::string block(4096, 'x');
  int code = 0;
  if (::write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size())) code = errno ? errno : ENOSPC;
  if (code == 0 && ::fsync(file) != 0) code = errno;
  if (::close(file) != 0 && code == 0) code = errno;
  ::unlink(path.c_str());
  if (code != 0) return refuse(code);
  return {};
}

}  // namespace

Result<void> check_folders(const SiteConfig& site, const NodeConfig& node) {
  std::error_code error;
  std::filesystem::create_directories(node.data, error);
  if (error)
    return fail(ErrorKind::failed_precondition, fmt::format("The folder {} (data of {}) can't be made: {}. {}", node.data,
                                                    node.name, error.message(), advice_for(error.value())));
  if (auto written = try_to_write("data of " + node.name, node.data); !written) return written;
  // Never made here: a missing one is a mount that is not there, and a new folder would hide it.
  return try_to_write("shared_home", site.shared_home);
}

Result<std::shared_ptr<http::TlsIdentity>> load_certificate(const NodeConfig& node) {
  if (!node.tls()) return std::shared_ptr<http::TlsIdentity>();
  return http::TlsIdentity::load({node.tls_certificate, node.tls_key});
}

Result<void> check_web(const std::string& web) {
  std::error_code error;
  if (!web.empty() && std::filesystem::is_directory(web + "/templates", error)) return {};
  return fail(ErrorKind::not_found,
              "can't find the web files: neither ../share/web beside the program nor AFLOAT_WEB has them. Install the "
              "whole bundle.");
}

Result<void> judge_unknown_keys(const SiteConfig& site, bool upgrade_mode) {
  if (site.unknown_keys.empty() || upgrade_mode) return {};
  return fail(ErrorKind::invalid_argument, join(site.unknown_keys, " ") +
                                               " Correct or remove it; only while upgrade mode is on are unknown keys "
                                               "ignored.");
}

Task<DatabaseView> look_at_database(Database& database, Deadline deadline) {
  auto about = co_await database.slow_read(
      {"select current_setting('server_encoding'), current_database(), current_user, "
       "to_regclass('cluster_state') is not null, has_schema_privilege(current_schema(), 'create'), "
       "to_regclass('attachment') is not null", {}},
      deadline);
  if (!about) co_return std::unexpected(about.error());
  const auto encoding = about->text(0, 0), name = about->text(0, 1), user = about->text(0, 2);
  if (encoding != "UTF8")
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("The database {} has the encoding {}, and Afloat needs UTF8: other encodings can't hold "
                               "every character. Make one with: createdb --encoding UTF8 --template template0 --owner "
                               "{} NAME, and name it in `database` of the site's configuration.", name, encoding, user));
  DatabaseView view;
  const auto no_rights = [&](std::string_view what) {
    return fail(ErrorKind::failed_precondition,
                fmt::format("The database user {} may not {} in the database {}. Make it the owner: alter database {} "
                            "owner to {}.", user, what, name, name, user));
  };
  if (!about->flag(0, 3)) {
    if (!about->flag(0, 4)) co_return no_rights("make tables");
    co_return view;
  }
  auto state = co_await database.slow_read({"select mode from cluster_state", {}}, deadline);
  if (!state && state.error().code() == no_right) co_return no_rights("read Afloat's tables");
  if (!state && state.error().code() == undefined_table) co_return view;
  if (!state) co_return std::unexpected(state.error());
  view.bootstrapped = !state->empty();
  view.upgrade_mode = view.bootstrapped && state->text(0, 0) == "on";
  if (about->flag(0, 5)) {
    auto attachments = co_await database.slow_read({"select exists (select 1 from attachment)", {}}, deadline);
    if (!attachments && attachments.error().code() == no_right) co_return no_rights("read Afloat's tables");
    if (!attachments) co_return std::unexpected(attachments.error());
    view.has_attachments = attachments->flag(0, 0);
  }
  co_return view;
}

Result<void> check_shared_home(const SiteConfig& site, const DatabaseView& view) {
  std::error_code error;
  const auto there = [&](const char* name) { return std::filesystem::exists(site.shared_home + name, error); };
  if (!view.has_attachments || there("/blobs") || there("/site.key")) return {};
  return fail(ErrorKind::failed_precondition,
              fmt::format("The shared home {} has nothing of this site, but the database knows of attachments: its file "
                          "system is not mounted, or `shared_home` names another folder. Mount it; if the files are "
                          "lost, restore them from a backup first.", site.shared_home));
}

}  // namespace afloat::server
