#include <fmt/format.h>
#include <sys/mount.h>

#include <cstring>
#include <filesystem>

#include "agent/catalogue.h"
#include "base/text.h"
#include "faults/fault_site.h"

// Hosts that can't take a release up: a file system that is really full, programs that can't run there.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

SiteSetup three_hosts(const std::string& catalogue) {
  SiteSetup setup;
  setup.host_per_node = true;
  setup.settings["catalogue"] = "\"" + catalogue + "\"";
  return setup;
}

std::uint64_t bytes_below(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) bytes += entry.file_size();
  return bytes;
}

/// A small file system of its own in the place of a folder, with what the folder held.
class SmallDisk {
 public:
  SmallDisk(const std::string& folder, std::uint64_t bytes) : folder_(folder) {
    const auto aside = folder + ".aside";
    fs::rename(folder, aside);
    fs::create_directory(folder);
    mounted_ = mount("afloat-test", folder.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
    EXPECT_TRUE(mounted_) << "this test mounts a small tmpfs, for which it needs root: " << std::strerror(errno);
    fs::copy(aside, folder, fs::copy_options::recursive);
  }
  // Nodes still run from it.
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  void resize(std::uint64_t bytes) {
    EXPECT_EQ(mount("", folder_.c_str(), "tmpfs", MS_REMOUNT, fmt::format("size={}", bytes).c_str()), 0)
        << std::strerror(errno);
  }
  std::set<std::string> entries() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename().string());
    return names;
  }

 private:
  std::string folder_;
  bool mounted_ = false;
};

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const auto& word : words) EXPECT_NE(text.find(word), std::string::npos) << "no \"" << word << "\" in: " << text;
}

TEST(Faults, AHostsFileSystemIsReallyFullWhileItUnpacks) {
  local::TempDir folder;
  // Zeros pack to almost nothing, so the agent, which looks before, sees room enough.
  const auto web = folder.path() + "/web";
  fs::copy(getenv("AFLOAT_WEB"), web, fs::copy_options::recursive);
  constexpr std::uint64_t zeros = 160'000'000;
  ASSERT_TRUE(local::write_file(web + "/zeros.bin", ""));
  fs::resize_file(web + "/zeros.bin", zeros);
  const auto catalogue = catalogue_with(folder.path() + "/catalogue", bundles().program, web);
  FaultSite site(three_hosts(catalogue));
  const auto releases = site->dir() + "/hosts/host2/releases";
  const auto archive = bytes_below(catalogue + "/" + bundles().to);
  const auto looks_for = archive * 5 + 32'000'000;
  ASSERT_LT(looks_for + 10'000'000, zeros) << "the look beforehand would find it already";
  const auto old_release = bytes_below(releases);
  SmallDisk disk(releases, old_release + looks_for + 8'000'000);

  ASSERT_NO_FATAL_FAILURE(site.users_come());
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  const auto why = site.run_message();
  std::printf("%s\n", why.c_str());
  EXPECT_EQ(site.newest_step().kind, "distribute");
  expect_words(why, {"Host host2", "No space left on device", "Release " + bundles().to + " unpacks to ", "free: free ",
                     "more", "afloat upgrade resume"});
  EXPECT_EQ(why.find("Host host1"), std::string::npos) << "host1 has room";
  EXPECT_EQ(disk.entries(), std::set<std::string>{bundles().from}) << "something half unpacked was left behind";
  expect_settled(site.fixture(), bundles().from);

  // A smaller one still: then it does not even begin.
  disk.resize(old_release + 10'000'000);
  site.ask("resume");
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  expect_words(site.run_message(), {"Host host2", " free; unpacking release " + bundles().to + " needs about "});
  EXPECT_EQ(disk.entries(), std::set<std::string>{bundles().from});

  disk.resize(old_release + 2 * zeros + looks_for);
  site.ask("resume");
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("a host's file system (tmpfs) really full while it unpacks", figures,
                       "paused before anything was changed; resumed, done");
}

