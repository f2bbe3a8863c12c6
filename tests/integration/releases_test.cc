#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "local/process.h"
#include "local/workplace.h"

/// releases/versions.toml names commits of this repository; nothing may make it name something else.
namespace afloat::local {
namespace {

Result<CommandOutput> run_here(const std::string& script) {
  return run_command({.argv = {"bash", "-c", script}, .env = {}, .folder = AFLOAT_SOURCE_DIR});
}

TEST(Releases, EachIsAnAncestorWithTheTreeThatIsNamedAndItsArchiveHoldsTheSame) {
  // Where the clone lacks the commit (it is shallow), the archive alone can be checked; without both: a failure.
  auto checked = run_here(R"sh(
set -u
field() { sed -n "s/^$1 *= *\"\{0,1\}\([^\"]*\)\"\{0,1\} *$/\1/p" <<<"$block"; }
count=0
while IFS= read -r -d '' block; do
  version=$(field version); commit=$(field commit); tree=$(field tree); build=$(field build)
  [[ -n $version && -n $commit && -n $tree ]] || continue
  count=$((count + 1))
  IFS=. read -r major minor patch <<<"$version"
  [[ $build == $(((major * 1000000 + minor * 1000 + patch) * 10 + 9)) ]] || echo "$version: build $build is wrong"
  if git cat-file -e "$commit^{commit}" 2>/dev/null; then
    git merge-base --is-ancestor "$commit" HEAD || echo "$version: $commit is no ancestor of HEAD"
    [[ $(git rev-parse "$commit^{tree}") == "$tree" ]] || echo "$version: $commit has another tree"
    [[ $(git show "$commit:VERSION") == "$version" ]] || echo "$version: $commit has another VERSION"
  fi
  archive=releases/src/$version.tar.zst
  [[ -f $archive ]] || { echo "$version: $archive is missing"; continue; }
  work=$(mktemp -d)
  mkdir "$work/src" && tar --zstd -xf "$archive" -C "$work/src"
  # Those of the releases before it are left out: they lie beside it.
  while read -r earlier; do
    mkdir -p "$work/src/releases/src" && cp "releases/src/$earlier.tar.zst" "$work/src/releases/src/"
  done < <(sed -n 's/^version *= *"\(.*\)".*/\1/p' "$work/src/releases/versions.toml" 2>/dev/null)
  git init -q --bare "$work/git"
  git --git-dir="$work/git" --work-tree="$work/src" -c core.autocrlf=false -c core.fileMode=true add -A -f .
  found=$(git --git-dir="$work/git" write-tree)
  [[ $found == "$tree" ]] || echo "$version: $archive holds tree $found"
  rm -rf "$work"
done < <(sed 's/^\[\[release\]\]/\x00&/' releases/versions.toml; printf '\0')
echo "$count releases"
)sh");
  ASSERT_TRUE(checked) << checked.error().message();
  EXPECT_EQ(checked->exit_code, 0);
  EXPECT_TRUE(checked->output.ends_with(" releases\n")) << checked->output;
  EXPECT_EQ(std::ranges::count(checked->output, '\n'), 1) << checked->output;
  EXPECT_FALSE(checked->output.starts_with("0 ")) << "no release is named";
}

TEST(Releases, AnArchiveOfALaterReleaseLeavesOutTheEarlierOnes) {
  auto listed = run_here(
      R"sh(for archive in releases/src/*.tar.zst; do
  version=$(basename "$archive" .tar.zst)
  [[ $(printf '%s\n1.2.0\n' "$version" | sort -V | head -1) == 1.2.0 ]] || continue  # before that they were put in
  tar --zstd -tf "$archive" | grep -F "releases/src/" | grep -F .tar.zst && echo "in $version"
done
true)sh");
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->output, "") << "each would hold all of those before it, and double";
}

TEST(Releases, ThisTreesVersionIsAboveEachOfThem) {
  auto highest = run_here(
      R"sh({ sed -n 's/^version *= *"\(.*\)"/\1/p' releases/versions.toml; sed 's/-.*//' VERSION; } | sort -V | tail -1; sed 's/-.*//' VERSION
grep -cxF "version = \"$(cat VERSION)\"" releases/versions.toml || true)sh");
  ASSERT_TRUE(highest);
  std::istringstream lines(highest->output);
  std::string top, own, named;
  lines >> top >> own >> named;
  EXPECT_EQ(top, own) << "VERSION must rise in the commit after a release";
  EXPECT_EQ(named, "0") << "this tree's version is a released one";
}

}  // namespace
}  // namespace afloat::local
