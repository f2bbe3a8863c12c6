#include <gtest/gtest.h>

#include "local/process.h"
#include "local/workplace.h"

/// `./run build --release V` in a toy clone: where a release's source may come from, and what is said
/// when it comes from nowhere. The toy release's own `./run bundle` writes a manifest and nothing else.
namespace afloat::local {
namespace {

class ReleaseBuild : public testing::Test {
 protected:
  void SetUp() override {
    sh(R"sh(git init -q -b main . && mkdir -p releases/src && echo 1.0.0 > VERSION
cat > run <<'RUN'
#!/bin/bash
[[ $1 == bundle && $2 == --version && $4 == --out ]] || exit 2
mkdir -p "$5" && echo "{\"version\":\"$3\",\"ccache\":\"$CCACHE_BASEDIR\"}" > "$5/manifest.json"
RUN
chmod 755 run && git add -A && git -c user.name=t -c user.email=t@localhost commit -qm release
printf '[[release]]\nversion = "1.0.0"\ncommit = "%s"\ntree = "%s"\nbuild = 10000009\n' \
  "$(git rev-parse HEAD)" "$(git rev-parse 'HEAD^{tree}')" > releases/versions.toml
git archive HEAD | zstd -q -o archive.tar.zst
cp )sh" +
       std::string(AFLOAT_SOURCE_DIR) + "/run run && echo 1.1.0-dev > VERSION");
  }

  CommandOutput run_sh(const std::string& script) {
    auto output =
        run_command({.argv = {"bash", "-c", script}, .without = {"CCACHE_BASEDIR"}, .folder = folder_.path()});
    EXPECT_TRUE(output) << output.error().message();
    return output.value_or(CommandOutput{.exit_code = -1, .output = ""});
  }
  std::string sh(const std::string& script) {
    auto output = run_sh(script);
    EXPECT_EQ(output.exit_code, 0) << script << "\n" << output.output;
    return output.output;
  }
  void lose_history() { sh("rm -rf .git"); }

  TempDir folder_;
  static constexpr const char* build = "./run build --release 1.0.0";
};

TEST_F(ReleaseBuild, ComesOutOfHistoryThroughItsOwnScriptAndOnlyOnce) {
  sh(build);
  EXPECT_EQ(sh("cat catalogue/1.0.0/manifest.json"), R"({"version":"1.0.0","ccache":")" + folder_.path() + "\"}\n");
  EXPECT_NE(sh(build).find("in the catalogue already"), std::string::npos);
}

TEST_F(ReleaseBuild, ComesOutOfTheArchiveWhereTheCloneHasNoHistory) {
  sh("mv archive.tar.zst releases/src/1.0.0.tar.zst");
  lose_history();
  sh(build);
  sh("test -f catalogue/1.0.0/manifest.json");
}

TEST_F(ReleaseBuild, SaysOneClearLineWhereThereIsNeither) {
  lose_history();
  auto output = run_sh(build);
  EXPECT_NE(output.exit_code, 0);
  EXPECT_NE(output.output.find("neither its commit"), std::string::npos) << output.output;
  sh("test ! -e catalogue/1.0.0");
}

TEST_F(ReleaseBuild, RefusesAnArchiveOfAnotherTree) {
  lose_history();
  sh("mkdir other && cp run other/ && tar -C other -c . | zstd -q -o releases/src/1.0.0.tar.zst");
  auto output = run_sh(build);
  EXPECT_NE(output.exit_code, 0);
  EXPECT_NE(output.output.find("nothing was built"), std::string::npos) << output.output;
  sh("test ! -e catalogue/1.0.0");
}

TEST_F(ReleaseBuild, AFailedBuildLeavesNothingInTheCatalogue) {
  sh(build);
  sh("rm build/releases/*/packed && for f in build/releases/*/src/run; do printf '#!/bin/sh\\nexit 1\\n' > $f; done");
  EXPECT_NE(run_sh(build).exit_code, 0);
  sh("test -f catalogue/1.0.0/manifest.json && test ! -e build/releases/*/out");
}

TEST_F(ReleaseBuild, AnUnknownReleaseNamesThoseThereAre) {
  auto output = run_sh("./run build --release 7.0.0");
  EXPECT_NE(output.exit_code, 0);
  EXPECT_NE(output.output.find("it has: 1.0.0"), std::string::npos) << output.output;
}

}  // namespace
}  // namespace afloat::local