/// Compiles `source`; the file.
std::string compiled(const std::string& folder, const std::string& name, const std::string& source,
                     std::vector<std::string> arguments) {
  EXPECT_TRUE(local::write_file(folder + "/" + name + ".c", source));
  local::ProcessOptions compile;
  compile.argv = {"clang-19", "-o", folder + "/" + name, folder + "/" + name + ".c"};
  compile.argv.insert(compile.argv.end(), arguments.begin(), arguments.end());
  auto done = local::run_checked(compile);
  EXPECT_TRUE(done) << done.error().message();
  return folder + "/" + name;
}

/// The run to that release ends before a node was touched, and names every host with `words`.
void expect_refused_everywhere(const std::string& program, const std::vector<std::string>& words,
                               const std::function<void(const std::string& catalogue)>& spoil = {}) {
  local::TempDir folder;
  const auto catalogue = catalogue_with(folder.path() + "/catalogue", program, getenv("AFLOAT_WEB"));
  if (spoil) spoil(catalogue);
  FaultSite site(three_hosts(catalogue), 20);
  std::map<std::string, pid_t> before;
  for (const auto& node : site->nodes()) before[node.name] = site->node_pid(node.name);
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  const auto why = site.run_message();
  std::printf("%s\n", why.c_str());
  EXPECT_EQ(site.newest_step().kind, "distribute");
  expect_words(why, {"Host host1", "Host host2", "Host host3"});
  expect_words(why, words);
  EXPECT_EQ(site.begun().size(), 0U);
  for (const auto& node : site->nodes()) EXPECT_EQ(site->node_pid(node.name), before[node.name]) << node.name;
  site.ask("cancel");
  EXPECT_EQ(site.await_end(), "cancelled") << site.run_message();
  expect_settled(site.fixture(), bundles().from);
}

constexpr const char* bare_program = "void _start(void) { __builtin_trap(); }\n";
const std::vector<std::string> for_arm{"--target=aarch64-linux-gnu", "-nostdlib", "-fuse-ld=lld", "-static"};

TEST(Faults, AProgramForAnotherArchitectureIsRefusedOnEveryHost) {
  local::TempDir folder;
  const auto program = compiled(folder.path(), "afloat", bare_program, for_arm);
  expect_refused_everywhere(program, {"is built for aarch64, this host is ", "bundle for this architecture"});
}

TEST(Faults, AProgramForAnotherArchitectureUnderAFalseNameIsRefusedOnEveryHost) {
  local::TempDir folder;
  const auto program = compiled(folder.path(), "afloat", bare_program, for_arm);
  expect_refused_everywhere(program, {"does not run here", "Exec format error", "nothing was stopped"},
                            [](const std::string& catalogue) {
                              const auto bundle = catalogue + "/" + bundles().to;
                              auto manifest = *local::read_file(bundle + "/manifest.json");
                              const auto claim = manifest.find("aarch64");
                              ASSERT_NE(claim, std::string::npos) << manifest;
                              manifest.replace(claim, 7, agent::machine_architecture());
                              ASSERT_TRUE(local::write_file(bundle + "/manifest.json", manifest));
                              sign_bundle(bundle);
                            });
}

TEST(Faults, AProgramWithoutOneOfItsLibrariesIsRefusedOnEveryHost) {
  local::TempDir folder;
  const auto library = compiled(folder.path(), "libtide.so", "int tide(void) { return 0; }\n", {"-shared", "-fPIC"});
  const auto program = compiled(folder.path(), "afloat", "int tide(void); int main(void) { return tide(); }\n",
                                {"-L" + folder.path(), "-l:libtide.so", "-Wl,-rpath," + folder.path()});
  fs::remove(library);
  expect_refused_everywhere(program, {"does not run here", "libtide.so", "cannot open shared object file"});
}

}  // namespace
}  // namespace afloat::test
